//! The server: clients' bytes in, clients' bytes out.

mod connecting;
mod control;
mod domain_requests;
mod events;
mod explain;
mod journal;
mod refusals;
mod requests;
mod snapshot;
mod transactions;

use alloc::string::String;
use alloc::vec::Vec;

use xen::DomId;
use xen::store::Operation;
use xen::store::wire::Header;

use crate::Environment;
use crate::connection::Connections;
use crate::domains::{Charges, Domains};
use crate::effects::Effects;
use crate::guard::Guard;
use crate::permissions::{self, Actor};
use crate::policy::Policy;
use crate::quota::{Quota, Quotas};
use crate::state::{ConnectionId, Peer, PermissionState};
use crate::transaction::{Base, RETAINED};
use crate::tree::Tree;
use crate::watch::{WatchId, Watches};

pub use snapshot::RestoreError;

/// A privileged client whose answers nobody takes is not served beyond so many bytes.
const PRIVILEGED_BACKLOG: usize = 1024 * 1024;

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
    #[error("{bytes} bytes where there is room for {room}")]
    NoRoom {
        /// Bytes that came.
        bytes: usize,
        /// Bytes that there was room for.
        room: usize,
    },
    /// No connection of that name, or a dead one.
    #[error("no such connection")]
    NoConnection,
}

/// A store.
#[derive(Debug)]
pub struct Server {
    policy: Policy,
    base: Base,
    domains: Domains,
    connections: Connections,
    watches: Watches,
    guard: Guard,
    /// Connections that got output since somebody asked.
    outputs: Vec<ConnectionId>,
    /// What happened where nobody was there to keep the journal.
    deferred: Vec<Deferred>,
    /// [`Base::retained`] when old copies are looked for next.
    next_look: usize,
    scratch: Scratch,
}

/// Buffers that are used again. What is in them between two requests is of no interest.
#[derive(Debug, Default)]
struct Scratch {
    answer: Vec<u8>,
    path: String,
    charges: Charges,
    effects: Effects,
    watches: Vec<WatchId>,
    states: Vec<PermissionState>,
}

/// A change that is journalled at the next opportunity.
#[derive(Debug, Clone, Copy)]
enum Deferred {
    Connect(ConnectionId, Peer),
    Ignore(ConnectionId),
}

impl Server {
    /// An empty store, but for `/tool/xenstored`.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let mut server = Self {
            policy: config.policy,
            base: Base {
                tree: Tree::new(),
                version: 0,
                generation: 0,
                retained: 0,
            },
            domains: Domains::new(config.quotas),
            connections: Connections::default(),
            watches: Watches::default(),
            guard: Guard::default(),
            outputs: Vec::new(),
            deferred: Vec::new(),
            next_look: RETAINED,
            scratch: Scratch::default(),
        };
        server.charge_nodes();
        server
    }

    /// Charges the owners of all nodes, which are not charged yet.
    fn charge_nodes(&mut self) {
        for node in self.base.tree.walk() {
            let owner = permissions::owner(&node.permissions);
            let (domain, _) = self.domains.know(owner, self.base.generation);
            domain.usage.nodes += 1;
            domain.usage.node_bytes += node.charge();
        }
    }

    /// The domain at a connection's other end; none for a socket, and where there is no such connection.
    #[must_use]
    pub fn domain_of(&self, id: ConnectionId) -> Option<DomId> {
        match self.connections.get(id)?.peer {
            Peer::Domain { domid, .. } => Some(domid),
            Peer::Socket => None,
        }
    }

    /// The connection of a domain.
    #[must_use]
    pub fn connection_of(&self, domid: DomId) -> Option<ConnectionId> {
        self.domains.get(domid)?.connection
    }

    /// How many bytes [`Server::receive`] takes now: none while the answers wait, or where the connection is dead.
    #[must_use]
    pub fn input_room(&self, id: ConnectionId) -> usize {
        match self.connections.get(id) {
            Some(connection) if !connection.ignored && !self.is_backed_up(id) => connection.input.room(),
            _ => 0,
        }
    }

    /// Whether a client has to take answers before it is served again.
    fn is_backed_up(&self, id: ConnectionId) -> bool {
        let Some(connection) = self.connections.get(id) else {
            return true;
        };
        if connection.is_privileged() {
            return connection.output.waiting().len() > PRIVILEGED_BACKLOG;
        }
        let limit = self
            .domains
            .get(connection.domid())
            .map(|domain| domain.limit(Quota::Outstanding));
        limit.is_none_or(|limit| connection.output.answers() >= limit)
    }

    /// Takes bytes of a client.
    ///
    /// # Errors
    /// The client broke the protocol: its connection is ignored from now on.
    pub fn receive(&mut self, id: ConnectionId, bytes: &[u8]) -> Result<(), ProtocolError> {
        let connection = self
            .connections
            .get_mut(id)
            .filter(|connection| !connection.ignored)
            .ok_or(ProtocolError::NoConnection)?;
        let room = connection.input.room();
        if bytes.len() > room {
            return Err(ProtocolError::NoRoom {
                bytes: bytes.len(),
                room,
            });
        }
        if let Err(length) = connection.input.push(bytes) {
            self.ring_failed(id);
            return Err(ProtocolError::TooLong(length));
        }
        Ok(())
    }

    /// Whether a whole request waits and may be processed now.
    #[must_use]
    pub fn has_request(&self, id: ConnectionId) -> bool {
        let Some(connection) = self.connections.get(id) else {
            return false;
        };
        match connection.input.request() {
            Some((header, _)) => {
                !connection.ignored
                    && !self.is_backed_up(id)
                    && (connection.is_privileged() || !self.guard.holds(connection.domid(), header.operation))
            }
            None => false,
        }
    }

    /// Bytes that were received and belong to requests that are not processed yet.
    #[must_use]
    pub fn pending_request_bytes(&self, id: ConnectionId) -> usize {
        self.connections
            .get(id)
            .map_or(0, |connection| connection.input.waiting().len())
    }

    /// Bytes that were received and not processed: requests, and the beginning of one.
    pub(crate) fn pending_requests(&self, id: ConnectionId) -> &[u8] {
        self.connections
            .get(id)
            .map_or(&[], |connection| connection.input.waiting())
    }

    /// Processes the first request of a connection; false where none waits or may be processed now.
    pub fn process(&mut self, id: ConnectionId, env: &mut dyn Environment) -> bool {
        self.catch_up(env);
        if !self.guard.is_idle() {
            self.guard.advance(env.now());
        }
        if !self.has_request(id) {
            return false;
        }
        let Some(connection) = self.connections.get_mut(id) else {
            return false;
        };
        // Out of the connection's hands while the rest of it is worked on.
        let mut input = core::mem::take(&mut connection.input);
        let resets = connection.resets;
        if let Some((header, payload)) = input.request() {
            self.serve(id, header, payload, env);
        }
        input.advance();
        if let Some(connection) = self.connections.get_mut(id)
            && connection.resets == resets
        {
            connection.input = input;
        }
        true
    }

    /// Serves a request and answers it.
    fn serve(&mut self, id: ConnectionId, header: Header, payload: &[u8], env: &mut dyn Environment) {
        let mut answer = core::mem::take(&mut self.scratch.answer);
        answer.clear();
        let outcome = self.dispatch(id, header, payload, &mut answer, env);
        match outcome {
            Ok(done) => {
                self.answer(id, header, header.operation, &answer);
                if let requests::Done::Watching(watch) = done {
                    self.first_event(id, watch, env);
                }
            }
            Err(refusal) => {
                self.report(id, header, payload, refusal, env);
                answer.clear();
                answer.extend_from_slice(refusal.error().name().as_bytes());
                answer.push(0);
                self.answer(id, header, Operation::Error as u32, &answer);
            }
        }
        self.scratch.answer = answer;
        self.look_for_old_copies();
    }

    fn answer(&mut self, id: ConnectionId, request: Header, operation: u32, payload: &[u8]) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.output.push_answer(Header { operation, ..request }, payload);
        }
        self.note_output(id);
    }

    /// A connection has more, or less, to be sent than before.
    fn note_output(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        if !connection.told && !connection.output.waiting().is_empty() {
            connection.told = true;
            self.outputs.push(id);
        }
        if !connection.is_privileged()
            && let Some(domain) = self.domains.get_mut(connection.domid())
        {
            domain.usage.output_bytes = connection.output.charge();
        }
    }

    /// Bytes to be sent next.
    #[must_use]
    pub fn output(&self, id: ConnectionId) -> &[u8] {
        self.connections
            .get(id)
            .map_or(&[], |connection| connection.output.waiting())
    }

    /// Bytes were sent.
    pub fn sent(&mut self, id: ConnectionId, count: usize) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.output.sent(count);
        }
        self.note_output(id);
    }

    /// Connections that got output since the last call.
    pub fn outputs(&mut self) -> impl Iterator<Item = ConnectionId> {
        let outputs = core::mem::take(&mut self.outputs);
        for &id in &outputs {
            if let Some(connection) = self.connections.get_mut(id) {
                connection.told = false;
            }
        }
        outputs.into_iter()
    }

    /// When [`Server::has_request`] may become true by itself: a request waits for another's transaction.
    #[must_use]
    pub fn wake_at(&self) -> Option<u64> {
        self.guard.ends_at()
    }

    /// Tells the time of [`Environment::now`]; see [`Server::wake_at`].
    pub fn advance(&mut self, now: u64) {
        self.guard.advance(now);
    }

    /// Features that a domain's ring is to offer (`server_features` of the ring page).
    #[must_use]
    pub fn features(&self, domid: DomId) -> u32 {
        self.domains
            .get(domid)
            .map_or(crate::domains::FEATURES, |domain| domain.features)
    }

    fn actor(&self, id: ConnectionId) -> Option<Actor> {
        let connection = self.connections.get(id)?;
        Some(actor_of(connection.domid(), &self.domains))
    }

    /// Takes the copies of transactions that keep too much of the past.
    fn look_for_old_copies(&mut self) {
        if self.base.retained < self.next_look {
            return;
        }
        self.next_look = self.base.retained.saturating_add(RETAINED / 8);
        for (_, connection) in self.connections.iter_mut() {
            for transaction in connection.transactions.values_mut() {
                transaction.give_up_old_copy(&self.base);
            }
        }
    }
}

/// Who a domain is when it acts.
fn actor_of(domid: DomId, domains: &Domains) -> Actor {
    Actor {
        domid,
        target: domains.get(domid).and_then(|domain| domain.target),
        privileged: domid == DomId::INITIAL,
    }
}
