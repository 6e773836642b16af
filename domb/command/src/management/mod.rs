//! Asking domb: the client's side of `docs/management-protocol.md`, over any stream of bytes.
//!
//! - [`connect`]: a free channel of those that domb offers.
//! - [`Client`]: requests, progress, cancellation.
//! - [`send_image`]: an image through a window of pages that domb copies from.

mod client;
mod connect;
mod error;
mod image;
#[cfg(test)]
mod tests;

pub use client::{Client, Step};
pub use connect::{ConnectError, Connection, connect};
pub use error::CallError;
pub use image::{Window, send_image};
