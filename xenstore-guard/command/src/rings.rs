//! The rings of domains, and what the core asks of its host.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::{Duration, Instant};

use xen::DomId;
use xen::linux::{DeviceError, DomainState, MappedPage, RingHost};
use xen::store::StoreError;
use xen::store::ring::{ConnectionState, RingError, StoreRing};
use xenstore_guard_core::ConnectionId;

use crate::Error;

/// Events taken at a time: who sends them without end must not keep the others waiting.
const EVENTS: usize = 64;
/// That a domain broke the protocol is told at most this often: it may ask for a fresh start and break it again.
const QUIET: Duration = Duration::from_secs(10);

/// A domain's ring and the local port of its event channel.
#[derive(Debug)]
struct Ring {
    page: MappedPage,
    /// None where the domain's end of it was gone when the domain was introduced again.
    port: Option<u32>,
    connection: Option<ConnectionId>,
    /// When it was last told that the domain broke the protocol.
    told: Option<Instant>,
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

/// What events were about.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Events {
    /// Domains that did something to their rings.
    pub(crate) rings: BTreeSet<DomId>,
    /// Some domain changed its state.
    pub(crate) domain_changed: bool,
    /// More may wait, even where the host's file does not say so.
    pub(crate) more: bool,
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
            // The host may give a port that was given back to another domain.
            if let Some(port) = ring.port.take() {
                self.by_port.remove(&port);
                self.host.unbind(port);
            }
            let port = self.host.bind(domid, remote_port).map_err(refused(domid))?;
            ring.port = Some(port);
            self.by_port.insert(port, domid);
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
        self.by_port.insert(port, domid);
        let ring = Ring {
            page,
            port: Some(port),
            connection: None,
            told: None,
        };
        self.by_domain.insert(domid, ring);
        self.fresh.push(domid);
    }

    /// Unmaps a ring and closes its event channel.
    pub(crate) fn release(&mut self, domid: DomId) {
        if let Some(ring) = self.by_domain.remove(&domid) {
            if let Some(port) = ring.port {
                self.by_port.remove(&port);
                self.host.unbind(port);
            }
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
        let Some(port) = self.by_domain.get(&domid).and_then(|ring| ring.port) else {
            return;
        };
        if let Err(error) = self.host.notify(port) {
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

    /// Whether it is to be told now that a domain broke the protocol.
    pub(crate) fn may_tell(&mut self, domid: DomId) -> bool {
        let now = Instant::now();
        let Some(ring) = self.by_domain.get_mut(&domid) else {
            return true;
        };
        if ring.told.is_some_and(|told| now.duration_since(told) < QUIET) {
            return false;
        }
        ring.told = Some(now);
        true
    }

    /// Takes events that wait, up to a limit. From then on their ports fire again, so what is looked at afterwards is not
    /// missed.
    pub(crate) fn take_events(&mut self) -> Result<Events, Error> {
        let mut events = Events::default();
        for _ in 0..EVENTS {
            let Some(port) = self.host.next_event()? else {
                return Ok(events);
            };
            self.host.unmask(port)?;
            if port == self.host.domain_changed_port() {
                events.domain_changed = true;
            } else if let Some(&domid) = self.by_port.get(&port) {
                events.rings.insert(domid);
            }
        }
        events.more = true;
        Ok(events)
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::BorrowedFd;

    use xen::PAGE_SIZE;
    use xen::linux::RingFiles;

    /// Gives ports as Xen does, the lowest that is free, and refuses a remote port of 0. Events never end.
    struct Host {
        files: RingFiles,
        bound: BTreeSet<u32>,
    }

    impl RingHost for Host {
        fn events(&self) -> BorrowedFd<'_> {
            self.files.events()
        }

        fn map(&mut self, domid: DomId) -> Result<MappedPage, DeviceError> {
            self.files.map(domid)
        }

        fn bind(&mut self, _: DomId, remote_port: u32) -> Result<u32, DeviceError> {
            if remote_port == 0 {
                return Err(DeviceError {
                    path: "host".into(),
                    operation: "bind",
                    source: io::ErrorKind::InvalidInput.into(),
                });
            }
            let port = (2..).find(|port| !self.bound.contains(port)).unwrap();
            self.bound.insert(port);
            Ok(port)
        }

        fn unbind(&mut self, port: u32) {
            assert!(self.bound.remove(&port), "port {port} is not bound");
        }

        fn notify(&mut self, port: u32) -> Result<(), DeviceError> {
            assert!(self.bound.contains(&port), "port {port} is not bound");
            Ok(())
        }

        fn next_event(&mut self) -> Result<Option<u32>, DeviceError> {
            Ok(self.bound.first().copied())
        }

        fn unmask(&mut self, _: u32) -> Result<(), DeviceError> {
            Ok(())
        }

        fn domain_changed_port(&self) -> u32 {
            1
        }

        fn domain_state(&self, domid: DomId) -> Result<DomainState, DeviceError> {
            self.files.domain_state(domid)
        }

        fn own_ring(&mut self) -> Result<Option<(MappedPage, u32)>, DeviceError> {
            Ok(None)
        }
    }

    fn rings(domains: &[u16]) -> (tempfile::TempDir, Rings) {
        let directory = tempfile::tempdir().unwrap();
        for domid in domains {
            std::fs::write(directory.path().join(format!("ring.{domid}")), [0; PAGE_SIZE]).unwrap();
        }
        let host = Host {
            files: RingFiles::open(directory.path()).unwrap(),
            bound: BTreeSet::new(),
        };
        (directory, Rings::new(Box::new(host)))
    }

    #[test]
    fn a_port_that_was_given_back_is_not_touched_when_another_domain_has_it() {
        let (_directory, mut rings) = rings(&[7, 8]);
        rings.introduce(DomId(7), 5).unwrap();
        assert_eq!(rings.introduce(DomId(7), 0), Err(StoreError::Invalid));
        rings.introduce(DomId(8), 5).unwrap();
        // Nobody can be told of anything, and nothing of domain 8's ends with it.
        rings.notify(DomId(7));
        rings.release(DomId(7));
        assert_eq!(rings.take_events().unwrap().rings, BTreeSet::from([DomId(8)]));
        rings.notify(DomId(8));
        rings.release(DomId(8));
    }

    #[test]
    fn a_domain_that_was_refused_can_be_introduced_again() {
        let (_directory, mut rings) = rings(&[7]);
        rings.introduce(DomId(7), 5).unwrap();
        assert!(rings.introduce(DomId(7), 0).is_err());
        rings.introduce(DomId(7), 6).unwrap();
        assert_eq!(rings.take_events().unwrap().rings, BTreeSet::from([DomId(7)]));
    }

    #[test]
    fn events_without_end_are_taken_a_number_at_a_time() {
        let (_directory, mut rings) = rings(&[7]);
        assert_eq!(rings.take_events().unwrap(), Events::default());
        rings.introduce(DomId(7), 5).unwrap();
        assert!(rings.take_events().unwrap().more);
    }

    #[test]
    fn that_a_domain_broke_the_protocol_is_told_once_in_a_while() {
        let (_directory, mut rings) = rings(&[7, 8]);
        rings.introduce(DomId(7), 5).unwrap();
        rings.introduce(DomId(8), 5).unwrap();
        assert!(rings.may_tell(DomId(7)));
        assert!(!rings.may_tell(DomId(7)));
        assert!(rings.may_tell(DomId(8)));
    }
}
