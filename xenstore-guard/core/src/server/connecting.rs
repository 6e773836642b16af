//! Connections that begin, begin again, and end.

use xen::store::StoreError;

use super::{Deferred, Server};
use crate::connection::Input;
use crate::state::{ConnectionId, Peer};
use crate::{Change, Environment};

impl Server {
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

    pub(super) fn add_connection(&mut self, peer: Peer) -> Result<ConnectionId, StoreError> {
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
    pub(super) fn close(&mut self, id: ConnectionId) -> bool {
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
    pub(super) fn clear_connection(&mut self, id: ConnectionId) {
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

    pub(super) fn clear_watches_and_transactions(&mut self, id: ConnectionId) {
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
}
