//! Memory as a guest sees it, and what Xen checks of a PV guest's page tables.

use std::collections::BTreeMap;

use xen::{DomId, PAGE_SIZE};

use crate::machine::Machine;

const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;
const LARGE_PAGE: u64 = 1 << 7;
/// Root slots that are Xen's.
const XEN_SLOTS: std::ops::Range<usize> = 256..272;

fn frame_in(entry: u64) -> u64 {
    (entry & 0x000f_ffff_ffff_f000) >> 12
}

impl Machine {
    fn words(&self, frame: u64) -> impl Iterator<Item = u64> {
        let (words, _) = self.page(frame).as_chunks::<8>();
        words.iter().map(|word| u64::from_le_bytes(*word))
    }

    /// The page tables under a root, each with its level, or why Xen would not take them.
    pub(crate) fn validate_tables(&self, domid: DomId, root: u64) -> Result<BTreeMap<u64, u32>, String> {
        let mut tables = BTreeMap::from([(root, 4)]);
        let mut leaves = Vec::new();
        let mut rest = vec![root];
        while let Some(table) = rest.pop() {
            if !self.owns(domid, table) {
                return Err(format!("table {table:#x} is not the domain's"));
            }
            if self.is_mapped(table) {
                return Err(format!("table {table:#x} is mapped writable by another domain"));
            }
            let level = tables[&table];
            for (slot, entry) in self.words(table).enumerate() {
                if entry & PRESENT == 0 {
                    continue;
                }
                let at = format!("table {table:#x} of level {level}, slot {slot}: {entry:#x}");
                let frame = frame_in(entry);
                if entry >> 52 != 0 || !self.owns(domid, frame) {
                    return Err(format!("{at}: not the domain's frame"));
                }
                if level == 4 && XEN_SLOTS.contains(&slot) {
                    return Err(format!("{at}: the slot is Xen's"));
                }
                if level == 1 {
                    leaves.push((frame, entry, at));
                } else if entry & LARGE_PAGE != 0 {
                    return Err(format!("{at}: a large page"));
                } else if let Some(other) = tables.insert(frame, level - 1) {
                    // Xen would take it a second time at the same level; no builder has a reason to.
                    return Err(format!("{at}: is a table of level {other} already"));
                } else {
                    rest.push(frame);
                }
            }
        }
        for (frame, entry, at) in leaves {
            if entry & WRITABLE != 0 && tables.contains_key(&frame) {
                return Err(format!("{at}: a page table, writable"));
            }
        }
        Ok(tables)
    }

    /// The machine frame behind a virtual address, by the page tables.
    pub(crate) fn translate(&self, root: u64, address: u64) -> Option<u64> {
        let mut frame = root;
        for shift in [39, 30, 21, 12] {
            let slot = usize::try_from(address >> shift & 0x1ff).unwrap();
            let entry = self.words(frame).nth(slot)?;
            if entry & PRESENT == 0 {
                return None;
            }
            frame = frame_in(entry);
        }
        Some(frame)
    }

    /// Bytes at a virtual address, by the page tables under a root.
    #[track_caller]
    pub(crate) fn read_virtual(&self, root: u64, address: u64, count: u64) -> Vec<u8> {
        self.gather(address, count, |page| {
            // Addresses are canonical, the tables know 48 bits.
            self.translate(root, page << 12)
        })
    }

    /// Bytes at a pseudo-physical address.
    #[track_caller]
    pub(crate) fn read_physical(&self, domid: DomId, address: u64, count: u64) -> Vec<u8> {
        let pages = &self.domains[&domid].pages;
        self.gather(address, count, |page| pages.get(&page).copied())
    }

    #[track_caller]
    fn gather(&self, address: u64, count: u64, frame: impl Fn(u64) -> Option<u64>) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut at = address;
        let end = address + count;
        while at < end {
            let Some(frame) = frame(at >> 12) else {
                panic!("nothing at {at:#x}");
            };
            let offset = usize::try_from(at % PAGE_SIZE as u64).unwrap();
            let part = (PAGE_SIZE - offset).min(usize::try_from(end - at).unwrap());
            bytes.extend_from_slice(&self.page(frame)[offset..offset + part]);
            at += part as u64;
        }
        bytes
    }
}
