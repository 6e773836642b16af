//! Who may ask for what.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::name;

/// What one domain may ask for within one scope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// The name of the domain that asks, one with [`crate::Role::Management`].
    pub domain: String,
    /// What it may ask about. No two entries have the same domain and the same scope.
    pub scope: Scope,
    /// What it may ask for: none twice, each one that the scope has.
    pub may: Vec<Request>,
}

/// `access of DOMAIN to SCOPE`
impl fmt::Display for Access {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "access of {} to {}", name::Shown(&self.domain), self.scope)
    }
}

/// What a request is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Scope {
    /// The host as a whole.
    Host,
    /// The domain of this name, which the manifest has.
    Domain(String),
    /// The guests of the class of this name.
    Class(String),
}

impl Scope {
    /// Whether there is such a request within this scope.
    ///
    /// The devices of the manifest's domains are the manifest's: none is added or taken away on request.
    #[must_use]
    pub fn has(&self, request: Request) -> bool {
        match self {
            Self::Host => request.is_host_wide(),
            Self::Domain(_) => {
                !request.is_host_wide() && !matches!(request, Request::DeviceAttach | Request::DeviceDetach)
            }
            Self::Class(_) => !request.is_host_wide(),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => formatter.write_str("the host"),
            Self::Domain(domain) => write!(formatter, "domain {}", name::Shown(domain)),
            Self::Class(class) => write!(formatter, "class {}", name::Shown(class)),
        }
    }
}

/// What domains may ask domb for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Request {
    /// Build a guest and start it; of the manifest's domains, start one.
    Create,
    /// End a domain at once.
    Destroy,
    /// Ask a domain to power off.
    Shutdown,
    /// Ask a domain to reboot.
    Reboot,
    /// Stop its vCPUs.
    Pause,
    /// Let its vCPUs go on.
    Unpause,
    /// Learn that it is there: name, number, state.
    List,
    /// Learn what it is made of and what it uses, its devices among it.
    Info,
    /// Change its memory, up to its maximum.
    MemorySet,
    /// Change the number of its vCPUs, up to its maximum.
    VcpuSet,
    /// Give it a device after its start.
    DeviceAttach,
    /// Take a device from it.
    DeviceDetach,
    /// Read and write its console.
    Console,
    /// Read what was measured for it.
    MeasurementLog,
    /// Learn about the machine: processors, memory, versions.
    HostInfo,
    /// Read domb's own log.
    HostLog,
    /// Read Xen's log.
    XenLog,
    /// Ask what the policy says, without doing it.
    PolicyExplain,
}

impl Request {
    /// Every request.
    pub const ALL: [Self; 18] = [
        Self::Create,
        Self::Destroy,
        Self::Shutdown,
        Self::Reboot,
        Self::Pause,
        Self::Unpause,
        Self::List,
        Self::Info,
        Self::MemorySet,
        Self::VcpuSet,
        Self::DeviceAttach,
        Self::DeviceDetach,
        Self::Console,
        Self::MeasurementLog,
        Self::HostInfo,
        Self::HostLog,
        Self::XenLog,
        Self::PolicyExplain,
    ];

    /// The name in a manifest.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Destroy => "destroy",
            Self::Shutdown => "shutdown",
            Self::Reboot => "reboot",
            Self::Pause => "pause",
            Self::Unpause => "unpause",
            Self::List => "list",
            Self::Info => "info",
            Self::MemorySet => "memory-set",
            Self::VcpuSet => "vcpu-set",
            Self::DeviceAttach => "device-attach",
            Self::DeviceDetach => "device-detach",
            Self::Console => "console",
            Self::MeasurementLog => "measurement-log",
            Self::HostInfo => "host-info",
            Self::HostLog => "host-log",
            Self::XenLog => "xen-log",
            Self::PolicyExplain => "policy-explain",
        }
    }

    /// Whether it is about the host, not about a domain.
    #[must_use]
    pub const fn is_host_wide(self) -> bool {
        matches!(
            self,
            Self::HostInfo | Self::HostLog | Self::XenLog | Self::PolicyExplain
        )
    }

    /// Whether a closed box allows it: what neither looks into a guest nor changes it after its start.
    #[must_use]
    pub const fn leaves_closed(self) -> bool {
        match self {
            Self::Create
            | Self::Destroy
            | Self::Shutdown
            | Self::Reboot
            | Self::List
            | Self::Info
            | Self::MeasurementLog
            | Self::HostInfo
            | Self::HostLog
            | Self::XenLog
            | Self::PolicyExplain => true,
            Self::Pause
            | Self::Unpause
            | Self::MemorySet
            | Self::VcpuSet
            | Self::DeviceAttach
            | Self::DeviceDetach
            | Self::Console => false,
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}
