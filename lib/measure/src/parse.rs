//! Reading a log that came from elsewhere.

use alloc::vec::Vec;

use crate::bank::Bank;
use crate::digest::{Digest, Digests};
use crate::event_log::PCR_COUNT;
use crate::event_type::EventType;

/// The signature of a crypto-agile log's first event.
pub(crate) const SIGNATURE: &[u8; 16] = b"Spec ID Event03\0";

/// One event of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// The PCR that is extended, 0 to 23.
    pub pcr: u32,
    /// The event's type.
    pub event_type: EventType,
    /// The digests, one for each of the log's banks and in their order.
    pub digests: Digests,
    /// The event's data: bytes that the writer of the log chose.
    pub data: &'a [u8],
}

/// Why bytes are no log. Offsets count from the log's first byte.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The log ends inside an event.
    #[error("offset {offset}: the log ends inside {what}")]
    Truncated {
        /// Where the missing field begins.
        offset: usize,
        /// The missing field.
        what: &'static str,
    },
    /// The first event is no Spec ID event of version 2.0, as this crate reads it.
    #[error("the first event is no Spec ID Event03: {0}")]
    SpecId(&'static str),
    /// An algorithm that this crate does not compute.
    #[error("offset {offset}: digest algorithm {id:#06x}: accepted are 0x000b (sha256), 0x000c (sha384)")]
    Algorithm {
        /// Where it is named.
        offset: usize,
        /// The TPM_ALG_ID.
        id: u16,
    },
    /// The Spec ID event gives a bank a size that its digests do not have, or names it twice.
    #[error("offset {offset}: the {bank} bank is named twice or with {size}-byte digests")]
    Bank {
        /// Where.
        offset: usize,
        /// Which bank.
        bank: Bank,
        /// The digest size that the log gives.
        size: u16,
    },
    /// A PCR that a TPM does not have.
    #[error("offset {offset}: PCR {pcr}: a TPM has PCRs 0 to 23")]
    Pcr {
        /// Where.
        offset: usize,
        /// The PCR.
        pcr: u32,
    },
    /// An event's digests are not one for each of the log's banks in their order.
    #[error("offset {offset}: the event's digests are not one for each bank of the log")]
    Digests {
        /// Where the digests begin.
        offset: usize,
    },
}

/// Bytes and how far they are read.
#[derive(Clone, Debug, Default)]
struct Cursor<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, size: usize, what: &'static str) -> Result<&'a [u8], ParseError> {
        let truncated = ParseError::Truncated {
            offset: self.offset,
            what,
        };
        let end = self.offset.checked_add(size).ok_or_else(|| truncated.clone())?;
        let taken = self.bytes.get(self.offset..end).ok_or(truncated)?;
        self.offset = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], ParseError> {
        let truncated = ParseError::Truncated {
            offset: self.offset,
            what,
        };
        self.take(N, what)?.try_into().map_err(|_| truncated)
    }

    fn u8(&mut self, what: &'static str) -> Result<u8, ParseError> {
        Ok(u8::from_le_bytes(self.array(what)?))
    }

    fn u16(&mut self, what: &'static str) -> Result<u16, ParseError> {
        Ok(u16::from_le_bytes(self.array(what)?))
    }

    fn u32(&mut self, what: &'static str) -> Result<u32, ParseError> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    /// A 32-bit size and as many bytes.
    fn sized(&mut self, what: &'static str) -> Result<&'a [u8], ParseError> {
        let offset = self.offset;
        let size = self.u32(what)?;
        let size = usize::try_from(size).map_err(|_| ParseError::Truncated { offset, what })?;
        self.take(size, what)
    }
}

/// The events of a log after its Spec ID event. Ends after the first error.
#[derive(Clone, Debug, Default)]
pub struct Events<'a> {
    banks: Vec<Bank>,
    cursor: Cursor<'a>,
    failed: bool,
}

impl Events<'_> {
    /// The log's banks in their order.
    #[must_use]
    pub fn banks(&self) -> &[Bank] {
        &self.banks
    }
}

/// Checks the Spec ID event and gives the events after it, each checked when it is reached.
///
/// Strict: the events fill the log to its last byte, digests are one per bank in the order of the Spec ID event, and
/// only the banks of [`Bank`] are known; so parsing and appending again gives the same bytes, but for the Spec ID
/// event's vendor information.
///
/// # Errors
/// Any [`ParseError`] about the first event.
pub fn parse(log: &[u8]) -> Result<Events<'_>, ParseError> {
    let mut cursor = Cursor { bytes: log, offset: 0 };
    let spec_id = |ok: bool, what: &'static str| if ok { Ok(()) } else { Err(ParseError::SpecId(what)) };
    spec_id(cursor.u32("the first event's PCR")? == 0, "its PCR is not 0")?;
    spec_id(
        cursor.u32("the first event's type")? == EventType::NO_ACTION.0,
        "its type is not EV_NO_ACTION",
    )?;
    spec_id(
        cursor.array::<20>("the first event's digest")? == [0; 20],
        "its digest is not zero",
    )?;
    let start = cursor.offset.saturating_add(4);
    let event = cursor.sized("the Spec ID event")?;
    let end = cursor.offset;
    let banks = spec_id_banks(Cursor {
        bytes: log.get(..end).unwrap_or(event),
        offset: start,
    })?;
    Ok(Events {
        banks,
        cursor,
        failed: false,
    })
}

/// Reads TCG_EfiSpecIdEvent, which ends where the cursor's bytes end.
fn spec_id_banks(mut cursor: Cursor<'_>) -> Result<Vec<Bank>, ParseError> {
    if cursor.array("the signature")? != *SIGNATURE {
        return Err(ParseError::SpecId("its signature is another"));
    }
    cursor.u32("the platform class")?;
    let [minor, major, _errata] = cursor.array("the specification's version")?;
    if (major, minor) != (2, 0) {
        return Err(ParseError::SpecId("its version is not 2.0"));
    }
    if !matches!(cursor.u8("the size of UINTN")?, 1 | 2) {
        return Err(ParseError::SpecId("its UINTN size is neither 1 nor 2"));
    }
    let mut banks = Vec::new();
    for _ in 0..cursor.u32("the number of algorithms")? {
        let offset = cursor.offset;
        let id = cursor.u16("an algorithm")?;
        let size = cursor.u16("an algorithm's digest size")?;
        let bank = Bank::from_algorithm_id(id).ok_or(ParseError::Algorithm { offset, id })?;
        if usize::from(size) != bank.size() || banks.contains(&bank) {
            return Err(ParseError::Bank { offset, bank, size });
        }
        banks.push(bank);
    }
    if banks.is_empty() {
        return Err(ParseError::SpecId("it names no algorithm"));
    }
    let vendor_size = cursor.u8("the size of the vendor information")?;
    cursor.take(usize::from(vendor_size), "the vendor information")?;
    if cursor.offset != cursor.bytes.len() {
        return Err(ParseError::SpecId("bytes follow its vendor information"));
    }
    Ok(banks)
}

impl<'a> Events<'a> {
    fn event(&mut self) -> Result<Event<'a>, ParseError> {
        let cursor = &mut self.cursor;
        let offset = cursor.offset;
        let pcr = cursor.u32("an event's PCR")?;
        if pcr >= PCR_COUNT {
            return Err(ParseError::Pcr { offset, pcr });
        }
        let event_type = EventType(cursor.u32("an event's type")?);
        let offset = cursor.offset;
        let wrong = || ParseError::Digests { offset };
        let count = cursor.u32("an event's number of digests")?;
        if u32::try_from(self.banks.len()) != Ok(count) {
            return Err(wrong());
        }
        let mut digests = Vec::with_capacity(self.banks.len());
        for bank in &self.banks {
            if cursor.u16("a digest's algorithm")? != bank.algorithm_id() {
                return Err(wrong());
            }
            digests.push(Digest::new(*bank, cursor.take(bank.size(), "a digest")?).map_err(|_| wrong())?);
        }
        let digests = Digests::new(digests).map_err(|_| wrong())?;
        let data = cursor.sized("an event's data")?;
        Ok(Event {
            pcr,
            event_type,
            digests,
            data,
        })
    }
}

impl<'a> Iterator for Events<'a> {
    type Item = Result<Event<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.cursor.offset >= self.cursor.bytes.len() {
            return None;
        }
        let event = self.event();
        self.failed = event.is_err();
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EventLog, record};

    fn example() -> EventLog {
        let mut log = EventLog::new(&Bank::ALL).unwrap();
        let digests = |data: &[u8]| Digests::of(&Bank::ALL, data);
        log.record(&record::domb(&digests(b"domb"))).unwrap();
        log.record(&record::configuration("web", &digests(b"configuration")))
            .unwrap();
        log.record(&record::kernel("web", &digests(b"kernel"))).unwrap();
        log
    }

    #[test]
    fn what_was_appended_is_read_back() {
        let log = example();
        let mut again = EventLog::new(log.events().banks()).unwrap();
        let events: Vec<_> = log.events().collect::<Result<_, _>>().unwrap();
        assert_eq!(events.len(), 3);
        assert_eq!(events[2].data, b"web: kernel");
        assert_eq!(events[2].digests, Digests::of(&Bank::ALL, b"kernel"));
        for event in &events {
            again
                .append(event.pcr, event.event_type, &event.digests, event.data)
                .unwrap();
        }
        assert_eq!(again, log);
    }

    /// A log cut anywhere is refused, or is the log of the events before the cut.
    #[test]
    fn cut_at_every_offset() {
        let log = example();
        let mut whole = 0;
        for end in 0..log.bytes().len() {
            let cut = &log.bytes()[..end];
            match parse(cut).and_then(Iterator::collect::<Result<Vec<_>, _>>) {
                Ok(events) => {
                    assert_eq!(events.len(), whole, "cut at {end}");
                    whole += 1;
                }
                Err(ParseError::Truncated { offset, .. }) => assert!(offset <= end),
                Err(other) => panic!("cut at {end}: {other}"),
            }
        }
        assert_eq!(whole, 3);
    }

    /// No flipped bit makes the parser panic or find more events than there are.
    #[test]
    fn every_bit_flipped() {
        let log = example();
        for at in 0..log.bytes().len() {
            for bit in 0..8 {
                let mut bytes = log.bytes().to_vec();
                bytes[at] ^= 1 << bit;
                if let Ok(events) = parse(&bytes) {
                    assert!(events.flatten().count() <= 3);
                }
            }
        }
    }

    #[test]
    fn wrong_first_events() {
        let log = example();
        let changed = |at: usize, value: u8| {
            let mut bytes = log.bytes().to_vec();
            bytes[at] = value;
            parse(&bytes).map(|_| ()).unwrap_err()
        };
        assert_eq!(changed(0, 1), ParseError::SpecId("its PCR is not 0"));
        assert_eq!(changed(4, 1), ParseError::SpecId("its type is not EV_NO_ACTION"));
        assert_eq!(changed(27, 1), ParseError::SpecId("its digest is not zero"));
        assert_eq!(changed(32, b's'), ParseError::SpecId("its signature is another"));
        assert_eq!(changed(53, 1), ParseError::SpecId("its version is not 2.0"));
        assert_eq!(changed(55, 3), ParseError::SpecId("its UINTN size is neither 1 nor 2"));
        assert_eq!(changed(56, 0), ParseError::SpecId("it names no algorithm"));
        assert_eq!(
            changed(28, 42),
            ParseError::SpecId("bytes follow its vendor information")
        );
        assert_eq!(changed(60, 4), ParseError::Algorithm { offset: 60, id: 4 });
        assert_eq!(
            changed(62, 20),
            ParseError::Bank {
                offset: 60,
                bank: Bank::Sha256,
                size: 20
            }
        );
        assert_eq!(
            changed(68, 255),
            ParseError::Truncated {
                offset: 69,
                what: "the vendor information"
            }
        );
    }
}
