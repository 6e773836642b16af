//! What can be wrong with a stream.

use alloc::string::String;

/// A stream that is not read, and where it goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {record} at byte {offset}: {problem}")]
pub struct StreamError {
    /// Number of the record, counted from 1; 0 is the header.
    pub record: usize,
    /// Where the record begins in the stream.
    pub offset: usize,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The stream ends where something had to come.
    #[error("{what} takes {needed} bytes, the stream has {left} more")]
    StreamEnds {
        /// What had to come.
        what: &'static str,
        /// Its size.
        needed: usize,
        /// What is left.
        left: usize,
    },
    /// A field reaches beyond the end of its record.
    #[error("{field} takes {needed} bytes, the record has {left} more")]
    RecordEnds {
        /// The field, by its name in the document.
        field: &'static str,
        /// Its size.
        needed: usize,
        /// What is left of the record.
        left: usize,
    },
    /// A record is longer than its fields and the padding.
    #[error("{fields} bytes of fields in a record of {length}: more than padding")]
    TooLong {
        /// What the fields take.
        fields: usize,
        /// What the record says.
        length: usize,
    },
    /// Bytes behind END.
    #[error("{bytes} bytes behind END")]
    BehindEnd {
        /// How many.
        bytes: usize,
    },
    /// A number that cannot be.
    #[error("{field} is {found:#x}, expected {expected}")]
    Number {
        /// The field, by its name in the document.
        field: &'static str,
        /// What it says.
        found: u64,
        /// What it may say.
        expected: &'static str,
    },
    /// A text that cannot be.
    #[error("{field} is {found:?}, expected {expected}")]
    Text {
        /// The field, by its name in the document.
        field: &'static str,
        /// What it says, its first bytes.
        found: String,
        /// What it may say.
        expected: &'static str,
    },
    /// Something that may come once comes twice.
    #[error("{what} comes twice: {name}")]
    Twice {
        /// What.
        what: &'static str,
        /// Which one.
        name: String,
    },
    /// A record refers to one that did not come before it.
    #[error("{what} did not come before: {name}")]
    Missing {
        /// What.
        what: &'static str,
        /// Which one.
        name: String,
    },
    /// A record that the stream's version does not have.
    #[error("record type {kind:#x}: not one of version {version}")]
    UnknownRecord {
        /// The type.
        kind: u32,
        /// The stream's version.
        version: u32,
    },
}

/// Something that does not fit into the stream's fields. The server's own limits keep it from happening.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} of {size} does not fit into the stream: at most {most}")]
pub struct TooLarge {
    /// What.
    pub what: &'static str,
    /// Its size.
    pub size: usize,
    /// The most that fits.
    pub most: usize,
}

/// The beginning of a text from outside, for an error message.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.get(..80).unwrap_or(bytes)).into_owned()
}
