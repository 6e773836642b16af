//! The store's protocol (Xen's docs/misc/xenstore.txt, docs/misc/xenstore-ring.txt, public/io/xs_wire.h): messages, the
//! ring page, and a client.
//!
//! - [`wire`]: headers, operations, error names, limits.
//! - [`ring`]: the page that a domain and the store share, from both ends.
//! - [`client`]: requests and answers for whoever has a [`client::Transport`].

pub mod client;
pub mod ring;
pub mod wire;

pub use client::{Client, ClientError, Event, Transport};
pub use ring::StoreRing;
pub use wire::{Access, Header, Operation, Permission, StoreError};
