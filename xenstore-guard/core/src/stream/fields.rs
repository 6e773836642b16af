//! Fields of a record, one after the other.

use alloc::vec::Vec;

use super::error::{Problem, TooLarge};
use super::record::RECORD_HEADER_BYTES;

/// Fields and records begin at multiples of this.
pub(super) const ALIGNMENT: usize = 8;

/// Reads the fields of a record.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    body: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn new(body: &'a [u8]) -> Self {
        Self { body, rest: body }
    }

    /// Whether nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn bytes(&mut self, field: &'static str, count: usize) -> Result<&'a [u8], Problem> {
        let Some((bytes, rest)) = self.rest.split_at_checked(count) else {
            return Err(Problem::RecordEnds {
                field,
                needed: count,
                left: self.rest.len(),
            });
        };
        self.rest = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], Problem> {
        let Some((bytes, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(Problem::RecordEnds {
                field,
                needed: N,
                left: self.rest.len(),
            });
        };
        self.rest = rest;
        Ok(*bytes)
    }

    pub(crate) fn u8(&mut self, field: &'static str) -> Result<u8, Problem> {
        self.array(field).map(u8::from_le_bytes)
    }

    pub(crate) fn u16(&mut self, field: &'static str) -> Result<u16, Problem> {
        self.array(field).map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self, field: &'static str) -> Result<u32, Problem> {
        self.array(field).map(u32::from_le_bytes)
    }

    pub(crate) fn i32(&mut self, field: &'static str) -> Result<i32, Problem> {
        self.array(field).map(i32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self, field: &'static str) -> Result<u64, Problem> {
        self.array(field).map(u64::from_le_bytes)
    }

    /// The bytes before the next NUL, which is taken too.
    pub(crate) fn until_nul(&mut self, field: &'static str) -> Result<&'a [u8], Problem> {
        let length = self.rest.iter().position(|&byte| byte == 0);
        let Some(length) = length else {
            return Err(Problem::RecordEnds {
                field,
                needed: self.rest.len() + 1,
                left: self.rest.len(),
            });
        };
        let text = self.bytes(field, length)?;
        self.bytes(field, 1)?;
        Ok(text)
    }

    /// Leaves padding out, up to the next multiple of eight bytes.
    pub(crate) fn align(&mut self) -> Result<(), Problem> {
        let used = self.body.len() - self.rest.len();
        self.bytes("padding", used.next_multiple_of(ALIGNMENT) - used).map(drop)
    }

    /// What is left may be padding only.
    pub(crate) fn finish(self) -> Result<(), Problem> {
        let fields = self.body.len() - self.rest.len();
        // C xenstored counts its padding to the record's length.
        if self.body.len() > fields.next_multiple_of(ALIGNMENT) {
            return Err(Problem::TooLong {
                fields,
                length: self.body.len(),
            });
        }
        Ok(())
    }
}

/// Writes the fields of a record behind what is in a vector.
#[derive(Debug)]
pub(super) struct Output<'a> {
    bytes: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> Output<'a> {
    /// Begins a record; its header is written by [`Output::finish`].
    pub(super) fn record(bytes: &'a mut Vec<u8>) -> Self {
        let start = bytes.len();
        bytes.extend_from_slice(&[0; RECORD_HEADER_BYTES]);
        Self { bytes, start }
    }

    pub(super) fn u8(&mut self, number: u8) {
        self.bytes.push(number);
    }

    pub(super) fn u16(&mut self, number: u16) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    pub(super) fn u32(&mut self, number: u32) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    pub(super) fn u64(&mut self, number: u64) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    /// A length or count in two bytes.
    pub(super) fn length(&mut self, what: &'static str, size: usize) -> Result<(), TooLarge> {
        let Ok(number) = u16::try_from(size) else {
            return Err(TooLarge {
                what,
                size,
                most: u16::MAX.into(),
            });
        };
        self.u16(number);
        Ok(())
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Bytes and a NUL.
    pub(super) fn text(&mut self, text: &[u8]) {
        self.bytes(text);
        self.bytes.push(0);
    }

    /// Zeros, up to the next multiple of eight bytes.
    pub(super) fn align(&mut self) {
        let used = self.bytes.len() - self.start;
        self.bytes.resize(self.start + used.next_multiple_of(ALIGNMENT), 0);
    }

    /// Pads the record and writes its header.
    pub(super) fn finish(mut self, kind: u32) -> Result<(), TooLarge> {
        self.align();
        let size = self.bytes.len() - self.start - RECORD_HEADER_BYTES;
        let Ok(length) = u32::try_from(size) else {
            return Err(TooLarge {
                what: "a record",
                size,
                most: u32::MAX as usize,
            });
        };
        let header = self
            .bytes
            .get_mut(self.start..)
            .and_then(|record| record.first_chunk_mut());
        if let Some(header) = header {
            let header: &mut [u8; RECORD_HEADER_BYTES] = header;
            *header = (u64::from(length) << 32 | u64::from(kind)).to_le_bytes();
        }
        Ok(())
    }
}
