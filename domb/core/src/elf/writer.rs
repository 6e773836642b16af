//! Writes small ELF files for the tests.

use alloc::vec::Vec;

/// A program header and, if `data` is given, its bytes.
#[derive(Clone)]
pub(crate) struct Part {
    pub(crate) kind: u32,
    pub(crate) physical: u64,
    pub(crate) virtual_address: u64,
    pub(crate) memory_size: u64,
    pub(crate) data: Vec<u8>,
    /// Instead of the data's place in the file.
    pub(crate) offset: Option<u64>,
    /// Instead of the data's size.
    pub(crate) size: Option<u64>,
    pub(crate) align: u64,
}

/// An ELF file in the making.
#[derive(Clone)]
pub(crate) struct Elf {
    pub(crate) class: u8,
    pub(crate) byte_order: u8,
    pub(crate) kind: u16,
    pub(crate) machine: u16,
    pub(crate) entry: u64,
    pub(crate) parts: Vec<Part>,
    /// Notes that only a section header leads to.
    pub(crate) section_notes: Vec<u8>,
}

/// One note.
pub(crate) fn note(name: &[u8], kind: u32, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let size = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_le_bytes();
    bytes.extend(size(name));
    bytes.extend(size(value));
    bytes.extend(kind.to_le_bytes());
    for part in [name, value] {
        bytes.extend(part);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

/// A Xen note.
pub(crate) fn xen(kind: u32, value: &[u8]) -> Vec<u8> {
    note(b"Xen\0", kind, value)
}

pub(crate) fn load(physical: u64, virtual_address: u64, memory_size: u64, data: &[u8]) -> Part {
    let data = data.to_vec();
    Part {
        kind: 1,
        physical,
        virtual_address,
        memory_size,
        data,
        offset: None,
        size: None,
        align: 4096,
    }
}

pub(crate) fn notes(data: Vec<u8>) -> Part {
    Part {
        kind: 4,
        physical: 0,
        virtual_address: 0,
        memory_size: 0,
        data,
        offset: None,
        size: None,
        align: 4,
    }
}

/// The virtual address of pseudo-physical address 0 in [`kernel`].
pub(crate) const BASE: u64 = 0xFFFF_FFFF_8000_0000;

/// The notes of [`kernel`].
pub(crate) fn kernel_notes() -> Vec<u8> {
    [
        note(b"GNU\0", 3, &[7; 20]),
        xen(6, b"linux\0"),
        xen(5, b"xen-3.0\0"),
        xen(3, &BASE.to_le_bytes()),
        xen(4, &0u64.to_le_bytes()),
        xen(15, &0x80_0000_0000u64.to_le_bytes()),
        xen(1, &(BASE + 0x10_0100).to_le_bytes()),
        xen(2, &(BASE + 0x10_1000).to_le_bytes()),
        xen(10, b"!writable_page_tables|pae_pgdir_above_4gb"),
        xen(8, b"generic\0"),
        xen(13, &[1; 16]),
        xen(14, &1u32.to_le_bytes()),
        xen(16, &1u32.to_le_bytes()),
        xen(17, &0x8801u32.to_le_bytes()),
        xen(18, &0x10_0050u32.to_le_bytes()),
    ]
    .concat()
}

/// A kernel that can be a PVH and a PV guest, made as Linux is: text at 1 MiB, per-CPU data linked at 0, bss.
pub(crate) fn kernel() -> Elf {
    Elf {
        class: 2,
        byte_order: 1,
        kind: 2,
        machine: 62,
        entry: 0x10_0000,
        parts: [
            load(0x10_4000, BASE + 0x10_4000, 0x8000, b"data"),
            load(0x10_0000, BASE + 0x10_0000, 0x3000, &[0x90; 0x1800]),
            load(0x10_3000, 0, 0x1000, b"per-CPU data"),
            notes(kernel_notes()),
        ]
        .to_vec(),
        section_notes: Vec::new(),
    }
}

impl Elf {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        const HEADER: usize = 64;
        const PROGRAM_HEADER: usize = 56;
        let mut data = Vec::new();
        let mut table = Vec::new();
        let start = HEADER + self.parts.len() * PROGRAM_HEADER;
        let wide = |value: usize| u64::try_from(value).unwrap();
        for part in &self.parts {
            let offset = part.offset.unwrap_or(wide(start + data.len()));
            let size = part.size.unwrap_or(wide(part.data.len()));
            table.extend(part.kind.to_le_bytes());
            table.extend(7u32.to_le_bytes());
            for field in [
                offset,
                part.virtual_address,
                part.physical,
                size,
                part.memory_size,
                part.align,
            ] {
                table.extend(field.to_le_bytes());
            }
            data.extend(&part.data);
        }
        let notes_at = wide(start + data.len());
        data.extend(&self.section_notes);
        let sections_at = wide(start + data.len());
        let sections: u16 = if self.section_notes.is_empty() { 0 } else { 2 };
        if sections != 0 {
            data.extend([0; 64]);
            data.extend([0, 0, 0, 0, 7, 0, 0, 0]);
            for field in [0, 0, notes_at, wide(self.section_notes.len()), 0, 4, 0] {
                data.extend(field.to_le_bytes());
            }
        }

        let mut bytes = [0x7F, b'E', b'L', b'F', self.class, self.byte_order, 1].to_vec();
        bytes.resize(16, 0);
        bytes.extend(self.kind.to_le_bytes());
        bytes.extend(self.machine.to_le_bytes());
        bytes.extend(1u32.to_le_bytes());
        for field in [self.entry, wide(HEADER), if sections == 0 { 0 } else { sections_at }] {
            bytes.extend(field.to_le_bytes());
        }
        bytes.extend(0u32.to_le_bytes());
        for field in [64, 56, u16::try_from(self.parts.len()).unwrap(), 64, sections, 0] {
            bytes.extend(field.to_le_bytes());
        }
        bytes.extend(table);
        bytes.extend(data);
        bytes
    }
}
