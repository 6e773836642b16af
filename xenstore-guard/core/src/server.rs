//! The server.

use xen::DomId;
use xen::store::{Operation, StoreError};

use crate::policy::{Explanation, Policy};
use crate::quota::Quotas;
use crate::state::{ConnectionId, Peer, State};
use crate::{Environment, Path};

/// What a server starts with.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Who may do what.
    pub policy: Policy,
    /// How much of everything.
    pub quotas: Quotas,
}

/// A client broke the protocol; its connection is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// `XENSTORE_PAYLOAD_MAX` is 4096.
    #[error("a request of {0} bytes, 4096 is the most")]
    TooLong(u32),
    /// More bytes than [`Server::input_room`] told.
    #[error("{bytes} bytes where {room} were asked for")]
    NoRoom {
        /// Bytes that came.
        bytes: usize,
        /// Bytes that were asked for.
        room: usize,
    },
    /// No connection of that name, or a dead one.
    #[error("no such connection")]
    NoConnection,
}

/// A state cannot be taken over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// A node's path is no path, comes twice, or comes before its parent.
    #[error("node {0}: not a path, there already, or without its parent")]
    Node(alloc::string::String),
}

/// A store.
#[derive(Debug)]
pub struct Server {
    config: Config,
}

#[expect(
    unused_variables,
    missing_docs,
    clippy::missing_errors_doc,
    clippy::needless_pass_by_ref_mut,
    reason = "interface only, for now"
)]
impl Server {
    pub fn new(config: Config) -> Self {
        Self { config }
    }
    pub fn connect(&mut self, peer: Peer) -> Result<ConnectionId, StoreError> {
        Err(StoreError::NotImplemented)
    }
    pub fn disconnect(&mut self, id: ConnectionId, env: &mut dyn Environment) {}
    pub fn connection_of(&self, domid: DomId) -> Option<ConnectionId> {
        None
    }
    pub fn input_room(&self, id: ConnectionId) -> usize {
        0
    }
    pub fn receive(&mut self, id: ConnectionId, bytes: &[u8]) -> Result<(), ProtocolError> {
        Err(ProtocolError::NoConnection)
    }
    pub fn has_request(&self, id: ConnectionId) -> bool {
        false
    }
    pub fn process(&mut self, id: ConnectionId, env: &mut dyn Environment) -> bool {
        false
    }
    pub fn pending_request_bytes(&self, id: ConnectionId) -> usize {
        0
    }
    pub fn output(&self, id: ConnectionId) -> &[u8] {
        &[]
    }
    pub fn sent(&mut self, id: ConnectionId, count: usize) {}
    pub fn outputs(&mut self) -> impl Iterator<Item = ConnectionId> {
        core::iter::empty()
    }
    /// When [`Server::has_request`] may become true without anything having come (a request waits for another's transaction).
    pub fn wake_at(&self) -> Option<u64> {
        None
    }
    /// Tells the time; see [`Server::wake_at`].
    pub fn advance(&mut self, now: u64) {}
    pub fn domain_died(&mut self, domid: DomId, env: &mut dyn Environment) {}
    pub fn ring_failed(&mut self, id: ConnectionId) {}
    /// The client asked for a fresh start of its ring (`XENSTORE_RECONNECT`): no watches, transactions, requests or answers remain.
    pub fn reset(&mut self, id: ConnectionId, env: &mut dyn Environment) {}
    /// Features that a domain's ring is to offer (`server_features`).
    pub fn features(&self, domid: DomId) -> u32 {
        0
    }
    pub fn explain(&self, domid: DomId, operation: Operation, path: &Path<'_>) -> Explanation {
        Explanation {
            allowed: false,
            reason: alloc::string::String::new(),
        }
    }
    pub fn state(&self) -> State {
        State {
            nodes: alloc::vec::Vec::new(),
            domains: alloc::vec::Vec::new(),
            connections: alloc::vec::Vec::new(),
            quotas: self.config.quotas.defaults.clone(),
            generation: 0,
        }
    }
    pub fn restore(config: Config, state: State, env: &mut dyn Environment) -> Result<Self, RestoreError> {
        Ok(Self::new(config))
    }
}
