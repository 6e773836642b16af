//! The core of xenstore-guard: a store of Xen's domains without I/O of its own. Bytes of clients go in, bytes for clients
//! come out; whoever runs it maps rings, accepts sockets and keeps time ([`Environment`]).
//!
//! - [`Server`]: the whole of it; one per store.
//! - [`policy`]: who may do what, decided before the owner's permissions.
//! - [`quota`]: how much of everything a domain may have.
//! - [`state`]: everything durable as plain data, for planned restarts and for the recovery after a crash.
//! - [`Change`]: each durable change by itself, in order.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod change;
mod connection;
mod domains;
mod effects;
mod environment;
mod guard;
mod operations;
mod output;
pub mod path;
mod permissions;
pub mod policy;
pub mod quota;
pub mod recovery;
mod report;
mod request;
mod server;
pub mod state;
pub mod stream;
mod transaction;
mod tree;
mod watch;

pub use change::Change;
pub use environment::Environment;
pub use path::Path;
pub use server::{Config, ProtocolError, RestoreError, Server};
pub use state::{ConnectionId, Peer, PermissionState, State};
pub use xen::DomId;
pub use xen::store::{Access, Operation, Permission, StoreError};
