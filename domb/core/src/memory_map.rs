//! Guest-physical memory: the map a guest is told of, and the extents it is populated with.
//!
//! The map is the E820 of x86 firmware. A PV guest asks Xen for it (`XENMEM_memory_map`, which answers with what the builder
//! stored by `XENMEM_set_memory_map`); a PVH guest also finds it in its start info.

use alloc::vec::Vec;

/// Bytes in a page of memory.
pub const PAGE_SIZE: u64 = 4096;

/// Number of pages that `bytes` bytes take.
#[must_use]
pub const fn pages_for(bytes: u64) -> u64 {
    bytes.div_ceil(PAGE_SIZE)
}

/// What a range of guest-physical addresses is for.
///
/// The numbers are the address range types of the ACPI specification (6.5, table 15.15), which Xen's
/// `public/arch-x86/hvm/start_info.h` takes over as `XEN_HVM_MEMMAP_TYPE_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegionKind {
    /// Memory for the guest to use as it likes.
    Ram,
    /// Not for the guest's allocator: pages shared with backends, or Xen's own helpers.
    Reserved,
    /// ACPI tables; memory that the guest may reclaim after it has read them.
    Acpi,
}

impl RegionKind {
    /// The number that stands for this kind in an E820 entry and in a PVH memory map.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::Ram => 1,
            Self::Reserved => 2,
            Self::Acpi => 3,
        }
    }
}

/// One entry of a guest's memory map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// First guest-physical address.
    pub start: u64,
    /// Length in bytes.
    pub size: u64,
    /// What the range is for.
    pub kind: RegionKind,
}

impl Region {
    /// First address after the region.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.start.saturating_add(self.size)
    }
}

/// The extent orders that hardware page tables profit from: 1 GiB, 2 MiB, 4 KiB. Largest first.
const ORDERS: [u32; 3] = [18, 9, 0];

/// A run of equally large, adjoining extents: one argument list of `XENMEM_populate_physmap`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extents {
    /// Guest frame number of the first page; a multiple of the extent size.
    pub first_frame: u64,
    /// Number of extents.
    pub count: u64,
    /// Binary logarithm of the pages in one extent: 18, 9 or 0.
    pub order: u32,
}

impl Extents {
    /// Pages in one extent.
    #[must_use]
    pub const fn pages_each(&self) -> u64 {
        1 << self.order
    }

    /// Pages in the whole run.
    #[must_use]
    pub const fn pages(&self) -> u64 {
        self.count << self.order
    }

    /// Splits `[first_frame, first_frame + pages)` into the largest naturally aligned extents of at most `max_order`.
    ///
    /// Neighbouring extents of one order come as one run, so that a guest of 5 GiB is a run or two. A domain that is not
    /// the control domain may not ask for more than order 9 unless Xen's `memop-max-order` says so
    /// (`max_order()` in xen/common/memory.c).
    #[must_use]
    pub fn cover(first_frame: u64, pages: u64, max_order: u32) -> Vec<Self> {
        let mut runs: Vec<Self> = Vec::new();
        let end = first_frame.saturating_add(pages);
        let mut at = first_frame;
        while at < end {
            let left = end - at;
            let order = ORDERS
                .into_iter()
                .find(|&order| order <= max_order && at.is_multiple_of(1 << order) && left >= 1 << order)
                .unwrap_or(0);
            // Up to where the next larger extent could begin.
            let stop = ORDERS
                .into_iter()
                .rev()
                .find(|&larger| larger > order && larger <= max_order)
                .and_then(|larger| at.checked_add(1)?.checked_next_multiple_of(1 << larger))
                .map_or(end, |boundary| boundary.min(end));
            let count = ((stop - at) >> order).max(1);
            runs.push(Self {
                first_frame: at,
                count,
                order,
            });
            at += count << order;
        }
        runs
    }

    /// The rest of the run once its first `done` extents are populated; `None` when nothing is left.
    #[must_use]
    pub const fn after(&self, done: u64) -> Option<Self> {
        if done >= self.count {
            return None;
        }
        let first_frame = self.first_frame + (done << self.order);
        Some(Self {
            first_frame,
            count: self.count - done,
            order: self.order,
        })
    }

    /// The same pages in extents one size smaller, for when Xen has no memory that contiguous; `None` at single pages.
    #[must_use]
    pub fn smaller(&self) -> Option<Self> {
        let order = ORDERS.into_iter().find(|&order| order < self.order)?;
        Some(Self {
            first_frame: self.first_frame,
            count: self.count << (self.order - order),
            order,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn pages_are_covered_once(first_frame: u64, pages: u64, max_order: u32) {
        let mut at = first_frame;
        for run in Extents::cover(first_frame, pages, max_order) {
            assert_eq!(run.first_frame, at, "{first_frame:#x}+{pages:#x}");
            assert!(run.order <= max_order);
            assert!(run.first_frame.is_multiple_of(run.pages_each()));
            assert!(run.count > 0);
            at += run.pages();
        }
        assert_eq!(at, first_frame + pages);
    }

    #[test]
    fn extents_cover_every_page_once_and_aligned() {
        for first in [0, 1, 511, 512, 513, 0x3ffff, 0x40000, 0x40001, 0x100_000] {
            for pages in [
                0, 1, 2, 511, 512, 513, 1024, 0x3ffff, 0x40000, 0x40001, 0x14_0000, 0x14_0203,
            ] {
                for max_order in [18, 9, 0] {
                    pages_are_covered_once(first, pages, max_order);
                }
            }
        }
    }

    #[test]
    fn a_large_guest_is_few_runs() {
        assert_eq!(
            Extents::cover(0, 3 << 18, 18),
            vec![Extents {
                first_frame: 0,
                count: 3,
                order: 18
            }]
        );
        assert_eq!(
            Extents::cover(0, 32768, 18),
            vec![Extents {
                first_frame: 0,
                count: 64,
                order: 9
            }]
        );
        assert_eq!(
            Extents::cover(0, 0x40000 + 512 + 3, 18),
            vec![
                Extents {
                    first_frame: 0,
                    count: 1,
                    order: 18
                },
                Extents {
                    first_frame: 0x40000,
                    count: 1,
                    order: 9
                },
                Extents {
                    first_frame: 0x40200,
                    count: 3,
                    order: 0
                },
            ]
        );
    }

    #[test]
    fn a_run_can_be_continued_and_broken_down() {
        let run = Extents {
            first_frame: 0x40000,
            count: 3,
            order: 18,
        };
        assert_eq!(
            run.after(1),
            Some(Extents {
                first_frame: 0x80000,
                count: 2,
                order: 18
            })
        );
        assert_eq!(run.after(3), None);
        let smaller = run.smaller().unwrap();
        assert_eq!(
            smaller,
            Extents {
                first_frame: 0x40000,
                count: 1536,
                order: 9
            }
        );
        assert_eq!(smaller.pages(), run.pages());
        assert_eq!(smaller.smaller().unwrap().order, 0);
        assert_eq!(smaller.smaller().unwrap().smaller(), None);
    }
}
