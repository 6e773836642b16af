//! `domctl` and `sysctl`: the toolstack's interfaces, which are versioned. The version is probed once, by asking; a
//! hypervisor that knows none of ours is refused by name.

use alloc::vec;
use alloc::vec::Vec;

use xen_sys as sys;

use crate::error::XenVersion;
use crate::hypervisor::{
    CpuPolicy, CpuidLeaf, CreateDomain, DomId, DomainInfo, DomainKind, HostInfo, MsrEntry, PvContext, PvhContext,
    ShutdownReason, SystemPolicy,
};
use crate::{Errno, Error, Result, hypercall};

mod create;
mod hvm_context;
mod inspect;

/// Versions of `XEN_DOMCTL` that this crate speaks: Xen 4.17 to 4.22.
const DOMCTL_VERSIONS: [u32; 4] = [0x15, 0x16, 0x17, 0x18];
/// Versions of `XEN_SYSCTL` that this crate speaks: Xen 4.17 to 4.22.
const SYSCTL_VERSIONS: [u32; 2] = [0x15, 0x16];

/// The toolstack's interfaces of the running hypervisor.
#[derive(Debug, Clone, Copy)]
pub struct Toolstack {
    domctl: u32,
    sysctl: u32,
}

impl Toolstack {
    /// Finds out which versions the hypervisor speaks.
    ///
    /// # Errors
    /// [`Error::UnknownVersion`] when it speaks none of ours; else what Xen answers, such as `EPERM` to a domain that
    /// is not the initial one.
    pub fn probe(xen: XenVersion) -> Result<Self> {
        let mut found = Self { domctl: 0, sysctl: 0 };
        found.domctl = first_accepted("domctl", "0x15, 0x16, 0x17, 0x18", xen, &DOMCTL_VERSIONS, |version| {
            let probe = Self {
                domctl: version,
                sysctl: 0,
            };
            probe.domain_info(DomId::INITIAL).map(|_| ())
        })?;
        found.sysctl = first_accepted("sysctl", "0x15, 0x16", xen, &SYSCTL_VERSIONS, |version| {
            let probe = Self {
                domctl: 0,
                sysctl: version,
            };
            probe.host_info().map(|_| ())
        })?;
        Ok(found)
    }

    /// The version of `XEN_DOMCTL` in use.
    #[must_use]
    pub fn domctl_version(&self) -> u32 {
        self.domctl
    }

    /// # Safety
    /// `fill` must set the argument that `command` reads, and pointers in it must be valid for what Xen writes.
    unsafe fn domctl(
        &self,
        operation: &'static str,
        command: u32,
        domid: DomId,
        fill: impl FnOnce(&mut sys::xen_domctl__bindgen_ty_1),
    ) -> Result<sys::xen_domctl> {
        let mut request = sys::xen_domctl {
            cmd: command,
            interface_version: self.domctl,
            domain: domid.0,
            ..Default::default()
        };
        fill(&mut request.u);
        // SAFETY: a whole xen_domctl that outlives the call; the caller vouches for the pointers in it.
        unsafe {
            hypercall::call(
                operation,
                sys::__HYPERVISOR_domctl,
                [&raw mut request as usize, 0, 0, 0, 0],
            )?;
        }
        Ok(request)
    }

    /// # Safety
    /// As [`Self::domctl`].
    unsafe fn sysctl(
        &self,
        operation: &'static str,
        command: u32,
        fill: impl FnOnce(&mut sys::xen_sysctl__bindgen_ty_1),
    ) -> Result<sys::xen_sysctl> {
        let mut request = sys::xen_sysctl {
            cmd: command,
            interface_version: self.sysctl,
            ..Default::default()
        };
        fill(&mut request.u);
        // SAFETY: a whole xen_sysctl that outlives the call; the caller vouches for the pointers in it.
        unsafe {
            hypercall::call(
                operation,
                sys::__HYPERVISOR_sysctl,
                [&raw mut request as usize, 0, 0, 0, 0],
            )?;
        }
        Ok(request)
    }

    /// A domctl without an argument.
    fn plain(&self, operation: &'static str, command: u32, domid: DomId) -> Result<()> {
        // SAFETY: the commands that come here have no argument.
        unsafe { self.domctl(operation, command, domid, |_| ()) }.map(|_| ())
    }

    /// Memory and CPUs of the machine.
    ///
    /// # Errors
    /// Xen refuses.
    pub fn host_info(&self) -> Result<HostInfo> {
        // SAFETY: physinfo has no pointers.
        let answer = unsafe { self.sysctl("XEN_SYSCTL_physinfo", sys::XEN_SYSCTL_physinfo, |_| ())? };
        // SAFETY: Xen filled physinfo, which is plain numbers.
        let info = unsafe { answer.u.physinfo };
        Ok(HostInfo {
            total_pages: info.total_pages,
            free_pages: info.free_pages,
            scrub_pages: info.scrub_pages,
            cpus: info.nr_cpus,
            hvm: info.capabilities & sys::XEN_SYSCTL_PHYSCAP_hvm != 0,
            iommu: info.capabilities & sys::XEN_SYSCTL_PHYSCAP_directio != 0,
        })
    }

    /// Makes an empty, paused domain with all its vCPUs; nothing is left when it fails.
    ///
    /// # Errors
    /// Xen refuses.
    pub fn create_domain(&self, request: &CreateDomain) -> Result<DomId> {
        create::create_domain(self, request)
    }

    /// Destroys a domain.
    ///
    /// # Errors
    /// Xen refuses: no such domain.
    pub fn destroy_domain(&self, domid: DomId) -> Result<()> {
        loop {
            match self.plain("XEN_DOMCTL_destroydomain", sys::XEN_DOMCTL_destroydomain, domid) {
                Err(Error::Refused {
                    errno: Errno::ERESTART | Errno::EAGAIN,
                    ..
                }) => {}
                other => return other,
            }
        }
    }

    /// Stops a domain's vCPUs.
    ///
    /// # Errors
    /// Xen refuses.
    pub fn pause(&self, domid: DomId) -> Result<()> {
        self.plain("XEN_DOMCTL_pausedomain", sys::XEN_DOMCTL_pausedomain, domid)
    }

    /// Lets them run.
    ///
    /// # Errors
    /// Xen refuses.
    pub fn unpause(&self, domid: DomId) -> Result<()> {
        self.plain("XEN_DOMCTL_unpausedomain", sys::XEN_DOMCTL_unpausedomain, domid)
    }

    /// State of a domain; none when there is no such domain.
    ///
    /// # Errors
    /// Xen refuses.
    pub fn domain_info(&self, domid: DomId) -> Result<Option<DomainInfo>> {
        // SAFETY: getdomaininfo has no pointers.
        let answer = unsafe { self.domctl("XEN_DOMCTL_getdomaininfo", sys::XEN_DOMCTL_getdomaininfo, domid, |_| ()) };
        let answer = match answer {
            Ok(answer) => answer,
            Err(Error::Refused {
                errno: Errno::ESRCH, ..
            }) => return Ok(None),
            Err(error) => return Err(error),
        };
        // SAFETY: Xen filled getdomaininfo, which is plain numbers.
        let info = unsafe { answer.u.getdomaininfo };
        // Before 4.19 Xen answers with the next domain when this one is not there.
        if info.domain != domid.0 {
            return Ok(None);
        }
        let shutdown = (info.flags & sys::XEN_DOMINF_shutdown != 0).then_some(
            match (info.flags >> sys::XEN_DOMINF_shutdownshift) & sys::XEN_DOMINF_shutdownmask {
                sys::SHUTDOWN_poweroff => ShutdownReason::Poweroff,
                sys::SHUTDOWN_reboot => ShutdownReason::Reboot,
                sys::SHUTDOWN_suspend => ShutdownReason::Suspend,
                _ => ShutdownReason::Crash,
            },
        );
        Ok(Some(DomainInfo {
            domid,
            dying: info.flags & sys::XEN_DOMINF_dying != 0,
            shutdown,
            paused: info.flags & sys::XEN_DOMINF_paused != 0,
            blocked: info.flags & sys::XEN_DOMINF_blocked != 0,
            running: info.flags & sys::XEN_DOMINF_running != 0,
            pages: info.tot_pages,
            cpu_time_ns: info.cpu_time,
            online_vcpus: info.nr_online_vcpus,
            shared_info_frame: info.shared_info_frame,
        }))
    }

    /// Memory for a PVH domain's second-stage page tables, in bytes.
    ///
    /// # Errors
    /// Xen refuses.
    pub fn set_paging_mempool(&self, domid: DomId, bytes: u64) -> Result<()> {
        loop {
            // SAFETY: paging_mempool has no pointers.
            let answer = unsafe {
                self.domctl(
                    "XEN_DOMCTL_set_paging_mempool_size",
                    sys::XEN_DOMCTL_set_paging_mempool_size,
                    domid,
                    |u| u.paging_mempool = sys::xen_domctl_paging_mempool { size: bytes },
                )
            };
            match answer {
                Err(Error::Refused {
                    errno: Errno::ERESTART, ..
                }) => {}
                other => return other.map(|_| ()),
            }
        }
    }

    /// The most memory that a domain may hold, in KiB.
    ///
    /// # Errors
    /// Xen refuses.
    pub fn set_max_memory(&self, domid: DomId, kib: u64) -> Result<()> {
        // SAFETY: max_mem has no pointers.
        unsafe {
            self.domctl("XEN_DOMCTL_max_mem", sys::XEN_DOMCTL_max_mem, domid, |u| {
                u.max_mem = sys::xen_domctl_max_mem { max_memkb: kib };
            })?;
        }
        Ok(())
    }

    /// Lets Xen write its hypercall stubs into a frame.
    ///
    /// # Errors
    /// Xen refuses.
    pub fn init_hypercall_page(&self, domid: DomId, frame: u64) -> Result<()> {
        // SAFETY: hypercall_init has no pointers.
        unsafe {
            self.domctl(
                "XEN_DOMCTL_hypercall_init",
                sys::XEN_DOMCTL_hypercall_init,
                domid,
                |u| {
                    u.hypercall_init = sys::xen_domctl_hypercall_init { gmfn: frame };
                },
            )?;
        }
        Ok(())
    }

    /// A policy that Xen offers as a start.
    ///
    /// # Errors
    /// Xen refuses.
    pub fn system_cpu_policy(&self, which: SystemPolicy) -> Result<CpuPolicy> {
        let index = match which {
            SystemPolicy::PvDefault => sys::XEN_SYSCTL_cpu_policy_pv_default,
            SystemPolicy::HvmDefault => sys::XEN_SYSCTL_cpu_policy_hvm_default,
        };
        // SAFETY: null handles ask Xen for the counts alone.
        let counts = unsafe {
            self.sysctl("XEN_SYSCTL_get_cpu_policy", sys::XEN_SYSCTL_get_cpu_policy, |u| {
                u.cpu_policy = sys::xen_sysctl_cpu_policy {
                    index,
                    ..Default::default()
                };
            })?
            .u
            .cpu_policy
        };
        let mut leaves = vec![sys::xen_cpuid_leaf::default(); counts.nr_leaves as usize];
        let mut msrs = vec![sys::xen_msr_entry::default(); counts.nr_msrs as usize];
        // SAFETY: Xen writes at most nr_leaves and nr_msrs entries, for which the vectors have room.
        let filled = unsafe {
            self.sysctl("XEN_SYSCTL_get_cpu_policy", sys::XEN_SYSCTL_get_cpu_policy, |u| {
                u.cpu_policy = sys::xen_sysctl_cpu_policy { index, ..counts };
                u.cpu_policy.leaves.p = leaves.as_mut_ptr();
                u.cpu_policy.msrs.p = msrs.as_mut_ptr();
            })?
            .u
            .cpu_policy
        };
        leaves.truncate(filled.nr_leaves as usize);
        msrs.truncate(filled.nr_msrs as usize);
        Ok(CpuPolicy {
            leaves: leaves
                .iter()
                .map(|l| CpuidLeaf {
                    leaf: l.leaf,
                    subleaf: l.subleaf,
                    a: l.a,
                    b: l.b,
                    c: l.c,
                    d: l.d,
                })
                .collect(),
            msrs: msrs
                .iter()
                .map(|m| MsrEntry {
                    index: m.idx,
                    value: m.val,
                })
                .collect(),
        })
    }

    /// Sets what the CPUs of a domain look like.
    ///
    /// # Errors
    /// Xen refuses: a leaf that this machine cannot give.
    pub fn set_cpu_policy(&self, domid: DomId, policy: &CpuPolicy) -> Result<()> {
        let mut leaves: Vec<_> = policy
            .leaves
            .iter()
            .map(|l| sys::xen_cpuid_leaf {
                leaf: l.leaf,
                subleaf: l.subleaf,
                a: l.a,
                b: l.b,
                c: l.c,
                d: l.d,
            })
            .collect();
        let mut msrs: Vec<_> = policy
            .msrs
            .iter()
            .map(|m| sys::xen_msr_entry {
                idx: m.index,
                flags: 0,
                val: m.value,
            })
            .collect();
        let too_many = |what, count: usize| Error::OutOfRange {
            what,
            value: count as u64,
        };
        let argument = sys::xen_domctl_cpu_policy {
            nr_leaves: u32::try_from(leaves.len()).map_err(|_| too_many("CPUID leaves", leaves.len()))?,
            nr_msrs: u32::try_from(msrs.len()).map_err(|_| too_many("MSRs", msrs.len()))?,
            leaves: sys::__guest_handle_xen_cpuid_leaf_t { p: leaves.as_mut_ptr() },
            msrs: sys::__guest_handle_xen_msr_entry_t { p: msrs.as_mut_ptr() },
            ..Default::default()
        };
        // SAFETY: Xen reads nr_leaves and nr_msrs entries of the vectors, which outlive the call.
        unsafe {
            self.domctl(
                "XEN_DOMCTL_set_cpu_policy",
                sys::XEN_DOMCTL_set_cpu_policy,
                domid,
                |u| {
                    u.cpu_policy = argument;
                },
            )?;
        }
        Ok(())
    }

    /// Sets the first vCPU of a PV domain.
    ///
    /// # Errors
    /// Xen refuses.
    pub fn set_pv_context(&self, domid: DomId, context: &PvContext) -> Result<()> {
        create::set_pv_context(self, domid, context)
    }

    /// Sets the first vCPU of a PVH domain, and the MTRRs of all.
    ///
    /// # Errors
    /// Xen refuses.
    pub fn set_pvh_context(&self, domid: DomId, context: &PvhContext) -> Result<()> {
        hvm_context::set(self, domid, context)
    }
}

/// The first version that Xen does not answer with `EACCES`, its answer to a version that it does not speak.
fn first_accepted(
    interface: &'static str,
    known: &'static str,
    xen: XenVersion,
    versions: &[u32],
    probe: impl Fn(u32) -> Result<()>,
) -> Result<u32> {
    for &version in versions {
        match probe(version) {
            Ok(()) => return Ok(version),
            Err(Error::Refused {
                errno: Errno::EACCES, ..
            }) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::UnknownVersion { interface, xen, known })
}

/// The flags of `XEN_DOMCTL_createdomain` for a kind of domain.
fn create_flags(kind: DomainKind) -> u32 {
    match kind {
        DomainKind::Pv => 0,
        DomainKind::Pvh => sys::XEN_DOMCTL_CDF_hvm | sys::XEN_DOMCTL_CDF_hap,
    }
}
