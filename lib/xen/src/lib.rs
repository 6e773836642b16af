//! Safe interface to Xen: what the bare-metal domains of this project ask of the hypervisor, without raw pointers.
//!
//! - [`Hypervisor`] is what a domain builder needs. [`bare::BareMetal`] serves it by hypercalls of a paravirtual domain;
//!   a Linux process can serve it over `/dev/xen/privcmd` behind the same trait.
//! - [`ring`] reads and writes pages that another domain can change at any time.
//! - [`hypercall`] is the one door to Xen: the runtime (`stubdom`) installs it at start.
//!
//! Everything that Xen hands back is copied into a type of this crate; every error carries the operation and Xen's
//! error number by name.
#![no_std]

extern crate alloc;

pub mod bare;
pub mod console_io;
pub mod domctl;
mod error;
pub mod event_channel;
pub mod hypercall;
mod hypervisor;
pub mod memory;
pub mod mmu;
pub mod ring;
pub mod sched;
pub mod version;

pub use error::{Errno, Error, Result};
pub use hypervisor::{
    CpuPolicy, CpuidLeaf, CreateDomain, DomId, DomainInfo, DomainKind, GrantEntry, HostInfo, HvmParam, Hypervisor,
    Mapping, MemoryMapEntry, MsrEntry, PvContext, PvhContext, ShutdownReason, SystemPolicy,
};

/// Bytes of a page, of a frame and of a grant frame (`XEN_PAGE_SIZE`).
pub const PAGE_SIZE: usize = 4096;
