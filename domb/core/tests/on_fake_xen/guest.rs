//! A domain as the fake hypervisor knows it.

use std::collections::{BTreeMap, BTreeSet};

use xen::{CpuPolicy, DomId, DomainKind, GrantEntry, MemoryMapEntry, PvContext, PvhContext, ShutdownReason};

/// Where the first vCPU starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Context {
    Pv(PvContext),
    Pvh(PvhContext),
}

/// A domain.
#[derive(Debug)]
pub(crate) struct Guest {
    pub(crate) kind: DomainKind,
    pub(crate) uuid: [u8; 16],
    pub(crate) max_vcpus: u32,
    pub(crate) max_ports: u32,
    pub(crate) pauses: u32,
    /// Machine frame of each of its pages, by pseudo-physical frame.
    pub(crate) pages: BTreeMap<u64, u64>,
    pub(crate) max_pages: u64,
    pub(crate) mempool_pages: u64,
    pub(crate) shared_info: u64,
    pub(crate) grants: BTreeMap<u32, GrantEntry>,
    /// Who may bind to each port; the first has number 1.
    pub(crate) ports: Vec<DomId>,
    pub(crate) params: BTreeMap<u32, u64>,
    pub(crate) memory_map: Vec<MemoryMapEntry>,
    pub(crate) cpu_policy: Option<CpuPolicy>,
    pub(crate) hypercall_page: Option<u64>,
    /// Frames that Xen uses as page tables; the root is the one that is pinned.
    pub(crate) tables: BTreeSet<u64>,
    pub(crate) pinned: Option<u64>,
    pub(crate) context: Option<Context>,
    pub(crate) shutdown: Option<ShutdownReason>,
    pub(crate) dying: bool,
}
