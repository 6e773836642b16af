use super::*;
use alloc::vec;

const GIB_PAGES: u64 = 1 << 18;

/// A guest like Debian's cloud kernel.
fn linux(nr_pages: u64) -> Input<'static> {
    Input {
        kernel_start: 16 << 20,
        kernel_end: (52 << 20) + 0x234,
        entry: 0x100_0420,
        ramdisk_bytes: 0,
        command_line: b"console=hvc0",
        nr_pages,
        acpi_bytes: 3000,
        rsdp_gpa: ACPI_GPA,
    }
}

fn word(bytes: &[u8], at: u64) -> u64 {
    let at = usize::try_from(at).unwrap();
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn half(bytes: &[u8], at: u64) -> u32 {
    let at = usize::try_from(at).unwrap();
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// All that must hold of any layout; reads the boot info as a guest does.
fn check(input: &Input) -> Layout {
    let layout = Layout::new(input).unwrap();
    let map = layout.memory_map();
    for pair in map.windows(2) {
        assert!(pair[0].end() <= pair[1].start, "{pair:x?}");
    }
    let ram: u64 = map
        .iter()
        .filter(|region| region.kind == RegionKind::Ram)
        .map(|region| region.size)
        .sum();
    assert_eq!(
        ram + PAGE_SIZE,
        input.nr_pages * PAGE_SIZE,
        "all but the page of the RSDP's copy"
    );
    for device in [0xFEC0_0000, 0xFED4_0000, 0xFED4_4FFF, 0xFEE0_0000] {
        assert!(!map.iter().any(|region| (region.start..region.end()).contains(&device)));
    }
    // Every page of the map is populated, and nothing else.
    let mut populated: Vec<(u64, u64)> = layout
        .extents(18)
        .iter()
        .map(|run| (run.first_frame * PAGE_SIZE, run.pages() * PAGE_SIZE))
        .collect();
    populated.sort_unstable();
    let mut mapped: Vec<(u64, u64)> = map.iter().map(|region| (region.start, region.size)).collect();
    for ranges in [&mut populated, &mut mapped] {
        ranges.dedup_by(|next, range| {
            let adjoin = range.0 + range.1 == next.0;
            if adjoin {
                range.1 += next.1;
            }
            adjoin
        });
    }
    assert_eq!(populated, mapped);
    assert_eq!(
        populated.iter().map(|range| range.1).sum::<u64>(),
        layout.populated_pages() * PAGE_SIZE
    );

    let info = &layout.boot_info;
    let gpa = u64::from(layout.boot_info_gpa);
    assert!(gpa.is_multiple_of(PAGE_SIZE));
    assert_eq!(half(info, 0), 0x336e_c578);
    assert_eq!(half(info, 4), 1);
    assert_eq!(half(info, 8), 0);
    assert_eq!(word(info, 32), input.rsdp_gpa);
    let mut at = word(info, 40) - gpa;
    assert_eq!(half(info, 48) as usize, map.len());
    assert_eq!(half(info, 52), 0);
    for region in map {
        assert_eq!((word(info, at), word(info, at + 8)), (region.start, region.size));
        assert_eq!((half(info, at + 16), half(info, at + 20)), (region.kind.number(), 0));
        at += 24;
    }
    let line = &info[usize::try_from(word(info, 24) - gpa).unwrap()..];
    assert_eq!(line, [input.command_line, b"\0"].concat());
    let mut parts = vec![input.kernel_start..input.kernel_end, gpa..gpa + info.len() as u64];
    if input.ramdisk_bytes == 0 {
        assert_eq!((half(info, 12), word(info, 16), layout.ramdisk), (0, 0, None));
    } else {
        let ramdisk = layout.ramdisk.unwrap();
        assert_eq!(ramdisk.bytes, input.ramdisk_bytes);
        assert!(ramdisk.gpa.is_multiple_of(PAGE_SIZE));
        parts.push(ramdisk.gpa..ramdisk.gpa + ramdisk.bytes);
        assert_eq!(half(info, 12), 1);
        let module = word(info, 16) - gpa;
        assert_eq!(
            (word(info, module), word(info, module + 8)),
            (ramdisk.gpa, ramdisk.bytes)
        );
        assert_eq!((word(info, module + 16), word(info, module + 24)), (0, 0));
    }
    parts.sort_by_key(|part| part.start);
    assert!(parts.windows(2).all(|pair| pair[0].end <= pair[1].start), "{parts:x?}");
    assert!(parts[0].start >= MIB && parts.last().unwrap().end <= layout.low_end);
    layout
}

#[test]
fn layouts_of_many_sizes_hold() {
    for nr_pages in [
        0x4000,
        0x8000,
        0x8001,
        GIB_PAGES,
        3 * GIB_PAGES,
        3 * GIB_PAGES + 1,
        5 * GIB_PAGES,
        1 << 28,
    ] {
        for ramdisk_bytes in [0, 1, 4096, 5_000_000] {
            for command_line in [&b""[..], b"console=hvc0", &[b'x'; 2047]] {
                check(&Input {
                    ramdisk_bytes,
                    command_line,
                    ..linux(nr_pages)
                });
            }
        }
    }
    let tiny = Input {
        kernel_start: 1 << 20,
        kernel_end: (1 << 20) + 0x9000,
        entry: 0x10_0000,
        ..linux(1024)
    };
    check(&tiny);
}

#[test]
fn a_large_guest_has_memory_on_both_sides_of_the_hole() {
    let layout = check(&linux(5 * GIB_PAGES));
    assert_eq!(layout.low_end, 3 << 30);
    assert_eq!(layout.high_end, 6 << 30);
    assert_eq!(
        layout.extents(18)[..2],
        [
            Extents {
                first_frame: 0,
                count: 3,
                order: 18
            },
            Extents {
                first_frame: 0x10_0000,
                count: 2,
                order: 18
            },
        ]
    );
    let small = check(&linux(0x8000));
    assert_eq!(small.high_end, HIGH_RAM_START);
    assert_eq!(small.extents(18).len(), 3);
    assert_eq!(small.populated_pages(), 0x8000 + 1 + 6);
}

#[test]
fn the_parts_follow_the_kernel() {
    let layout = check(&Input {
        ramdisk_bytes: 4097,
        ..linux(0x8000)
    });
    assert_eq!(
        layout.ramdisk,
        Some(Ramdisk {
            gpa: (52 << 20) + 0x1000,
            bytes: 4097
        })
    );
    assert_eq!(layout.boot_info_gpa, (52 << 20) + 0x3000);
}

#[test]
fn what_does_not_fit_is_named() {
    let memory = |input: &Input| match Layout::new(input) {
        Err(Error::Memory { what, .. }) => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(memory(&linux(0x3000)), "the kernel");
    assert_eq!(memory(&linux(0)), "the kernel");
    assert_eq!(
        memory(&Input {
            ramdisk_bytes: 16 << 20,
            ..linux(0x4000)
        }),
        "the ramdisk"
    );
    assert_eq!(
        memory(&Input {
            ramdisk_bytes: u64::MAX,
            ..linux(0x4000)
        }),
        "the ramdisk"
    );
    assert_eq!(
        memory(&Input {
            ramdisk_bytes: 3 << 30,
            ..linux(8 * GIB_PAGES)
        }),
        "the ramdisk"
    );
    assert_eq!(
        memory(&Input {
            kernel_start: MIB,
            ..linux((52 << 8) + 1)
        }),
        "the boot info"
    );
    let error = Layout::new(&Input {
        ramdisk_bytes: 16 << 20,
        ..linux(0x4000)
    })
    .unwrap_err();
    let said = alloc::format!("{error}");
    assert_eq!(
        said,
        "the ramdisk: 16777216 bytes from 0x3400234 on, but the guest's low memory ends at 0x4000000"
    );
}

/// Debian's cloud kernel ends at 62 MiB.
#[test]
fn a_guest_hardly_larger_than_its_kernel_is_laid_out() {
    let cloud = Input {
        kernel_end: 62 << 20,
        ramdisk_bytes: 5 << 20,
        ..linux(0x4000)
    };
    let layout = check(&cloud);
    assert_eq!(
        layout.ramdisk,
        Some(Ramdisk {
            gpa: MIB,
            bytes: 5 << 20
        })
    );
    assert_eq!(layout.boot_info_gpa, 62 << 20);
    let layout = check(&Input {
        nr_pages: 62 << 8,
        ..cloud
    });
    assert_eq!(layout.boot_info_gpa, 6 << 20);
}

#[test]
fn nonsense_is_refused() {
    let good = linux(0x8000);
    for (start, end, entry) in [
        (0xf_f000, 52 << 20, 0x100_0420),
        (16 << 20, 16 << 20, 0x100_0000),
        (16 << 20, 52 << 20, 0x10_0000),
        (16 << 20, 52 << 20, 52 << 20),
        (u64::MAX, 0, 0),
    ] {
        let input = Input {
            kernel_start: start,
            kernel_end: end,
            entry,
            ..good
        };
        assert_eq!(Layout::new(&input), Err(Error::KernelAddresses { start, end, entry }));
    }
    assert!(matches!(
        Layout::new(&Input {
            kernel_end: u64::MAX,
            ..good
        }),
        Err(Error::Memory { .. })
    ));
    assert_eq!(
        Layout::new(&linux(MAX_PAGES + 1)),
        Err(Error::TooLarge { pages: MAX_PAGES + 1 })
    );
    let acpi = Input {
        acpi_bytes: ACPI_MAX_BYTES + 1,
        ..good
    };
    assert_eq!(
        Layout::new(&acpi),
        Err(Error::Acpi {
            bytes: ACPI_MAX_BYTES + 1
        })
    );
    assert_eq!(
        Layout::new(&Input {
            command_line: b"a\0",
            ..good
        }),
        Err(Error::CommandLineZero { offset: 1 })
    );
}

#[test]
fn any_numbers_give_a_layout_or_an_error() {
    let numbers = [
        0,
        1,
        4095,
        MIB,
        MIB + 1,
        16 << 20,
        LOW_RAM_END,
        HIGH_RAM_START,
        u64::MAX - 4095,
        u64::MAX,
    ];
    for kernel_start in numbers {
        for kernel_end in numbers {
            for ramdisk_bytes in numbers {
                for nr_pages in [0, 1, 255, 256, 257, 0x8000, MAX_PAGES, u64::MAX] {
                    let entry = u32::try_from(kernel_start).unwrap_or(0);
                    let input = Input {
                        kernel_start,
                        kernel_end,
                        entry,
                        ramdisk_bytes,
                        ..linux(nr_pages)
                    };
                    if Layout::new(&input).is_ok() {
                        check(&input);
                    }
                }
            }
        }
    }
}

#[test]
fn special_pages_are_where_xens_tools_have_them() {
    assert_eq!(SpecialPage::Xenstore.gfn(), 0xfeffc);
    assert_eq!(SpecialPage::Ioreq.gfn(), 0xfeffd);
    assert_eq!(SpecialPage::IdentityPageTable.gpa(), 0xfeff_e000);
    assert_eq!(SpecialPage::Console.gfn(), 0xfefff);
    assert_eq!(
        SpecialPage::Console.gfn(),
        SpecialPage::FIRST_GFN + SpecialPage::COUNT - 1
    );
}

#[test]
fn the_real_mode_segment_is_named_by_address_and_length() {
    assert_eq!(vm86_tss_param(), 0x109_feff_a000);
}

#[test]
fn the_identity_page_table_maps_every_address_to_itself() {
    let entries: Vec<u64> = identity_page_table()
        .iter()
        .flat_map(|word| vec![word & 0xffff_ffff, word >> 32])
        .collect();
    assert_eq!(entries.len(), 1024);
    for (entry, address) in entries.into_iter().zip((0..).step_by(4 << 20)) {
        assert_eq!(entry, address | 0xe7);
    }
}
