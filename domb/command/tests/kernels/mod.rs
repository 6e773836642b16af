//! Kernels that are as small as they can be.

/// The smallest ELF file that can be loaded as a PVH guest: one segment, and a note with its 32-bit entry.
pub(crate) fn pvh_kernel() -> Vec<u8> {
    const ADDRESS: u64 = 0x0100_0000;
    const NOTE: u64 = 64 + 2 * 56;
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    for field in [2_u16, 62] {
        file.extend(field.to_le_bytes());
    }
    file.extend(1_u32.to_le_bytes());
    // Entry, program headers, section headers.
    for field in [ADDRESS, 64, 0] {
        file.extend(field.to_le_bytes());
    }
    file.extend(0_u32.to_le_bytes());
    for field in [64_u16, 56, 2, 64, 0, 0] {
        file.extend(field.to_le_bytes());
    }
    // PT_LOAD of the whole file, PT_NOTE of the last 20 bytes.
    for (kind, offset, address, size) in [(1_u32, 0, ADDRESS, NOTE + 20), (4, NOTE, ADDRESS + NOTE, 20)] {
        file.extend(kind.to_le_bytes());
        file.extend(5_u32.to_le_bytes());
        for field in [offset, address, address, size, size, 4] {
            file.extend(field.to_le_bytes());
        }
    }
    // XEN_ELFNOTE_PHYS32_ENTRY.
    for field in [4_u32, 4, 18] {
        file.extend(field.to_le_bytes());
    }
    file.extend(b"Xen\0");
    file.extend(0x0100_0000_u32.to_le_bytes());
    file
}

/// A bzImage with an LZ4 payload.
pub(crate) fn bz_image(kernel: &[u8]) -> Vec<u8> {
    let packed = lz4_flex::block::compress(kernel);
    let mut payload = vec![0x02, 0x21, 0x4c, 0x18];
    payload.extend(u32::try_from(packed.len()).unwrap().to_le_bytes());
    payload.extend(packed);
    payload.extend(u32::try_from(kernel.len()).unwrap().to_le_bytes());
    let mut file = vec![0; 1024];
    file[0x1f1] = 1;
    file[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
    file[0x202..0x206].copy_from_slice(b"HdrS");
    file[0x206..0x208].copy_from_slice(&0x020f_u16.to_le_bytes());
    file[0x24c..0x250].copy_from_slice(&u32::try_from(payload.len()).unwrap().to_le_bytes());
    file.extend(payload);
    file
}
