//! [`Hypervisor`] served by the hypercalls of a paravirtual domain.

use xen_sys as sys;

use crate::domctl::Toolstack;
use crate::error::XenVersion;
use crate::hypervisor::{
    CpuPolicy, CreateDomain, DomId, DomainInfo, GrantEntry, HostInfo, HvmParam, Hypervisor, Mapping, MemoryMapEntry,
    PvContext, PvhContext, SystemPolicy, VcpuInfo,
};
use crate::mmu::{ForeignPages, FrameOf};
use crate::{Error, PAGE_SIZE, Result, event_channel, hypercall, memory, mmu, version};

/// The hypervisor under this paravirtual domain.
#[derive(Debug)]
pub struct BareMetal {
    version: XenVersion,
    toolstack: Toolstack,
}

impl BareMetal {
    /// Finds out what the hypervisor speaks.
    ///
    /// # Errors
    /// It speaks no version that this crate knows, or this domain is not the initial one.
    pub fn probe() -> Result<Self> {
        let version = version::version()?;
        Ok(Self {
            version,
            toolstack: Toolstack::probe(version)?,
        })
    }

    /// The toolstack's interfaces.
    #[must_use]
    pub fn toolstack(&self) -> Toolstack {
        self.toolstack
    }

    /// The version of `XEN_DOMCTL` in use.
    #[must_use]
    pub fn domctl_version(&self) -> u32 {
        self.toolstack.domctl_version()
    }
}

impl Hypervisor for BareMetal {
    type Mapping = ForeignPages;

    fn version(&self) -> XenVersion {
        self.version
    }

    fn host_info(&mut self) -> Result<HostInfo> {
        self.toolstack.host_info()
    }

    fn create_domain(&mut self, request: &CreateDomain) -> Result<DomId> {
        self.toolstack.create_domain(request)
    }

    fn destroy_domain(&mut self, domid: DomId) -> Result<()> {
        self.toolstack.destroy_domain(domid)
    }

    fn domain_info(&mut self, domid: DomId) -> Result<Option<DomainInfo>> {
        self.toolstack.domain_info(domid)
    }

    fn vcpu_info(&mut self, domid: DomId, vcpu: u32) -> Result<VcpuInfo> {
        self.toolstack.vcpu_info(domid, vcpu)
    }

    fn vcpu_affinity(&mut self, domid: DomId, vcpu: u32, cpus: &mut [u8]) -> Result<()> {
        self.toolstack.vcpu_affinity(domid, vcpu, cpus)
    }

    fn read_log(&mut self, index: u32, clear: bool, buffer: &mut [u8]) -> Result<(usize, u32)> {
        self.toolstack.read_log(index, clear, buffer)
    }

    fn pause(&mut self, domid: DomId) -> Result<()> {
        self.toolstack.pause(domid)
    }

    fn unpause(&mut self, domid: DomId) -> Result<()> {
        self.toolstack.unpause(domid)
    }

    fn set_paging_mempool(&mut self, domid: DomId, bytes: u64) -> Result<()> {
        self.toolstack.set_paging_mempool(domid, bytes)
    }

    fn set_max_memory(&mut self, domid: DomId, kib: u64) -> Result<()> {
        self.toolstack.set_max_memory(domid, kib)
    }

    fn populate(&mut self, domid: DomId, order: u32, frames: &mut [u64]) -> Result<()> {
        memory::populate_physmap(domid, order, frames)
    }

    fn set_memory_map(&mut self, domid: DomId, map: &[MemoryMapEntry]) -> Result<()> {
        memory::set_memory_map(domid, map)
    }

    fn system_cpu_policy(&mut self, which: SystemPolicy) -> Result<CpuPolicy> {
        self.toolstack.system_cpu_policy(which)
    }

    fn set_cpu_policy(&mut self, domid: DomId, policy: &CpuPolicy) -> Result<()> {
        self.toolstack.set_cpu_policy(domid, policy)
    }

    fn map(&mut self, domid: DomId, frames: &[u64]) -> Result<ForeignPages> {
        ForeignPages::map(domid, frames, FrameOf::Domain)
    }

    fn remap(&mut self, mapping: &mut ForeignPages, domid: DomId, frames: &[u64]) -> Result<()> {
        mapping.show(domid, frames, FrameOf::Domain)
    }

    fn pin_l4(&mut self, domid: DomId, l4_frame: u64) -> Result<()> {
        // SAFETY: pins a table of another domain; this one's address space does not change.
        unsafe { mmu::extended("MMUEXT_PIN_L4_TABLE", sys::MMUEXT_PIN_L4_TABLE, l4_frame, domid) }
    }

    fn init_hypercall_page(&mut self, domid: DomId, frame: u64) -> Result<()> {
        self.toolstack.init_hypercall_page(domid, frame)
    }

    fn set_pv_context(&mut self, domid: DomId, context: &PvContext) -> Result<()> {
        self.toolstack.set_pv_context(domid, context)
    }

    fn set_pvh_context(&mut self, domid: DomId, context: &PvhContext) -> Result<()> {
        self.toolstack.set_pvh_context(domid, context)
    }

    fn set_hvm_param(&mut self, domid: DomId, param: HvmParam, value: u64) -> Result<()> {
        let argument = sys::xen_hvm_param {
            domid: domid.0,
            pad: 0,
            index: param as u32,
            value,
        };
        // SAFETY: Xen reads one xen_hvm_param, which outlives the call.
        unsafe {
            hypercall::call(
                "HVMOP_set_param",
                sys::__HYPERVISOR_hvm_op,
                [sys::HVMOP_set_param as usize, &raw const argument as usize, 0, 0, 0],
            )?;
        }
        Ok(())
    }

    fn alloc_event_channel(&mut self, domid: DomId, remote: DomId) -> Result<u32> {
        event_channel::alloc_unbound(domid, remote)
    }

    fn seed_grants(&mut self, domid: DomId, entries: &[GrantEntry]) -> Result<()> {
        const ENTRY: usize = size_of::<sys::grant_entry_v1>();
        let table = memory::grant_table_frame(domid)?;
        let mut page = ForeignPages::map(domid, &[table], FrameOf::Machine)?;
        for entry in entries {
            let offset = entry.reference as usize * ENTRY;
            if offset + ENTRY > PAGE_SIZE {
                return Err(Error::OutOfRange {
                    what: "reserved grant",
                    value: u64::from(entry.reference),
                });
            }
            let frame = u32::try_from(entry.frame).map_err(|_| Error::OutOfRange {
                what: "granted frame",
                value: entry.frame,
            })?;
            page.write(offset + 4, &frame.to_le_bytes())?;
            page.write(offset + 2, &entry.to.0.to_le_bytes())?;
            page.write(
                offset,
                &u16::try_from(sys::GTF_permit_access).unwrap_or(1).to_le_bytes(),
            )?;
        }
        Ok(())
    }
}
