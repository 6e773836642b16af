//! Writes a state as a stream.

use alloc::vec::Vec;
use core::convert::Infallible;

use xen::DomId;

use super::error::TooLarge;
use super::extra::{Extra, ExtraDomain};
use super::record::{Connection, ConnectionPeer, IDENT, Node, NodePermission, Quota, Record, VERSION, Watch};
use crate::quota::{self, Limits};
use crate::state::{ConnectionId, ConnectionState, DomainState, NodeState, Peer, State};

/// What a stream says beside the state: its version, and what a process hands to its successor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handover {
    /// 2, or 1 for C xenstored before Xen 4.21: that has no features of rings, and watches there go to any depth.
    pub version: u32,
    /// File descriptors of the listening socket and of the event channel device.
    pub process: Option<(i32, i32)>,
    /// For each connection the file descriptor of its socket, or the number of our end's port. By connection.
    pub connections: Vec<(ConnectionId, u32)>,
}

impl Default for Handover {
    /// A state alone.
    fn default() -> Self {
        Self {
            version: VERSION,
            process: None,
            connections: Vec::new(),
        }
    }
}

impl Handover {
    /// What belongs to a connection.
    #[must_use]
    pub fn of(&self, connection: ConnectionId) -> Option<u32> {
        let found = self.connections.binary_search_by_key(&connection, |&(id, _)| id);
        found
            .ok()
            .and_then(|index| self.connections.get(index))
            .map(|&(_, handle)| handle)
    }
}

/// Why a stream was not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError<E> {
    /// The state has something that does not fit.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// Whoever takes the bytes takes no more.
    #[error("{0}")]
    Refused(E),
}

/// Writes a state.
///
/// # Errors
/// [`TooLarge`].
pub fn write(state: &State, handover: &Handover) -> Result<Vec<u8>, TooLarge> {
    let mut bytes = Vec::new();
    let taken = write_to(state, handover, |part| {
        bytes.extend_from_slice(part);
        Ok::<(), Infallible>(())
    });
    match taken {
        Ok(()) => Ok(bytes),
        Err(WriteError::TooLarge(problem)) => Err(problem),
        Err(WriteError::Refused(never)) => match never {},
    }
}

/// Writes a state, a record at a time.
///
/// # Errors
/// [`WriteError`]; what `take` got so far is no stream.
pub fn write_to<E>(
    state: &State,
    handover: &Handover,
    take: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), WriteError<E>> {
    let mut stream = Stream {
        take,
        record: Vec::new(),
        version: handover.version.clamp(1, VERSION),
    };
    let mut header = [0; 16];
    let (ident, version) = header.split_at_mut(8);
    ident.copy_from_slice(&IDENT);
    version.copy_from_slice(&(u64::from(stream.version) << 32).to_be_bytes());
    (stream.take)(&header).map_err(WriteError::Refused)?;
    if let Some((socket, event_channel)) = handover.process {
        stream.put(&Record::Global { socket, event_channel })?;
    }
    stream.put(&Record::GlobalQuotas {
        domain: limits(&state.quotas),
        global: Vec::new(),
    })?;
    for connection in &state.connections {
        stream.connection(connection, &state.domains, handover)?;
    }
    for node in &state.nodes {
        stream.put(&Record::Node(self::node(node)))?;
    }
    for domain in &state.domains {
        stream.domain(domain)?;
    }
    stream.put(&Record::Extra(Extra::Store {
        generation: state.generation,
    }))?;
    stream.put(&Record::End)
}

struct Stream<F> {
    take: F,
    record: Vec<u8>,
    version: u32,
}

impl<E, F: FnMut(&[u8]) -> Result<(), E>> Stream<F> {
    fn put(&mut self, record: &Record<'_>) -> Result<(), WriteError<E>> {
        self.record.clear();
        record.encode(&mut self.record)?;
        (self.take)(&self.record).map_err(WriteError::Refused)
    }

    fn connection(
        &mut self,
        connection: &ConnectionState,
        domains: &[DomainState],
        handover: &Handover,
    ) -> Result<(), WriteError<E>> {
        let id = connection.id.number();
        let handle = handover.of(connection.id);
        let peer = match connection.peer {
            Peer::Socket => ConnectionPeer::Socket {
                descriptor: handle.map_or(-1, u32::cast_signed),
            },
            Peer::Domain { domid, port, .. } => ConnectionPeer::Ring {
                domid,
                target: domain_of(domains, domid).and_then(|domain| domain.target),
                port: handle.unwrap_or(port),
            },
        };
        let partial = u16::try_from(connection.partial_output).map_err(|_| TooLarge {
            what: "out-resp",
            size: connection.partial_output,
            most: u16::MAX.into(),
        })?;
        self.put(&Record::Connection(Connection {
            id,
            peer,
            input: &connection.input,
            partial,
            output: &connection.output,
            unique: None,
        }))?;
        let (ring, port) = match connection.peer {
            Peer::Socket => (0, 0),
            Peer::Domain { ring, port, .. } => (ring, port),
        };
        self.put(&Record::Extra(Extra::Connection {
            connection: id,
            ignored: connection.ignored,
            port,
            ring,
        }))?;
        for watch in &connection.watches {
            self.put(&Record::Watch(Watch {
                connection: id,
                path: watch.path.as_bytes(),
                token: &watch.token,
                depth: watch.depth.filter(|_| self.version > 1).and_then(depth),
            }))?;
        }
        for &transaction in &connection.transactions {
            self.put(&Record::Transaction {
                connection: id,
                transaction,
            })?;
        }
        Ok(())
    }

    fn domain(&mut self, domain: &DomainState) -> Result<(), WriteError<E>> {
        let mut extra = ExtraDomain {
            domid: domain.domid,
            shutdown: domain.shutdown,
            name: domain.name.as_deref().map(str::as_bytes),
            target: domain.target,
            features: domain.features,
            quotas: domain
                .quotas
                .iter()
                .map(|&(quota, value)| (quota.name().as_bytes(), value))
                .collect(),
        };
        if domain.introduced {
            extra.target = None;
            self.put(&Record::Domain {
                domid: domain.domid,
                features: core::mem::take(&mut extra.features) & if self.version > 1 { u32::MAX } else { 0 },
                quotas: core::mem::take(&mut extra.quotas),
            })?;
        }
        self.put(&Record::Extra(Extra::Domain(extra)))
    }
}

fn domain_of(domains: &[DomainState], domid: DomId) -> Option<&DomainState> {
    let found = domains.binary_search_by_key(&domid, |domain| domain.domid);
    found.ok().and_then(|index| domains.get(index))
}

/// A depth in two bytes. No path has so many levels as do not fit: such a depth is as good as none.
fn depth(depth: u32) -> Option<u16> {
    u16::try_from(depth).ok().filter(|&depth| depth != u16::MAX)
}

fn limits(limits: &Limits) -> Vec<Quota<'static>> {
    quota::Quota::ALL
        .iter()
        .map(|&quota| (quota.name().as_bytes(), limits.get(quota)))
        .collect()
}

fn node(node: &NodeState) -> Node<'_> {
    Node {
        pending: None,
        access: 0,
        path: node.path.as_bytes(),
        value: &node.value,
        permissions: node
            .permissions
            .iter()
            .map(|entry| NodePermission {
                permission: entry.permission,
                stale: entry.stale,
            })
            .collect(),
    }
}
