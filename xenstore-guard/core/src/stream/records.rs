//! Reads a stream record by record.

use super::error::{Problem, StreamError};
use super::fields::ALIGNMENT;
use super::record::{HEADER_BYTES, IDENT, RECORD_HEADER_BYTES, Record, VERSION};

/// The records of a stream, up to END or to the first that is wrong.
#[derive(Debug)]
pub struct Records<'a> {
    bytes: &'a [u8],
    /// What was not read yet.
    rest: &'a [u8],
    version: u32,
    number: usize,
    ended: bool,
}

impl<'a> Records<'a> {
    /// Reads the header.
    ///
    /// # Errors
    /// It is not that of a little-endian stream of version 1 or 2.
    pub fn new(bytes: &'a [u8]) -> Result<Self, StreamError> {
        let failed = |problem| StreamError {
            record: 0,
            offset: 0,
            problem,
        };
        let Some((header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
            return Err(failed(Problem::StreamEnds {
                what: "the header",
                needed: HEADER_BYTES,
                left: bytes.len(),
            }));
        };
        // Three big-endian numbers, whatever the order of the others.
        let header = u128::from_be_bytes(*header);
        let [ident, version_and_flags] = [header >> 64, header & u128::from(u64::MAX)];
        let (version, flags) = (version_and_flags >> 32, version_and_flags & u128::from(u32::MAX));
        let number = |field, found: u128, expected| {
            failed(Problem::Number {
                field,
                found: u64::try_from(found).unwrap_or(u64::MAX),
                expected,
            })
        };
        if ident != u128::from(u64::from_be_bytes(IDENT)) {
            return Err(number("ident", ident, "0x78656e73746f7265"));
        }
        let Ok(version @ 1..=VERSION) = u32::try_from(version) else {
            return Err(number("version", version, "1 or 2"));
        };
        if flags != 0 {
            return Err(number("flags", flags, "0: little-endian"));
        }
        Ok(Self {
            bytes,
            rest,
            version,
            number: 0,
            ended: false,
        })
    }

    /// The stream's version.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Bytes that were read.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.bytes.len() - self.rest.len()
    }

    /// The last record's number, counted from 1; 0 before the first.
    #[must_use]
    pub fn number(&self) -> usize {
        self.number
    }

    fn read(&mut self) -> Result<Record<'a>, Problem> {
        let ends = |what, needed, left: &[u8]| Problem::StreamEnds {
            what,
            needed,
            left: left.len(),
        };
        let Some((header, rest)) = self.rest.split_first_chunk::<RECORD_HEADER_BYTES>() else {
            return Err(ends("a record's header", RECORD_HEADER_BYTES, self.rest));
        };
        let [a, b, c, d, e, f, g, h] = *header;
        let (kind, length) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        let length = length as usize;
        let Some((body, rest)) = rest.split_at_checked(length) else {
            return Err(ends("the record", length, rest));
        };
        // C xenstored counts the padding to the record, the document does not.
        let padding = length.next_multiple_of(ALIGNMENT) - length;
        let Some((_, rest)) = rest.split_at_checked(padding) else {
            return Err(ends("padding", padding, rest));
        };
        let record = Record::decode(kind, self.version, body)?;
        self.rest = rest;
        Ok(record)
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, StreamError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        self.number += 1;
        let offset = self.offset();
        let record = self.read();
        self.ended = !matches!(&record, Ok(record) if *record != Record::End);
        Some(record.map_err(|problem| StreamError {
            record: self.number,
            offset,
            problem,
        }))
    }
}
