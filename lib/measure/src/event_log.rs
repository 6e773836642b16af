//! The log that the builder writes.

use alloc::vec::Vec;

use crate::bank::Bank;
use crate::digest::Digests;
use crate::event_type::EventType;
use crate::parse::{Events, SIGNATURE};
use crate::record::Record;

/// PCRs in a bank (PC Client Platform TPM Profile, section 4.6).
pub const PCR_COUNT: u32 = 24;

/// An append-only TCG2 event log in the crypto-agile format.
///
/// The first event is the Spec ID event in the old format, the others are TCG_PCR_EVENT2 with one digest per bank,
/// in the order of the banks (Platform Firmware Profile, sections 10.2.1, 10.2.2 and 10.4.5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventLog {
    banks: Vec<Bank>,
    bytes: Vec<u8>,
}

/// Why a log was not begun or a record not appended. The log is then as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// A log needs at least one bank.
    #[error("an event log needs at least one bank")]
    NoBanks,
    /// The digests lack one of the log's banks.
    #[error("the log has a {0} bank, the event no {0} digest")]
    MissingDigest(Bank),
    /// A TPM has PCRs 0 to 23.
    #[error("PCR {0}: a TPM has PCRs 0 to 23")]
    Pcr(u32),
    /// The event's data is longer than its 32-bit size field can say.
    #[error("{0} bytes of event data: at most 4294967295")]
    DataSize(usize),
}

impl EventLog {
    /// A log with the Spec ID event for these banks; a bank named twice counts once.
    ///
    /// # Errors
    /// [`AppendError::NoBanks`].
    pub fn new(banks: &[Bank]) -> Result<Self, AppendError> {
        let mut unique: Vec<Bank> = Vec::new();
        for bank in banks {
            if !unique.contains(bank) {
                unique.push(*bank);
            }
        }
        if unique.is_empty() {
            return Err(AppendError::NoBanks);
        }
        let specification = spec_id_event(&unique);
        let mut log = Self {
            banks: unique,
            bytes: Vec::new(),
        };
        log.u32(0);
        log.u32(EventType::NO_ACTION.0);
        log.bytes.extend_from_slice(&[0; 20]);
        log.u32(length(&specification)?);
        log.bytes.extend_from_slice(&specification);
        Ok(log)
    }

    /// The banks of the log.
    #[must_use]
    pub fn banks(&self) -> &[Bank] {
        &self.banks
    }

    /// The log so far, as it is given to a guest or a verifier.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The events after the Spec ID event.
    #[must_use]
    pub fn events(&self) -> Events<'_> {
        // The log's own bytes have a Spec ID event, so nothing is refused.
        crate::parse(&self.bytes).unwrap_or_default()
    }

    /// Appends a record.
    ///
    /// # Errors
    /// As [`EventLog::append`].
    pub fn record(&mut self, record: &Record) -> Result<(), AppendError> {
        self.append(record.pcr, record.event_type, &record.digests, record.data.as_bytes())
    }

    /// Appends an event. Digests in banks that the log does not have are left out.
    ///
    /// # Errors
    /// [`AppendError::Pcr`], [`AppendError::MissingDigest`], [`AppendError::DataSize`].
    pub fn append(
        &mut self,
        pcr: u32,
        event_type: EventType,
        digests: &Digests,
        data: &[u8],
    ) -> Result<(), AppendError> {
        if pcr >= PCR_COUNT {
            return Err(AppendError::Pcr(pcr));
        }
        let size = length(data)?;
        let chosen = self
            .banks
            .iter()
            .map(|bank| digests.get(*bank).ok_or(AppendError::MissingDigest(*bank)))
            .collect::<Result<Vec<_>, _>>()?;
        self.u32(pcr);
        self.u32(event_type.0);
        self.u32(count(&chosen));
        for digest in chosen {
            self.bytes
                .extend_from_slice(&digest.bank().algorithm_id().to_le_bytes());
            self.bytes.extend_from_slice(digest.bytes());
        }
        self.u32(size);
        self.bytes.extend_from_slice(data);
        Ok(())
    }

    fn u32(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }
}

fn length(data: &[u8]) -> Result<u32, AppendError> {
    u32::try_from(data.len()).map_err(|_| AppendError::DataSize(data.len()))
}

/// How many banks or digests: there are at most as many as [`Bank`] has variants.
fn count<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).unwrap_or(u32::MAX)
}

/// TCG_EfiSpecIdEvent (Platform Firmware Profile, section 10.4.5.1).
fn spec_id_event(banks: &[Bank]) -> Vec<u8> {
    /// platformClass: a client platform.
    const PLATFORM_CLASS: u32 = 0;
    /// specVersionMinor, specVersionMajor, specErrata.
    const VERSION: [u8; 3] = [0, 2, 0];
    /// uintnSize: 64-bit addresses.
    const UINTN_SIZE: u8 = 2;

    let mut event = Vec::new();
    event.extend_from_slice(SIGNATURE);
    event.extend_from_slice(&PLATFORM_CLASS.to_le_bytes());
    event.extend_from_slice(&VERSION);
    event.push(UINTN_SIZE);
    event.extend_from_slice(&count(banks).to_le_bytes());
    for bank in banks {
        event.extend_from_slice(&bank.algorithm_id().to_le_bytes());
        event.extend_from_slice(&u16::try_from(bank.size()).unwrap_or(u16::MAX).to_le_bytes());
    }
    // No vendor information.
    event.push(0);
    event
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::{Digest, record};

    /// A log of one event, byte by byte as the specification draws it.
    #[test]
    fn layout_of_a_tiny_log() {
        let digests = Digests::new(vec![Digest::new(Bank::Sha256, &[0xAB; 32]).unwrap()]).unwrap();
        let mut log = EventLog::new(&[Bank::Sha256]).unwrap();
        log.record(&record::kernel("g", &digests)).unwrap();

        let mut expected: Vec<u8> = vec![0, 0, 0, 0, 3, 0, 0, 0];
        expected.extend([0; 20]);
        expected.extend([33, 0, 0, 0]);
        expected.extend(b"Spec ID Event03\0");
        expected.extend([0, 0, 0, 0, 0, 2, 0, 2, 1, 0, 0, 0, 0x0B, 0, 32, 0, 0]);
        expected.extend([9, 0, 0, 0, 0x0D, 0, 0, 0, 1, 0, 0, 0, 0x0B, 0]);
        expected.extend([0xAB; 32]);
        expected.extend([9, 0, 0, 0]);
        expected.extend(b"g: kernel");
        assert_eq!(log.bytes(), expected);
    }

    #[test]
    fn a_refused_event_leaves_the_log_alone() {
        let mut log = EventLog::new(&[Bank::Sha256, Bank::Sha384, Bank::Sha256]).unwrap();
        assert_eq!(log.banks(), Bank::ALL);
        let before = log.clone();
        let short = Digests::of(&[Bank::Sha256], b"");
        assert_eq!(
            log.append(8, EventType::IPL, &short, b""),
            Err(AppendError::MissingDigest(Bank::Sha384))
        );
        let both = Digests::of(&Bank::ALL, b"");
        assert_eq!(log.append(24, EventType::IPL, &both, b""), Err(AppendError::Pcr(24)));
        assert_eq!(log, before);
        assert_eq!(EventLog::new(&[]), Err(AppendError::NoBanks));
    }
}
