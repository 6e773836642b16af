//! Network interfaces.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{Address, Mac, Rate};

/// The most interfaces of a domain.
pub const MAX_INTERFACES: usize = 64;
/// The most addresses of an interface.
pub const MAX_ADDRESSES: usize = 64;
/// The most bytes of the name of a bridge or of an interface: Linux's `IFNAMSIZ` without the NUL.
pub const MAX_LINK_NAME: usize = 15;
/// The smallest MTU: RFC 791.
pub const MIN_MTU: u16 = 68;
/// The largest MTU of a network backend (`ETH_MAX_MTU` of Linux, less an Ethernet header with a VLAN tag).
pub const MAX_MTU: u16 = 65517;
/// The bridge of an interface whose configuration names none, as with Xen's own toolstack.
pub const DEFAULT_BRIDGE: &str = "xenbr0";

/// A network interface that another domain serves (Xen's public/io/netif.h, xl-network-configuration(5)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// The name of the domain that serves it; `None` for the only one that serves interfaces.
    pub backend: Option<String>,
    /// The bridge in that domain: a name as [`is_link_name`] says.
    pub bridge: String,
    /// Its Ethernet address: no two interfaces of a domain have the same.
    pub mac: Mac,
    /// The addresses that the guest may use, at most [`MAX_ADDRESSES`]; none for any.
    pub ip: Vec<Address>,
    /// How much the guest may send; `None` for as much as it can.
    pub rate: Option<Rate>,
    /// The largest packet in bytes, [`MIN_MTU`] to [`MAX_MTU`]; `None` for that of the bridge.
    pub mtu: Option<u16>,
    /// Its name in the backend's domain, as [`is_link_name`] says; `None` for `vif`, the guest's number, a dot, the
    /// interface's index.
    pub vifname: Option<String>,
    /// Whether the guest is told that it can trust the backend.
    pub trusted: bool,
}

/// Whether `name` can name a bridge or an interface here: 1 to [`MAX_LINK_NAME`] characters of `[A-Za-z0-9_.-]`, the first
/// one a letter, a digit or `_`.
#[must_use]
pub fn is_link_name(name: &str) -> bool {
    name.len() <= MAX_LINK_NAME && crate::name::is_valid(name)
}
