//! Reads a stream into a state. Nothing in it is believed.

use super::build::Builder;
use super::error::{Problem, StreamError};
use super::record::HEADER_BYTES;
use super::records::Records;
use super::write::Handover;
use crate::state::State;

/// What a stream said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// The store.
    pub state: State,
    /// What it said of the process that wrote it.
    pub handover: Handover,
}

/// Reads a stream and nothing behind it.
///
/// # Errors
/// [`StreamError`], with the record that is wrong.
pub fn read(bytes: &[u8]) -> Result<Stream, StreamError> {
    match read_part(bytes) {
        (Some(stream), None) => Ok(stream),
        (_, Some(problem)) => Err(problem),
        // Without a header there is a problem.
        (None, None) => Err(StreamError {
            record: 0,
            offset: 0,
            problem: Problem::StreamEnds {
                what: "the header",
                needed: HEADER_BYTES,
                left: bytes.len(),
            },
        }),
    }
}

/// Reads what can be read of a stream: up to its end, or to the record that is wrong. Nothing where the header is.
#[must_use]
pub fn read_part(bytes: &[u8]) -> (Option<Stream>, Option<StreamError>) {
    let mut records = match Records::new(bytes) {
        Ok(records) => records,
        Err(problem) => return (None, Some(problem)),
    };
    let mut builder = Builder::new(records.version());
    let mut wrong = None;
    let mut offset = records.offset();
    while let Some(record) = records.next() {
        let added = record.and_then(|record| {
            builder.add(record).map_err(|problem| StreamError {
                record: records.number(),
                offset,
                problem,
            })
        });
        if let Err(problem) = added {
            wrong = Some(problem);
            break;
        }
        offset = records.offset();
    }
    if wrong.is_none() && offset < bytes.len() {
        wrong = Some(StreamError {
            record: records.number(),
            offset,
            problem: Problem::BehindEnd {
                bytes: bytes.len() - offset,
            },
        });
    }
    let (state, handover) = builder.finish();
    (Some(Stream { state, handover }), wrong)
}
