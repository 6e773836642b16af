//! Where everything of a PVH guest goes before it runs its first instruction.
//!
//! Guest-physical addresses, from Xen's docs/misc/pvh.pandoc and what its toolstack does (tools/libs/guest/xg_dom_x86.c,
//! tools/libs/light/libxl_x86.c):
//!
//! | addresses | what |
//! |---|---|
//! | 0 ... at most 3 GiB | RAM |
//! | 0xFF000 ... 1 MiB | RAM set apart for a copy of the RSDP, see [`LEGACY_RSDP_GPA`] |
//! | the kernel's own | kernel segments, then ramdisk and boot info, each from a page boundary; before the kernel what does not fit behind |
//! | 3 GiB ... 4 GiB | no RAM: room for devices |
//! | 0xFC000000 ... | ACPI tables, in pages of their own ([`ACPI_GPA`]) |
//! | 0xFEC00000, 0xFED40000, 0xFEE00000 | left to an I/O APIC, a TPM and the local APICs |
//! | 0xFEFFA000 ... 0xFEFFFFFF | [special pages](SpecialPage), shared with backends and with Xen |
//! | 4 GiB ... | the rest of RAM |
//!
//! # `maxmem`
//! The memory map lists what the guest is built with and not what it may have later (`maxmem`), which is only the limit that
//! the hypervisor keeps. Listing more would make Linux count it as present. Xen's toolstack does list it, and backs it by
//! populate-on-demand until the guest's balloon driver has given it back; a guest without xenstore never learns of its
//! target, touches more than there is and is killed. Here a guest grows by the balloon driver's memory hotplug
//! (`XEN_BALLOON_MEMORY_HOTPLUG`, on in Debian's kernels), which needs nothing in the map.
//!
//! For whoever writes the guest's xenstore nodes: outside of PV, Linux takes `memory/static-max` minus its own memory for a
//! part of the target that it never sees (watch_target() in drivers/xen/xen-balloon.c). `static-max` must therefore be the
//! memory of this layout, not `maxmem`, or the guest shrinks by the difference.

mod boot_info;
mod cpu;
mod error;
mod special_page;

pub use cpu::{VM86_TSS_BYTES, identity_page_table, vm86_tss_param};
pub use error::Error;
pub use special_page::SpecialPage;

use crate::memory_map::{Extents, PAGE_SIZE, Region, RegionKind, pages_for};
use alloc::vec::Vec;
use core::ops::Range;

/// Where RAM below 4 GiB ends at the latest: the space above is for devices.
pub const LOW_RAM_END: u64 = 3 << 30;

/// Where the rest of RAM begins.
pub const HIGH_RAM_START: u64 = 1 << 32;

/// Most memory of a guest in pages: 16 TiB.
pub const MAX_PAGES: u64 = 1 << 32;

/// Guest-physical address of the ACPI tables: where Xen's toolstack has them too (`ACPI_INFO_PHYSICAL_ADDRESS`).
pub const ACPI_GPA: u64 = 0xFC00_0000;

/// Most bytes of ACPI tables.
pub const ACPI_MAX_BYTES: u64 = 0x20_0000;

/// Where kernels that do not look at the start info's RSDP field find a copy of the RSDP: Linux without
/// `XENFEAT_linux_rsdp_unrestricted` searches for its signature below 1 MiB only, and libxl__dom_load_acpi() in
/// tools/libs/light/libxl_x86_acpi.c uses the same place. Within RAM; the memory map keeps it for ACPI.
pub const LEGACY_RSDP_GPA: u64 = MIB - 64;

const MIB: u64 = 1 << 20;

/// What the layout depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Input<'a> {
    /// First guest-physical address of the kernel's segments.
    pub kernel_start: u64,
    /// First guest-physical address behind them.
    pub kernel_end: u64,
    /// Where the kernel starts (`PHYS32_ENTRY` note).
    pub entry: u32,
    /// Length of the ramdisk in bytes; 0 when there is none.
    pub ramdisk_bytes: u64,
    /// The command line, without a terminating zero.
    pub command_line: &'a [u8],
    /// RAM in pages.
    pub nr_pages: u64,
    /// Length of the ACPI tables at [`ACPI_GPA`] in bytes.
    pub acpi_bytes: u64,
    /// Guest-physical address of the RSDP.
    pub rsdp_gpa: u64,
}

/// The ramdisk's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ramdisk {
    /// Guest-physical address; page-aligned.
    pub gpa: u64,
    /// Length in bytes.
    pub bytes: u64,
}

/// Where everything goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// RAM in pages; the special pages and those of the ACPI tables come on top.
    pub nr_pages: u64,
    /// Where RAM below the hole ends.
    pub low_end: u64,
    /// Where RAM above 4 GiB ends; [`HIGH_RAM_START`] when there is none.
    pub high_end: u64,
    /// Pages of the ACPI tables.
    pub acpi_pages: u64,
    /// The ramdisk.
    pub ramdisk: Option<Ramdisk>,
    /// Where to write `boot_info`; page-aligned.
    pub boot_info_gpa: u32,
    /// Start info, module list, memory map and command line in one piece; the rest of its last page is to be zero.
    pub boot_info: Vec<u8>,
}

/// Hands out guest-physical addresses, from page boundaries on.
struct Space {
    behind_kernel: Range<u64>,
    before_kernel: Range<u64>,
}

impl Space {
    /// Addresses behind the kernel, or else some before it.
    fn take(&mut self, what: &'static str, bytes: u64) -> Result<u64, Error> {
        let error = Error::Memory {
            what,
            start: self.behind_kernel.start,
            bytes,
            end: self.behind_kernel.end,
        };
        for range in [&mut self.behind_kernel, &mut self.before_kernel] {
            let start = range.start.next_multiple_of(PAGE_SIZE);
            if let Some(end) = start.checked_add(bytes).filter(|&end| end <= range.end) {
                range.start = end;
                return Ok(start);
            }
        }
        Err(error)
    }
}

impl Layout {
    /// Finds a place for everything.
    ///
    /// # Errors
    /// When the kernel's addresses make no sense, or when something does not fit: the error names it.
    pub fn new(input: &Input) -> Result<Self, Error> {
        let Input {
            kernel_start,
            kernel_end,
            entry,
            nr_pages,
            ..
        } = *input;
        if nr_pages > MAX_PAGES {
            return Err(Error::TooLarge { pages: nr_pages });
        }
        if input.acpi_bytes > ACPI_MAX_BYTES {
            return Err(Error::Acpi {
                bytes: input.acpi_bytes,
            });
        }
        if kernel_start < MIB || !(kernel_start..kernel_end).contains(&u64::from(entry)) {
            return Err(Error::KernelAddresses {
                start: kernel_start,
                end: kernel_end,
                entry,
            });
        }
        if let Some(offset) = input.command_line.iter().position(|&byte| byte == 0) {
            return Err(Error::CommandLineZero { offset });
        }
        let ram = nr_pages * PAGE_SIZE;
        let low_end = ram.min(LOW_RAM_END);
        let high_end = HIGH_RAM_START + (ram - low_end);
        if kernel_end > low_end {
            let bytes = kernel_end - kernel_start;
            return Err(Error::Memory {
                what: "the kernel",
                start: kernel_start,
                bytes,
                end: low_end,
            });
        }
        let mut space = Space {
            behind_kernel: kernel_end..low_end,
            before_kernel: MIB..kernel_start / PAGE_SIZE * PAGE_SIZE,
        };
        let mut ramdisk = None;
        if input.ramdisk_bytes > 0 {
            let gpa = space.take("the ramdisk", input.ramdisk_bytes)?;
            ramdisk = Some(Ramdisk {
                gpa,
                bytes: input.ramdisk_bytes,
            });
        }
        let acpi_pages = pages_for(input.acpi_bytes);
        let map = memory_map(low_end, high_end, acpi_pages);
        let length = boot_info::length(ramdisk.is_some(), &map, input.command_line);
        let gpa = space.take("the boot info", length)?;
        let boot_info = boot_info::bytes(gpa, ramdisk, &map, input.command_line, input.rsdp_gpa);
        // Low RAM ends below 4 GiB.
        let boot_info_gpa = u32::try_from(gpa).unwrap_or(u32::MAX);
        Ok(Self {
            nr_pages,
            low_end,
            high_end,
            acpi_pages,
            ramdisk,
            boot_info_gpa,
            boot_info,
        })
    }

    /// The memory map, by rising address: what [`Layout::boot_info`] holds, and what Xen is to be told for the guest.
    #[must_use]
    pub fn memory_map(&self) -> Vec<Region> {
        memory_map(self.low_end, self.high_end, self.acpi_pages)
    }

    /// All pages to populate, in extents of at most `max_order`: RAM, the ACPI tables' pages, the special pages.
    #[must_use]
    pub fn extents(&self, max_order: u32) -> Vec<Extents> {
        let mut extents = Extents::cover(0, self.low_end / PAGE_SIZE, max_order);
        extents.extend(Extents::cover(
            HIGH_RAM_START / PAGE_SIZE,
            (self.high_end - HIGH_RAM_START) / PAGE_SIZE,
            max_order,
        ));
        extents.extend(Extents::cover(ACPI_GPA / PAGE_SIZE, self.acpi_pages, 0));
        extents.extend(Extents::cover(SpecialPage::FIRST_GFN, SpecialPage::COUNT, 0));
        extents
    }

    /// Pages that [`Layout::extents`] has: what the domain's limit must allow at least.
    #[must_use]
    pub fn populated_pages(&self) -> u64 {
        self.nr_pages + self.acpi_pages + SpecialPage::COUNT
    }
}

fn memory_map(low_end: u64, high_end: u64, acpi_pages: u64) -> Vec<Region> {
    let parts = [
        (0, MIB - PAGE_SIZE, RegionKind::Ram),
        (MIB - PAGE_SIZE, MIB, RegionKind::Acpi),
        (MIB, low_end, RegionKind::Ram),
        (ACPI_GPA, ACPI_GPA + acpi_pages * PAGE_SIZE, RegionKind::Acpi),
        (
            SpecialPage::FIRST_GFN * PAGE_SIZE,
            (SpecialPage::FIRST_GFN + SpecialPage::COUNT) * PAGE_SIZE,
            RegionKind::Reserved,
        ),
        (HIGH_RAM_START, high_end, RegionKind::Ram),
    ];
    let regions = parts.into_iter().filter(|(start, end, _)| start < end);
    regions
        .map(|(start, end, kind)| Region {
            start,
            size: end - start,
            kind,
        })
        .collect()
}

#[cfg(test)]
mod tests;
