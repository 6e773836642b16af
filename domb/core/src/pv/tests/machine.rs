//! A processor that walks the page tables of a layout.

use super::*;
use alloc::collections::BTreeMap;

/// Machine memory with the guest's page tables in it.
struct Machine {
    tables: BTreeMap<u64, [u64; WORDS]>,
    root: u64,
}

impl Machine {
    fn new(layout: &Layout) -> Self {
        let mut tables = BTreeMap::new();
        let mut last = None;
        layout
            .page_table_frames::<()>(mfn_of, |frame| {
                assert!(last < Some(frame.pfn), "rising order");
                last = Some(frame.pfn);
                assert!(tables.insert(mfn_of(frame.pfn), frame.words).is_none());
                Ok(())
            })
            .unwrap();
        Self {
            tables,
            root: mfn_of(layout.page_tables.pfn),
        }
    }

    /// What a processor does: the entry for the page that holds `va`.
    fn translate(&self, va: u64) -> Option<u64> {
        let mut table = self.root;
        for shift in [39, 30, 21, 12] {
            let entry = self.tables[&table][usize::try_from(va >> shift & 511).unwrap()];
            if entry & 1 == 0 {
                return None;
            }
            if shift == 12 {
                return Some(entry);
            }
            assert_eq!(entry & 0xfff, 0x67);
            table = entry >> 12;
        }
        None
    }
}

fn placements(layout: &Layout) -> Vec<Placement> {
    let Layout {
        kernel,
        p2m_list,
        p2m_tables,
        start_info,
        xenstore,
        console,
        page_tables,
        boot_stack,
        ..
    } = *layout;
    let mut all = vec![
        kernel,
        p2m_list,
        p2m_tables,
        start_info,
        xenstore,
        console,
        page_tables,
        boot_stack,
    ];
    all.extend(layout.ramdisk.map(|ramdisk| ramdisk.placement));
    all.retain(|placement| placement.pages > 0);
    all.sort_by_key(|placement| placement.pfn);
    all
}

/// All that must hold of any layout, by walking the page tables as a processor would.
pub(super) fn check(input: &Input) -> Layout {
    let layout = Layout::new(input).unwrap();
    let all = placements(&layout);
    for pair in all.windows(2) {
        assert!(pair[0].pfn + pair[0].pages <= pair[1].pfn, "{pair:?} overlap");
    }
    assert!(all.last().unwrap().pfn + all.last().unwrap().pages <= layout.nr_pages);
    let machine = Machine::new(&layout);
    let table_frames: Vec<u64> = [layout.page_tables, layout.p2m_tables]
        .iter()
        .flat_map(|tables| tables.pfn..tables.pfn + tables.pages)
        .collect();
    assert_eq!(
        machine.tables.keys().rev().copied().collect::<Vec<_>>(),
        table_frames.iter().map(|&pfn| mfn_of(pfn)).collect::<Vec<_>>()
    );
    let mut mapped = 0;
    let mut expect = |va: u64, pfn: u64| {
        let entry = machine.translate(va).unwrap();
        assert_eq!(entry >> 12, mfn_of(pfn), "{va:#x}");
        let is_table = machine.tables.contains_key(&mfn_of(pfn));
        let flags = if is_table { 0x21 } else { 0x23 };
        assert_eq!(entry & 0xfff, flags, "{va:#x}");
        mapped += 1;
    };
    for pfn in 0..layout.mapped_pages {
        expect(layout.virt_base + pfn * PAGE_SIZE, pfn);
    }
    if layout.p2m_tables.pages > 0 {
        for page in 0..layout.p2m_list.pages {
            expect(
                layout.p2m_list.va.unwrap() + page * PAGE_SIZE,
                layout.p2m_list.pfn + page,
            );
        }
    }
    // Nothing else is mapped.
    let entries = machine.tables.values().flatten().filter(|&&entry| entry != 0).count();
    assert_eq!(entries, mapped + table_frames.len() - 1);
    for placement in all {
        if let Some(va) = placement.va {
            assert_eq!(machine.translate(va).unwrap() >> 12, mfn_of(placement.pfn));
        }
    }
    // "at least 512kB padding after the final bootstrap element", "ends on an aligned 4MB boundary"
    assert!(layout.boot_stack.pfn + 1 + 128 <= layout.mapped_pages);
    assert!((layout.virt_base.wrapping_add(layout.mapped_pages * PAGE_SIZE)).is_multiple_of(4 << 20));
    assert!(layout.mapped_pages - (layout.boot_stack.pfn + 1 + 128) < 1024 + 8);
    layout
}
