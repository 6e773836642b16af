//! Three stores side by side: this project's, C xenstored and oxenstored, each with a unix socket and the rings of domains,
//! on a machine without Xen.
//!
//! - [`Store`] starts one; it ends with the value.
//! - [`Client`] speaks to it, as a privileged client of the socket or as a domain over its ring.
//! - [`Scene`] is a store with domains, as tests set it up.
#![forbid(unsafe_code)]

mod client;
pub mod differential;
mod process;
pub mod ring_link;
mod scene;
mod socket_link;
mod stand_in;
mod store;

pub use client::{Answer, Client, Event, Link, Reply};
pub use process::{resident_kib, runs};
pub use ring_link::RingLink;
pub use scene::{Guest, Scene};
pub use socket_link::SocketLink;
pub use store::{Options, Store, StoreKind};
