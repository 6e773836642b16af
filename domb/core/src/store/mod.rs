//! domb as the store's client: the link to the domain that is the store, what is written for each domain, and the
//! requests that do it.
//!
//! - [`StoreLink`] is what the builder needs of whoever runs it: a ring page of its own that the store may map.
//! - [`tree`] says which nodes a domain gets, as data.
//! - [`session`] writes them, and introduces and releases domains.

pub mod session;
pub mod tree;

use core::fmt;

use xen::DomId;
use xen::store::{Client, Transport};

pub use session::Error;

/// Grant reference, in the builder's table, of the builder's own ring: the number that every domain's ring has.
pub const RING_REFERENCE: u32 = xen::GRANT_RESERVED_XENSTORE;
/// First grant reference, in the builder's table, of the recovery box; the others follow.
pub const RECOVERY_REFERENCE: u32 = 8;

/// The memory that the builder lends to the store, and that outlives an instance of it.
///
/// Its first eight bytes say how many pages it has, little-endian, written by the builder; the rest is the store's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecoveryGrant {
    /// Reference of the first page, in the builder's table: [`RECOVERY_REFERENCE`].
    pub first_reference: u32,
    /// Pages, by consecutive references; 0 for none.
    pub pages: u32,
}

/// The builder's end of its own connection to the store, as it is offered to a domain that does not exist yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuilderRing {
    /// Port in the builder's domain to which the store may bind. The store finds it in its start info, where other
    /// domains find their own, beside frame 0.
    pub port: u32,
    /// The recovery box.
    pub recovery: RecoveryGrant,
}

/// The connection between the builder and the store. The ring page is granted to the store under [`RING_REFERENCE`].
///
/// For each instance of the store, in this order: [`prepare`](Self::prepare), the domain is built and unpaused,
/// [`connect`](Self::connect), requests by [`client`](Self::client), [`disconnect`](Self::disconnect), the domain is
/// destroyed. The instance after it has the same number and finds references, port and recovery box as before.
pub trait StoreLink {
    /// What carries the client's bytes. A failure means that the store is dead or hangs: it is destroyed and built again.
    type Transport: Transport<Error: fmt::Display>;

    /// Makes ring and port ready for a domain that will have this number, and the recovery box if it is not there yet:
    /// of `recovery_pages` pages, or fewer where there is no memory. The ring is empty afterwards, whatever the instance
    /// before left in it; the box is as it was.
    ///
    /// # Errors
    /// No memory, or Xen refuses: nothing is offered then.
    fn prepare(&mut self, store: DomId, recovery_pages: u32) -> xen::Result<BuilderRing>;

    /// Makes a client for the store, which was unpaused just now.
    ///
    /// # Errors
    /// Xen refuses.
    fn connect(&mut self) -> xen::Result<()>;

    /// The client; none before [`Self::connect`] and after [`Self::disconnect`].
    fn client(&mut self) -> Option<&mut Client<Self::Transport>>;

    /// Lets go of the client: the store is about to be destroyed, or was never built. May be called at any time.
    fn disconnect(&mut self);
}
