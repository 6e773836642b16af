//! Builds a PVH domain: Xen translates its memory, so only its contents are ours to write.

use alloc::vec::Vec;

use xen::{CpuPolicy, DomId, DomainKind, HvmParam, Hypervisor, PvhContext, SystemPolicy};

use super::frames::{Frames, LARGEST_PVH};
use super::guest_memory::GuestMemory;
use super::{BuildError, Built, Site, Step};
use crate::acpi;
use crate::cpu_policy::pvh_topology;
use crate::elf::PvhKernel;
use crate::memory_map::PAGE_SIZE;
use crate::pvh::{
    ACPI_GPA, ACPI_MAX_BYTES, Input, LEGACY_RSDP_GPA, Layout, SpecialPage, identity_page_table, vm86_tss_param,
};

pub(super) fn build<H: Hypervisor>(site: &mut Site<'_, H>, kernel: &PvhKernel<'_>) -> Result<Built, BuildError> {
    let domain = site.plan.domain;
    site.step = Step::Layout;
    let tables = acpi::build(&acpi::Input {
        vcpus: domain.vcpus,
        max_vcpus: domain.max_vcpus,
        region_gpa: ACPI_GPA,
        region_len: ACPI_MAX_BYTES,
    })?;
    let layout = Layout::new(&Input {
        kernel_start: kernel.start,
        kernel_end: kernel.end,
        entry: kernel.entry,
        ramdisk_bytes: site.plan.ramdisk.len() as u64,
        command_line: domain.command_line.as_bytes(),
        nr_pages: domain.memory_kib / (PAGE_SIZE / 1024),
        acpi_bytes: tables.bytes.len() as u64,
        rsdp_gpa: tables.rsdp_gpa,
    })?;
    let domid = site.create(DomainKind::Pvh, paging_kib(domain.maxmem_kib, domain.max_vcpus))?;
    describe_cpus(site, domid)?;
    site.times.create_ns = site.lap();

    site.step = Step::Memory;
    let mut frames = Frames::default();
    frames.populate(site.hypervisor, domid, layout.extents(LARGEST_PVH))?;
    site.times.populate_ns = site.lap();

    site.step = Step::Copy;
    let mut memory = GuestMemory::new(site.hypervisor, domid, &frames);
    for segment in &kernel.segments {
        memory.load(segment.address, segment.data, segment.memory_size)?;
    }
    if let Some(ramdisk) = layout.ramdisk {
        memory.write_whole_pages(ramdisk.gpa, site.plan.ramdisk)?;
    }
    drop(memory);
    site.times.copy_ns = site.lap();

    site.step = Step::Tables;
    let mut memory = GuestMemory::new(site.hypervisor, domid, &frames);
    memory.write_whole_pages(layout.boot_info_gpa.into(), &layout.boot_info)?;
    memory.write_whole_pages(ACPI_GPA, &tables.bytes)?;
    memory.write(LEGACY_RSDP_GPA, tables.rsdp())?;
    memory.zero(SpecialPage::FIRST_GFN * PAGE_SIZE, SpecialPage::COUNT * PAGE_SIZE)?;
    let identity: alloc::vec::Vec<u8> = identity_page_table()
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect();
    memory.write(SpecialPage::IdentityPageTable.gpa(), &identity)?;
    drop(memory);

    let rings = site.connect(domid, SpecialPage::Console.gfn(), SpecialPage::Xenstore.gfn())?;
    let (console, console_port) = rings.console;
    let params = [
        (HvmParam::ConsolePfn, console),
        (HvmParam::ConsoleEvtchn, u64::from(console_port)),
        (HvmParam::IdentPt, SpecialPage::IdentityPageTable.gpa()),
        (HvmParam::Vm86TssSized, vm86_tss_param()),
    ];
    let store = rings
        .store
        .map(|(frame, port)| [(HvmParam::StorePfn, frame), (HvmParam::StoreEvtchn, u64::from(port))]);
    for (param, value) in params.into_iter().chain(store.into_iter().flatten()) {
        site.hypervisor.set_hvm_param(domid, param, value)?;
    }
    site.step = Step::Vcpu;
    let context = PvhContext {
        entry: kernel.entry,
        start_info: layout.boot_info_gpa,
        max_vcpus: domain.max_vcpus,
    };
    site.hypervisor.set_pvh_context(domid, &context)?;
    site.times.tables_ns = site.lap();
    Ok(Built {
        domid,
        console: rings.console,
        store: rings.store,
        target_kib: site.plan.domain.memory_kib,
        vcpus: site.plan.domain.vcpus,
        channels: Vec::new(),
        times: site.times,
    })
}

/// Memory for second-stage page tables, in KiB: 1 MiB for each vCPU and 8 KiB for each MiB of memory, what Xen's own
/// toolstack reserves (`libxl__get_required_paging_memory()`).
fn paging_kib(maxmem_kib: u64, max_vcpus: u16) -> u64 {
    4 * (256 * u64::from(max_vcpus) + 2 * maxmem_kib.div_ceil(1024))
}

/// Gives the domain Xen's default policy with the topology of its own vCPUs.
fn describe_cpus<H: Hypervisor>(site: &mut Site<'_, H>, domid: DomId) -> Result<(), BuildError> {
    site.step = Step::CpuPolicy;
    let default = site.hypervisor.system_cpu_policy(SystemPolicy::HvmDefault)?;
    let leaves = pvh_topology(site.plan.domain.max_vcpus, &default.leaves)?;
    site.hypervisor.set_cpu_policy(
        domid,
        &CpuPolicy {
            leaves,
            msrs: alloc::vec::Vec::new(),
        },
    )?;
    Ok(())
}
