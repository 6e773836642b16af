//! Builds a domain on a [`Hypervisor`]: from a checked configuration and kernel to a paused domain, or to nothing.

mod frames;
mod guest_memory;
mod pv;
mod pvh;

use alloc::vec::Vec;
use core::fmt;

use manifest::{Domain, Kind};
use xen::{CreateDomain, DomId, DomainKind, GrantEntry, Hypervisor};

use crate::cpu_policy::CpuPolicyError;
use crate::elf::{ElfError, Kernel};
use crate::{acpi, pv as pv_layout, pvh as pvh_layout, store};

/// Event channel ports that a domain may have; the default of Xen's own toolstack.
const MAX_EVENT_CHANNELS: u32 = 1023;
/// Frames of a domain's grant table; the default of Xen's own toolstack.
const MAX_GRANT_FRAMES: u32 = 64;
/// Frames of a domain's maptrack table; the default of Xen's own toolstack.
const MAX_MAPTRACK_FRAMES: u32 = 1024;
/// Memory beyond its maximum that a domain may hold, in KiB: its special pages, and Xen's own rounding.
pub const MEMORY_SLACK_KIB: u64 = 1024;

/// The step at which building failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Reading and checking the kernel.
    Kernel,
    /// Finding a place for everything.
    Layout,
    /// Creating the empty domain.
    Create,
    /// What its CPUs look like.
    CpuPolicy,
    /// Allocating its memory.
    Memory,
    /// Copying kernel and ramdisk.
    Copy,
    /// Page tables, start info, ACPI tables.
    Tables,
    /// Event channels, grants, parameters.
    Connections,
    /// State of the first vCPU.
    Vcpu,
    /// Its nodes in the store, and its introduction; for the store itself, its connection to the builder.
    Store,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kernel => "kernel",
            Self::Layout => "layout",
            Self::Create => "create",
            Self::CpuPolicy => "cpu policy",
            Self::Memory => "memory",
            Self::Copy => "copy",
            Self::Tables => "tables",
            Self::Connections => "connections",
            Self::Vcpu => "vcpu",
            Self::Store => "store",
        })
    }
}

/// Why building failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// The kernel is not one that can be loaded.
    #[error(transparent)]
    Elf(#[from] ElfError),
    /// It does not fit into a PV domain.
    #[error(transparent)]
    PvLayout(#[from] pv_layout::Error),
    /// It does not fit into a PVH domain.
    #[error(transparent)]
    PvhLayout(#[from] pvh_layout::Error),
    /// The ACPI tables cannot be made.
    #[error(transparent)]
    Acpi(#[from] acpi::Error),
    /// The CPUs cannot be described.
    #[error(transparent)]
    CpuPolicy(#[from] CpuPolicyError),
    /// Something is to go where the domain has no memory.
    #[error("{count} bytes at {address:#x}: the domain has no memory there")]
    Address {
        /// Pseudo-physical address.
        address: u64,
        /// Bytes.
        count: u64,
    },
    /// More memory than the machine has free.
    #[error("needs {wanted_kib} KiB, the machine has {free_kib} KiB free")]
    NotEnoughMemory {
        /// What the domain takes.
        wanted_kib: u64,
        /// What Xen can give.
        free_kib: u64,
    },
    /// Free memory is in too many pieces.
    #[error("the machine's free memory is fragmented: more than {runs} pieces for one domain")]
    Fragmented {
        /// Pieces taken.
        runs: usize,
    },
    /// The machine cannot run such a domain.
    #[error("this machine has no hardware virtualisation, which type = \"pvh\" needs; use type = \"pv\"")]
    NoHardwareVirtualisation,
    /// The store refused, or is not there any more.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Xen refused.
    #[error(transparent)]
    Xen(#[from] xen::Error),
}

/// What went wrong and where; nothing is left of the domain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{step}: {error}")]
pub struct Failure {
    /// The step.
    pub step: Step,
    /// The reason.
    pub error: BuildError,
}

/// Where building spent its time, in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times {
    /// Creating the empty domain and describing its CPUs.
    pub create_ns: u64,
    /// Allocating memory.
    pub populate_ns: u64,
    /// Copying kernel and ramdisk.
    pub copy_ns: u64,
    /// Page tables, start info, ACPI, event channels, grants, vCPU.
    pub tables_ns: u64,
    /// Nodes in the store, introduction. Not spent by [`build`], which leaves it at zero.
    pub store_ns: u64,
}

/// A domain that is ready to run, paused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// Its number.
    pub domid: DomId,
    /// Its console's ring page, as Xen names it for this domain, and the port in the domain.
    pub console: (u64, u32),
    /// Likewise its store's ring; none where no store serves it.
    pub store: Option<(u64, u32)>,
    /// The memory in KiB that it is to have now; what it was built with, until someone changes it.
    pub target_kib: u64,
    /// vCPUs that are to be online now; likewise.
    pub vcpus: u16,
    /// Channels to the builder. [`build`] makes none.
    pub channels: Vec<ChannelOffer>,
    /// Where the time went.
    pub times: Times,
}

/// A channel (vchan) that is offered to a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelOffer {
    /// Grant reference of its first page, in the builder's table.
    pub reference: u32,
    /// Port in the builder's domain.
    pub port: u32,
}

/// What a domain has to do with the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Store {
    /// Nothing: there is none.
    #[default]
    None,
    /// This domain serves it: its ring is granted and its port offered to that one.
    ServedBy(DomId),
    /// It is the store.
    Server {
        /// The port that the builder offers to it.
        port: u32,
    },
}

/// What a domain is built from; all checked before.
pub struct Plan<'a> {
    /// Its configuration.
    pub domain: &'a Domain,
    /// The number that it is to have, which must be free; none for any.
    pub number: Option<DomId>,
    /// The ELF file of its kernel.
    pub kernel: &'a [u8],
    /// Its ramdisk; empty for none.
    pub ramdisk: &'a [u8],
    /// Which domain serves its console.
    pub console_server: DomId,
    /// What it has to do with the store.
    pub store: Store,
    /// Xen's system time, for [`Times`].
    pub clock: fn() -> u64,
}

/// Builds a domain, paused.
///
/// # Errors
/// [`Failure`]; the half-built domain is destroyed.
pub fn build<H: Hypervisor>(hypervisor: &mut H, plan: &Plan<'_>) -> Result<Built, Failure> {
    let mut site = Site {
        hypervisor,
        plan,
        domid: None,
        step: Step::Kernel,
        times: Times::default(),
        since: (plan.clock)(),
    };
    match site.build() {
        Ok(built) => Ok(built),
        Err(error) => {
            let step = site.step;
            if let Some(domid) = site.domid {
                // Nothing better can be done when Xen will not destroy what it just created: its memory stays taken.
                if let Err(problem) = site.hypervisor.destroy_domain(domid) {
                    log::error!("half-built domain {domid} cannot be destroyed: {problem}");
                }
            }
            Err(Failure { step, error })
        }
    }
}

/// A domain under construction.
struct Site<'a, H: Hypervisor> {
    hypervisor: &'a mut H,
    plan: &'a Plan<'a>,
    domid: Option<DomId>,
    step: Step,
    times: Times,
    since: u64,
}

impl<H: Hypervisor> Site<'_, H> {
    fn build(&mut self) -> Result<Built, BuildError> {
        let kernel = Kernel::parse(self.plan.kernel)?;
        match self.plan.domain.kind {
            Kind::Pv => pv::build(self, &kernel.pv()?),
            Kind::Pvh => pvh::build(self, &kernel.pvh()?),
        }
    }

    /// Goes on to another step; the nanoseconds since the last lap.
    fn lap(&mut self) -> u64 {
        let now = (self.plan.clock)();
        let passed = now.saturating_sub(self.since);
        self.since = now;
        passed
    }

    /// Creates the empty domain. `extra_kib` is what it takes beside its memory.
    fn create(&mut self, kind: DomainKind, extra_kib: u64) -> Result<DomId, BuildError> {
        self.step = Step::Create;
        let domain = self.plan.domain;
        let host = self.hypervisor.host_info()?;
        if kind == DomainKind::Pvh && !host.hvm {
            return Err(BuildError::NoHardwareVirtualisation);
        }
        let free_kib = host.free_pages.saturating_mul(4);
        let wanted_kib = domain.memory_kib.saturating_add(extra_kib);
        if wanted_kib > free_kib {
            return Err(BuildError::NotEnoughMemory { wanted_kib, free_kib });
        }
        let domid = self.hypervisor.create_domain(&CreateDomain {
            kind,
            uuid: domain.uuid,
            domid: self.plan.number,
            max_vcpus: u32::from(domain.max_vcpus),
            max_event_channels: MAX_EVENT_CHANNELS,
            max_grant_frames: MAX_GRANT_FRAMES,
            max_maptrack_frames: MAX_MAPTRACK_FRAMES,
        })?;
        self.domid = Some(domid);
        if extra_kib > 0 {
            self.hypervisor
                .set_paging_mempool(domid, extra_kib.saturating_mul(1024))?;
        }
        self.hypervisor
            .set_max_memory(domid, domain.maxmem_kib.saturating_add(MEMORY_SLACK_KIB))?;
        Ok(domid)
    }

    /// Makes ports and grants of the console's ring and, where a store serves the domain, of the store's ring, given their
    /// frames.
    fn connect(&mut self, domid: DomId, console_frame: u64, store_frame: u64) -> Result<Rings, BuildError> {
        self.step = Step::Connections;
        let server = self.plan.console_server;
        let console = (console_frame, self.hypervisor.alloc_event_channel(domid, server)?);
        let mut grants = Vec::from([GrantEntry {
            reference: xen::GRANT_RESERVED_CONSOLE,
            to: server,
            frame: console_frame,
        }]);
        let mut store = None;
        if let Store::ServedBy(server) = self.plan.store {
            store = Some((store_frame, self.hypervisor.alloc_event_channel(domid, server)?));
            grants.push(GrantEntry {
                reference: xen::GRANT_RESERVED_XENSTORE,
                to: server,
                frame: store_frame,
            });
        }
        self.hypervisor.seed_grants(domid, &grants)?;
        Ok(Rings { console, store })
    }
}

/// Frame and port of each ring that a domain has.
#[derive(Debug, Clone, Copy)]
struct Rings {
    console: (u64, u32),
    store: Option<(u64, u32)>,
}

impl Rings {
    /// The port by which a domain reaches the store; 0 where there is none. The store itself is told the builder's.
    fn store_port(&self, store: Store) -> u32 {
        match store {
            Store::Server { port } => port,
            Store::None | Store::ServedBy(_) => self.store.map_or(0, |(_, port)| port),
        }
    }
}
