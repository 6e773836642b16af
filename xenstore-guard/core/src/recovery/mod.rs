//! What a store's successor needs after a crash: the state as it was acknowledged, and for each ring which requests were
//! answered.
//!
//! It lives in a [`RecoveryBox`], bytes that somebody else owns: a snapshot, and a journal of the changes since, in one of two
//! areas; and a slot for each ring. docs/store-formats.md describes it byte by byte. The order of writes makes a crash between any two
//! of them leave either the old or the new:
//!
//! - A request that changes something: its changes and its reply become one frame of the journal, which is published before the reply is
//!   put into the ring.
//! - Any message: the slot is written before it is put into the ring, so that the successor sees in the ring's own index whether it got
//!   there.
//! - A request stays in the ring until its reply is in the journal or in the ring. One that changed nothing and whose reply is in neither is
//!   executed again.
//! - A reply that does not fit, and a part of a request whose rest has not come, are journaled before what is in the ring goes away.
//!
//! Events that wait are not kept. After a crash every watch is to fire once, which the protocol allows at any time.
//! Transactions stay known; they end with `EAGAIN`.
//!
//! [`serve`] drives a ring in this order. [`Recovery::open`] takes up what was left.

mod check;
mod flight;
mod frame;
mod handover;
mod item;
mod journal;
mod journaled;
mod open;
mod page;
mod region;
mod replay;
mod report;
mod resume;
mod ring;
mod serve;
mod slot;
#[cfg(test)]
mod tests;
mod unfinished;

pub use journal::{Full, Opened, Recovery, RecoveryError};
pub use journaled::perform;
pub use page::Ring;
pub use region::{MIN_BOX_BYTES, NoBox, RecoveryBox};
pub use report::{Damage, Report};
pub use serve::{ServeError, Served, serve};
pub use unfinished::{Resume, Unfinished};
