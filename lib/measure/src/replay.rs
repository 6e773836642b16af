//! From a log to the PCR values that a TPM must have if the log is true.

use alloc::vec::Vec;

use crate::bank::Bank;
use crate::digest::Digest;
use crate::event_log::PCR_COUNT;
use crate::event_type::EventType;
use crate::hasher::Hasher;
use crate::parse::{ParseError, parse};

/// Every PCR of every bank of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PcrValues(Vec<Vec<Digest>>);

impl PcrValues {
    /// The value of one PCR; `None` if the log has no such bank or a TPM no such PCR.
    #[must_use]
    pub fn get(&self, bank: Bank, pcr: u32) -> Option<&Digest> {
        let values = self
            .0
            .iter()
            .find(|values| values.first().is_some_and(|value| value.bank() == bank))?;
        values.get(usize::try_from(pcr).ok()?)
    }

    /// The banks in the log's order.
    pub fn banks(&self) -> impl Iterator<Item = Bank> + '_ {
        self.0.iter().filter_map(|values| values.first().map(Digest::bank))
    }
}

/// Replays a log: each event extends its PCR with its digest in each bank, EV_NO_ACTION extends nothing.
///
/// PCRs begin at zero, those of a dynamic launch (17 to 22) with every bit set (PC Client Platform TPM Profile,
/// section 4.6.2). A StartupLocality event is not heeded: a TPM started from another locality than 0 has another PCR 0.
///
/// # Errors
/// Any [`ParseError`]: the whole log is checked.
pub fn replay(log: &[u8]) -> Result<PcrValues, ParseError> {
    let events = parse(log)?;
    let mut pcrs = PcrValues(
        events
            .banks()
            .iter()
            .map(|bank| (0..PCR_COUNT).map(|pcr| reset(*bank, pcr)).collect())
            .collect(),
    );
    for event in events {
        let event = event?;
        if event.event_type == EventType::NO_ACTION {
            continue;
        }
        // The digests are in the order of the banks.
        for (values, digest) in pcrs.0.iter_mut().zip(&event.digests) {
            let value = usize::try_from(event.pcr).ok().and_then(|pcr| values.get_mut(pcr));
            if let Some(value) = value {
                *value = Hasher::joined(digest.bank(), &[value.bytes(), digest.bytes()]);
            }
        }
    }
    Ok(pcrs)
}

fn reset(bank: Bank, pcr: u32) -> Digest {
    if (17..=22).contains(&pcr) {
        Digest::ones(bank)
    } else {
        Digest::zero(bank)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;
    use crate::{Digests, EventLog, record};

    #[test]
    fn extends_in_order() {
        let mut log = EventLog::new(&Bank::ALL).unwrap();
        let [kernel, ramdisk] = [b"kernel".as_slice(), b"ramdisk"].map(|data| Digests::of(&Bank::ALL, data));
        log.record(&record::kernel("a", &kernel)).unwrap();
        log.append(9, EventType::NO_ACTION, &kernel, b"").unwrap();
        log.record(&record::ramdisk("a", &ramdisk)).unwrap();
        let pcrs = replay(log.bytes()).unwrap();
        assert_eq!(pcrs.banks().collect::<Vec<_>>(), Bank::ALL);
        for bank in Bank::ALL {
            let extend = |value: &Digest, by: &Digest| Digest::of(bank, &[value.bytes(), by.bytes()].concat());
            let first = extend(&Digest::zero(bank), kernel.get(bank).unwrap());
            assert_eq!(pcrs.get(bank, 9), Some(&extend(&first, ramdisk.get(bank).unwrap())));
            assert_eq!(pcrs.get(bank, 8), Some(&Digest::zero(bank)));
            assert_eq!(pcrs.get(bank, 24), None);
        }
        assert_eq!(pcrs.get(Bank::Sha256, 17).unwrap().to_string(), "ff".repeat(32));
    }

    #[test]
    fn a_cut_log_has_no_values() {
        let mut log = EventLog::new(&[Bank::Sha256]).unwrap();
        log.record(&record::manifest(&Digests::of(&[Bank::Sha256], b"")))
            .unwrap();
        assert!(replay(&log.bytes()[..log.bytes().len() - 1]).is_err());
        assert!(replay(b"").is_err());
    }
}
