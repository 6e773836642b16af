//! What the toolstack's interfaces tell of vCPUs and of Xen's own log.

use xen_sys as sys;

use super::Toolstack;
use crate::hypervisor::VcpuInfo;
use crate::{DomId, Result};

impl Toolstack {
    /// State of a vCPU (`XEN_DOMCTL_getvcpuinfo`).
    ///
    /// # Errors
    /// Xen refuses: no such domain, or no such vCPU.
    pub fn vcpu_info(&self, domid: DomId, vcpu: u32) -> Result<VcpuInfo> {
        const OP: &str = "XEN_DOMCTL_getvcpuinfo";
        // SAFETY: getvcpuinfo has no pointers, and is plain numbers.
        let info = unsafe {
            self.domctl(OP, sys::XEN_DOMCTL_getvcpuinfo, domid, |u| {
                u.getvcpuinfo = sys::xen_domctl_getvcpuinfo {
                    vcpu,
                    ..Default::default()
                };
            })?
            .u
            .getvcpuinfo
        };
        Ok(VcpuInfo {
            online: info.online != 0,
            blocked: info.blocked != 0,
            running: info.running != 0,
            cpu_time_ns: info.cpu_time,
            cpu: info.cpu,
        })
    }

    /// The physical CPUs that a vCPU may run on (`XEN_DOMCTL_getvcpuaffinity`, the hard one): a bit each, the lowest of the
    /// first byte for CPU 0. What `cpus` has no room for is not told.
    ///
    /// # Errors
    /// As [`Toolstack::vcpu_info`].
    pub fn vcpu_affinity(&self, domid: DomId, vcpu: u32, cpus: &mut [u8]) -> Result<()> {
        const OP: &str = "XEN_DOMCTL_getvcpuaffinity";
        // SAFETY: Xen writes at most nr_bits bits, for which `cpus` has room, and the other bitmap is not asked for.
        unsafe {
            self.domctl(OP, sys::XEN_DOMCTL_getvcpuaffinity, domid, |u| {
                let mut affinity = sys::xen_domctl_vcpuaffinity {
                    vcpu,
                    flags: sys::XEN_VCPUAFFINITY_HARD,
                    ..Default::default()
                };
                affinity.cpumap_hard.bitmap.p = cpus.as_mut_ptr();
                affinity.cpumap_hard.nr_bits = u32::try_from(cpus.len() * 8).unwrap_or(u32::MAX);
                u.vcpuaffinity = affinity;
            })?;
        }
        Ok(())
    }

    /// Reads Xen's log from an index on (`XEN_SYSCTL_readconsole`): how many bytes, and the index behind them. `clear` forgets
    /// what there is up to now.
    ///
    /// # Errors
    /// Xen refuses.
    pub fn read_log(&self, index: u32, clear: bool, buffer: &mut [u8]) -> Result<(usize, u32)> {
        const OP: &str = "XEN_SYSCTL_readconsole";
        // SAFETY: Xen writes at most `count` bytes, for which `buffer` has room; the rest is plain numbers.
        let answer = unsafe {
            self.sysctl(OP, sys::XEN_SYSCTL_readconsole, |u| {
                let mut read = sys::xen_sysctl_readconsole {
                    clear: clear.into(),
                    incremental: 1,
                    index,
                    count: u32::try_from(buffer.len()).unwrap_or(u32::MAX),
                    ..Default::default()
                };
                read.buffer.p = buffer.as_mut_ptr().cast();
                u.readconsole = read;
            })?
            .u
            .readconsole
        };
        Ok(((answer.count as usize).min(buffer.len()), answer.index))
    }
}
