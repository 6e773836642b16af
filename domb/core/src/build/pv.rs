//! Builds a PV domain: its first page tables are ours to write.

use alloc::vec::Vec;

use xen::{DomId, DomainKind, Hypervisor, Mapping, MemoryMapEntry, PAGE_SIZE, PvContext};

use super::frames::{Frames, LARGEST_PV};
use super::guest_memory::GuestMemory;
use super::{BuildError, Built, Rings, Site, Step, Store};
use crate::elf::PvKernel;
use crate::memory_map::Extents;
use crate::pv::{Connections, Frame, Input, Layout};

/// Table frames that are written at once.
const BATCH: usize = 64;

pub(super) fn build<H: Hypervisor>(site: &mut Site<'_, H>, kernel: &PvKernel<'_>) -> Result<Built, BuildError> {
    let domain = site.plan.domain;
    let page_kib = PAGE_SIZE as u64 / 1024;
    site.step = Step::Layout;
    let layout = Layout::new(&Input {
        virt_base: kernel.virt_base,
        kernel_start_va: kernel.start,
        kernel_end_va: kernel.end,
        init_p2m: kernel.init_p2m,
        mod_start_pfn: kernel.mod_start_pfn,
        ramdisk_bytes: site.plan.ramdisk.len() as u64,
        nr_pages: domain.memory_kib / page_kib,
        max_pages: domain.maxmem_kib / page_kib,
    })?;
    let domid = site.create(DomainKind::Pv, 0)?;
    site.times.create_ns = site.lap();

    site.step = Step::Memory;
    let mut frames = Frames::default();
    frames.populate(site.hypervisor, domid, Extents::cover(0, layout.nr_pages, LARGEST_PV))?;
    site.times.populate_ns = site.lap();

    site.step = Step::Copy;
    let mut memory = GuestMemory::new(site.hypervisor, domid, &frames);
    for segment in &kernel.segments {
        memory.load(segment.physical, segment.data, segment.memory_size)?;
    }
    if let Some(ramdisk) = layout.ramdisk {
        memory.write_whole_pages(ramdisk.placement.pfn * PAGE_SIZE as u64, site.plan.ramdisk)?;
    }
    drop(memory);
    site.times.copy_ns = site.lap();

    write_tables(site, domid, &layout, &frames)?;
    let frame_of = |page: u64| {
        frames.frame(page).ok_or(BuildError::Address {
            address: page << 12,
            count: 0,
        })
    };
    let rings = site.connect(domid, frame_of(layout.console.pfn)?, frame_of(layout.xenstore.pfn)?)?;
    write_start_info(site, domid, &layout, &frames, &rings)?;
    if let Some(address) = kernel.hypercall_page {
        let page = layout.pfn_of(address).ok_or(BuildError::Address {
            address,
            count: PAGE_SIZE as u64,
        })?;
        site.hypervisor.init_hypercall_page(domid, frame_of(page)?)?;
    }
    site.step = Step::Vcpu;
    let l4_frame = frame_of(layout.page_tables.pfn)?;
    site.hypervisor.pin_l4(domid, l4_frame)?;
    site.hypervisor.set_pv_context(
        domid,
        &PvContext {
            entry: kernel.entry,
            stack: layout.stack_pointer(),
            start_info: layout.start_info.va.unwrap_or(0),
            l4_frame,
        },
    )?;
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

/// Writes the list of frames and the page tables, and tells Xen the memory map.
fn write_tables<H: Hypervisor>(
    site: &mut Site<'_, H>,
    domid: DomId,
    layout: &Layout,
    frames: &Frames,
) -> Result<(), BuildError> {
    site.step = Step::Tables;
    // Only pages of the layout are asked for, and all of them were populated.
    let machine = |page: u64| frames.frame(page).unwrap_or(u64::MAX >> 12);
    let mut batch = Batch {
        memory: GuestMemory::new(site.hypervisor, domid, frames),
        first: 0,
        bytes: Vec::new(),
    };
    layout.p2m_frames(machine, |frame| batch.add(frame))?;
    layout.page_table_frames(machine, |frame| batch.add(frame))?;
    batch.flush()?;
    for page in [layout.xenstore.pfn, layout.console.pfn] {
        batch.memory.zero(page * PAGE_SIZE as u64, PAGE_SIZE as u64)?;
    }
    drop(batch);
    let map: Vec<MemoryMapEntry> = layout
        .memory_map()
        .iter()
        .map(|region| MemoryMapEntry {
            start: region.start,
            size: region.size,
            kind: region.kind.number(),
        })
        .collect();
    site.hypervisor.set_memory_map(domid, &map)?;
    Ok(())
}

fn write_start_info<H: Hypervisor>(
    site: &mut Site<'_, H>,
    domid: DomId,
    layout: &Layout,
    frames: &Frames,
    rings: &Rings,
) -> Result<(), BuildError> {
    site.step = Step::Tables;
    let info = site
        .hypervisor
        .domain_info(domid)?
        .ok_or(BuildError::Xen(xen::Error::Refused {
            operation: "XEN_DOMCTL_getdomaininfo",
            errno: xen::Errno::ESRCH,
        }))?;
    mask_events(site.hypervisor, domid, info.shared_info_frame)?;
    let connections = Connections {
        shared_info: info.shared_info_frame * PAGE_SIZE as u64,
        xenstore_port: rings.store_port(site.plan.store),
        is_xenstore: matches!(site.plan.store, Store::Server { .. }),
        console_port: rings.console.1,
    };
    let machine = |page: u64| frames.frame(page).unwrap_or(u64::MAX >> 12);
    let bytes = layout.start_info_bytes(&connections, site.plan.domain.command_line.as_bytes(), machine)?;
    let mut page = [0; PAGE_SIZE];
    if let Some(start) = page.get_mut(..bytes.len()) {
        start.copy_from_slice(&bytes);
    }
    GuestMemory::new(site.hypervisor, domid, frames).write(layout.start_info.pfn * PAGE_SIZE as u64, &page)
}

/// Masks events on every vCPU, as the start of day has it: the kernel is not ready for them.
fn mask_events<H: Hypervisor>(hypervisor: &mut H, domid: DomId, shared_info: u64) -> Result<(), BuildError> {
    let mut page = hypervisor.map(domid, &[shared_info])?;
    for vcpu in 0..xen::LEGACY_MAX_VCPUS {
        page.write(vcpu * xen::VCPU_INFO_BYTES + xen::VCPU_INFO_UPCALL_MASK, &[1])?;
    }
    Ok(())
}

/// Gathers frames that follow each other, to map and write them together.
struct Batch<'a, H: Hypervisor> {
    memory: GuestMemory<'a, H>,
    first: u64,
    bytes: Vec<u8>,
}

impl<H: Hypervisor> Batch<'_, H> {
    fn add(&mut self, frame: &Frame) -> Result<(), BuildError> {
        let held = (self.bytes.len() / PAGE_SIZE) as u64;
        if held >= BATCH as u64 || (held > 0 && frame.pfn != self.first + held) {
            self.flush()?;
        }
        if self.bytes.is_empty() {
            self.first = frame.pfn;
        }
        for word in &frame.words {
            self.bytes.extend_from_slice(&word.to_le_bytes());
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), BuildError> {
        self.memory.write(self.first * PAGE_SIZE as u64, &self.bytes)?;
        self.bytes.clear();
        Ok(())
    }
}
