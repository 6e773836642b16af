mod machine;
mod start_info;

use super::*;
use machine::check;

const GIB_PAGES: u64 = 1 << 18;
const LINUX_BASE: u64 = 0xffff_ffff_8000_0000;
const LINUX_INIT_P2M: u64 = 0x80_0000_0000;

/// A guest like Debian's kernel, 16 MiB above its base.
fn linux(nr_pages: u64, ramdisk_bytes: u64) -> Input {
    Input {
        virt_base: LINUX_BASE,
        kernel_start_va: LINUX_BASE + (16 << 20),
        kernel_end_va: LINUX_BASE + (54 << 20) + 0x123,
        init_p2m: Some(LINUX_INIT_P2M),
        mod_start_pfn: true,
        ramdisk_bytes,
        nr_pages,
        max_pages: nr_pages,
    }
}

/// A small bare-metal image at address 0.
fn tiny(nr_pages: u64) -> Input {
    Input {
        virt_base: 0,
        kernel_start_va: 0x1000,
        kernel_end_va: 0x9000,
        init_p2m: None,
        mod_start_pfn: false,
        ramdisk_bytes: 0,
        nr_pages,
        max_pages: nr_pages,
    }
}

/// Machine frames that have nothing to do with guest frames.
fn mfn_of(pfn: u64) -> u64 {
    0x3_0000_0000 - 7 * pfn
}

#[test]
fn a_tiny_guest_takes_few_frames() {
    let layout = check(&tiny(2048));
    assert_eq!(layout.mapped_pages, 1024);
    assert_eq!(layout.page_tables.pages, 5);
    assert_eq!(
        layout.kernel,
        Placement {
            pfn: 1,
            pages: 8,
            va: Some(0x1000)
        }
    );
    assert_eq!(
        layout.p2m_list,
        Placement {
            pfn: 9,
            pages: 4,
            va: Some(0x9000)
        }
    );
    assert_eq!(layout.start_info.va, Some(0xd000));
    assert_eq!(layout.boot_stack.pfn, 21);
    assert_eq!(layout.stack_pointer(), 22 * 4096);
    assert_eq!(check(&tiny(1024)).mapped_pages, 1024, "4 MiB suffice");
}

#[test]
fn linux_gets_ramdisk_and_p2m_list_behind_the_mapping() {
    let layout = check(&linux(32768, 3_000_001));
    let ramdisk = layout.ramdisk.unwrap();
    assert_eq!(ramdisk.bytes, 3_000_001);
    assert_eq!(
        ramdisk.placement,
        Placement {
            pfn: layout.mapped_pages,
            pages: 733,
            va: None
        }
    );
    assert_eq!(layout.p2m_list.pages, 64);
    assert_eq!(layout.p2m_list.va, Some(LINUX_INIT_P2M));
    assert_eq!(layout.p2m_tables.pages, 3, "the root is shared");
    assert_eq!(layout.p2m_tables.pfn, layout.p2m_list.pfn + 64);
    assert_eq!(layout.pfn_of(LINUX_BASE + (16 << 20)), Some(4096));
    assert_eq!(layout.pfn_of(LINUX_BASE + layout.mapped_pages * PAGE_SIZE), None);
    assert_eq!(layout.pfn_of(LINUX_BASE - 1), None);
}

/// Debian's cloud kernel ends at 62 MiB: a guest of 64 MiB has nothing behind the initial mapping.
#[test]
fn a_guest_hardly_larger_than_its_kernel_is_laid_out() {
    let cloud = Input {
        kernel_end_va: LINUX_BASE + (62 << 20),
        ..linux(0x4000, 5 << 20)
    };
    let layout = check(&cloud);
    assert_eq!(layout.mapped_pages, 0x4000);
    assert_eq!(
        layout.ramdisk.unwrap().placement,
        Placement {
            pfn: 256,
            pages: 1280,
            va: None
        }
    );
    assert_eq!(layout.p2m_list.va, Some(LINUX_BASE + (62 << 20)));
    assert_eq!(layout.p2m_tables.pages, 0);
    // 15 MiB is what there is before the kernel.
    check(&Input {
        ramdisk_bytes: 15 << 20,
        ..cloud
    });
    let too_much = Layout::new(&Input {
        ramdisk_bytes: (15 << 20) + 1,
        ..cloud
    });
    assert_eq!(
        too_much,
        Err(Error::Memory {
            what: "the ramdisk",
            pages: 3841,
            free: 0,
            nr_pages: 0x4000
        })
    );
}

#[test]
fn layouts_of_many_shapes_hold() {
    for nr_pages in [0x4000, 0x8001, 5 * GIB_PAGES] {
        for ramdisk_bytes in [0, 4097] {
            for mod_start_pfn in [false, true] {
                for init_p2m in [
                    None,
                    Some(LINUX_INIT_P2M),
                    Some(0x1000),
                    Some(LINUX_BASE - (256 << 20)),
                    Some(1),
                    Some(u64::MAX),
                ] {
                    let ours = Input {
                        mod_start_pfn,
                        init_p2m,
                        ..linux(nr_pages, ramdisk_bytes)
                    };
                    let ours = if nr_pages < 0x8000 {
                        Input {
                            kernel_end_va: LINUX_BASE + (20 << 20),
                            ..ours
                        }
                    } else {
                        ours
                    };
                    check(&ours);
                }
            }
        }
    }
    // Bases that are not multiples of 4 MiB, kernels of every size around a boundary.
    for kernel_pages in 800..1024 {
        let ours = Input {
            virt_base: 0x7000,
            kernel_start_va: 0x7000,
            kernel_end_va: 0x7000 + kernel_pages * PAGE_SIZE,
            ..tiny(4096)
        };
        check(&ours);
    }
}

#[test]
fn the_p2m_list_tells_every_frame() {
    for input in [tiny(2048), linux(40961, 1)] {
        let layout = Layout::new(&input).unwrap();
        let mut words = Vec::new();
        let mut pfns = layout.p2m_list.pfn..;
        layout
            .p2m_frames::<()>(mfn_of, |frame| {
                assert_eq!(Some(frame.pfn), pfns.next());
                words.extend(frame.words);
                Ok(())
            })
            .unwrap();
        assert_eq!(words.len() as u64, layout.p2m_list.pages * 512);
        for (word, pfn) in words.into_iter().zip(0..) {
            assert_eq!(word, if pfn < layout.nr_pages { mfn_of(pfn) } else { u64::MAX });
        }
    }
}

#[test]
fn an_error_of_the_writer_stops_the_work() {
    let layout = Layout::new(&tiny(2048)).unwrap();
    let mut calls = 0;
    let mut fail = |_: &Frame| {
        calls += 1;
        if calls == 2 { Err("full") } else { Ok(()) }
    };
    assert_eq!(layout.page_table_frames(mfn_of, &mut fail), Err("full"));
    assert_eq!(calls, 2);
}

#[test]
fn what_does_not_fit_is_named() {
    let memory = |input: &Input| match Layout::new(input) {
        Err(Error::Memory { what, .. }) => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(memory(&linux(0x800, 0)), "the space before the kernel");
    assert_eq!(memory(&linux(0x2000, 0)), "the kernel");
    assert_eq!(memory(&linux(0x3700, 0)), "the initial mapping's padding");
    assert_eq!(memory(&linux(0x4000, 64 << 20)), "the ramdisk");
    assert_eq!(memory(&linux(0x4000, u64::MAX)), "the ramdisk");
    assert_eq!(
        memory(&Input {
            mod_start_pfn: false,
            ..linux(0x4000, u64::MAX)
        }),
        "the ramdisk"
    );
    assert_eq!(memory(&tiny(0)), "the space before the kernel");
    assert_eq!(memory(&tiny(10)), "the p2m list".replace("p2m list", "start info"));
    assert_eq!(memory(&tiny(512)), "the initial mapping's padding");
    let error = Layout::new(&linux(0x4000, 64 << 20)).unwrap_err();
    assert_eq!(
        alloc::format!("{error}"),
        "the ramdisk takes 16384 pages, 2048 of the guest's 16384 are left for it"
    );
}

#[test]
fn any_numbers_give_a_layout_or_an_error() {
    let numbers = [
        0,
        1,
        4095,
        4096,
        0x7fff_ffff_f000,
        LINUX_INIT_P2M,
        LINUX_BASE,
        u64::MAX - 4095,
        u64::MAX,
    ];
    let mut layouts = 0;
    for virt_base in numbers {
        for kernel_start_va in numbers {
            for kernel_end_va in numbers {
                for other in numbers {
                    for nr_pages in [0, 1, 2048, MAX_PAGES + 1, u64::MAX] {
                        let layout = Layout::new(&Input {
                            virt_base,
                            kernel_start_va,
                            kernel_end_va,
                            init_p2m: Some(other),
                            mod_start_pfn: nr_pages == 1,
                            ramdisk_bytes: other,
                            nr_pages,
                            max_pages: 0,
                        });
                        layouts += u32::from(layout.is_ok());
                    }
                }
            }
        }
    }
    assert!(layouts > 0);
}

#[test]
fn addresses_that_make_no_sense_are_refused() {
    let good = tiny(2048);
    let kernel = |input: Input| {
        assert!(
            matches!(Layout::new(&input), Err(Error::KernelAddresses { .. })),
            "{input:x?}"
        );
    };
    kernel(Input {
        virt_base: 0x800,
        ..good
    });
    kernel(Input {
        virt_base: 0x2000,
        ..good
    });
    kernel(Input {
        kernel_end_va: 0x1000,
        ..good
    });
    kernel(Input {
        kernel_end_va: 0,
        ..good
    });
    let address = |virt_base: u64| {
        let input = Input {
            virt_base,
            kernel_start_va: virt_base,
            kernel_end_va: virt_base + 0x1000,
            ..good
        };
        assert!(
            matches!(Layout::new(&input), Err(Error::Addresses { .. })),
            "{virt_base:#x}"
        );
    };
    address(0x8000_0000_0000);
    address(0x7fff_ffff_0000);
    address(0xffff_8000_0000_0000);
    address(0xffff_87ff_ffff_f000);
    address(0xffff_ffff_ffff_0000);
    address(0x1_0000_0000_0000);
    check(&Input {
        virt_base: 0xffff_8800_0000_0000,
        kernel_start_va: 0xffff_8800_0000_0000,
        kernel_end_va: 0xffff_8800_0000_1000,
        ..good
    });
    // The mapping may end where addresses end.
    let top = check(&Input {
        virt_base: 0xffff_ffff_ffc0_0000,
        kernel_start_va: 0xffff_ffff_ffc0_0000,
        kernel_end_va: 0xffff_ffff_ffc0_1000,
        ..good
    });
    assert_eq!(top.pfn_of(u64::MAX), Some(1023));
    let overlap = Input {
        init_p2m: Some(LINUX_BASE - PAGE_SIZE),
        ..linux(0x8000, 0)
    };
    assert!(matches!(Layout::new(&overlap), Err(Error::Overlap { .. })));
    let in_xen = Input {
        init_p2m: Some(0xffff_8000_0000_0000),
        ..linux(0x8000, 0)
    };
    assert!(matches!(Layout::new(&in_xen), Err(Error::Addresses { .. })));
    assert_eq!(
        Layout::new(&tiny(MAX_PAGES + 1)),
        Err(Error::TooLarge { pages: MAX_PAGES + 1 })
    );
    assert_eq!(
        Layout::new(&Input {
            max_pages: u64::MAX,
            ..good
        }),
        Err(Error::TooLarge { pages: u64::MAX })
    );
}

#[test]
fn the_memory_map_has_room_for_growth() {
    let layout = Layout::new(&Input {
        max_pages: 65536,
        ..linux(32768, 0)
    })
    .unwrap();
    assert_eq!(
        layout.memory_map(),
        vec![Region {
            start: 0,
            size: 256 << 20,
            kind: RegionKind::Ram
        }]
    );
    let layout = Layout::new(&Input {
        max_pages: 0,
        ..linux(32768, 0)
    })
    .unwrap();
    assert_eq!(layout.max_pages, 32768);
}
