//! One domain.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::device::{Disk, Interface};
use crate::management::ManagementSettings;
use crate::quota::StoreQuota;
use crate::store::{BackendClass, Role, StoreAccess};

/// The most vCPUs of a domain.
pub const MAX_VCPUS: u16 = 64;
/// The least memory of a domain in KiB: 4 MiB.
pub const MIN_MEMORY_KIB: u64 = 4 << 10;
/// The most memory of a domain in KiB: 16 TiB.
pub const MAX_MEMORY_KIB: u64 = 16 << 30;
/// Memory is given in pages: this many KiB.
pub const MEMORY_STEP_KIB: u64 = 4;
/// The most domains that one domain may need directly.
pub const MAX_NEEDS: usize = 64;

/// What a domain is made of and how it is looked after.
///
/// The limits named here are checked by [`crate::Manifest::check`], not by the type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    /// The name, unique among the domains: 1 to [`crate::MAX_NAME`] characters of `[A-Za-z0-9_.-]`, the first one a
    /// letter, a digit or `_`.
    pub name: String,
    /// The UUID as 16 bytes in the order of its text (RFC 9562), unique among the domains.
    pub uuid: [u8; 16],
    /// How Xen runs it.
    pub kind: Kind,
    /// The name of the image that is its kernel.
    pub kernel: String,
    /// The name of the image that is its initial ramdisk.
    pub ramdisk: Option<String>,
    /// The kernel's command line, without control characters, of at most [`Kind::max_command_line`] bytes.
    pub command_line: String,
    /// Memory at start, in KiB: [`MIN_MEMORY_KIB`] to [`MAX_MEMORY_KIB`], a multiple of [`MEMORY_STEP_KIB`].
    pub memory_kib: u64,
    /// The most memory that it may have later, in KiB: at least `memory_kib`, same limits.
    pub maxmem_kib: u64,
    /// vCPUs at start: 1 to [`MAX_VCPUS`].
    pub vcpus: u16,
    /// The most vCPUs that it may bring up later: at least `vcpus`, same limits.
    pub max_vcpus: u16,
    /// Whether domb builds it when the host starts. A domain that such a domain needs is built too.
    pub autostart: bool,
    /// The names of the domains that must be up before it: at most [`MAX_NEEDS`], none twice.
    pub needs: Vec<String>,
    /// What happens when it shuts down.
    pub on_poweroff: Action,
    /// What happens when it asks for a reboot.
    pub on_reboot: Action,
    /// What happens when it crashes.
    pub on_crash: Action,
    /// Who reads its console.
    pub console: Console,
    /// What it does for others: none twice, [`Role::Store`] alone.
    pub roles: Vec<Role>,
    /// What devices it serves, with [`Role::Driver`]: none twice.
    pub serves: Vec<BackendClass>,
    /// What the store grants it at most, where that is not what the host grants every domain.
    pub store_quota: StoreQuota,
    /// What it may do in the store beyond what every domain of its roles may: at most [`crate::MAX_STORE_ACCESS`].
    pub store_access: Vec<StoreAccess>,
    /// Its disks: at most [`crate::device::MAX_DISKS`].
    pub disks: Vec<Disk>,
    /// Its network interfaces, in the order of their numbers: at most [`crate::device::MAX_INTERFACES`].
    pub interfaces: Vec<Interface>,
    /// What domb offers it, with [`Role::Management`].
    pub management: ManagementSettings,
}

impl Domain {
    /// Whether it has this role.
    #[must_use]
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
}

/// How Xen runs a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Kind {
    /// Paravirtualized: needs no hardware virtualization.
    Pv,
    /// In a hardware virtual machine without emulated devices.
    #[default]
    Pvh,
}

impl Kind {
    /// The longest command line in bytes, without the final NUL.
    ///
    /// PV: `MAX_GUEST_CMDLINE` of Xen's public/xen.h is 1024 with the NUL. PVH: Linux keeps 2048 with the NUL
    /// (`COMMAND_LINE_SIZE`).
    #[must_use]
    pub const fn max_command_line(self) -> usize {
        match self {
            Self::Pv => 1023,
            Self::Pvh => 2047,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Pv => "pv",
            Self::Pvh => "pvh",
        })
    }
}

/// What to do with a domain that stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Action {
    /// Free everything that it had.
    Destroy,
    /// Destroy it and build it anew.
    Restart,
    /// Keep it as it is, for someone to look at.
    Preserve,
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Destroy => "destroy",
            Self::Restart => "restart",
            Self::Preserve => "preserve",
        })
    }
}

/// Who reads a domain's console.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Console {
    /// Its lines go to Xen's log under its name.
    #[default]
    Log,
    /// Nobody.
    None,
}
