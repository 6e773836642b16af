//! Safe interface to Xen: what the bare-metal domains of this project ask of the hypervisor, without raw pointers.
//!
//! - [`Hypervisor`] is what a domain builder needs. [`bare::BareMetal`] serves it by hypercalls of a paravirtual domain;
//!   a Linux process can serve it over `/dev/xen/privcmd` behind the same trait.
//! - [`ring`] reads and writes pages that another domain can change at any time.
//! - `linux` (feature `linux`) is what a Linux process has of this: `/dev/xen`, or files that stand in for it.
//! - [`hypercall`] is the one door to Xen: the runtime (`stubdom`) installs it at start.
//!
//! Everything that Xen hands back is copied into a type of this crate; every error carries the operation and Xen's
//! error number by name.
#![no_std]

extern crate alloc;
#[cfg(any(feature = "linux", test))]
extern crate std;

pub mod bare;
pub mod console_io;
pub mod domctl;
mod error;
pub mod event_channel;
pub mod grant_table;
pub mod hypercall;
mod hypervisor;
#[cfg(feature = "linux")]
pub mod linux;
pub mod memory;
pub mod mmu;
pub mod ring;
pub mod sched;
pub mod store;
pub mod vchan;
pub mod version;

pub use error::{Errno, Error, Result, XenVersion};
pub use hypervisor::{
    CpuPolicy, CpuidLeaf, CreateDomain, DomId, DomainInfo, DomainKind, GrantEntry, HostInfo, HvmParam, Hypervisor,
    Mapping, MemoryMapEntry, MsrEntry, PvContext, PvhContext, ShutdownReason, SystemPolicy, VcpuInfo,
};

/// Bytes of a page, of a frame and of a grant frame (`XEN_PAGE_SIZE`).
pub const PAGE_SIZE: usize = 4096;

/// Grant reference of a domain's console ring (`GNTTAB_RESERVED_CONSOLE`).
pub const GRANT_RESERVED_CONSOLE: u32 = xen_sys::GNTTAB_RESERVED_CONSOLE;
/// Grant reference of a domain's store ring (`GNTTAB_RESERVED_XENSTORE`).
pub const GRANT_RESERVED_XENSTORE: u32 = xen_sys::GNTTAB_RESERVED_XENSTORE;

/// Something was typed on Xen's console (`VIRQ_CONSOLE`).
pub const VIRQ_CONSOLE: u32 = xen_sys::VIRQ_CONSOLE;
/// A domain changed its state (`VIRQ_DOM_EXC`).
pub const VIRQ_DOM_EXC: u32 = xen_sys::VIRQ_DOM_EXC;

/// vCPUs whose `vcpu_info` lies in `shared_info` (`XEN_LEGACY_MAX_VCPUS`).
pub const LEGACY_MAX_VCPUS: usize = xen_sys::XEN_LEGACY_MAX_VCPUS as usize;
/// Bytes of a `vcpu_info`; those of `shared_info` begin at its start.
pub const VCPU_INFO_BYTES: usize = size_of::<xen_sys::vcpu_info>();
/// Offset of the byte that masks events in a `vcpu_info` (`evtchn_upcall_mask`).
pub const VCPU_INFO_UPCALL_MASK: usize = core::mem::offset_of!(xen_sys::vcpu_info, evtchn_upcall_mask);
