//! Layouts of interface versions that are newer than the headers `generated.rs` was made from.

use crate::{xen_arch_domainconfig, xen_domain_handle_t};

/// `struct xen_domctl_createdomain` of `XEN_DOMCTL_INTERFACE_VERSION` 0x17 and 0x18 (Xen 4.19 to 4.22).
///
/// Versions 0x15 and 0x16 have no `altp2m_opts`. Xen 4.21 split that word in two halves (`opts` and `nr`); zero means
/// the same in both: no altp2m.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct xen_domctl_createdomain_v17 {
    /// `XEN_DOMCTL_CDF_*`'s companion identifier of the security server; 0 without XSM.
    pub ssidref: u32,
    /// The domain's UUID.
    pub handle: xen_domain_handle_t,
    /// `XEN_DOMCTL_CDF_*`.
    pub flags: u32,
    /// `XEN_DOMCTL_IOMMU_*`.
    pub iommu_opts: u32,
    /// Most vCPUs that the domain may have.
    pub max_vcpus: u32,
    /// Most event channel ports.
    pub max_evtchn_port: u32,
    /// Most frames of the domain's grant table; negative: Xen's default.
    pub max_grant_frames: i32,
    /// Most frames of its maptrack table; negative: Xen's default.
    pub max_maptrack_frames: i32,
    /// `XEN_DOMCTL_GRANT_*`.
    pub grant_opts: u32,
    /// Altp2m mode, and from Xen 4.21 on the number of altp2ms in the upper half; 0: none.
    pub altp2m_opts: u32,
    /// Bytes of trace buffer for each vCPU.
    pub vmtrace_size: u32,
    /// CPU pool to place the domain in.
    pub cpupool_id: u32,
    /// x86: emulated devices and miscellaneous flags.
    pub arch: xen_arch_domainconfig,
}
