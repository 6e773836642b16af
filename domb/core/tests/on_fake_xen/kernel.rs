//! Small kernels as ELF files, made as Linux is: text at 1 MiB with the hypercall page in it, data and bss behind.

/// The virtual address of pseudo-physical address 0.
pub(crate) const BASE: u64 = 0xFFFF_FFFF_8000_0000;
/// Where the list of frames is wanted.
pub(crate) const INIT_P2M: u64 = 0x80_0000_0000;
/// Pseudo-physical address of the first instruction of a PV guest.
pub(crate) const PV_ENTRY: u64 = TEXT + 0x100;
/// Pseudo-physical address of the first instruction of a PVH guest.
pub(crate) const PVH_ENTRY: u32 = 0x10_0050;
/// Pseudo-physical address of the hypercall page.
pub(crate) const HYPERCALL_PAGE: u64 = TEXT + 0x1000;
const TEXT: u64 = 0x10_0000;
const TEXT_BYTES: u64 = 0x3000;

/// What of Linux's wishes a kernel has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Like {
    /// List of frames and ramdisk outside of the initial mapping.
    Linux,
    /// Everything in the initial mapping, and no hypercall page.
    UniKernel,
}

/// A kernel.
#[derive(Debug, Clone)]
pub(crate) struct Kernel {
    pub(crate) like: Like,
    /// Its first page, less than a page.
    pub(crate) text: Vec<u8>,
    pub(crate) data: Vec<u8>,
    pub(crate) bss: u64,
}

impl Kernel {
    /// A kernel of some bytes that differ from page to page, and from seed to seed.
    pub(crate) fn new(like: Like, seed: u8, data: usize, bss: u64) -> Self {
        Self {
            like,
            text: pattern(seed, 0xf00),
            data: pattern(seed.wrapping_add(1), data),
            bss,
        }
    }

    /// Pseudo-physical address, bytes and zeros behind them, of each part of it.
    pub(crate) fn parts(&self) -> [(u64, &[u8], u64); 2] {
        let text_bytes = self.text.len() as u64;
        [
            (TEXT, &self.text, TEXT_BYTES - text_bytes),
            (TEXT + TEXT_BYTES, &self.data, self.bss),
        ]
    }

    /// Pseudo-physical address behind it.
    pub(crate) fn end(&self) -> u64 {
        TEXT + TEXT_BYTES + self.data.len() as u64 + self.bss
    }

    /// The ELF file.
    pub(crate) fn elf(&self) -> Vec<u8> {
        const HEADER: u64 = 64;
        const PROGRAM_HEADER: u64 = 56;
        let notes = self.notes();
        let mut parts: Vec<(u32, u64, &[u8], u64)> = self
            .parts()
            .into_iter()
            .map(|(address, bytes, zeros)| (1, address, bytes, bytes.len() as u64 + zeros))
            .collect();
        parts.push((4, 0, &notes, 0));

        let mut file = vec![0x7F, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        file.extend([2, 0, 62, 0, 1, 0, 0, 0]);
        for field in [TEXT, HEADER, 0] {
            file.extend(field.to_le_bytes());
        }
        file.extend([0; 4]);
        for field in [64, 56, 3, 64, 0, 0u16] {
            file.extend(field.to_le_bytes());
        }
        let mut offset = HEADER + 3 * PROGRAM_HEADER;
        for (kind, address, bytes, memory) in &parts {
            file.extend(kind.to_le_bytes());
            file.extend(7u32.to_le_bytes());
            let virtual_address = if *kind == 1 { BASE + address } else { 0 };
            let size = bytes.len() as u64;
            for field in [offset, virtual_address, *address, size, *memory, 4] {
                file.extend(field.to_le_bytes());
            }
            offset += size;
        }
        for (_, _, bytes, _) in &parts {
            file.extend(*bytes);
        }
        file
    }

    fn notes(&self) -> Vec<u8> {
        let mut notes = [
            note(6, b"linux\0"),
            note(5, b"xen-3.0\0"),
            note(8, b"generic\0"),
            note(3, &BASE.to_le_bytes()),
            note(4, &0u64.to_le_bytes()),
            note(1, &(BASE + PV_ENTRY).to_le_bytes()),
            note(18, &PVH_ENTRY.to_le_bytes()),
        ]
        .concat();
        if self.like == Like::Linux {
            notes.extend(note(2, &(BASE + HYPERCALL_PAGE).to_le_bytes()));
            notes.extend(note(15, &INIT_P2M.to_le_bytes()));
            notes.extend(note(16, &1u32.to_le_bytes()));
        }
        notes
    }
}

/// Bytes that repeat after no power of two.
pub(crate) fn pattern(seed: u8, count: usize) -> Vec<u8> {
    (1..=251u8)
        .map(|byte| byte.wrapping_mul(seed | 1))
        .cycle()
        .take(count)
        .collect()
}

/// A note of Xen's (`public/elfnote.h`).
fn note(kind: u32, value: &[u8]) -> Vec<u8> {
    let mut bytes = [4, u32::try_from(value.len()).unwrap(), kind]
        .map(u32::to_le_bytes)
        .as_flattened()
        .to_vec();
    bytes.extend(b"Xen\0");
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}
