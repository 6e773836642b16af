//! The devices that other domains serve to a domain.

mod address;
mod disk;
mod error;
mod interface;
mod mac;
mod rate;
mod vdev;

pub use address::Address;
pub use disk::{Access, Disk, DiskBackend, Format, MAX_DISKS, MAX_TARGET};
pub use error::DeviceError;
pub use interface::{
    DEFAULT_BRIDGE, Interface, MAX_ADDRESSES, MAX_INTERFACES, MAX_LINK_NAME, MAX_MTU, MIN_MTU, is_link_name,
};
pub use mac::Mac;
pub use rate::Rate;
pub use vdev::Vdev;

use core::fmt;

/// A list of a domain's devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeviceKind {
    /// [`crate::Domain::disks`].
    Disk,
    /// [`crate::Domain::interfaces`].
    Interface,
}

impl DeviceKind {
    /// The list's key in a manifest.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Interface => "interface",
        }
    }

    /// The most devices in the list.
    #[must_use]
    pub const fn limit(self) -> usize {
        match self {
            Self::Disk => MAX_DISKS,
            Self::Interface => MAX_INTERFACES,
        }
    }
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.key())
    }
}
