//! Durable changes.

use xen::DomId;

use crate::quota::Quota;
use crate::state::{ConnectionId, Peer, PermissionState};

/// One durable change. All changes since [`Server::new`](crate::Server::new), in order, give the state that
/// [`Server::state`](crate::Server::state) tells, but for bytes in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change<'a> {
    /// The changes up to [`Change::End`] hold together or not at all.
    Begin,
    /// See [`Change::Begin`].
    End,
    /// A node was made (its parent exists) or has a new value.
    Write {
        /// Absolute.
        path: &'a str,
        /// The whole value.
        value: &'a [u8],
        /// The whole list.
        permissions: &'a [PermissionState],
    },
    /// A node and all below it are gone.
    Remove {
        /// Absolute.
        path: &'a str,
    },
    /// A node, or one of the special names (`@introduceDomain`, `@releaseDomain`), has new permissions.
    Permissions {
        /// Absolute, or special.
        path: &'a str,
        /// The whole list.
        permissions: &'a [PermissionState],
    },
    /// A connection began.
    Connect {
        /// Which one.
        connection: ConnectionId,
        /// Whose it is.
        peer: Peer,
    },
    /// A connection ended, with its watches and transactions.
    Disconnect {
        /// Which one.
        connection: ConnectionId,
    },
    /// A connection is as new: without watches and transactions.
    Reset {
        /// Which one.
        connection: ConnectionId,
    },
    /// A connection is ignored from now on (its ring or its messages broke the protocol), and as after [`Change::Reset`].
    Ignore {
        /// Which one.
        connection: ConnectionId,
    },
    /// A watch was set.
    Watch {
        /// Whose it is.
        connection: ConnectionId,
        /// As the client wrote it: absolute, relative or special.
        path: &'a str,
        /// The client's token.
        token: &'a [u8],
        /// Levels below the path that count; none for all.
        depth: Option<u32>,
    },
    /// A watch is no more.
    Unwatch {
        /// Whose it was.
        connection: ConnectionId,
        /// As the client wrote it when it set the watch.
        path: &'a str,
        /// The client's token.
        token: &'a [u8],
    },
    /// A domain is known: it was introduced, or something was said of it before that.
    Known {
        /// Which one.
        domid: DomId,
    },
    /// A domain is served. Its connection comes with [`Change::Connect`].
    Introduce {
        /// Which one.
        domid: DomId,
        /// Frame of its ring, as told.
        ring: u64,
        /// Its event channel's port, as told.
        port: u32,
    },
    /// A domain is forgotten. What went with it (nodes, permissions, the connection) comes as changes of its own before this one.
    Release {
        /// Which one.
        domid: DomId,
    },
    /// A domain was seen dead (true), or was resumed.
    Shutdown {
        /// Which one.
        domid: DomId,
        /// Whether it is dead.
        shutdown: bool,
    },
    /// A domain may act for another.
    Target {
        /// Which one.
        domid: DomId,
        /// For whom.
        target: DomId,
    },
    /// A transaction began.
    TransactionOpen {
        /// Whose it is.
        connection: ConnectionId,
        /// Its number.
        id: u32,
    },
    /// A transaction ended, committed or not.
    TransactionClosed {
        /// Whose it was.
        connection: ConnectionId,
        /// Its number.
        id: u32,
    },
    /// A domain has a name in the manifest.
    Assign {
        /// Which one.
        domid: DomId,
        /// The name.
        name: &'a str,
    },
    /// A quota was set.
    Quota {
        /// Of whom; none for the default of all.
        domid: Option<DomId>,
        /// Which one.
        quota: Quota,
        /// The new value; 0 for none at all.
        value: u32,
    },
    /// The features that a domain's ring is to offer.
    Features {
        /// Which one.
        domid: DomId,
        /// Bits of docs/misc/xenstore-ring.txt.
        features: u32,
    },
}
