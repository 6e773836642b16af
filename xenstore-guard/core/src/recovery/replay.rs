//! Changes, applied to a state.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Bound;

use xen::DomId;
use xen::store::wire::MAX_PAYLOAD;

use crate::domains::FEATURES;
use crate::quota::Limits;
use crate::state::{ConnectionId, ConnectionState, DomainState, NodeState, Peer, PermissionState, State, WatchState};
use crate::{Change, Path, stream};

/// A state that changes are applied to.
#[derive(Debug)]
pub(super) struct Replay {
    nodes: BTreeMap<String, (Vec<u8>, Vec<PermissionState>)>,
    domains: BTreeMap<DomId, DomainState>,
    connections: BTreeMap<ConnectionId, ConnectionState>,
    quotas: Limits,
    generation: u64,
}

/// A change does not fit to what was before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Misfit {
    /// It is about a node that is not there, or whose parent is not there, or that has no proper name.
    #[error("a change of node {0}, which cannot be")]
    Node(String),
    /// It is about a watch that nobody can have set.
    #[error("a change of watch {0}, which cannot be")]
    Watch(String),
    /// It is about a connection that is not there.
    #[error("a change of connection {0}, which is not there")]
    Connection(u32),
    /// It is about a domain that is not known, or gives it a name that cannot be.
    #[error("a change of domain {0}, which cannot be")]
    Domain(DomId),
}

impl Replay {
    pub(super) fn new(state: State) -> Self {
        let nodes = state.nodes.into_iter();
        Self {
            nodes: nodes.map(|node| (node.path, (node.value, node.permissions))).collect(),
            domains: state.domains.into_iter().map(|domain| (domain.domid, domain)).collect(),
            connections: state
                .connections
                .into_iter()
                .map(|connection| (connection.id, connection))
                .collect(),
            quotas: state.quotas,
            generation: state.generation,
        }
    }

    /// The state now.
    pub(super) fn finish(mut self) -> State {
        for domain in self.domains.values_mut() {
            domain.introduced = false;
        }
        let peers: Vec<Peer> = self.connections.values().map(|connection| connection.peer).collect();
        for peer in peers {
            if let Peer::Domain { domid, .. } = peer {
                self.domain(domid).introduced = true;
            }
        }
        // In the order of bytes a parent is before its children, and `@` behind `/`.
        let nodes = self.nodes.into_iter().map(|(path, (value, permissions))| NodeState {
            path,
            value,
            permissions,
        });
        State {
            nodes: nodes.collect(),
            domains: self.domains.into_values().collect(),
            connections: self.connections.into_values().collect(),
            quotas: self.quotas,
            generation: self.generation,
        }
    }

    /// Applies a change.
    pub(super) fn apply(&mut self, change: &Change<'_>) -> Result<(), Misfit> {
        match *change {
            Change::Begin | Change::End => {}
            Change::Write {
                path,
                value,
                permissions,
            } => self.write(path, value, permissions)?,
            Change::Remove { path } => self.remove(path)?,
            Change::Permissions { path, permissions } => self.set_permissions(path, permissions)?,
            Change::Connect { connection, peer } => self.connect(connection, peer)?,
            Change::Disconnect { connection } => {
                self.connections
                    .remove(&connection)
                    .ok_or(Misfit::Connection(connection.number()))?;
            }
            Change::Reset { connection } => {
                let connection = self.connection(connection)?;
                reset(connection);
                connection.ignored = false;
            }
            Change::Ignore { connection } => {
                let connection = self.connection(connection)?;
                reset(connection);
                connection.ignored = true;
            }
            Change::Watch {
                connection,
                path,
                token,
                depth,
            } => {
                let watches = &mut self.connection(connection)?.watches;
                if stream::watch_path(path.as_bytes()).is_err() || token.len() > MAX_PAYLOAD || token.contains(&0) {
                    return Err(Misfit::Watch(path.into()));
                }
                if !watches.iter().any(|watch| watch.path == path && watch.token == token) {
                    watches.push(WatchState {
                        path: path.into(),
                        token: token.to_vec(),
                        depth,
                    });
                }
            }
            Change::Unwatch {
                connection,
                path,
                token,
            } => {
                let watches = &mut self.connection(connection)?.watches;
                watches.retain(|watch| watch.path != path || watch.token != token);
            }
            Change::Known { domid } => {
                self.domain(domid);
            }
            Change::Introduce { domid, ring, port } => {
                self.domain(domid);
                for connection in self.connections.values_mut() {
                    if let Peer::Domain {
                        domid: whose,
                        ring: old_ring,
                        port: old_port,
                    } = &mut connection.peer
                        && *whose == domid
                    {
                        (*old_ring, *old_port) = (ring, port);
                    }
                }
            }
            Change::Release { domid } => {
                self.domains.remove(&domid).ok_or(Misfit::Domain(domid))?;
                for other in self.domains.values_mut() {
                    other.target = other.target.filter(|&target| target != domid);
                }
            }
            Change::Shutdown { domid, shutdown } => self.domain(domid).shutdown = shutdown,
            // The number that stands for none in a snapshot is no domain's.
            Change::Target { domid, target } if target.0 == stream::DOMID_INVALID => {
                return Err(Misfit::Domain(domid));
            }
            Change::Target { domid, target } => self.domain(domid).target = Some(target),
            Change::TransactionOpen { connection, id } => {
                let open = &mut self.connection(connection)?.transactions;
                if let (1.., Err(at)) = (id, open.binary_search(&id)) {
                    open.insert(at, id);
                }
            }
            Change::TransactionClosed { connection, id } => {
                self.connection(connection)?.transactions.retain(|&open| open != id);
            }
            Change::Assign { domid, name } => {
                if name.contains('\0') {
                    return Err(Misfit::Domain(domid));
                }
                self.domain(domid).name = Some(name.into());
            }
            Change::Quota {
                domid: None,
                quota,
                value,
            } => self.quotas.set(quota, value),
            Change::Quota {
                domid: Some(domid),
                quota,
                value,
            } => {
                let quotas = &mut self.domain(domid).quotas;
                match quotas.binary_search_by_key(&quota, |&(quota, _)| quota) {
                    Ok(at) => {
                        if let Some(slot) = quotas.get_mut(at) {
                            slot.1 = value;
                        }
                    }
                    Err(at) => quotas.insert(at, (quota, value)),
                }
            }
            Change::Features { domid, features } => self.domain(domid).features = features,
        }
        Ok(())
    }

    fn write(&mut self, path: &str, value: &[u8], permissions: &[PermissionState]) -> Result<(), Misfit> {
        let parent = match path.rsplit_once('/') {
            Some(("", _)) => "/",
            Some((parent, _)) => parent,
            None => "",
        };
        let possible = Path::new(path).is_some() && !permissions.is_empty() && value.len() <= MAX_PAYLOAD;
        if !possible || !self.nodes.contains_key(parent) {
            return Err(Misfit::Node(path.into()));
        }
        self.generation = self.generation.wrapping_add(1);
        if let Some(node) = self.nodes.get_mut(path) {
            node.0.clear();
            node.0.extend_from_slice(value);
            node.1.clear();
            node.1.extend_from_slice(permissions);
        } else {
            self.nodes.insert(path.into(), (value.to_vec(), permissions.to_vec()));
        }
        Ok(())
    }

    fn remove(&mut self, path: &str) -> Result<(), Misfit> {
        if path == "/" {
            return Err(Misfit::Node(path.into()));
        }
        // A transaction may have made and removed it.
        self.nodes.remove(path);
        self.generation = self.generation.wrapping_add(1);
        let mut first = String::with_capacity(path.len() + 1);
        first.push_str(path);
        first.push('/');
        loop {
            let next = self
                .nodes
                .range::<str, _>((Bound::Included(first.as_str()), Bound::Unbounded))
                .next();
            let Some(below) = next.map(|(below, _)| below).filter(|below| below.starts_with(&first)) else {
                return Ok(());
            };
            let below = below.clone();
            self.nodes.remove(&below);
        }
    }

    fn set_permissions(&mut self, path: &str, permissions: &[PermissionState]) -> Result<(), Misfit> {
        if permissions.is_empty() {
            return Err(Misfit::Node(path.into()));
        }
        self.generation = self.generation.wrapping_add(1);
        match self.nodes.get_mut(path) {
            Some(node) => node.1 = permissions.to_vec(),
            None if path.starts_with('@') && Path::new(path).is_some() => {
                self.nodes.insert(path.into(), (Vec::new(), permissions.to_vec()));
            }
            None => return Err(Misfit::Node(path.into())),
        }
        Ok(())
    }

    fn connect(&mut self, id: ConnectionId, peer: Peer) -> Result<(), Misfit> {
        if self.connections.contains_key(&id) {
            return Err(Misfit::Connection(id.number()));
        }
        if let Peer::Domain { domid, .. } = peer {
            let mut others = self.connections.values();
            let taken = |other: &ConnectionState| matches!(other.peer, Peer::Domain { domid: of, .. } if of == domid);
            if others.any(taken) {
                return Err(Misfit::Connection(id.number()));
            }
            self.domain(domid).shutdown = false;
        }
        self.connections.insert(
            id,
            ConnectionState {
                id,
                peer,
                ignored: false,
                input: Vec::new(),
                output: Vec::new(),
                partial_output: 0,
                watches: Vec::new(),
                transactions: Vec::new(),
            },
        );
        Ok(())
    }

    fn connection(&mut self, id: ConnectionId) -> Result<&mut ConnectionState, Misfit> {
        self.connections.get_mut(&id).ok_or(Misfit::Connection(id.number()))
    }

    fn domain(&mut self, domid: DomId) -> &mut DomainState {
        self.domains.entry(domid).or_insert_with(|| DomainState {
            domid,
            introduced: false,
            shutdown: false,
            features: FEATURES,
            target: None,
            name: None,
            quotas: Vec::new(),
        })
    }
}

/// Forgets what a client set up.
fn reset(connection: &mut ConnectionState) {
    connection.watches.clear();
    connection.transactions.clear();
}
