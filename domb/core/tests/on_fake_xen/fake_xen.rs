//! [`Hypervisor`] on a [`Machine`].

use std::cell::{Ref, RefCell, RefMut};
use std::rc::Rc;

use xen::{
    CpuPolicy, CpuidLeaf, CreateDomain, DomId, DomainInfo, DomainKind, Errno, Error, GrantEntry, HostInfo, HvmParam,
    Hypervisor, Mapping, MemoryMapEntry, PAGE_SIZE, PvContext, PvhContext, Result, SystemPolicy, VcpuInfo,
};

use crate::guest::Context;
use crate::machine::Machine;

/// What Xen logged.
const LOG: &[u8] = b"(XEN) Xen version\n(XEN) Brought up 4 CPUs\n";

/// The hypervisor; clones are the same one.
#[derive(Clone)]
pub(crate) struct FakeXen(Rc<RefCell<Machine>>);

impl FakeXen {
    /// On a machine of so many MiB.
    pub(crate) fn new(mib: u64) -> Self {
        Self(Rc::new(RefCell::new(Machine::new(mib))))
    }

    pub(crate) fn machine(&self) -> Ref<'_, Machine> {
        self.0.borrow()
    }

    pub(crate) fn machine_mut(&self) -> RefMut<'_, Machine> {
        self.0.borrow_mut()
    }

    /// The machine, once the call is counted and did not happen to be the one that fails.
    fn call(&self, operation: &'static str) -> Result<RefMut<'_, Machine>> {
        let mut machine = self.0.borrow_mut();
        machine.call(operation)?;
        Ok(machine)
    }
}

/// A foreign mapping.
pub(crate) struct FakeMapping {
    xen: FakeXen,
    id: u64,
    /// Pages that it had room for at first.
    room: usize,
}

impl FakeMapping {
    fn each_page(&self, offset: usize, count: usize, mut action: impl FnMut(&mut [u8], usize)) -> Result<()> {
        let mut machine = self.xen.call("foreign mapping")?;
        let frames = machine.mapping(self.id).1.clone();
        let end = offset.checked_add(count).filter(|end| *end <= frames.len() * PAGE_SIZE);
        let Some(end) = end else {
            machine.violation("foreign mapping", Errno::EFAULT, format!("{count} bytes at {offset}"));
            return Err(Error::OutOfRange {
                what: "offset in a foreign mapping",
                value: offset as u64,
            });
        };
        let mut at = offset;
        while at < end {
            let start = at % PAGE_SIZE;
            let part = (PAGE_SIZE - start).min(end - at);
            action(
                &mut machine.page_mut(frames[at / PAGE_SIZE])[start..start + part],
                at - offset,
            );
            at += part;
        }
        Ok(())
    }
}

impl Mapping for FakeMapping {
    fn len(&self) -> usize {
        self.xen.machine_mut().mapping(self.id).1.len() * PAGE_SIZE
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<()> {
        self.each_page(offset, bytes.len(), |page, from| {
            page.copy_from_slice(&bytes[from..from + page.len()]);
        })
    }

    fn zero(&mut self, offset: usize, count: usize) -> Result<()> {
        self.each_page(offset, count, |page, _| page.fill(0))
    }

    fn read(&self, offset: usize, buffer: &mut [u8]) -> Result<()> {
        self.each_page(offset, buffer.len(), |page, to| {
            buffer[to..to + page.len()].copy_from_slice(page);
        })
    }
}

impl Drop for FakeMapping {
    fn drop(&mut self) {
        self.xen.machine_mut().remove_mapping(self.id);
    }
}

impl Hypervisor for FakeXen {
    type Mapping = FakeMapping;

    fn version(&self) -> xen::XenVersion {
        xen::XenVersion { major: 4, minor: 17 }
    }

    fn host_info(&mut self) -> Result<HostInfo> {
        let mut machine = self.call("XEN_SYSCTL_physinfo")?;
        let info = HostInfo {
            total_pages: machine.total_pages(),
            free_pages: machine.free_pages(),
            scrub_pages: 0,
            cpus: 4,
            hvm: machine.hvm,
            iommu: false,
        };
        let vanishing = std::mem::take(&mut machine.vanishing_pages);
        machine.take(vanishing);
        Ok(info)
    }

    fn create_domain(&mut self, request: &CreateDomain) -> Result<DomId> {
        const OP: &str = "XEN_DOMCTL_createdomain";
        let mut machine = self.call(OP)?;
        if request.max_vcpus == 0 || request.max_vcpus > 128 || request.max_grant_frames == 0 {
            return Err(machine.violation(OP, Errno::EINVAL, format!("{request:?}")));
        }
        if let Some(taken) = request.domid.filter(|domid| machine.domains.contains_key(domid)) {
            return Err(machine.violation(OP, Errno(17), format!("number {taken} is taken")));
        }
        machine.create(request).ok_or(Error::Refused {
            operation: OP,
            errno: Errno::ENOMEM,
        })
    }

    fn destroy_domain(&mut self, domid: DomId) -> Result<()> {
        const OP: &str = "XEN_DOMCTL_destroydomain";
        let mut machine = self.call(OP)?;
        if !machine.domains.contains_key(&domid) {
            return Err(Error::Refused {
                operation: OP,
                errno: Errno::ESRCH,
            });
        }
        machine.destroy(domid);
        Ok(())
    }

    fn domain_info(&mut self, domid: DomId) -> Result<Option<DomainInfo>> {
        let machine = self.call("XEN_DOMCTL_getdomaininfo")?;
        Ok(machine.domains.get(&domid).map(|guest| DomainInfo {
            domid,
            dying: guest.dying,
            shutdown: guest.shutdown,
            paused: guest.pauses > 0,
            blocked: true,
            running: false,
            pages: guest.pages.len() as u64,
            cpu_time_ns: 0,
            online_vcpus: 1,
            shared_info_frame: guest.shared_info,
        }))
    }

    fn vcpu_info(&mut self, domid: DomId, vcpu: u32) -> Result<VcpuInfo> {
        const OP: &str = "XEN_DOMCTL_getvcpuinfo";
        let mut machine = self.call(OP)?;
        let guest = machine.alive(OP, domid)?;
        Ok(VcpuInfo {
            online: vcpu == 0,
            blocked: vcpu == 0 && guest.pauses == 0,
            running: false,
            cpu_time_ns: 1000,
            cpu: 2,
        })
    }

    fn vcpu_affinity(&mut self, domid: DomId, _: u32, cpus: &mut [u8]) -> Result<()> {
        const OP: &str = "XEN_DOMCTL_getvcpuaffinity";
        self.call(OP)?.alive(OP, domid)?;
        cpus.fill(0xff);
        Ok(())
    }

    fn read_log(&mut self, index: u32, _: bool, buffer: &mut [u8]) -> Result<(usize, u32)> {
        self.call("XEN_SYSCTL_readconsole")?;
        let rest = LOG.get(index as usize..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok((count, index + u32::try_from(count).unwrap()))
    }

    fn pause(&mut self, domid: DomId) -> Result<()> {
        const OP: &str = "XEN_DOMCTL_pausedomain";
        self.call(OP)?.alive(OP, domid)?.pauses += 1;
        Ok(())
    }

    fn unpause(&mut self, domid: DomId) -> Result<()> {
        const OP: &str = "XEN_DOMCTL_unpausedomain";
        let mut machine = self.call(OP)?;
        let guest = machine.alive(OP, domid)?;
        if guest.context.is_none() || guest.pauses == 0 {
            return Err(machine.violation(OP, Errno::EINVAL, "no vCPU that could run, or not paused"));
        }
        guest.pauses -= 1;
        Ok(())
    }

    fn set_paging_mempool(&mut self, domid: DomId, bytes: u64) -> Result<()> {
        const OP: &str = "XEN_DOMCTL_set_paging_mempool_size";
        let mut machine = self.call(OP)?;
        let pages = bytes / PAGE_SIZE as u64;
        if !machine.of_kind(OP, domid, DomainKind::Pvh)?.pages.is_empty() {
            return Err(machine.violation(OP, Errno::EBUSY, "after the domain got memory"));
        }
        if pages > machine.free_pages() {
            return Err(Error::Refused {
                operation: OP,
                errno: Errno::ENOMEM,
            });
        }
        machine.alive(OP, domid)?.mempool_pages = pages;
        Ok(())
    }

    fn set_max_memory(&mut self, domid: DomId, kib: u64) -> Result<()> {
        const OP: &str = "XEN_DOMCTL_max_mem";
        self.call(OP)?.alive(OP, domid)?.max_pages = kib / 4;
        Ok(())
    }

    fn populate(&mut self, domid: DomId, order: u32, frames: &mut [u64]) -> Result<()> {
        const OP: &str = "XENMEM_populate_physmap";
        let mut machine = self.call(OP)?;
        let wanted = frames.len();
        for (done, frame) in frames.iter_mut().enumerate() {
            let first = *frame;
            let guest = machine.alive(OP, domid)?;
            let kind = guest.kind;
            let fits = guest.pages.len() as u64 + (1 << order) <= guest.max_pages;
            let backed = kind == DomainKind::Pv || guest.mempool_pages > 0;
            if !fits || !backed || first % (1 << order) != 0 {
                return Err(machine.violation(OP, Errno::EINVAL, format!("{first:#x} order {order}: not allowed")));
            }
            let Some(machine_frame) = machine.allocate(domid, order) else {
                return Err(Error::Partly {
                    operation: OP,
                    done,
                    wanted,
                });
            };
            let guest = machine.alive(OP, domid)?;
            for page in 0..1 << order {
                let before = guest.pages.insert(first + page, machine_frame + page);
                assert_eq!(before, None, "page {first:#x} populated twice");
            }
            if kind == DomainKind::Pv {
                *frame = machine_frame;
            }
        }
        Ok(())
    }

    fn set_memory_map(&mut self, domid: DomId, map: &[MemoryMapEntry]) -> Result<()> {
        const OP: &str = "XENMEM_set_memory_map";
        self.call(OP)?.of_kind(OP, domid, DomainKind::Pv)?.memory_map = map.to_vec();
        Ok(())
    }

    fn system_cpu_policy(&mut self, which: SystemPolicy) -> Result<CpuPolicy> {
        self.call("XEN_SYSCTL_get_cpu_policy")?;
        assert_eq!(which, SystemPolicy::HvmDefault);
        let leaf = |leaf, subleaf, [a, b, c, d]: [u32; 4]| CpuidLeaf {
            leaf,
            subleaf,
            a,
            b,
            c,
            d,
        };
        Ok(CpuPolicy {
            leaves: vec![
                leaf(0, u32::MAX, [0xD, 0x756E_6547, 0x6C65_746E, 0x4965_6E69]),
                leaf(1, u32::MAX, [0x306A9, 0xFF10_0800, 0x1234, 1]),
                leaf(4, 0, [0x1C00_4121, 0x1C0_003F, 0x3F, 0]),
            ],
            msrs: Vec::new(),
        })
    }

    fn set_cpu_policy(&mut self, domid: DomId, policy: &CpuPolicy) -> Result<()> {
        const OP: &str = "XEN_DOMCTL_set_cpu_policy";
        self.call(OP)?.alive(OP, domid)?.cpu_policy = Some(policy.clone());
        Ok(())
    }

    fn map(&mut self, domid: DomId, frames: &[u64]) -> Result<FakeMapping> {
        let mut machine = self.call("map")?;
        let mapped = machine.mappable("map", domid, frames)?;
        let id = machine.add_mapping(domid, mapped);
        drop(machine);
        Ok(FakeMapping {
            xen: self.clone(),
            id,
            room: frames.len(),
        })
    }

    fn remap(&mut self, mapping: &mut FakeMapping, domid: DomId, frames: &[u64]) -> Result<()> {
        let mut machine = self.call("remap")?;
        if frames.len() > mapping.room {
            return Err(machine.violation("remap", Errno::EINVAL, format!("{} frames", frames.len())));
        }
        let mapped = machine.mappable("remap", domid, frames)?;
        *machine.mapping(mapping.id) = (domid, mapped);
        Ok(())
    }

    fn pin_l4(&mut self, domid: DomId, l4_frame: u64) -> Result<()> {
        const OP: &str = "MMUEXT_PIN_L4_TABLE";
        let mut machine = self.call(OP)?;
        machine.of_kind(OP, domid, DomainKind::Pv)?;
        match machine.validate_tables(domid, l4_frame) {
            Ok(tables) => {
                let guest = machine.alive(OP, domid)?;
                guest.tables = tables.into_keys().collect();
                guest.pinned = Some(l4_frame);
                Ok(())
            }
            Err(why) => Err(machine.violation(OP, Errno::EINVAL, why)),
        }
    }

    fn init_hypercall_page(&mut self, domid: DomId, frame: u64) -> Result<()> {
        const OP: &str = "XEN_DOMCTL_hypercall_init";
        let mut machine = self.call(OP)?;
        let page = machine.mappable(OP, domid, &[frame])?[0];
        machine.page_mut(page).fill(0xcc);
        machine.alive(OP, domid)?.hypercall_page = Some(page);
        Ok(())
    }

    fn set_pv_context(&mut self, domid: DomId, context: &PvContext) -> Result<()> {
        const OP: &str = "XEN_DOMCTL_setvcpucontext";
        let mut machine = self.call(OP)?;
        if machine.of_kind(OP, domid, DomainKind::Pv)?.pinned != Some(context.l4_frame) {
            return Err(machine.violation(OP, Errno::EINVAL, "its root table is not pinned"));
        }
        for address in [context.entry, context.stack - 8, context.start_info] {
            if machine.translate(context.l4_frame, address).is_none() {
                return Err(machine.violation(OP, Errno::EINVAL, format!("{address:#x} is not mapped")));
            }
        }
        machine.alive(OP, domid)?.context = Some(Context::Pv(*context));
        Ok(())
    }

    fn set_pvh_context(&mut self, domid: DomId, context: &PvhContext) -> Result<()> {
        const OP: &str = "XEN_DOMCTL_sethvmcontext";
        let mut machine = self.call(OP)?;
        let guest = machine.of_kind(OP, domid, DomainKind::Pvh)?;
        for address in [context.entry, context.start_info] {
            if !guest.pages.contains_key(&u64::from(address >> 12)) {
                return Err(machine.violation(OP, Errno::EINVAL, format!("no memory at {address:#x}")));
            }
        }
        if u32::from(context.max_vcpus) != guest.max_vcpus {
            return Err(machine.violation(OP, Errno::EINVAL, format!("{} vCPUs", context.max_vcpus)));
        }
        guest.context = Some(Context::Pvh(*context));
        Ok(())
    }

    fn set_hvm_param(&mut self, domid: DomId, param: HvmParam, value: u64) -> Result<()> {
        const OP: &str = "HVMOP_set_param";
        let mut machine = self.call(OP)?;
        machine
            .of_kind(OP, domid, DomainKind::Pvh)?
            .params
            .insert(param as u32, value);
        Ok(())
    }

    fn alloc_event_channel(&mut self, domid: DomId, remote: DomId) -> Result<u32> {
        const OP: &str = "EVTCHNOP_alloc_unbound";
        let mut machine = self.call(OP)?;
        let guest = machine.alive(OP, domid)?;
        guest.ports.push(remote);
        let port = u32::try_from(guest.ports.len()).unwrap();
        assert!(port <= guest.max_ports);
        Ok(port)
    }

    fn seed_grants(&mut self, domid: DomId, entries: &[GrantEntry]) -> Result<()> {
        const OP: &str = "seed_grants";
        let mut machine = self.call(OP)?;
        for entry in entries {
            machine.mappable(OP, domid, &[entry.frame])?;
            machine.alive(OP, domid)?.grants.insert(entry.reference, *entry);
        }
        Ok(())
    }
}
