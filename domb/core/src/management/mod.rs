//! The protocol between the management domain and domb: `docs/management-protocol.md` has its tables.
//!
//! A client asks, domb decides. One connection carries frames in both directions; each request has an id of the
//! client's choosing, any number of [`Answer::Progress`] and one last answer.
//!
//! - [`frame`]: the part that is the same in every version.
//! - [`Request`], [`Answer`]: what the frames of this version carry. Each value has one encoding; whatever else comes
//!   is refused with the field, its offset and what was expected there.
//! - [`Channel`]: one client as domb sees it: bytes in, requests out, answers in, bytes out. [`Server`]: all of them,
//!   in turn.
//!
//! Nothing here does I/O or decides anything.

mod answer;
mod channel;
mod entry;
pub mod frame;
mod request;
#[cfg(test)]
mod samples;
mod server;
#[cfg(test)]
mod tests;
mod wire;

pub use answer::{Answer, Done, ImageState};
pub use channel::{Channel, MAX_REQUESTS, STALL_NS};
pub use entry::{
    DeviceClass, DeviceEntry, DomainEntry, GuestKind, HostReport, LogLine, StateFlags, VcpuEntry, XenVersion,
};
pub use request::{Device, Guest, Image, Request, Subject};
pub use server::{Server, Ticket};
pub use wire::{DecodeError, TooLong};

/// The version of requests and answers that is described here.
pub const VERSION: u16 = 1;
/// Every version that domb knows.
pub const VERSIONS: [u16; 1] = [VERSION];
