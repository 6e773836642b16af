//! Where everything of a 64-bit PV guest goes before it runs its first instruction.
//!
//! The order is that of "Start-of-day memory layout" in Xen's `public/xen.h`: kernel, ramdisk, p2m list (the list of the guest's
//! frames), start info, xenstore page, console page, page tables, boot stack, at least 512 KiB of padding, all mapped
//! one to one from the kernel's virtual base up to a boundary of 4 MiB. Two kernel notes move things out of that mapping
//! (`public/elfnote.h`), as Xen's toolstack does it (xc_dom_build_image() in tools/libs/guest/xg_dom_core.c):
//!
//! - `MOD_START_PFN`: the ramdisk lies behind the mapping, and the start info names its frame;
//! - `INIT_P2M`: the p2m list lies behind that, mapped at an address of its own by page tables of its own, which follow the list.
//!   Linux asks for both.
//!
//! Frames here are guest frame numbers (PFNs): 0 up to the guest's number of pages. What machine frame is behind each is for
//! the caller to say when tables are filled.

mod error;
mod page_tables;
mod start_info;

pub use error::Error;
pub use page_tables::{Frame, WORDS};
pub use start_info::{COMMAND_LINE_MAX, Connections, START_INFO_BYTES};

use crate::memory_map::{PAGE_SIZE, Region, RegionKind, pages_for};
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;
use page_tables::{Mapping, Table, tables_for};

/// Most pages of a guest: 16 TiB. Keeps every sum of frame numbers and addresses far from overflow.
pub const MAX_PAGES: u64 = 1 << 32;

/// Padding after the boot stack, in pages: 512 KiB.
const PADDING_PAGES: u64 = 128;

/// The initial mapping ends at a multiple of this many bytes.
const MAPPING_ALIGNMENT: u64 = 4 << 20;

/// Pages of a PC's first MiB, where Linux keeps a hole for ISA devices.
const FIRST_MIB_PAGES: u64 = 256;

/// Entries of the p2m list in a page.
const P2M_ENTRIES_PER_PAGE: u64 = 512;

/// The parts of a virtual address that translation looks at.
const ADDRESS_MASK: u64 = (1 << 48) - 1;

/// Root table slots that are Xen's, 256 to 271 (xen/arch/x86/include/asm/config.h), as 48-bit addresses.
const XEN_START: u64 = 256 << 39;
const XEN_END: u64 = 272 << 39;

/// The address in 48 bits, sign-extended as processors want it.
const fn canonical(address: u64) -> u64 {
    if address & 1 << 47 == 0 {
        address & ADDRESS_MASK
    } else {
        address | !ADDRESS_MASK
    }
}

/// What the layout depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Input {
    /// Virtual address of frame 0 (`VIRT_BASE` note).
    pub virt_base: u64,
    /// First virtual address of the kernel's segments.
    pub kernel_start_va: u64,
    /// First virtual address behind them.
    pub kernel_end_va: u64,
    /// Where the kernel wants its p2m list (`INIT_P2M` note). As in Xen's toolstack a request that is not page-aligned
    /// or not below `virt_base` counts for nothing: the list then lies within the initial mapping.
    pub init_p2m: Option<u64>,
    /// The kernel takes its ramdisk by frame number (`MOD_START_PFN` note is 1).
    pub mod_start_pfn: bool,
    /// Length of the ramdisk in bytes; 0 when there is none.
    pub ramdisk_bytes: u64,
    /// Pages that the domain has now.
    pub nr_pages: u64,
    /// Pages that it may have; counts as `nr_pages` when less.
    pub max_pages: u64,
}

/// A run of frames and where the initial page tables map it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// First frame.
    pub pfn: u64,
    /// Number of frames.
    pub pages: u64,
    /// Virtual address that the guest knows the first frame by; `None` when it goes by the frame number.
    pub va: Option<u64>,
}

/// The ramdisk's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ramdisk {
    /// Its frames.
    pub placement: Placement,
    /// Its length in bytes; the rest of the last frame is to be zero.
    pub bytes: u64,
}

/// Hands out frames from 0 upwards.
struct Space {
    virt_base: u64,
    nr_pages: u64,
    next: u64,
    /// Frames before the kernel, above a PC's first MiB: free, and mapped.
    before_kernel: Range<u64>,
}

impl Space {
    /// The next frames, mapped from the virtual base on.
    fn mapped(&mut self, what: &'static str, pages: u64) -> Result<Placement, Error> {
        let free = self.nr_pages.saturating_sub(self.next);
        if pages > free {
            return Err(Error::Memory {
                what,
                pages,
                free,
                nr_pages: self.nr_pages,
            });
        }
        let pfn = self.next;
        self.next += pages;
        Ok(Placement {
            pfn,
            pages,
            va: Some(canonical((self.virt_base & ADDRESS_MASK) + pfn * PAGE_SIZE)),
        })
    }

    /// The next frames, behind the initial mapping.
    fn unmapped(&mut self, what: &'static str, pages: u64) -> Result<Placement, Error> {
        Ok(Placement {
            va: None,
            ..self.mapped(what, pages)?
        })
    }

    /// Frames that the guest knows by number only: the next ones, or else some before the kernel.
    fn anywhere(&mut self, what: &'static str, pages: u64) -> Result<Placement, Error> {
        self.unmapped(what, pages).or_else(|error| {
            let pfn = self.before_kernel.start;
            let end = pfn
                .checked_add(pages)
                .filter(|&end| end <= self.before_kernel.end)
                .ok_or(error)?;
            self.before_kernel.start = end;
            Ok(Placement { pfn, pages, va: None })
        })
    }
}

/// Where everything goes. All placements are apart from each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Pages that the domain has.
    pub nr_pages: u64,
    /// Pages that it may have.
    pub max_pages: u64,
    /// Virtual address of frame 0.
    pub virt_base: u64,
    /// Pages of the initial mapping: frames 0 up to this are mapped one to one from `virt_base`, to a boundary of 4 MiB.
    pub mapped_pages: u64,
    /// Frames of the kernel's segments.
    pub kernel: Placement,
    /// Frames of the ramdisk.
    pub ramdisk: Option<Ramdisk>,
    /// Frames of the list of machine frames, see [`Layout::p2m_frames`].
    pub p2m_list: Placement,
    /// Frames of the page tables that map the list at `INIT_P2M`; no pages when it is in the initial mapping.
    pub p2m_tables: Placement,
    /// The start info; what RSI points to when the guest starts.
    pub start_info: Placement,
    /// Ring page shared with xenstore.
    pub xenstore: Placement,
    /// Ring page shared with the console's server.
    pub console: Placement,
    /// Page tables of the initial mapping; the root table is the first.
    pub page_tables: Placement,
    /// Stack to start on.
    pub boot_stack: Placement,
    mappings: Vec<Mapping>,
    tables: Vec<Table>,
}

impl Layout {
    /// Finds a place for everything.
    ///
    /// A guest too small for the usual places gets its ramdisk before its kernel, and its p2m list within the initial mapping.
    ///
    /// # Errors
    /// When addresses make no sense, or when something does not fit into `nr_pages`: the error names it.
    pub fn new(input: &Input) -> Result<Self, Error> {
        let Input {
            virt_base,
            kernel_start_va,
            kernel_end_va,
            nr_pages,
            ..
        } = *input;
        if nr_pages > MAX_PAGES || input.max_pages > MAX_PAGES {
            return Err(Error::TooLarge {
                pages: nr_pages.max(input.max_pages),
            });
        }
        if !virt_base.is_multiple_of(PAGE_SIZE) || kernel_start_va < virt_base || kernel_end_va <= kernel_start_va {
            return Err(Error::KernelAddresses {
                start: kernel_start_va,
                end: kernel_end_va,
                virt_base,
            });
        }
        let p2m_va = input
            .init_p2m
            .filter(|&va| va < virt_base && va.is_multiple_of(PAGE_SIZE));
        match Self::place(input, p2m_va) {
            Err(error @ Error::Memory { .. }) if p2m_va.is_some() => Self::place(input, None).map_err(|_| error),
            result => result,
        }
    }

    /// Finds a place for everything, with the p2m list at `p2m_va` or in the initial mapping.
    fn place(input: &Input, p2m_va: Option<u64>) -> Result<Self, Error> {
        let Input {
            virt_base,
            nr_pages,
            mod_start_pfn,
            ..
        } = *input;
        let p2m_pages = nr_pages.div_ceil(P2M_ENTRIES_PER_PAGE);
        let ramdisk_pages = Some(pages_for(input.ramdisk_bytes)).filter(|&pages| pages > 0);
        let mut space = Space {
            virt_base,
            nr_pages,
            next: 0,
            before_kernel: 0..0,
        };

        let kernel_pfn = (input.kernel_start_va - virt_base) / PAGE_SIZE;
        space.mapped("the space before the kernel", kernel_pfn)?;
        let kernel = space.mapped("the kernel", pages_for(input.kernel_end_va - virt_base) - kernel_pfn)?;
        space.before_kernel = FIRST_MIB_PAGES..kernel_pfn;
        let mut ramdisk = None;
        if let (Some(pages), false) = (ramdisk_pages, mod_start_pfn) {
            ramdisk = Some(space.mapped("the ramdisk", pages)?);
        }
        let p2m_inside = if p2m_va.is_none() {
            Some(space.mapped("the p2m list", p2m_pages)?)
        } else {
            None
        };
        let start_info = space.mapped("the start info", 1)?;
        let xenstore = space.mapped("the xenstore page", 1)?;
        let console = space.mapped("the console page", 1)?;
        let (mapping, tables) = initial_mapping(virt_base, space.next)?;
        let page_tables = space.mapped("the page tables", count(&tables))?;
        let boot_stack = space.mapped("the boot stack", 1)?;
        space.mapped(
            "the initial mapping's padding",
            mapping.pages().saturating_sub(space.next),
        )?;
        if let (Some(pages), true) = (ramdisk_pages, mod_start_pfn) {
            ramdisk = Some(space.anywhere("the ramdisk", pages)?);
        }
        let no_tables = Placement {
            pfn: space.next,
            pages: 0,
            va: None,
        };
        let mut layout = Self {
            nr_pages,
            max_pages: input.max_pages.max(nr_pages),
            virt_base,
            mapped_pages: mapping.pages(),
            kernel,
            ramdisk: ramdisk.map(|placement| Ramdisk {
                placement,
                bytes: input.ramdisk_bytes,
            }),
            p2m_list: p2m_inside.unwrap_or(no_tables),
            p2m_tables: no_tables,
            start_info,
            xenstore,
            console,
            page_tables,
            boot_stack,
            mappings: vec![mapping],
            tables,
        };
        if let Some(va) = p2m_va {
            layout.place_p2m_list(&mut space, &mapping, va, p2m_pages)?;
        }
        Ok(layout)
    }

    /// Places the p2m list and the tables that map it at `va`.
    fn place_p2m_list(&mut self, space: &mut Space, initial: &Mapping, va: u64, pages: u64) -> Result<(), Error> {
        let list = space.unmapped("the p2m list", pages)?;
        let mapping = Mapping::new("the p2m list", va, list.pfn, pages)?;
        if mapping.overlaps(initial) {
            return Err(Error::Overlap {
                start: va,
                bytes: pages * PAGE_SIZE,
                virt_base: self.virt_base,
            });
        }
        let tables = tables_for(&mapping, &self.tables, space.next);
        self.p2m_tables = space.unmapped("the p2m list's page tables", count(&tables))?;
        self.p2m_list = Placement { va: Some(va), ..list };
        self.mappings.push(mapping);
        self.tables.extend(tables);
        Ok(())
    }

    /// The frame behind an address of the initial mapping, for copying the kernel's segments; `None` outside of it.
    #[must_use]
    pub fn pfn_of(&self, va: u64) -> Option<u64> {
        let pfn = va.checked_sub(self.virt_base)? / PAGE_SIZE;
        (pfn < self.mapped_pages).then_some(pfn)
    }

    /// Initial stack pointer: the end of the boot stack.
    #[must_use]
    pub fn stack_pointer(&self) -> u64 {
        canonical((self.virt_base & ADDRESS_MASK) + (self.boot_stack.pfn + 1) * PAGE_SIZE)
    }

    /// The memory map that the guest gets from Xen: all that it may ever have, as one region.
    ///
    /// Xen's toolstack does the same (`xc_domain_set_memmap_limit` with `maxmem`). The start info says `nr_pages`; Linux keeps
    /// what the map has beyond that for its balloon driver, out of MemTotal, up to the domain's reservation (xen_memory_setup()
    /// in arch/x86/xen/setup.c).
    #[must_use]
    pub fn memory_map(&self) -> Vec<Region> {
        vec![Region {
            start: 0,
            size: self.max_pages * PAGE_SIZE,
            kind: RegionKind::Ram,
        }]
    }
}

fn count(tables: &[Table]) -> u64 {
    u64::try_from(tables.len()).unwrap_or(u64::MAX)
}

/// The mapping of frames 0 up to the end of the padding, and its tables, which begin at frame `first_table`.
///
/// How many tables there are depends on where the mapping ends, and that on how many tables there are.
fn initial_mapping(virt_base: u64, first_table: u64) -> Result<(Mapping, Vec<Table>), Error> {
    let base = virt_base & ADDRESS_MASK;
    let mut nr_tables = 0;
    loop {
        // The boot stack is the one page more.
        let least = base + (first_table + nr_tables + 1 + PADDING_PAGES) * PAGE_SIZE;
        let end = least.next_multiple_of(MAPPING_ALIGNMENT);
        let mapping = Mapping::new("the initial mapping", virt_base, 0, (end - base) / PAGE_SIZE)?;
        let tables = tables_for(&mapping, &[], first_table);
        if count(&tables) <= nr_tables {
            return Ok((mapping, tables));
        }
        nr_tables = count(&tables);
    }
}

#[cfg(test)]
mod tests;
