//! A real host: Linux in Xen's initial domain.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};

use super::error::DeviceError;
use super::event_channel::EventChannels;
use super::grant::Grants;
use super::{DomainState, MappedPage, RingHost, privcmd, store_ring};
use crate::domctl::Toolstack;
use crate::{DomId, GRANT_RESERVED_XENSTORE, VIRQ_DOM_EXC, version};

/// The devices of a Linux that is Xen's initial domain.
#[derive(Debug)]
pub struct Devices {
    grants: Grants,
    channels: EventChannels,
    toolstack: Toolstack,
    domain_changed: u32,
}

impl Devices {
    /// Opens them, and binds `VIRQ_DOM_EXC`.
    ///
    /// # Errors
    /// A device is not there; this is not the initial domain; another process has the virtual interrupt.
    pub fn open() -> Result<Self, DeviceError> {
        privcmd::install()?;
        let toolstack = version::version()
            .and_then(Toolstack::probe)
            .map_err(|error| DeviceError::new("/dev/xen/privcmd", "domctl")(io::Error::other(error)))?;
        let channels = EventChannels::open()?;
        Ok(Self {
            grants: Grants::open()?,
            domain_changed: channels.bind_virq(VIRQ_DOM_EXC)?,
            channels,
            toolstack,
        })
    }
}

impl RingHost for Devices {
    fn events(&self) -> BorrowedFd<'_> {
        self.channels.as_fd()
    }

    fn map(&mut self, domid: DomId) -> Result<MappedPage, DeviceError> {
        self.grants.map(domid, GRANT_RESERVED_XENSTORE)
    }

    fn bind(&mut self, domid: DomId, remote_port: u32) -> Result<u32, DeviceError> {
        self.channels.bind_interdomain(domid, remote_port)
    }

    fn unbind(&mut self, port: u32) {
        self.channels.unbind(port);
    }

    fn notify(&mut self, port: u32) -> Result<(), DeviceError> {
        self.channels.notify(port)
    }

    fn next_event(&mut self) -> Result<Option<u32>, DeviceError> {
        self.channels.next()
    }

    fn unmask(&mut self, port: u32) -> Result<(), DeviceError> {
        self.channels.unmask(port)
    }

    fn domain_changed_port(&self) -> u32 {
        self.domain_changed
    }

    fn domain_state(&self, domid: DomId) -> Result<DomainState, DeviceError> {
        let info = self
            .toolstack
            .domain_info(domid)
            .map_err(|error| DeviceError::new("/dev/xen/privcmd", "domctl")(io::Error::other(error)))?;
        Ok(match info {
            None => DomainState::Gone,
            Some(info) if info.dying => DomainState::Gone,
            Some(info) if info.shutdown.is_some() => DomainState::Shutdown,
            Some(_) => DomainState::Alive,
        })
    }

    fn own_ring(&mut self) -> Result<Option<(MappedPage, u32)>, DeviceError> {
        let (page, remote_port) = store_ring::map()?;
        let port = self.channels.bind_interdomain(DomId::INITIAL, remote_port)?;
        Ok(Some((page, port)))
    }
}
