//! The whole state as plain data, and a server from it.

use alloc::string::String;
use alloc::vec::Vec;

use xen::DomId;

use super::{Config, Server};
use crate::Environment;
use crate::connection::Connections;
use crate::domains::Domains;
use crate::path::{INTRODUCE_DOMAIN, Path, RELEASE_DOMAIN};
use crate::permissions;
use crate::state::{ConnectionId, ConnectionState, DomainState, NodeState, Peer, State, WatchState};
use crate::transaction::Transaction;
use crate::tree::{Stamp, Tree};

/// A state cannot be taken over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// A node's path is no path, comes twice, or comes before its parent; or it has no owner.
    #[error("node {0}: not a path, there already, without its parent, or without an owner")]
    Node(String),
    /// A connection's name or domain is taken, or the name is none.
    #[error("connection {0:#x}: not a name, or its name or its domain is taken")]
    Connection(u32),
    /// A connection's bytes are not what a connection can have.
    #[error("connection {0:#x}: its bytes are no messages")]
    Bytes(u32),
    /// A watch's path is no path, or the watch comes twice.
    #[error("connection {connection:#x}: watch {path}: not a path, or there already")]
    Watch {
        /// Whose it is.
        connection: u32,
        /// As it was written.
        path: String,
    },
    /// A domain comes twice.
    #[error("domain {0}: there already")]
    Domain(DomId),
}

impl Server {
    /// Everything durable, as it is now.
    #[must_use]
    pub fn state(&self) -> State {
        let mut nodes = Vec::new();
        let mut walk = self.base.tree.walk();
        while let Some(node) = walk.next() {
            nodes.push(NodeState {
                path: walk.path(),
                value: node.value().to_vec(),
                permissions: permissions::to_states(&node.permissions),
            });
        }
        for name in [INTRODUCE_DOMAIN, RELEASE_DOMAIN] {
            if let Some(node) = self.base.tree.get(Path::known(name)) {
                nodes.push(NodeState {
                    path: name.into(),
                    value: Vec::new(),
                    permissions: permissions::to_states(&node.permissions),
                });
            }
        }
        let domains = self.domains.iter().map(|(domid, domain)| DomainState {
            domid,
            introduced: domain.connection.is_some(),
            shutdown: domain.shutdown,
            features: domain.features,
            target: domain.target,
            name: self.policy.name_of(domid).map(Into::into),
            quotas: domain.own_quotas.clone(),
        });
        State {
            nodes,
            domains: domains.collect(),
            connections: self.connection_states(),
            quotas: self.domains.defaults().clone(),
            generation: self.base.generation,
        }
    }

    fn connection_states(&self) -> Vec<ConnectionState> {
        let states = self.connections.iter().map(|(id, connection)| {
            let watches = self.watches.in_order(connection.watches.iter().copied());
            let watches = watches.into_iter().filter_map(|watch| self.watches.get(watch));
            ConnectionState {
                id,
                peer: connection.peer,
                ignored: connection.ignored,
                input: connection.input.waiting().to_vec(),
                output: connection.output.waiting().to_vec(),
                partial_output: connection.output.partial(),
                watches: watches
                    .map(|watch| WatchState {
                        path: watch.as_told(watch.path()).into(),
                        token: watch.token.to_vec(),
                        depth: watch.depth,
                    })
                    .collect(),
                transactions: connection.transactions.keys().copied().collect(),
            }
        });
        let mut states: Vec<_> = states.collect();
        states.sort_by_key(|state| state.id);
        states
    }

    /// A server that goes on where another one was. Connections keep their names. Rings are not asked for: whoever runs the
    /// server maps them. Nothing is journalled.
    ///
    /// # Errors
    /// The state contradicts itself.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "whoever hands a state over is done with it"
    )]
    pub fn restore(config: Config, state: State, env: &mut dyn Environment) -> Result<Self, RestoreError> {
        let mut server = Self::new(config);
        server.base.tree = Tree::empty();
        server.domains.forget(DomId::INITIAL);
        // Larger than any that the other server gave: who lists a directory in parts begins again.
        server.base.generation = state.generation.max(env.now() & 0x7fff_ffff_ffff).saturating_add(1);
        for (quota, value) in crate::quota::Quota::ALL
            .iter()
            .map(|&quota| (quota, state.quotas.get(quota)))
        {
            server.domains.set_quota(None, quota, value);
        }
        restore_domains(&mut server.domains, &state.domains)?;
        for domain in &state.domains {
            if let Some(name) = &domain.name {
                server.policy.assign(domain.domid, name);
            }
            if let Some(target) = domain.target {
                server.policy.set_target(domain.domid, target);
            }
        }
        server.domains.know(DomId::INITIAL, 0);
        for node in &state.nodes {
            server.restore_node(node)?;
        }
        server.charge_nodes();
        for connection in &state.connections {
            server.restore_connection(connection)?;
        }
        Ok(server)
    }

    fn restore_node(&mut self, state: &NodeState) -> Result<(), RestoreError> {
        let wrong = || RestoreError::Node(state.path.clone());
        let path = Path::new(&state.path).ok_or_else(wrong)?;
        let list = permissions::from_states(&state.permissions).ok_or_else(wrong)?;
        let stamp = Stamp::new(self.base.generation, DomId::INITIAL);
        let tree = &mut self.base.tree;
        let found = tree.find(path);
        let (there, missing) = (found.node.is_some(), found.missing);
        // One list for a node and those below it.
        let list = if *found.above.permissions == *list {
            found.above.permissions.clone()
        } else {
            list
        };
        if path == Path::ROOT || path.is_special() {
            if !there {
                return Err(wrong());
            }
            tree.set_permissions(path, list, stamp, &mut 0);
            if path == Path::ROOT {
                tree.set_value(path, &state.value, stamp, &mut 0);
            }
        } else {
            if missing != 1 {
                return Err(wrong());
            }
            tree.create(path, missing, &state.value, &list, stamp, &mut 0);
        }
        Ok(())
    }

    fn restore_connection(&mut self, state: &ConnectionState) -> Result<(), RestoreError> {
        let number = state.id.number();
        let taken = match state.peer {
            Peer::Domain { domid, .. } => self.connection_of(domid).is_some(),
            Peer::Socket => false,
        };
        if taken || self.connections.restore(state.id, state.peer).is_none() {
            return Err(RestoreError::Connection(number));
        }
        let generation = self.base.generation;
        if let Peer::Domain { domid, .. } = state.peer {
            self.domains.know(domid, generation).0.connection = Some(state.id);
        }
        restore_bytes(&mut self.connections, state).ok_or(RestoreError::Bytes(number))?;
        for watch in &state.watches {
            self.restore_watch(state.id, watch).ok_or_else(|| RestoreError::Watch {
                connection: number,
                path: watch.path.clone(),
            })?;
        }
        self.note_output(state.id);
        Ok(())
    }

    fn restore_watch(&mut self, id: ConnectionId, state: &WatchState) -> Option<()> {
        let connection = self.connections.get_mut(id)?;
        let mut buffer = String::new();
        let path = Path::resolve(state.path.as_bytes(), &connection.home, &mut buffer)?;
        if self.watches.find(id, path, &state.token).is_some() || state.token.contains(&0) {
            return None;
        }
        let implied = path.as_str().len() - state.path.len();
        let watch = self.watches.add(id, path, implied, &state.token, state.depth);
        connection.watches.insert(watch);
        let domid = connection.domid();
        let (charge, domain) = (self.watches.get(watch)?.charge(), self.domains.get_mut(domid)?);
        domain.usage.watches += 1;
        domain.usage.watch_bytes += charge;
        Some(())
    }
}

fn restore_domains(domains: &mut Domains, states: &[DomainState]) -> Result<(), RestoreError> {
    for state in states {
        let (domain, new) = domains.know(state.domid, 0);
        if !new {
            return Err(RestoreError::Domain(state.domid));
        }
        domain.shutdown = state.shutdown;
        domain.features = state.features;
        domain.target = state.target;
        for &(quota, value) in &state.quotas {
            domains.set_quota(Some(state.domid), quota, value);
        }
    }
    Ok(())
}

fn restore_bytes(connections: &mut Connections, state: &ConnectionState) -> Option<()> {
    let connection = connections.get_mut(state.id)?;
    connection.ignored = state.ignored;
    if state.input.len() > connection.input.room() {
        return None;
    }
    connection.input.push(&state.input).ok()?;
    for &transaction in &state.transactions {
        connection.transactions.insert(transaction, Transaction::lost());
    }
    connection
        .output
        .restore(&state.output, state.partial_output)
        .then_some(())
}
