//! The rings of domains, and what the core asks of its host.

use std::collections::BTreeMap;
use std::io;

use xen::DomId;
use xen::linux::{DeviceError, DomainState, MappedPage, RingHost};
use xen::store::StoreError;
use xen::store::ring::{ConnectionState, RingError, StoreRing};
use xenstore_guard_core::ConnectionId;

use crate::Error;

/// A domain's ring and the local port of its event channel.
#[derive(Debug)]
struct Ring {
    page: MappedPage,
    port: u32,
    connection: Option<ConnectionId>,
}

/// All rings, and the host that they are from.
pub(crate) struct Rings {
    host: Box<dyn RingHost>,
    by_domain: BTreeMap<DomId, Ring>,
    by_port: BTreeMap<u32, DomId>,
    by_connection: BTreeMap<ConnectionId, DomId>,
    /// Rings that were introduced since they were last asked for: requests may wait in them without an event.
    fresh: Vec<DomId>,
}

/// What an event was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// A domain did something to its ring.
    Ring(DomId),
    /// Some domain changed its state.
    DomainChanged,
}

impl Rings {
    pub(crate) fn new(host: Box<dyn RingHost>) -> Self {
        Self {
            host,
            by_domain: BTreeMap::new(),
            by_port: BTreeMap::new(),
            by_connection: BTreeMap::new(),
            fresh: Vec::new(),
        }
    }

    pub(crate) fn host(&self) -> &dyn RingHost {
        &*self.host
    }

    /// Takes the ring of the domain that this process runs in; its local port, where there is one.
    pub(crate) fn take_own(&mut self) -> Result<Option<u32>, Error> {
        let Some((page, port)) = self.host.own_ring()? else {
            return Ok(None);
        };
        StoreRing::new(page.shared_page()).set_connected();
        self.put(DomId::INITIAL, page, port);
        Ok(Some(port))
    }

    /// Maps the ring of a domain and binds its port. One that is there already is renewed, and empty.
    pub(crate) fn introduce(&mut self, domid: DomId, remote_port: u32) -> Result<(), StoreError> {
        if let Some(ring) = self.by_domain.get_mut(&domid) {
            self.host.unbind(ring.port);
            self.by_port.remove(&ring.port);
            ring.port = self.host.bind(domid, remote_port).map_err(refused(domid))?;
            self.by_port.insert(ring.port, domid);
        } else {
            self.map(domid, remote_port)?;
        }
        self.reset(domid);
        Ok(())
    }

    /// Maps the ring of a domain as it is and binds its port.
    pub(crate) fn map(&mut self, domid: DomId, remote_port: u32) -> Result<(), StoreError> {
        let page = self.host.map(domid).map_err(refused(domid))?;
        let port = self.host.bind(domid, remote_port).map_err(refused(domid))?;
        self.put(domid, page, port);
        Ok(())
    }

    fn put(&mut self, domid: DomId, page: MappedPage, port: u32) {
        let connection = None;
        self.by_port.insert(port, domid);
        self.by_domain.insert(domid, Ring { page, port, connection });
        self.fresh.push(domid);
    }

    /// Unmaps a ring and closes its event channel.
    pub(crate) fn release(&mut self, domid: DomId) {
        if let Some(ring) = self.by_domain.remove(&domid) {
            self.by_port.remove(&ring.port);
            self.host.unbind(ring.port);
            if let Some(connection) = ring.connection {
                self.by_connection.remove(&connection);
            }
        }
    }

    /// Notes which connection a domain's ring is.
    pub(crate) fn connect(&mut self, domid: DomId, connection: ConnectionId) {
        if let Some(ring) = self.by_domain.get_mut(&domid) {
            ring.connection = Some(connection);
            self.by_connection.insert(connection, domid);
        }
    }

    /// Whose ring a connection is.
    pub(crate) fn domain_of(&self, connection: ConnectionId) -> Option<DomId> {
        self.by_connection.get(&connection).copied()
    }

    /// Domains that have a ring.
    pub(crate) fn domains(&self) -> Vec<DomId> {
        self.by_domain.keys().copied().collect()
    }

    /// Domains whose rings were introduced since this was last asked.
    pub(crate) fn take_fresh(&mut self) -> Vec<DomId> {
        std::mem::take(&mut self.fresh)
    }

    /// A domain's ring.
    pub(crate) fn ring(&self, domid: DomId) -> Option<StoreRing<'_>> {
        let ring = self.by_domain.get(&domid)?;
        Some(StoreRing::new(ring.page.shared_page()))
    }

    /// Sends a domain an event.
    pub(crate) fn notify(&mut self, domid: DomId) {
        let Some(ring) = self.by_domain.get(&domid) else {
            return;
        };
        if let Err(error) = self.host.notify(ring.port) {
            log::warn!("domain {domid}: no event can be sent: {error}");
        }
    }

    /// Whether a domain asks for a fresh start of its ring.
    pub(crate) fn asks_to_reconnect(&self, domid: DomId) -> bool {
        self.ring(domid)
            .is_some_and(|ring| ring.connection() == ConnectionState::Reconnect)
    }

    /// Empties a domain's ring and tells the domain.
    pub(crate) fn reset(&mut self, domid: DomId) {
        if let Some(ring) = self.ring(domid) {
            ring.reset();
        }
        self.notify(domid);
    }

    /// Tells a domain why its ring is not served any more.
    pub(crate) fn fail(&mut self, domid: DomId, error: RingError) {
        if let Some(ring) = self.ring(domid) {
            ring.set_error(error);
        }
        self.notify(domid);
    }

    /// Takes the next event.
    pub(crate) fn next_event(&mut self) -> Result<Option<Event>, Error> {
        while let Some(port) = self.host.next_event()? {
            self.host.unmask(port)?;
            if port == self.host.domain_changed_port() {
                return Ok(Some(Event::DomainChanged));
            }
            if let Some(&domid) = self.by_port.get(&port) {
                return Ok(Some(Event::Ring(domid)));
            }
        }
        Ok(None)
    }

    /// The state of a domain; of one that cannot be asked for, that it lives.
    pub(crate) fn domain_state(&self, domid: DomId) -> DomainState {
        self.host.domain_state(domid).unwrap_or_else(|error| {
            log::error!("domain {domid}: its state is not known: {error}");
            DomainState::Alive
        })
    }
}

fn refused(domid: DomId) -> impl FnOnce(DeviceError) -> StoreError {
    move |error| {
        log::warn!("domain {domid}: not introduced: {error}");
        match error.source.kind() {
            io::ErrorKind::NotFound => StoreError::NotFound,
            io::ErrorKind::PermissionDenied => StoreError::Access,
            io::ErrorKind::OutOfMemory => StoreError::NoMemory,
            io::ErrorKind::ResourceBusy => StoreError::Busy,
            _ => StoreError::Invalid,
        }
    }
}
