//! What a domain builder asks of Xen, as a trait, so that the builder is the same on bare metal, on Linux and under a
//! test that makes each call fail in turn.

use alloc::vec::Vec;
use core::fmt;

use crate::Result;
use crate::error::XenVersion;

/// Number of a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomId(pub u16);

impl DomId {
    /// The calling domain itself (`DOMID_SELF`).
    pub const SELF: Self = Self(0x7ff0);
    /// The initial domain.
    pub const INITIAL: Self = Self(0);
}

impl fmt::Display for DomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// How a domain is virtualised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DomainKind {
    /// Paravirtual: its page tables hold machine frames.
    Pv,
    /// Hardware-virtualised without a device model, with a local APIC only.
    Pvh,
}

/// What `XEN_DOMCTL_createdomain` needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateDomain {
    /// PV or PVH.
    pub kind: DomainKind,
    /// The domain's UUID.
    pub uuid: [u8; 16],
    /// A free number to be had, or none for the next one.
    pub domid: Option<DomId>,
    /// Most vCPUs.
    pub max_vcpus: u32,
    /// Most event channel ports.
    pub max_event_channels: u32,
    /// Most frames of the grant table.
    pub max_grant_frames: u32,
    /// Most frames of the maptrack table: how many grants of others it can map.
    pub max_maptrack_frames: u32,
}

/// Why a domain stopped running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShutdownReason {
    /// `SHUTDOWN_poweroff`.
    Poweroff,
    /// `SHUTDOWN_reboot`.
    Reboot,
    /// `SHUTDOWN_suspend`.
    Suspend,
    /// `SHUTDOWN_crash`, `SHUTDOWN_watchdog` and everything that is not in order.
    Crash,
}

impl fmt::Display for ShutdownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Poweroff => "poweroff",
            Self::Reboot => "reboot",
            Self::Suspend => "suspend",
            Self::Crash => "crash",
        })
    }
}

/// State of a domain (`XEN_DOMCTL_getdomaininfo`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainInfo {
    /// Its number.
    pub domid: DomId,
    /// Being destroyed: its pages go, or are still held by another domain.
    pub dying: bool,
    /// Ended, and why.
    pub shutdown: Option<ShutdownReason>,
    /// Paused by a toolstack.
    pub paused: bool,
    /// All its vCPUs wait for an event.
    pub blocked: bool,
    /// A vCPU runs at this moment.
    pub running: bool,
    /// Pages that it holds.
    pub pages: u64,
    /// Nanoseconds of CPU that it used.
    pub cpu_time_ns: u64,
    /// vCPUs that are online.
    pub online_vcpus: u32,
    /// Machine frame of `shared_info`.
    pub shared_info_frame: u64,
}

/// State of a vCPU (`XEN_DOMCTL_getvcpuinfo`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VcpuInfo {
    /// Not offline.
    pub online: bool,
    /// It waits for an event.
    pub blocked: bool,
    /// It runs at this moment.
    pub running: bool,
    /// Nanoseconds of CPU that it used.
    pub cpu_time_ns: u64,
    /// The physical CPU that it runs on, or ran on last.
    pub cpu: u32,
}

/// State of the machine (`XEN_SYSCTL_physinfo`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostInfo {
    /// Pages of the machine.
    pub total_pages: u64,
    /// Pages that Xen can give to a domain, those not yet scrubbed included.
    pub free_pages: u64,
    /// Pages among them that wait to be scrubbed.
    pub scrub_pages: u64,
    /// Physical CPUs.
    pub cpus: u32,
    /// Hardware virtualisation is there, which PVH domains need.
    pub hvm: bool,
    /// An IOMMU is there and on.
    pub iommu: bool,
}

/// One CPUID leaf as Xen's policies hold it (`xen_cpuid_leaf_t`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuidLeaf {
    /// EAX of the query.
    pub leaf: u32,
    /// ECX of the query; `XEN_CPUID_NO_SUBLEAF` (all ones) where the leaf has none.
    pub subleaf: u32,
    /// EAX.
    pub a: u32,
    /// EBX.
    pub b: u32,
    /// ECX.
    pub c: u32,
    /// EDX.
    pub d: u32,
}

/// One model-specific register of a policy (`xen_msr_entry_t`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MsrEntry {
    /// Its number.
    pub index: u32,
    /// Its value.
    pub value: u64,
}

/// What the CPUs of a domain look like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CpuPolicy {
    /// CPUID.
    pub leaves: Vec<CpuidLeaf>,
    /// MSRs.
    pub msrs: Vec<MsrEntry>,
}

/// Policies that Xen offers as a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SystemPolicy {
    /// Default of PV domains.
    PvDefault,
    /// Default of hardware-virtualised domains.
    HvmDefault,
}

/// An entry of a domain's memory map (E820).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryMapEntry {
    /// First byte.
    pub start: u64,
    /// Bytes.
    pub size: u64,
    /// 1 RAM, 2 reserved, 3 ACPI, 4 ACPI NVS.
    pub kind: u32,
}

/// Where the first vCPU of a PV domain starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PvContext {
    /// Virtual address of the first instruction.
    pub entry: u64,
    /// Virtual address just above the boot stack.
    pub stack: u64,
    /// Virtual address of `start_info`.
    pub start_info: u64,
    /// Machine frame of the top-level page table.
    pub l4_frame: u64,
}

/// Where the first vCPU of a PVH domain starts (docs/misc/pvh.pandoc): flat 32-bit protected mode without paging.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PvhContext {
    /// Physical address of the first instruction.
    pub entry: u32,
    /// Physical address of `hvm_start_info`.
    pub start_info: u32,
    /// vCPUs whose MTRRs are set to write-back.
    pub max_vcpus: u16,
}

/// Parameters of a hardware-virtualised domain (public/hvm/params.h) that a builder sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum HvmParam {
    /// Frame of the store's ring.
    StorePfn = xen_sys::HVM_PARAM_STORE_PFN,
    /// Port of the store's ring.
    StoreEvtchn = xen_sys::HVM_PARAM_STORE_EVTCHN,
    /// Frame of the console's ring.
    ConsolePfn = xen_sys::HVM_PARAM_CONSOLE_PFN,
    /// Port of the console's ring.
    ConsoleEvtchn = xen_sys::HVM_PARAM_CONSOLE_EVTCHN,
    /// Frame of an identity page table, for processors that cannot run unpaged guests.
    IdentPt = xen_sys::HVM_PARAM_IDENT_PT,
    /// Address and size of a task state segment, for processors that cannot run real mode.
    Vm86TssSized = xen_sys::HVM_PARAM_VM86_TSS_SIZED,
    /// How missed timer ticks are handled.
    TimerMode = xen_sys::HVM_PARAM_TIMER_MODE,
}

/// A grant entry that the builder writes into a new domain's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrantEntry {
    /// Index in the first frame of the table (`GNTTAB_RESERVED_*`).
    pub reference: u32,
    /// Who may map the page.
    pub to: DomId,
    /// The page, by machine frame (PV) or guest frame (PVH).
    pub frame: u64,
}

/// Frames of another domain in this one's address space. Dropping it takes them out again.
///
/// The other domain may change them at any time: nothing here gives out a reference.
pub trait Mapping {
    /// Bytes that are mapped.
    fn len(&self) -> usize;

    /// Whether nothing is mapped.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies `bytes` to `offset`.
    ///
    /// # Errors
    /// [`crate::Error::OutOfRange`] when it would end beyond the mapping.
    fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<()>;

    /// Clears `count` bytes at `offset`.
    ///
    /// # Errors
    /// As [`Mapping::write`].
    fn zero(&mut self, offset: usize, count: usize) -> Result<()>;

    /// Copies from `offset` into `buffer`.
    ///
    /// # Errors
    /// As [`Mapping::write`].
    fn read(&self, offset: usize, buffer: &mut [u8]) -> Result<()>;
}

/// What a builder needs of Xen. Each error names the operation and Xen's answer.
#[expect(
    clippy::missing_errors_doc,
    reason = "each method fails as Xen answers, with crate::Error"
)]
pub trait Hypervisor {
    /// A foreign mapping.
    type Mapping: Mapping;

    /// Version of the hypervisor.
    fn version(&self) -> XenVersion;

    /// Memory and CPUs of the machine.
    fn host_info(&mut self) -> Result<HostInfo>;

    /// Makes an empty, paused domain with all its vCPUs.
    fn create_domain(&mut self, request: &CreateDomain) -> Result<DomId>;

    /// Destroys a domain and gives its pages back, but for those that others still map.
    fn destroy_domain(&mut self, domid: DomId) -> Result<()>;

    /// State of a domain; none when there is no such domain.
    fn domain_info(&mut self, domid: DomId) -> Result<Option<DomainInfo>>;

    /// State of a vCPU.
    fn vcpu_info(&mut self, domid: DomId, vcpu: u32) -> Result<VcpuInfo>;

    /// The physical CPUs that a vCPU may run on: a bit each, the lowest of the first byte for CPU 0.
    fn vcpu_affinity(&mut self, domid: DomId, vcpu: u32, cpus: &mut [u8]) -> Result<()>;

    /// Reads Xen's log from an index on: how many bytes, and the index behind them. `clear` forgets what there is up to now.
    fn read_log(&mut self, index: u32, clear: bool, buffer: &mut [u8]) -> Result<(usize, u32)>;

    /// Stops the vCPUs. Counted: as many `unpause` start them again.
    fn pause(&mut self, domid: DomId) -> Result<()>;

    /// Takes one `pause` back; a new domain has one.
    fn unpause(&mut self, domid: DomId) -> Result<()>;

    /// Memory for the second-stage page tables of a PVH domain, in bytes. Before its memory is populated.
    fn set_paging_mempool(&mut self, domid: DomId, bytes: u64) -> Result<()>;

    /// The most memory that a domain may hold, in KiB.
    fn set_max_memory(&mut self, domid: DomId, kib: u64) -> Result<()>;

    /// Allocates `frames.len()` extents of 2^`order` pages. `frames` holds the guest frames at which they shall
    /// appear; for a PV domain each is replaced by the machine frame that it got.
    fn populate(&mut self, domid: DomId, order: u32, frames: &mut [u64]) -> Result<()>;

    /// The memory map that a PV domain is told.
    fn set_memory_map(&mut self, domid: DomId, map: &[MemoryMapEntry]) -> Result<()>;

    /// A policy that Xen offers as a start.
    fn system_cpu_policy(&mut self, which: SystemPolicy) -> Result<CpuPolicy>;

    /// Sets what the CPUs of a domain look like.
    fn set_cpu_policy(&mut self, domid: DomId, policy: &CpuPolicy) -> Result<()>;

    /// Maps frames of a domain, writable: machine frames of a PV domain, guest frames of a PVH one.
    fn map(&mut self, domid: DomId, frames: &[u64]) -> Result<Self::Mapping>;

    /// Puts other frames of the domain in the place of those that `mapping` shows; no more than it has room for.
    fn remap(&mut self, mapping: &mut Self::Mapping, domid: DomId, frames: &[u64]) -> Result<()>;

    /// Validates and pins the top-level page table of a PV domain.
    fn pin_l4(&mut self, domid: DomId, l4_frame: u64) -> Result<()>;

    /// Lets Xen write its hypercall stubs into a frame.
    fn init_hypercall_page(&mut self, domid: DomId, frame: u64) -> Result<()>;

    /// Sets the first vCPU of a PV domain.
    fn set_pv_context(&mut self, domid: DomId, context: &PvContext) -> Result<()>;

    /// Sets the first vCPU of a PVH domain, and the MTRRs of all.
    fn set_pvh_context(&mut self, domid: DomId, context: &PvhContext) -> Result<()>;

    /// Sets a parameter of a PVH domain.
    fn set_hvm_param(&mut self, domid: DomId, param: HvmParam, value: u64) -> Result<()>;

    /// Makes a port in `domid` to which `remote` may bind.
    fn alloc_event_channel(&mut self, domid: DomId, remote: DomId) -> Result<u32>;

    /// Writes entries into the first frame of a domain's grant table.
    fn seed_grants(&mut self, domid: DomId, entries: &[GrantEntry]) -> Result<()>;
}
