//! The store as a Linux daemon, as a library: what its commands do, without their command line.
//!
//! - [`serve`]: serves a unix socket and the rings of domains;
//! - [`explain`]: what a policy says to one request.

#![forbid(unsafe_code)]

pub mod arguments;
mod clients;
mod core_affinity;
mod error;
pub mod explain;
mod host;
pub mod logging;
mod policy_file;
mod readiness;
mod rings;
pub mod serve;
mod signals;
mod socket;
mod state_file;

pub use error::Error;
