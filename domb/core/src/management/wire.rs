//! How values become bytes: little-endian integers of fixed width, a byte of 0 or 1 for booleans and for what may be
//! missing, a 32-bit count before texts and lists, a byte with the number of the variant before its fields. No padding,
//! no defaults.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use xen::grant_table::GrantedBytes;

/// Bytes that are no encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{field} at byte {offset}: expected {expected}")]
pub struct DecodeError {
    /// The field that was being read.
    pub field: &'static str,
    /// Where it goes wrong, from the payload's first byte.
    pub offset: usize,
    /// What would have been right there.
    pub expected: &'static str,
}

/// A value that does not fit into a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} bytes do not fit into a frame; accepted: at most {max}", max = super::frame::MAX_PAYLOAD)]
pub struct TooLong(pub usize);

/// A type with one encoding.
pub(super) trait Wire: Sized {
    /// Appends the encoding.
    fn write(&self, out: &mut Vec<u8>);

    /// Reads one. `field` is what an error names.
    fn read(reader: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError>;
}

/// Bytes that are being read.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0 }
    }

    /// An error at the place that was read last.
    pub(super) fn error<T>(
        &self,
        behind: usize,
        field: &'static str,
        expected: &'static str,
    ) -> Result<T, DecodeError> {
        Err(DecodeError {
            field,
            offset: self.offset.saturating_sub(behind),
            expected,
        })
    }

    fn take(&mut self, count: usize, field: &'static str, expected: &'static str) -> Result<&'a [u8], DecodeError> {
        let end = self.offset.checked_add(count);
        match end.and_then(|end| Some((end, self.bytes.get(self.offset..end)?))) {
            Some((end, bytes)) => {
                self.offset = end;
                Ok(bytes)
            }
            None => self.error(0, field, expected),
        }
    }

    fn array<const N: usize>(&mut self, field: &'static str, expected: &'static str) -> Result<[u8; N], DecodeError> {
        let bytes = self.take(N, field, expected)?;
        bytes.try_into().or_else(|_| self.error(N, field, expected))
    }

    /// Refuses bytes that follow.
    pub(super) fn finish(self) -> Result<(), DecodeError> {
        if self.offset == self.bytes.len() {
            return Ok(());
        }
        self.error(0, "payload", "its end")
    }
}

macro_rules! integer {
    ($type:ty, $expected:literal) => {
        impl Wire for $type {
            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }

            fn read(reader: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
                reader.array(field, $expected).map(Self::from_le_bytes)
            }
        }
    };
}

integer!(u8, "1 byte");
integer!(u16, "2 bytes");
integer!(u32, "4 bytes");
integer!(u64, "8 bytes");

impl Wire for bool {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn read(reader: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        match u8::read(reader, field)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => reader.error(1, field, "0 or 1"),
        }
    }
}

impl<const N: usize> Wire for [u8; N] {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn read(reader: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        reader.array(field, "as many bytes as the field has")
    }
}

impl<T: Wire> Wire for Option<T> {
    fn write(&self, out: &mut Vec<u8>) {
        self.is_some().write(out);
        if let Some(value) = self {
            value.write(out);
        }
    }

    fn read(reader: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        bool::read(reader, field)?.then(|| T::read(reader, field)).transpose()
    }
}

impl<T: Wire> Wire for Box<T> {
    fn write(&self, out: &mut Vec<u8>) {
        (**self).write(out);
    }

    fn read(reader: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        T::read(reader, field).map(Self::new)
    }
}

fn write_count(count: usize, out: &mut Vec<u8>) {
    // Of more than this no frame can be made.
    u32::try_from(count).unwrap_or(u32::MAX).write(out);
}

fn read_count(reader: &mut Reader<'_>, field: &'static str) -> Result<usize, DecodeError> {
    let count = u32::read(reader, field)?;
    usize::try_from(count).or_else(|_| reader.error(4, field, "a count"))
}

/// No element has an empty encoding, so that what a list takes in memory is bounded by what there is to read.
impl<T: Wire> Wire for Vec<T> {
    fn write(&self, out: &mut Vec<u8>) {
        write_count(self.len(), out);
        for value in self {
            value.write(out);
        }
    }

    fn read(reader: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        let count = read_count(reader, field)?;
        (0..count).map(|_| T::read(reader, field)).collect()
    }
}

impl Wire for String {
    fn write(&self, out: &mut Vec<u8>) {
        write_count(self.len(), out);
        out.extend_from_slice(self.as_bytes());
    }

    fn read(reader: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        let count = read_count(reader, field)?;
        let bytes = reader.take(count, field, "as many bytes as its count says")?;
        match core::str::from_utf8(bytes) {
            Ok(text) => Ok(text.into()),
            Err(error) => reader.error(count.saturating_sub(error.valid_up_to()), field, "UTF-8"),
        }
    }
}

impl Wire for GrantedBytes {
    fn write(&self, out: &mut Vec<u8>) {
        self.reference.write(out);
        self.offset.write(out);
        self.length.write(out);
    }

    fn read(reader: &mut Reader<'_>, _: &'static str) -> Result<Self, DecodeError> {
        Ok(Self {
            reference: u32::read(reader, "reference")?,
            offset: u16::read(reader, "offset")?,
            length: u16::read(reader, "length")?,
        })
    }
}

/// A structure, encoded as its fields in their order.
macro_rules! record {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* pub $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
        }

        impl $crate::management::wire::Wire for $name {
            fn write(&self, out: &mut alloc::vec::Vec<u8>) {
                $(self.$field.write(out);)*
            }

            fn read(
                reader: &mut $crate::management::wire::Reader<'_>,
                _: &'static str,
            ) -> Result<Self, $crate::management::wire::DecodeError> {
                Ok(Self {
                    $($field: $crate::management::wire::Wire::read(reader, stringify!($field))?,)*
                })
            }
        }
    };
}

/// An enumeration, encoded as the number of the variant and its fields in their order. Where the number stands is left
/// to the users of `number`, `write_fields` and `read_fields`; `Wire` has it in a byte before the fields.
macro_rules! choice {
    ($(#[$meta:meta])* pub enum $name:ident {
        $($(#[$variant_meta:meta])* $number:literal => $variant:ident
            $({ $($(#[$field_meta:meta])* $field:ident: $type:ty,)* })?,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_meta])* $variant $({ $($(#[$field_meta])* $field: $type,)* })?,)*
        }

        impl $name {
            /// The number of the variant in the encoding.
            #[must_use]
            pub fn number(&self) -> u8 {
                match self {
                    $(Self::$variant { .. } => $number,)*
                }
            }

            fn write_fields(&self, out: &mut alloc::vec::Vec<u8>) {
                // A choice whose variants have no fields writes nothing.
                let _ = &out;
                match self {
                    $(Self::$variant { $($($field,)*)? } => { $($($crate::management::wire::Wire::write($field, out);)*)? })*
                }
            }

            /// `behind` is how far back the number stands, for an error.
            fn read_fields(
                number: u16,
                behind: usize,
                reader: &mut $crate::management::wire::Reader<'_>,
                field: &'static str,
            ) -> Result<Self, $crate::management::wire::DecodeError> {
                match number {
                    $($number => Ok(Self::$variant {
                        $($($field: $crate::management::wire::Wire::read(reader, stringify!($field))?,)*)?
                    }),)*
                    _ => reader.error(behind, field, concat!("one of" $(, " ", stringify!($number))*)),
                }
            }
        }

        impl $crate::management::wire::Wire for $name {
            fn write(&self, out: &mut alloc::vec::Vec<u8>) {
                out.push(self.number());
                self.write_fields(out);
            }

            fn read(
                reader: &mut $crate::management::wire::Reader<'_>,
                field: &'static str,
            ) -> Result<Self, $crate::management::wire::DecodeError> {
                let number = u8::read(reader, field)?;
                Self::read_fields(number.into(), 1, reader, field)
            }
        }
    };
}

pub(super) use {choice, record};
