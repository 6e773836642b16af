//! The state of a store as the stream that Xen's implementations hand over to each other
//! (docs/designs/xenstore-migration.md, version 2; docs/store-formats.md describes what this store writes).
//!
//! - [`record`]: records and their bytes; [`extra`]: those that this store adds.
//! - [`Records`]: reads a stream record by record.
//! - [`write()`], [`read()`]: a [`State`](crate::State), whole.

mod body;
mod build;
mod check;
mod error;
pub mod extra;
mod fields;
mod read;
pub mod record;
mod records;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use error::excerpt;
pub use error::{Problem, StreamError, TooLarge};
pub(crate) use fields::Fields;
pub use read::{Stream, read, read_part};
pub use records::Records;
pub use write::{Handover, WriteError, write, write_to};
