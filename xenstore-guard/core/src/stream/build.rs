//! Puts records together to a state. Nothing in them is believed.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use xen::DomId;
use xen::store::wire::{Access, MAX_PAYLOAD, Permission};

use super::check::{text, watch_path, whole_messages};
use super::error::Problem;
use super::extra::{Extra, ExtraDomain};
use super::record::{Connection, ConnectionPeer, Node, Quota, Record, Watch};
use super::write::Handover;
use crate::Path;
use crate::domains::FEATURES;
use crate::quota::{self, Limits};
use crate::state::{ConnectionId, ConnectionState, DomainState, NodeState, Peer, PermissionState, State, WatchState};

/// What the records so far said.
#[derive(Debug, Default)]
pub(super) struct Builder<'a> {
    version: u32,
    process: Option<(i32, i32)>,
    quotas: Option<Limits>,
    generation: Option<u64>,
    root: Option<NodeState>,
    nodes: Vec<NodeState>,
    special: Vec<NodeState>,
    paths: BTreeSet<&'a [u8]>,
    connections: BTreeMap<u32, Restored<'a>>,
    domains: BTreeMap<DomId, Domain>,
}

#[derive(Debug)]
struct Restored<'a> {
    state: ConnectionState,
    handle: Option<u32>,
    watches: BTreeSet<(&'a [u8], &'a [u8])>,
    extra: bool,
}

/// What is known of a domain, and which records said it.
#[derive(Debug)]
struct Domain {
    introduced: bool,
    data: bool,
    extra: bool,
    shutdown: bool,
    features: u32,
    target: Option<DomId>,
    name: Option<String>,
    quotas: Vec<(quota::Quota, u32)>,
}

impl Default for Domain {
    fn default() -> Self {
        Self {
            introduced: false,
            data: false,
            extra: false,
            shutdown: false,
            features: FEATURES,
            target: None,
            name: None,
            quotas: Vec::new(),
        }
    }
}

fn twice(what: &'static str, name: &dyn ToString) -> Problem {
    Problem::Twice {
        what,
        name: name.to_string(),
    }
}

fn missing(what: &'static str, name: &dyn ToString) -> Problem {
    Problem::Missing {
        what,
        name: name.to_string(),
    }
}

impl<'a> Builder<'a> {
    pub(super) fn new(version: u32) -> Self {
        Self {
            version,
            ..Self::default()
        }
    }

    pub(super) fn add(&mut self, record: Record<'a>) -> Result<(), Problem> {
        match record {
            Record::End => Ok(()),
            Record::Global { socket, event_channel } => match self.process.replace((socket, event_channel)) {
                None => Ok(()),
                Some(_) => Err(twice("GLOBAL_DATA", &"")),
            },
            Record::GlobalQuotas { domain, .. } => {
                let mut limits = Limits::default();
                for (quota, value) in known(&domain) {
                    limits.set(quota, value);
                }
                match self.quotas.replace(limits) {
                    None => Ok(()),
                    Some(_) => Err(twice("GLOBAL_QUOTA_DATA", &"")),
                }
            }
            Record::Connection(connection) => self.connection(&connection),
            Record::Watch(watch) => self.watch(&watch),
            Record::Transaction {
                connection,
                transaction,
            } => self.transaction(connection, transaction),
            Record::Node(node) => self.node(node),
            Record::Domain {
                domid,
                features,
                quotas,
            } => {
                let domain = self.domains.entry(domid).or_default();
                if core::mem::replace(&mut domain.data, true) {
                    return Err(twice("DOMAIN_DATA", &domid));
                }
                if self.version > 1 {
                    domain.features = features;
                }
                domain.quotas = known(&quotas).collect();
                Ok(())
            }
            Record::Extra(Extra::Store { generation }) => match self.generation.replace(generation) {
                None => Ok(()),
                Some(_) => Err(twice("the store's record", &"")),
            },
            Record::Extra(Extra::Domain(domain)) => self.extra_domain(&domain),
            Record::Extra(Extra::Connection {
                connection,
                ignored,
                port,
                ring,
            }) => self.extra_connection(connection, ignored, port, ring),
        }
    }

    fn connection(&mut self, connection: &Connection<'a>) -> Result<(), Problem> {
        if self.connections.contains_key(&connection.id) {
            return Err(twice("connection", &connection.id));
        }
        whole_messages(connection.output, connection.partial.into())?;
        let (peer, handle) = match connection.peer {
            ConnectionPeer::Socket { descriptor } => {
                let handle = (descriptor >= 0).then(|| descriptor.cast_unsigned());
                (Peer::Socket, handle)
            }
            ConnectionPeer::Ring { domid, target, port } => {
                let domain = self.domains.entry(domid).or_default();
                if core::mem::replace(&mut domain.introduced, true) {
                    return Err(twice("ring of domain", &domid));
                }
                domain.target = target;
                (Peer::Domain { domid, ring: 0, port }, Some(port))
            }
        };
        let state = ConnectionState {
            id: ConnectionId::from_number(connection.id),
            peer,
            ignored: false,
            input: connection.input.to_vec(),
            output: connection.output.to_vec(),
            partial_output: connection.partial.into(),
            watches: Vec::new(),
            transactions: Vec::new(),
        };
        let restored = Restored {
            state,
            handle,
            watches: BTreeSet::new(),
            extra: false,
        };
        self.connections.insert(connection.id, restored);
        Ok(())
    }

    fn known_connection(&mut self, id: u32) -> Result<&mut Restored<'a>, Problem> {
        self.connections.get_mut(&id).ok_or_else(|| missing("connection", &id))
    }

    fn watch(&mut self, watch: &Watch<'a>) -> Result<(), Problem> {
        let connection = self.known_connection(watch.connection)?;
        let path = watch_path(watch.path)?;
        if watch.token.len() > MAX_PAYLOAD {
            return Err(text("token", watch.token, "at most 4096 bytes"));
        }
        if !connection.watches.insert((watch.path, watch.token)) {
            return Err(twice("watch", &path));
        }
        connection.state.watches.push(WatchState {
            path,
            token: watch.token.to_vec(),
            depth: watch.depth.map(u32::from),
        });
        Ok(())
    }

    fn transaction(&mut self, connection: u32, transaction: u32) -> Result<(), Problem> {
        let open = &mut self.known_connection(connection)?.state.transactions;
        if transaction == 0 {
            return Err(Problem::Number {
                field: "tx-id",
                found: 0,
                expected: "a number that is not 0",
            });
        }
        if open.contains(&transaction) {
            return Err(twice("transaction", &transaction));
        }
        open.push(transaction);
        Ok(())
    }

    fn node(&mut self, node: Node<'a>) -> Result<(), Problem> {
        let path = core::str::from_utf8(node.path).ok().and_then(Path::new);
        let Some(path) = path.filter(|path| path.as_str().starts_with(['/', '@'])) else {
            return Err(text("path", node.path, "an absolute path or a special name"));
        };
        let path = path.as_str();
        if node.value.len() > MAX_PAYLOAD {
            return Err(Problem::Number {
                field: "value-len",
                found: node.value.len() as u64,
                expected: "at most 4096",
            });
        }
        if let Some((connection, transaction)) = node.pending {
            // The transaction will end with EAGAIN: what was done in it does not matter.
            let open = &self.known_connection(connection)?.state.transactions;
            return match open.contains(&transaction) {
                true => Ok(()),
                false => Err(missing("transaction", &transaction)),
            };
        }
        if node.permissions.is_empty() {
            return Err(Problem::Number {
                field: "perm-count",
                found: 0,
                expected: "at least the owner",
            });
        }
        if !self.paths.insert(node.path) {
            return Err(twice("node", &path));
        }
        if let Some((parent, name)) = path.rsplit_once('/')
            && !name.is_empty()
            && !parent.is_empty()
            && !self.paths.contains(parent.as_bytes())
        {
            return Err(missing("parent of", &path));
        }
        let state = NodeState {
            path: path.to_string(),
            value: node.value.to_vec(),
            permissions: node
                .permissions
                .into_iter()
                .map(|entry| PermissionState {
                    permission: entry.permission,
                    stale: entry.stale,
                })
                .collect(),
        };
        match path {
            "/" => self.root = Some(state),
            _ if path.starts_with('@') => self.special.push(state),
            _ => self.nodes.push(state),
        }
        Ok(())
    }

    fn extra_domain(&mut self, extra: &ExtraDomain<'a>) -> Result<(), Problem> {
        let domain = self.domains.entry(extra.domid).or_default();
        if core::mem::replace(&mut domain.extra, true) {
            return Err(twice("further record of domain", &extra.domid));
        }
        domain.shutdown = extra.shutdown;
        if let Some(name) = extra.name {
            let name = core::str::from_utf8(name).map_err(|_| text("name", name, "UTF-8"))?;
            domain.name = Some(name.to_string());
        }
        if !domain.introduced {
            domain.target = extra.target;
            domain.features = extra.features;
            domain.quotas = known(&extra.quotas).collect();
        }
        Ok(())
    }

    fn extra_connection(&mut self, id: u32, ignored: bool, told_port: u32, told_ring: u64) -> Result<(), Problem> {
        let connection = self.known_connection(id)?;
        if core::mem::replace(&mut connection.extra, true) {
            return Err(twice("further record of connection", &id));
        }
        connection.state.ignored = ignored;
        if let Peer::Domain { ring, port, .. } = &mut connection.state.peer {
            (*ring, *port) = (told_ring, told_port);
        }
        Ok(())
    }

    pub(super) fn finish(self) -> (State, Handover) {
        let root = self.root.unwrap_or_else(|| NodeState {
            path: "/".into(),
            value: Vec::new(),
            permissions: Vec::from([PermissionState {
                permission: Permission::new(DomId(0), Access::NONE),
                stale: false,
            }]),
        });
        let mut nodes = Vec::with_capacity(1 + self.nodes.len() + self.special.len());
        nodes.push(root);
        nodes.extend(self.nodes);
        nodes.extend(self.special);
        let mut handover = Handover {
            version: self.version,
            process: self.process,
            connections: Vec::new(),
        };
        let mut connections = Vec::with_capacity(self.connections.len());
        for connection in self.connections.into_values() {
            if let Some(handle) = connection.handle {
                handover.connections.push((connection.state.id, handle));
            }
            connections.push(connection.state);
        }
        let domains = self.domains.into_iter().map(|(domid, domain)| DomainState {
            domid,
            introduced: domain.introduced,
            shutdown: domain.shutdown,
            features: domain.features,
            target: domain.target,
            name: domain.name,
            quotas: domain.quotas,
        });
        let state = State {
            nodes,
            domains: domains.collect(),
            connections,
            quotas: self.quotas.unwrap_or_default(),
            generation: self.generation.unwrap_or_default(),
        };
        (state, handover)
    }
}

/// The quotas that we have too, each once: the last one counts.
fn known(quotas: &[Quota<'_>]) -> impl Iterator<Item = (quota::Quota, u32)> {
    let known: BTreeMap<_, _> = quotas
        .iter()
        .filter_map(|&(name, value)| Some((quota::Quota::from_name(name)?, value)))
        .collect();
    known.into_iter()
}
