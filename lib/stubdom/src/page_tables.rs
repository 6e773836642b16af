//! The page tables that this domain runs on: all its memory at the address that is its pseudo-physical address, with
//! the rights that each part needs, and a window for frames of other domains.
//!
//! Xen's first tables map only what it loaded. New ones are written here, through one scratch page, into frames taken
//! from the top of memory; Xen then checks and pins them and switches to them. Page-table frames are mapped read-only,
//! page 0 and the page below the stack not at all.

use alloc::vec::Vec;

use xen::mmu::{self, pte};
use xen::{DomId, PAGE_SIZE};
use xen_sys as sys;

use crate::boot::StartOfDay;
use crate::layout;

const ENTRIES: u64 = 512;
/// Address of the window for foreign frames: the second 512 GiB.
const WINDOW_BASE: usize = 1 << 39;
/// 2 MiB stretches of the window.
const WINDOW_TABLES: u64 = 16;
/// Frames above the level-1 tables: L4, L3, the window's L3 and L2, and L2s for the memory.
const UPPER_FIXED: u64 = 4;

const READ: u64 = pte::PRESENT | pte::ACCESSED | pte::NO_EXECUTE;
const EXECUTE: u64 = pte::PRESENT | pte::ACCESSED;
const WRITE: u64 = READ | pte::WRITE | pte::DIRTY;
/// An entry that points to a lower table.
const TABLE: u64 = pte::PRESENT | pte::WRITE | pte::ACCESSED | pte::DIRTY;

/// Frames that the tables for `pages` pages of memory take.
pub(crate) fn frames_needed(pages: u64) -> u64 {
    let l1 = pages.div_ceil(ENTRIES);
    l1 + l1.div_ceil(ENTRIES) + WINDOW_TABLES + UPPER_FIXED
}

/// Writes the tables into the frames from page `first` on, and switches to them.
///
/// # Safety
/// To be called once, at start; the frames must hold nothing.
pub(crate) unsafe fn install(day: &StartOfDay, pages: u64, first: u64) {
    let mut builder = Builder { day, next: first };
    let tables = first..first + frames_needed(pages);
    let l1: Vec<u64> = (0..pages.div_ceil(ENTRIES))
        .map(|index| builder.write(|entry| leaf(day, index * ENTRIES + entry, pages, &tables)))
        .collect();
    let l2: Vec<u64> = l1.chunks(512).map(|children| builder.write_parent(children)).collect();
    let l3 = builder.write_parent(&l2);
    let window: Vec<u64> = (0..WINDOW_TABLES).map(|_| builder.write(|_| 0)).collect();
    let window_l2 = builder.write_parent(&window);
    let window_l3 = builder.write_parent(&[window_l2]);
    let l4 = builder.write_parent(&[l3, window_l3]);
    let l4_frame = day.machine_frame(l4);
    // SAFETY: the tables map everything that the old ones did and Rust uses, at the same addresses.
    unsafe {
        mmu::extended("MMUEXT_PIN_L4_TABLE", sys::MMUEXT_PIN_L4_TABLE, l4_frame, DomId::SELF)
            .expect("Xen accepts the page tables");
        mmu::extended("MMUEXT_NEW_BASEPTR", sys::MMUEXT_NEW_BASEPTR, l4_frame, DomId::SELF)
            .expect("Xen switches page tables");
        mmu::install_window(
            WINDOW_BASE,
            window.iter().map(|&page| day.machine_frame(page) << 12).collect(),
        );
    }
}

/// The entry that maps `page` of this domain's memory.
fn leaf(day: &StartOfDay, page: u64, pages: u64, tables: &core::ops::Range<u64>) -> u64 {
    let address = usize::try_from(page).unwrap_or(usize::MAX).saturating_mul(PAGE_SIZE);
    if page == 0 || page >= pages || address == layout::stack_guard() {
        return 0;
    }
    if address == layout::shared_info() {
        return day.shared_info | WRITE;
    }
    let rights = if tables.contains(&page) || day.first_tables.contains(&page) || day.ramdisk.contains(&page) {
        READ
    } else if address == layout::hypercall_page() || (layout::image_start()..layout::text_end()).contains(&address) {
        EXECUTE
    } else if (layout::text_end()..layout::rodata_end()).contains(&address) {
        READ
    } else {
        WRITE
    };
    (day.machine_frame(page) << 12) | rights
}

struct Builder<'a> {
    day: &'a StartOfDay,
    next: u64,
}

impl Builder<'_> {
    /// Writes the next table; its page.
    fn write(&mut self, entry: impl Fn(u64) -> u64) -> u64 {
        let page = self.next;
        self.next += 1;
        let scratch = layout::scratch_page();
        // SAFETY: the frame holds nothing; its mapping in Xen's first tables, where it has one, is not used by Rust.
        // The scratch page is the linker script's, used only here.
        unsafe {
            let address = usize::try_from(page).unwrap_or(usize::MAX).saturating_mul(PAGE_SIZE);
            // Fails where Xen's first tables do not reach, which is as good.
            let _ = mmu::update_va_mapping(address, 0);
            mmu::update_va_mapping(scratch, (self.day.machine_frame(page) << 12) | WRITE)
                .expect("Xen maps the scratch page");
            for index in 0..ENTRIES {
                (scratch as *mut u64)
                    .add(usize::try_from(index).unwrap_or(0))
                    .write_volatile(entry(index));
            }
            mmu::update_va_mapping(scratch, 0).expect("Xen unmaps the scratch page");
        }
        page
    }

    /// Writes a table that points to other tables.
    fn write_parent(&mut self, children: &[u64]) -> u64 {
        let day = self.day;
        self.write(|index| {
            usize::try_from(index)
                .ok()
                .and_then(|index| children.get(index))
                .map_or(0, |&child| (day.machine_frame(child) << 12) | TABLE)
        })
    }
}
