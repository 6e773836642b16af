//! Kernels that load, and every way of being refused.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use super::writer::{BASE, Elf, kernel, kernel_notes, load, notes, xen};
use super::*;

fn refusal(elf: &Elf) -> String {
    Kernel::parse(&elf.bytes()).unwrap_err().to_string()
}

fn pv_refusal(elf: &Elf) -> String {
    Kernel::parse(&elf.bytes()).unwrap().pv().unwrap_err().to_string()
}

fn pvh_refusal(elf: &Elf) -> String {
    Kernel::parse(&elf.bytes()).unwrap().pvh().unwrap_err().to_string()
}

/// The kernel with more notes, which override earlier ones.
fn with_note(kind: u32, value: &[u8]) -> Elf {
    let mut elf = kernel();
    elf.parts[3].data.extend(xen(kind, value));
    elf
}

/// The kernel with other notes.
fn only_notes(list: &[Vec<u8>]) -> Elf {
    let mut elf = kernel();
    elf.parts[3] = notes(list.concat());
    elf
}

#[test]
fn a_pvh_kernel() {
    let bytes = kernel().bytes();
    let kernel = Kernel::parse(&bytes).unwrap();
    let pvh = kernel.pvh().unwrap();
    assert_eq!((pvh.entry, pvh.start, pvh.end), (0x10_0050, 0x10_0000, 0x10_C000));
    let places: Vec<_> = pvh
        .segments
        .iter()
        .map(|s| (s.address, s.memory_size, s.data.len()))
        .collect();
    assert_eq!(
        places,
        [
            (0x10_0000, 0x3000, 0x1800),
            (0x10_3000, 0x1000, 12),
            (0x10_4000, 0x8000, 4)
        ]
    );
}

#[test]
fn a_pv_kernel() {
    let bytes = kernel().bytes();
    let kernel = Kernel::parse(&bytes).unwrap();
    let pv = kernel.pv().unwrap();
    assert_eq!((pv.virt_base, pv.paddr_offset, pv.entry), (BASE, 0, BASE + 0x10_0100));
    assert_eq!((pv.start, pv.end), (BASE + 0x10_0000, BASE + 0x10_C000));
    assert_eq!(
        (pv.hypercall_page, pv.init_p2m),
        (Some(BASE + 0x10_1000), Some(0x80_0000_0000))
    );
    assert!(pv.mod_start_pfn);
    // The per-CPU data goes where its physical address says, not where it is linked.
    assert_eq!(
        (pv.segments[1].virtual_address, pv.segments[1].physical),
        (BASE + 0x10_3000, 0x10_3000)
    );
    assert_eq!(pv.segments[1].data, b"per-CPU data");
    assert!(kernel.notes().features.requires(Feature::WritablePageTables));
}

/// A bare-metal image: no base, no RAM disk note, the entry in the ELF header, as a physical offset is subtracted.
#[test]
fn a_small_pv_image() {
    let mut elf = only_notes(&[
        xen(5, b"xen-3.0"),
        xen(8, b"generic"),
        xen(3, &[0; 8]),
        xen(4, &0x1000u32.to_le_bytes()),
    ]);
    elf.parts = vec![load(0x11_0000, 0x10_F000, 0x2000, b"text"), elf.parts[3].clone()];
    elf.entry = 0x10_F004;
    let bytes = elf.bytes();
    let pv = Kernel::parse(&bytes).unwrap().pv().unwrap();
    assert_eq!((pv.virt_base, pv.paddr_offset, pv.entry), (0, 0x1000, 0x10_F004));
    assert_eq!(
        (pv.segments[0].virtual_address, pv.segments[0].physical),
        (0x10_F000, 0x10_F000)
    );
    assert!(pv.hypercall_page.is_none() && pv.init_p2m.is_none() && !pv.mod_start_pfn);
}

#[test]
fn notes_of_a_section() {
    let mut elf = kernel();
    elf.section_notes = elf.parts.remove(3).data;
    let bytes = elf.bytes();
    let kernel = Kernel::parse(&bytes).unwrap();
    assert!(kernel.pv().is_ok() && kernel.pvh().is_ok());
}

/// The file need not be aligned in memory.
#[test]
fn at_any_alignment() {
    let bytes = kernel().bytes();
    for shift in 1..8 {
        let moved = [vec![0; shift], bytes.clone()].concat();
        assert!(Kernel::parse(&moved[shift..]).unwrap().pvh().is_ok());
    }
}

#[test]
fn truncated_at_every_offset() {
    let bytes = kernel().bytes();
    for end in 0..bytes.len() {
        assert!(Kernel::parse(&bytes[..end]).is_err(), "cut at {end}");
    }
    let message = Kernel::parse(&bytes[..63]).unwrap_err().to_string();
    assert_eq!(
        message,
        "truncated: the file has 63 bytes and ends inside the ELF header"
    );
    let message = Kernel::parse(&bytes[..0x1000]).unwrap_err().to_string();
    assert_eq!(
        message,
        "segment 1: its 0x1800 bytes at file offset 0x124 end beyond the file's 0x1000 bytes"
    );
}

/// Nothing that is flipped makes the parser panic.
#[test]
fn every_bit_of_the_headers_flipped() {
    let bytes = kernel().bytes();
    let headers = (0..64 + 4 * 56).chain(bytes.len() - kernel_notes().len()..bytes.len());
    for at in headers {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            if let Ok(kernel) = Kernel::parse(&flipped) {
                let _ = (kernel.pv(), kernel.pvh(), kernel.memory_image(1 << 24));
            }
        }
    }
}

#[test]
fn another_kind_of_file() {
    assert_eq!(Kernel::parse(&[0; 64]), Err(ElfError::NotElf));
    assert_eq!(
        refusal(&Elf { class: 1, ..kernel() }),
        "a 32-bit ELF file: only 64-bit x86-64 kernels are loaded"
    );
    assert_eq!(
        Kernel::parse(
            &Elf {
                byte_order: 2,
                ..kernel()
            }
            .bytes()
        ),
        Err(ElfError::BigEndian)
    );
    assert_eq!(
        Kernel::parse(&Elf { class: 9, ..kernel() }.bytes()),
        Err(ElfError::NotElf)
    );
    let message = "made for ELF machine 183: only x86-64 (62) kernels are loaded";
    assert_eq!(
        refusal(&Elf {
            machine: 183,
            ..kernel()
        }),
        message
    );
    assert_eq!(refusal(&Elf { kind: 3, ..kernel() }), "ELF type 3 is no executable (2)");
}

#[test]
fn overlapping_segments() {
    let mut elf = kernel();
    elf.parts[2].memory_size = 0x1001;
    assert_eq!(refusal(&elf), "segments 2 and 0 overlap at physical address 0x104000");
    elf.parts[2] = elf.parts[1].clone();
    assert_eq!(refusal(&elf), "segments 1 and 2 overlap at physical address 0x100000");
}

#[test]
fn oversize_segments() {
    let mut elf = kernel();
    elf.parts[0].size = Some(u64::MAX);
    assert!(refusal(&elf).starts_with("segment 0: its 0xffffffffffffffff bytes at file offset"));
    elf = kernel();
    elf.parts[0].offset = Some(u64::MAX - 1);
    assert!(refusal(&elf).starts_with("segment 0: its 0x4 bytes at file offset 0xfffffffffffffffe end beyond"));
    elf = kernel();
    elf.parts[0].memory_size = 3;
    assert_eq!(refusal(&elf), "segment 0: 0x4 bytes in the file, only 0x3 in memory");
    elf = kernel();
    elf.parts[0].memory_size = u64::MAX;
    assert_eq!(
        refusal(&elf),
        "segment 0: 0xffffffffffffffff bytes at 0x104000 end beyond the address space"
    );
    elf = kernel();
    (elf.parts[0].memory_size, elf.parts[0].virtual_address) = (1 << 32, 0);
    assert_eq!(
        pvh_refusal(&elf),
        "segment 0: it ends at physical address 0x100104000, a PVH kernel below 4 GiB"
    );
    assert_eq!(
        pv_refusal(&elf),
        "segment 0: it ends beyond the address space when VIRT_BASE is 0xffffffff80000000"
    );
    let mut many = kernel();
    many.parts.extend(vec![notes(Vec::new()); 125]);
    assert_eq!(refusal(&many), "129 program headers: at most 128 are accepted");
}

#[test]
fn nothing_to_load() {
    let mut elf = kernel();
    elf.parts.drain(..3);
    assert_eq!(Kernel::parse(&elf.bytes()), Err(ElfError::NoSegments));
    elf.parts.clear();
    assert_eq!(Kernel::parse(&elf.bytes()), Err(ElfError::NoSegments));
}

#[test]
fn absent_notes() {
    let mut elf = kernel();
    elf.parts.pop();
    assert_eq!(refusal(&elf), "no Xen note: not a kernel that runs on Xen");
    assert_eq!(
        Kernel::parse(&only_notes(&[writer::note(b"GNU\0", 18, &[0; 4])]).bytes()),
        Err(ElfError::NoXenNotes)
    );
    let pvh_only = only_notes(&[xen(18, &0x10_0000u32.to_le_bytes())]);
    assert_eq!(pv_refusal(&pvh_only), "no Xen note XEN_VERSION: a PV guest needs it");
    let pv_only = only_notes(&[xen(5, b"xen-3.0"), xen(8, b"generic")]);
    assert_eq!(pvh_refusal(&pv_only), "no Xen note PHYS32_ENTRY: a PVH guest needs it");
    let no_base = only_notes(&[xen(5, b"xen-3.0"), xen(8, b"generic"), xen(4, &[0; 8])]);
    assert_eq!(pv_refusal(&no_base), "no Xen note VIRT_BASE: a PV guest needs it");
}

#[test]
fn malformed_notes() {
    assert_eq!(
        refusal(&with_note(18, &[0; 5])),
        "Xen note PHYS32_ENTRY: 5 bytes: a number has 4 or 8"
    );
    assert_eq!(
        refusal(&with_note(17, &[0; 3])),
        "Xen note SUPPORTED_FEATURES: 3 bytes: a number has 4 or 8"
    );
    assert_eq!(
        refusal(&with_note(6, b"\xFF\0")),
        "Xen note GUEST_OS: not printable ASCII"
    );
    assert_eq!(
        refusal(&with_note(6, &[b'a'; 257])),
        "Xen note GUEST_OS: 257 bytes of text: at most 256 are accepted"
    );
    assert_eq!(
        refusal(&with_note(10, b"!magic")),
        "Xen note FEATURES: it needs the unknown feature `magic`"
    );
    assert!(Kernel::parse(&with_note(99, b"unknown types are passed over").bytes()).is_ok());
    let many = only_notes(&vec![xen(99, b""); 1025]);
    assert_eq!(refusal(&many), "more than 1024 notes");
    let mut cut = kernel();
    cut.parts[3].data.truncate(70);
    assert!(refusal(&cut).starts_with("malformed ELF file: "));
}

#[test]
fn notes_of_another_loader() {
    assert_eq!(
        pv_refusal(&with_note(5, b"xen-2.0")),
        "Xen note XEN_VERSION: `xen-2.0`, accepted is `xen-3.0`"
    );
    let mut other = with_note(8, b"special");
    other.parts[3].data.extend(xen(6, b"plan9"));
    assert_eq!(
        pv_refusal(&other),
        "Xen note LOADER: neither is it `generic` nor is GUEST_OS `linux`"
    );
    assert_eq!(
        pv_refusal(&with_note(11, b"yes")),
        "Xen note BSD_SYMTAB: loading a symbol table is not supported"
    );
    assert_eq!(
        pv_refusal(&with_note(10, b"!auto_translated_physmap")),
        "Xen note FEATURES: it needs AutoTranslatedPhysmap, which a PV guest does not have"
    );
}

#[test]
fn an_entry_outside() {
    for entry in [0x0F_FFFFu32, 0x10_C000, 0, u32::MAX] {
        let message = alloc::format!("entry {entry:#x} is in no segment");
        assert_eq!(pvh_refusal(&with_note(18, &entry.to_le_bytes())), message);
    }
    let wide = with_note(18, &(1u64 << 32).to_le_bytes());
    assert_eq!(
        pvh_refusal(&wide),
        "Xen note PHYS32_ENTRY: 0x100000000 is no 32-bit address"
    );
    for entry in [BASE + 0x0F_FFFF, BASE + 0x10_C000, 0, u64::MAX] {
        let message = alloc::format!("entry {entry:#x} is in no segment");
        assert_eq!(pv_refusal(&with_note(1, &entry.to_le_bytes())), message);
    }
}

#[test]
fn pv_addresses_that_do_not_fit() {
    for page in [BASE + 0x10_1001, BASE, BASE + 0x10_B800, u64::MAX - 4095] {
        let message = alloc::format!("Xen note HYPERCALL_PAGE: {page:#x} is no page inside the kernel");
        assert_eq!(pv_refusal(&with_note(2, &page.to_le_bytes())), message);
    }
    for table in [BASE + 0x10_1000, 0x80_0000_0008] {
        let message = alloc::format!("Xen note INIT_P2M: {table:#x} is inside the kernel or not at a page's start");
        assert_eq!(pv_refusal(&with_note(15, &table.to_le_bytes())), message);
    }
    assert_eq!(
        pv_refusal(&with_note(4, &0x20_0000u64.to_le_bytes())),
        "segment 1: physical address 0x100000 is below PADDR_OFFSET 0x200000"
    );
    assert_eq!(
        pv_refusal(&with_note(3, &1u64.to_le_bytes())),
        "Xen note VIRT_BASE: 0x1 is not at a page's start"
    );
}

#[test]
fn memory_image() {
    let mut elf = kernel();
    elf.parts.remove(2);
    let bytes = elf.bytes();
    let kernel = Kernel::parse(&bytes).unwrap();
    let image = kernel.memory_image(0x4004).unwrap();
    assert_eq!(image.len(), 0x4004);
    assert!(image[..0x1800].iter().all(|byte| *byte == 0x90) && image[0x1800..0x4000].iter().all(|byte| *byte == 0));
    assert_eq!(&image[0x4000..], b"data");
    let message = "the image takes 0x4004 bytes in memory: at most 0x4003 are accepted";
    assert_eq!(kernel.memory_image(0x4003).unwrap_err().to_string(), message);
}
