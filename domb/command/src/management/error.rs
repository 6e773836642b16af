//! Why a request came to nothing.

use std::io;

use domb_core::management::frame::BadHeader;
use domb_core::management::{DecodeError, TooLong, VERSION};

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The policy does not allow it.
    #[error("refused by {rule}: {text}")]
    Refused {
        /// The rule that says so.
        rule: String,
        /// domb's words.
        text: String,
    },
    /// domb could not do it.
    #[error("{step}: {text}")]
    Failed {
        /// The step that failed.
        step: String,
        /// domb's words.
        text: String,
    },
    /// It was given up, as was asked for.
    #[error("cancelled")]
    Cancelled,
    /// domb cannot read requests of this version.
    #[error("this program speaks version {VERSION} of the protocol, domb speaks {0:?}")]
    UnknownVersion(Vec<u16>),
    /// domb took the request for malformed: the versions are the same, the two programs are not.
    #[error("domb cannot read the request: {field} at byte {offset}: expected {expected}")]
    Malformed {
        /// The field.
        field: String,
        /// Where, from the payload's first byte.
        offset: u32,
        /// What domb expected.
        expected: String,
    },
    /// domb took what came for no frame, and ended the connection.
    #[error("domb ended the connection: {0}")]
    NoFrame(String),
    /// An answer that cannot be read.
    #[error("domb's answer: {0}")]
    Answer(#[from] DecodeError),
    /// What came is no frame.
    #[error("domb's answer: {0}")]
    Header(#[from] BadHeader),
    /// An answer of another kind than the request has, or to no request.
    #[error("domb's answer to request {id}: expected {expected}")]
    Unexpected {
        /// The request's id.
        id: u32,
        /// What was expected.
        expected: &'static str,
    },
    /// The request does not fit into a frame.
    #[error("the request: {0}")]
    TooLong(#[from] TooLong),
    /// An image has another size than was said before.
    #[error("the image has {found} bytes where it had {expected} before")]
    ImageSize {
        /// Bytes that it was announced with.
        expected: u64,
        /// Bytes that could be read.
        found: u64,
    },
    /// domb ended the connection, or is gone.
    #[error("domb ended the connection")]
    Closed,
    /// The connection failed.
    #[error("connection to domb: {0}")]
    Connection(#[source] io::Error),
    /// An image could not be read.
    #[error("reading the image: {0}")]
    Image(#[source] io::Error),
}
