//! What the domain builder measures and how it writes it down: digests in one or more banks, the TCG2 event log,
//! the replay of a log into PCR values.
//!
//! No I/O: bytes in, bytes out. The builder that writes the log, the tool that predicts it and a verifier that
//! replays it share this crate, so that the three cannot disagree.
//!
//! Source of the log format: TCG PC Client Platform Firmware Profile Specification, version 1.05, section 10.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod bank;
mod digest;
mod event_log;
mod event_type;
mod hasher;
mod parse;
pub mod record;
mod replay;
#[cfg(feature = "signature")]
pub mod signature;

pub use bank::{Bank, UnknownBank};
pub use digest::{BadDigest, Digest, Digests};
pub use event_log::{AppendError, EventLog, PCR_COUNT};
pub use event_type::EventType;
pub use hasher::Hasher;
pub use parse::{Event, Events, ParseError, parse};
pub use record::Record;
pub use replay::{PcrValues, replay};
