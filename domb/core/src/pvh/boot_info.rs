//! `struct hvm_start_info` and what it points to (Xen's `public/arch-x86/hvm/start_info.h`), in one piece:
//! the structure, the list of modules, the memory map, the command line.

use super::Ramdisk;
use crate::memory_map::Region;
use alloc::vec::Vec;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{Immutable, IntoBytes};

/// `XEN_HVM_START_MAGIC_VALUE`.
const MAGIC: u32 = 0x336e_c578;

/// The version that has a memory map.
const VERSION: u32 = 1;

#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct StartInfo {
    magic: U32,
    version: U32,
    flags: U32,
    nr_modules: U32,
    modlist_paddr: U64,
    cmdline_paddr: U64,
    rsdp_paddr: U64,
    memmap_paddr: U64,
    memmap_entries: U32,
    reserved: U32,
}

#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct Module {
    paddr: U64,
    size: U64,
    cmdline_paddr: U64,
    reserved: U64,
}

#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct MapEntry {
    addr: U64,
    size: U64,
    kind: U32,
    reserved: U32,
}

fn bytes_of<T>(count: usize) -> u64 {
    u64::try_from(count.saturating_mul(size_of::<T>())).unwrap_or(u64::MAX)
}

fn modules_offset() -> u64 {
    bytes_of::<StartInfo>(1)
}

fn map_offset(has_ramdisk: bool) -> u64 {
    modules_offset() + bytes_of::<Module>(usize::from(has_ramdisk))
}

fn command_line_offset(has_ramdisk: bool, map: &[Region]) -> u64 {
    map_offset(has_ramdisk).saturating_add(bytes_of::<MapEntry>(map.len()))
}

/// Length of the piece in bytes.
pub(super) fn length(has_ramdisk: bool, map: &[Region], command_line: &[u8]) -> u64 {
    // The byte more ends the command line.
    command_line_offset(has_ramdisk, map)
        .saturating_add(bytes_of::<u8>(command_line.len()))
        .saturating_add(1)
}

/// The piece, to be written at `gpa`. The ramdisk is the first and only module.
pub(super) fn bytes(gpa: u64, ramdisk: Option<Ramdisk>, map: &[Region], command_line: &[u8], rsdp_gpa: u64) -> Vec<u8> {
    let at = |offset: u64| U64::new(gpa.saturating_add(offset));
    let zero = U64::new(0);
    let info = StartInfo {
        magic: MAGIC.into(),
        version: VERSION.into(),
        flags: 0.into(),
        nr_modules: u32::from(ramdisk.is_some()).into(),
        modlist_paddr: if ramdisk.is_some() { at(modules_offset()) } else { zero },
        cmdline_paddr: at(command_line_offset(ramdisk.is_some(), map)),
        rsdp_paddr: rsdp_gpa.into(),
        memmap_paddr: at(map_offset(ramdisk.is_some())),
        memmap_entries: u32::try_from(map.len()).unwrap_or(u32::MAX).into(),
        reserved: 0.into(),
    };
    let mut bytes = Vec::from(info.as_bytes());
    if let Some(Ramdisk { gpa, bytes: size }) = ramdisk {
        let module = Module {
            paddr: gpa.into(),
            size: size.into(),
            cmdline_paddr: zero,
            reserved: zero,
        };
        bytes.extend_from_slice(module.as_bytes());
    }
    for region in map {
        let kind = region.kind.number().into();
        let entry = MapEntry {
            addr: region.start.into(),
            size: region.size.into(),
            kind,
            reserved: 0.into(),
        };
        bytes.extend_from_slice(entry.as_bytes());
    }
    bytes.extend_from_slice(command_line);
    bytes.push(0);
    bytes
}
