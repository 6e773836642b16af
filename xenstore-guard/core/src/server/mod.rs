//! The server: clients' bytes in, clients' bytes out.

mod control;
mod domain_requests;
mod events;
mod explain;
mod journal;
mod requests;
mod snapshot;
mod transactions;

use alloc::string::String;
use alloc::vec::Vec;

use log::warn;
use xen::DomId;
use xen::store::wire::Header;
use xen::store::{Operation, StoreError};

use crate::connection::{Connections, Input};
use crate::domains::{Charges, Domains};
use crate::effects::Effects;
use crate::guard::Guard;
use crate::operations::Refusal;
use crate::permissions::{self, Actor};
use crate::policy::Policy;
use crate::quota::{Quota, Quotas};
use crate::report::Topic;
use crate::request::{first_string, printable};
use crate::state::{ConnectionId, Peer, PermissionState};
use crate::transaction::{Base, RETAINED};
use crate::tree::Tree;
use crate::watch::{WatchId, Watches};
use crate::{Change, Environment};

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
        let mut walk = self.base.tree.walk();
        while let Some((_, node)) = walk.next() {
            let owner = permissions::owner(&node.permissions);
            let (domain, _) = self.domains.know(owner, self.base.generation);
            domain.usage.nodes += 1;
            domain.usage.node_bytes += node.charge();
        }
    }

    /// A socket was accepted, or there is a domain that nobody introduces: the one that introduces the others.
    ///
    /// # Errors
    /// `EISCONN` where the domain has a connection; `ENOSPC` where there are 65536 connections.
    pub fn connect(&mut self, peer: Peer) -> Result<ConnectionId, StoreError> {
        if let Peer::Domain { domid, .. } = peer
            && self.connection_of(domid).is_some()
        {
            return Err(StoreError::IsConnected);
        }
        let id = self.add_connection(peer)?;
        self.deferred.push(Deferred::Connect(id, peer));
        Ok(id)
    }

    fn add_connection(&mut self, peer: Peer) -> Result<ConnectionId, StoreError> {
        let id = self.connections.add(peer).ok_or(StoreError::NoSpace)?;
        if let Peer::Domain { domid, .. } = peer {
            let (domain, _) = self.domains.know(domid, self.base.generation);
            domain.connection = Some(id);
        }
        Ok(id)
    }

    /// A socket was closed. A domain's connection ends with RELEASE instead.
    pub fn disconnect(&mut self, id: ConnectionId, env: &mut dyn Environment) {
        self.catch_up(env);
        if self.close(id) {
            env.journal(&Change::Disconnect { connection: id });
        }
    }

    /// Ends a connection; true where there was one.
    fn close(&mut self, id: ConnectionId) -> bool {
        self.clear_connection(id);
        let Some(connection) = self.connections.remove(id) else {
            return false;
        };
        if let Peer::Domain { domid, .. } = connection.peer
            && let Some(domain) = self.domains.get_mut(domid)
        {
            domain.connection = None;
        }
        true
    }

    /// Takes watches, transactions, requests and answers from a connection.
    fn clear_connection(&mut self, id: ConnectionId) {
        self.clear_watches_and_transactions(id);
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        connection.input = Input::default();
        connection.resets = connection.resets.wrapping_add(1);
        connection.output.clear();
        let domid = connection.domid();
        if let (Peer::Domain { .. }, Some(domain)) = (connection.peer, self.domains.get_mut(domid)) {
            domain.usage.output_bytes = 0;
        }
    }

    fn clear_watches_and_transactions(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        let watches = core::mem::take(&mut connection.watches);
        let transactions = core::mem::take(&mut connection.transactions);
        let domid = connection.domid();
        self.guard.end(id, None);
        let mut watch_bytes = 0;
        let count = watches.len();
        for watch in watches {
            watch_bytes += self.watches.remove(watch).map_or(0, |watch| watch.charge());
        }
        if let Some(domain) = self.domains.get_mut(domid) {
            let usage = &mut domain.usage;
            usage.watches = usage.watches.saturating_sub(count);
            usage.watch_bytes = usage.watch_bytes.saturating_sub(watch_bytes);
            let bytes = transactions.values().map(|transaction| transaction.bytes).sum();
            usage.transaction_bytes = usage.transaction_bytes.saturating_sub(bytes);
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

    /// A domain's ring cannot be used (bad indices), or its messages broke the protocol. It is ignored until RELEASE or a
    /// reconnection; the domain stays known, so that others learn of its end (XSA-325).
    pub fn ring_failed(&mut self, id: ConnectionId) {
        self.clear_connection(id);
        if let Some(connection) = self.connections.get_mut(id)
            && !connection.ignored
        {
            connection.ignored = true;
            self.deferred.push(Deferred::Ignore(id));
        }
    }

    /// A client asked for a fresh start of its ring (`XENSTORE_RECONNECT` in docs/misc/xenstore-ring.txt): watches, transactions,
    /// requests and answers are gone, and it is served again where it was ignored.
    pub fn reset(&mut self, id: ConnectionId, env: &mut dyn Environment) {
        self.catch_up(env);
        self.clear_connection(id);
        if let Some(connection) = self.connections.get_mut(id) {
            connection.ignored = false;
            env.journal(&Change::Reset { connection: id });
        }
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

    /// Logs a refusal that whoever runs the system should know of.
    fn report(&mut self, id: ConnectionId, header: Header, payload: &[u8], refusal: Refusal, env: &dyn Environment) {
        let Some(connection) = self.connections.get(id) else {
            return;
        };
        let domid = connection.domid();
        match refusal {
            Refusal::Plain(_) => {}
            Refusal::Quota {
                domid,
                quota,
                used,
                limit,
            } => self.report_quota(domid, quota, used, limit, env),
            Refusal::Denied(rule) => {
                if let Some(domain) = self.domains.get_mut(domid)
                    && let Some(left_out) = domain
                        .reports
                        .get_or_insert_default()
                        .may_tell(Topic::Denial, env.now())
                {
                    let name = self.policy.name_of(domid).unwrap_or("-");
                    let operation = Operation::from_number(header.operation).map_or("-", Operation::name);
                    let path = printable(first_string(payload).map_or(&[], |(path, _)| path));
                    warn!(
                        "denied domain {domid} ({name}): {operation} {path}: rule {rule}{}",
                        LeftOut(left_out)
                    );
                }
            }
        }
    }

    /// Logs that a domain has used up a quota.
    fn report_quota(&mut self, domid: DomId, quota: Quota, used: usize, limit: usize, env: &dyn Environment) {
        if let Some(domain) = self.domains.get_mut(domid)
            && let Some(left_out) = domain.reports.get_or_insert_default().may_tell(Topic::Quota, env.now())
        {
            let name = self.policy.name_of(domid).unwrap_or("-");
            let quota = quota.name();
            warn!(
                "domain {domid} ({name}): quota {quota}: {used} where {limit} are allowed{}",
                LeftOut(left_out)
            );
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

/// How many lines did not come before this one.
struct LeftOut(u32);

impl core::fmt::Display for LeftOut {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.0 {
            0 => Ok(()),
            count => write!(f, " ({count} such lines left out)"),
        }
    }
}
