//! The page tables that a PV guest starts on, and its p2m list: what is in each frame.

use super::{ADDRESS_MASK, Error, Layout, P2M_ENTRIES_PER_PAGE, XEN_END, XEN_START, canonical};
use crate::memory_map::PAGE_SIZE;
use alloc::vec::Vec;

/// 64-bit words in a frame.
pub const WORDS: usize = 512;

const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;

/// Entries for pages. Without `USER`: Xen takes that for a page of the guest's kernel and sets `USER` itself, since a 64-bit
/// PV kernel runs in ring 3 (adjust_guest_l1e() in xen/arch/x86/pv/mm.h).
const PAGE_FLAGS: u64 = PRESENT | WRITABLE | ACCESSED;

/// Entries for the tables below.
const TABLE_FLAGS: u64 = PRESENT | WRITABLE | USER | ACCESSED | DIRTY;

/// An entry of the p2m list without a machine frame (`INVALID_P2M_ENTRY` of the guests).
const NO_FRAME: u64 = u64::MAX;

/// Consecutive frames mapped at consecutive addresses. Addresses have 48 bits here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mapping {
    start: u64,
    pages: u64,
    pfn: u64,
}

impl Mapping {
    pub(super) fn new(what: &'static str, va: u64, pfn: u64, pages: u64) -> Result<Self, Error> {
        let start = va & ADDRESS_MASK;
        let bytes = pages.saturating_mul(PAGE_SIZE);
        let error = Error::Addresses { what, start: va, bytes };
        let end = start
            .checked_add(bytes)
            .filter(|&end| end <= ADDRESS_MASK + 1)
            .ok_or(error)?;
        if canonical(start) != va || (start < XEN_END && end > XEN_START) {
            return Err(error);
        }
        Ok(Self { start, pages, pfn })
    }

    pub(super) const fn pages(&self) -> u64 {
        self.pages
    }

    pub(super) const fn end(&self) -> u64 {
        self.start + self.pages * PAGE_SIZE
    }

    pub(super) const fn overlaps(&self, other: &Self) -> bool {
        self.start < other.end() && other.start < self.end()
    }
}

/// One page table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Table {
    pfn: u64,
    /// 1 for the tables whose entries are pages, 4 for the root.
    level: u32,
    /// First address that it translates, in 48 bits.
    start: u64,
}

/// Address bits below those that select an entry in a table of this level.
const fn entry_shift(level: u32) -> u32 {
    12 + 9 * (level - 1)
}

/// Bytes that a table of this level translates.
const fn span(level: u32) -> u64 {
    1 << entry_shift(level + 1)
}

impl Table {
    /// Number of the entry for `address`, which the table translates.
    fn index(&self, address: u64) -> usize {
        usize::try_from((address - self.start) >> entry_shift(self.level)).unwrap_or(usize::MAX)
    }
}

/// The tables that `mapping` needs besides those there are, in frames from `first_pfn` on, root first.
pub(super) fn tables_for(mapping: &Mapping, existing: &[Table], first_pfn: u64) -> Vec<Table> {
    let mut tables = Vec::new();
    let mut pfns = first_pfn..;
    for level in [4, 3, 2, 1] {
        let mut start = mapping.start & !(span(level) - 1);
        while start < mapping.end() {
            if !existing
                .iter()
                .any(|table| table.level == level && table.start == start)
            {
                tables.extend(pfns.next().map(|pfn| Table { pfn, level, start }));
            }
            start += span(level);
        }
    }
    tables
}

/// One frame to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Which frame of the guest.
    pub pfn: u64,
    /// What goes there: little-endian words.
    pub words: [u64; WORDS],
}

impl Layout {
    /// Calls `write` with each page table frame once, by rising frame number: those of [`Layout::page_tables`], the root first,
    /// then those of [`Layout::p2m_tables`]. `mfn_of` tells the machine frame behind a frame of the guest.
    ///
    /// Page table frames are mapped read-only, all else writable: Xen makes a table of no frame that has a writable mapping.
    ///
    /// # Errors
    /// The first error of `write`.
    pub fn page_table_frames<E>(
        &self,
        mfn_of: impl Fn(u64) -> u64,
        mut write: impl FnMut(&Frame) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut frame = Frame {
            pfn: 0,
            words: [0; WORDS],
        };
        for table in &self.tables {
            frame.pfn = table.pfn;
            frame.words.fill(0);
            if table.level == 1 {
                self.fill_with_pages(table, &mfn_of, &mut frame.words);
            } else {
                self.fill_with_tables(table, &mfn_of, &mut frame.words);
            }
            write(&frame)?;
        }
        Ok(())
    }

    fn fill_with_pages(&self, table: &Table, mfn_of: &impl Fn(u64) -> u64, words: &mut [u64; WORDS]) {
        for mapping in &self.mappings {
            let start = mapping.start.max(table.start);
            let end = mapping.end().min(table.start + span(1));
            if start >= end {
                continue;
            }
            let pfns = mapping.pfn + (start - mapping.start) / PAGE_SIZE..;
            let entries = table.index(start)..table.index(end);
            for (word, pfn) in words.get_mut(entries).into_iter().flatten().zip(pfns) {
                let flags = if self.is_page_table(pfn) {
                    PAGE_FLAGS & !WRITABLE
                } else {
                    PAGE_FLAGS
                };
                *word = entry(mfn_of(pfn), flags);
            }
        }
    }

    fn fill_with_tables(&self, table: &Table, mfn_of: &impl Fn(u64) -> u64, words: &mut [u64; WORDS]) {
        let below = table.start..table.start + span(table.level);
        for child in self
            .tables
            .iter()
            .filter(|child| child.level + 1 == table.level && below.contains(&child.start))
        {
            if let Some(word) = words.get_mut(table.index(child.start)) {
                *word = entry(mfn_of(child.pfn), TABLE_FLAGS);
            }
        }
    }

    fn is_page_table(&self, pfn: u64) -> bool {
        [self.page_tables, self.p2m_tables]
            .iter()
            .any(|tables| (tables.pfn..tables.pfn + tables.pages).contains(&pfn))
    }

    /// Calls `write` with each frame of the p2m list, by rising frame number: one word for each frame of the guest, its machine
    /// frame; words beyond the last frame are all ones.
    ///
    /// # Errors
    /// The first error of `write`.
    pub fn p2m_frames<E>(
        &self,
        mfn_of: impl Fn(u64) -> u64,
        mut write: impl FnMut(&Frame) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut frame = Frame {
            pfn: 0,
            words: [0; WORDS],
        };
        for index in 0..self.p2m_list.pages {
            frame.pfn = self.p2m_list.pfn + index;
            for (word, pfn) in frame.words.iter_mut().zip(index * P2M_ENTRIES_PER_PAGE..) {
                *word = if pfn < self.nr_pages { mfn_of(pfn) } else { NO_FRAME };
            }
            write(&frame)?;
        }
        Ok(())
    }
}

const fn entry(mfn: u64, flags: u64) -> u64 {
    mfn << 12 | flags
}
