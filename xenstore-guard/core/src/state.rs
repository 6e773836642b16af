//! Everything that a store must not forget, as plain data.

use alloc::string::String;
use alloc::vec::Vec;

use xen::DomId;
use xen::store::Permission;

use crate::quota::{Limits, Quota};

/// Names a connection while it lasts; the number is not used again soon after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(u32);

impl ConnectionId {
    /// The connection of a number that [`ConnectionId::number`] told.
    #[must_use]
    pub const fn from_number(number: u32) -> Self {
        Self(number)
    }

    /// A number other than zero.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// A socket of the host: privileged, acts as domain 0.
    Socket,
    /// A domain over its ring.
    Domain {
        /// The domain.
        domid: DomId,
        /// Frame of its ring, as INTRODUCE told it.
        ring: u64,
        /// Its event channel's port, as INTRODUCE told it.
        port: u32,
    },
}

/// One entry of a node's permissions, as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PermissionState {
    /// The entry.
    pub permission: Permission,
    /// It named a domain that did not exist, so that it applies to nobody (XSA-322).
    pub stale: bool,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeState {
    /// Absolute, or one of the special names `@introduceDomain` and `@releaseDomain` (which have no value).
    pub path: String,
    /// Its value.
    pub value: Vec<u8>,
    /// The first entry names the owner.
    pub permissions: Vec<PermissionState>,
}

/// A watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchState {
    /// As the client wrote it: absolute, relative or special.
    pub path: String,
    /// The client's token.
    pub token: Vec<u8>,
    /// Levels below the path that count; none for all.
    pub depth: Option<u32>,
}

/// A connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionState {
    /// Its name, which it keeps.
    pub id: ConnectionId,
    /// Who is at its other end.
    pub peer: Peer,
    /// It broke the protocol and is not served.
    pub ignored: bool,
    /// Bytes received that no answer came to yet.
    pub input: Vec<u8>,
    /// Bytes not sent yet.
    pub output: Vec<u8>,
    /// How many bytes at the start of `output` are the rest of a message whose first bytes were sent.
    pub partial_output: usize,
    /// In the order in which they were set.
    pub watches: Vec<WatchState>,
    /// Open transactions. What was done in them is forgotten: they end with EAGAIN.
    pub transactions: Vec<u32>,
}

/// A domain of which something is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainState {
    /// Its number.
    pub domid: DomId,
    /// It has a connection.
    pub introduced: bool,
    /// It was seen dead and its `@releaseDomain` fired.
    pub shutdown: bool,
    /// Features that its ring offers.
    pub features: u32,
    /// Acts for another (SET_TARGET).
    pub target: Option<DomId>,
    /// Its name in the manifest.
    pub name: Option<String>,
    /// Quotas that were set for it.
    pub quotas: Vec<(Quota, u32)>,
}

/// Everything durable of a server. [`Server::restore`](crate::Server::restore) takes it over as it is: connections keep their
/// names; rings are mapped by whoever runs the server, which does not ask [`Environment::introduce`](crate::Environment::introduce)
/// for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Parents before their children, `/` first, the special names last.
    pub nodes: Vec<NodeState>,
    /// By number.
    pub domains: Vec<DomainState>,
    /// By name.
    pub connections: Vec<ConnectionState>,
    /// Quotas of domains that have none of their own.
    pub quotas: Limits,
    /// Of the last change; grows. Zero where it is not known.
    pub generation: u64,
}
