//! What can be wrong with a device.

use alloc::string::String;

use super::{Address, Format, MAX_ADDRESSES, MAX_LINK_NAME, MAX_MTU, MAX_TARGET, MIN_MTU, Mac, Rate, Vdev};
use crate::BackendClass;

/// What is wrong with a disk or an interface.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// No domain has the name of the backend.
    #[error("backend {0:?}: there is no such domain")]
    UnknownBackend(String),
    /// The backend is the domain itself.
    #[error("backend: the domain itself; accepted: another")]
    BackendIsItself,
    /// The backend serves no such devices.
    #[error("backend {backend:?}: it serves no {class}")]
    NotServed {
        /// The domain that was named.
        backend: String,
        /// What it would have to serve.
        class: BackendClass,
    },
    /// No backend is named and no domain could be it.
    #[error("backend: none, and no other domain serves {0}")]
    NoBackend(BackendClass),
    /// No backend is named and several domains could be it.
    #[error("backend: none, and {count} other domains serve {class}; accepted: the name of one")]
    ManyBackends {
        /// What they serve.
        class: BackendClass,
        /// How many there are.
        count: usize,
    },
    /// The target is no path.
    #[error("target {0:?}; accepted: an absolute path without control characters, at most {MAX_TARGET} bytes")]
    Target(String),
    /// The virtual device number is reserved.
    #[error("vdev {0}; accepted: below 536870912")]
    Vdev(Vdev),
    /// A disk before it is the same to the guest.
    #[error("vdev {0}: a disk before it is that, too")]
    DuplicateVdev(Vdev),
    /// A CD to which the guest could write.
    #[error("access of a cdrom; accepted: r")]
    CdromAccess,
    /// A format that the kernel cannot serve.
    #[error("format {0} with backendtype phy; accepted: raw")]
    PhyFormat(Format),
    /// The name of a bridge or an interface is none.
    #[error(
        "{key} {name:?}; accepted: 1 to {MAX_LINK_NAME} characters of A-Z a-z 0-9 _ . -, the first a letter, a digit or _"
    )]
    LinkName {
        /// "bridge" or "vifname".
        key: &'static str,
        /// The name.
        name: String,
    },
    /// The Ethernet address is zero or a group's.
    #[error("mac {0}; accepted: not zero, and an even first byte")]
    Mac(Mac),
    /// An interface before it has the same Ethernet address.
    #[error("mac {0}: an interface before it has it, too")]
    DuplicateMac(Mac),
    /// More addresses than allowed.
    #[error("ip: {0} addresses; accepted: at most {MAX_ADDRESSES}")]
    TooManyAddresses(usize),
    /// A prefix longer than its address.
    #[error("ip {0}: the prefix is longer than the address")]
    Prefix(Address),
    /// An address stands there twice.
    #[error("ip: {0} stands there twice")]
    DuplicateAddress(Address),
    /// The MTU is outside the limits.
    #[error("mtu of {0}; accepted: {MIN_MTU} to {MAX_MTU}")]
    Mtu(u16),
    /// The rate is outside the limits.
    #[error("rate {0}; accepted: 1B/s to 1000GB/s, at least a byte in each interval")]
    Rate(Rate),
}
