//! Linux as a domain of Xen.
//!
//! As the host of a store server: the rings and the event channels of other domains, and who of them is alive. Both of these
//! are a [`RingHost`]:
//! - [`Devices`] is a real one: `/dev/xen/gntdev`, `/dev/xen/evtchn`, `/dev/xen/privcmd`.
//! - [`RingFiles`] stands in for it on a machine without Xen: each domain's ring page is a file.
//!
//! Without any privilege:
//! - [`VchanClient`] and [`VchanServer`]: streams of bytes to another domain (`/dev/xen/gntdev`, `/dev/xen/gntalloc`,
//!   `/dev/xen/evtchn`).
//! - [`Xenbus`]: the store (`/dev/xen/xenbus`).
//! - [`GrantedMemory`]: memory of this process that another domain may read (`/dev/xen/gntalloc`).

mod devices;
mod error;
mod event_channel;
mod grant;
mod granted_memory;
mod ioctl;
#[cfg(test)]
mod libxenvchan;
mod page;
mod privcmd;
mod ring_files;
mod store_ring;
mod vchan_client;
mod vchan_server;
mod xenbus;

use std::os::fd::BorrowedFd;

pub use devices::Devices;
pub use error::DeviceError;
pub use granted_memory::GrantedMemory;
pub use page::MappedPage;
pub use ring_files::RingFiles;
pub use vchan_client::{ConnectError, VchanClient};
pub use vchan_server::VchanServer;
pub use xenbus::Xenbus;

use crate::DomId;

/// What a store server asks of the host it runs on.
pub trait RingHost {
    /// Readable while an event waits.
    fn events(&self) -> BorrowedFd<'_>;

    /// Maps the page that a domain shares with the store.
    ///
    /// # Errors
    /// The domain is not there, or did not grant the page.
    fn map(&mut self, domid: DomId) -> Result<MappedPage, DeviceError>;

    /// Binds to `remote_port` of a domain; the local port.
    ///
    /// # Errors
    /// The domain is not there, or did not offer the port.
    fn bind(&mut self, domid: DomId, remote_port: u32) -> Result<u32, DeviceError>;

    /// Gives a local port back.
    fn unbind(&mut self, port: u32);

    /// Sends an event to the other end of a local port.
    ///
    /// # Errors
    /// The port is not bound.
    fn notify(&mut self, port: u32) -> Result<(), DeviceError>;

    /// Takes the next event: which local port fired. The port stays silent until [`RingHost::unmask`].
    ///
    /// # Errors
    /// The host refuses.
    fn next_event(&mut self) -> Result<Option<u32>, DeviceError>;

    /// Lets a port fire again.
    ///
    /// # Errors
    /// The host refuses.
    fn unmask(&mut self, port: u32) -> Result<(), DeviceError>;

    /// The local port that fires when some domain changed its state (`VIRQ_DOM_EXC`).
    fn domain_changed_port(&self) -> u32;

    /// The state of a domain.
    ///
    /// # Errors
    /// The host refuses to say.
    fn domain_state(&self, domid: DomId) -> Result<DomainState, DeviceError>;

    /// The ring of the domain that the store itself runs in, where it has one, and its port.
    ///
    /// # Errors
    /// It has one that cannot be used.
    fn own_ring(&mut self) -> Result<Option<(MappedPage, u32)>, DeviceError>;
}

/// How a domain is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DomainState {
    /// It runs, or may run.
    Alive,
    /// It ended (shutdown or crash) and is still there.
    Shutdown,
    /// It is being destroyed, or is not there.
    Gone,
}
