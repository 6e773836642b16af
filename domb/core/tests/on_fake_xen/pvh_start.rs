//! What a PVH guest finds when it starts: `struct hvm_start_info` of `public/arch-x86/hvm/start_info.h`, and behind it.

use domb_core::build::Built;
use xen::HvmParam;

use crate::any_size::{Case, assert_kernel, assert_ramdisk};
use crate::bytes::{half, word};
use crate::guest::{Context, Guest};
use crate::kernel::PVH_ENTRY;
use crate::machine::Machine;

const RAM: u32 = 1;
const RESERVED: u32 = 2;
const ACPI: u32 = 3;

/// An entry of the memory map: first address, address behind it, kind.
type Region = (u64, u64, u32);

/// Looks at a domain's memory as its first vCPU does, without paging.
pub(crate) fn look(machine: &Machine, guest: &Guest, built: &Built, case: &Case) {
    let Some(Context::Pvh(context)) = guest.context else {
        panic!("{:?}", guest.context);
    };
    let read = |address, count| machine.read_physical(built.domid, address, count);
    assert_eq!((context.entry, context.max_vcpus), (PVH_ENTRY, case.domain.max_vcpus));

    let info = read(context.start_info.into(), 56);
    assert_eq!((half(&info, 0), half(&info, 4), half(&info, 8)), (0x336e_c578, 1, 0));
    let map: Vec<Region> = (0..u64::from(half(&info, 48)))
        .map(|index| {
            let entry = read(word(&info, 40) + index * 24, 24);
            (word(&entry, 0), word(&entry, 0) + word(&entry, 8), half(&entry, 16))
        })
        .collect();
    memory(guest, &map, case);

    let command_line = case.domain.command_line.as_bytes();
    let at = word(&info, 24);
    let found = read(at, command_line.len() as u64 + 1);
    assert_eq!(found.split_last(), Some((&0, command_line)));
    assert_eq!(half(&info, 12), u32::from(!case.ramdisk.is_empty()));
    if !case.ramdisk.is_empty() {
        let module = read(word(&info, 16), 32);
        assert_eq!(word(&module, 8), case.ramdisk.len() as u64);
        let start = word(&module, 0);
        assert_ramdisk(case, |count| read(start, count));
        inside(&map, RAM, start, word(&module, 8));
    }
    let end = at + command_line.len() as u64 + 1;
    inside(&map, RAM, at, end - at);
    assert!(
        read(end, end.next_multiple_of(4096) - end)
            .iter()
            .all(|&byte| byte == 0),
        "behind it"
    );
    assert_kernel(case, None, read);
    acpi(read, word(&info, 32), &map, case);
    parameters(guest, built, read, &map);
    let policy = guest.cpu_policy.as_ref().unwrap();
    let ids = policy.leaves.iter().find(|leaf| leaf.leaf == 1).unwrap().b >> 16 & 0xff;
    assert!(ids >= 2 * u32::from(case.domain.max_vcpus));
}

/// The map has every page of the domain, and no other.
fn memory(guest: &Guest, map: &[Region], case: &Case) {
    let mut pages = guest.pages.keys().copied();
    let mut ram = 0;
    for (start, end, kind) in map {
        assert!(start < end && [RAM, RESERVED, ACPI].contains(kind));
        assert!(
            pages
                .by_ref()
                .take(usize::try_from((end - start) >> 12).unwrap())
                .eq(start >> 12..end >> 12)
        );
        if *kind == RAM {
            ram += end - start;
        }
    }
    assert_eq!(pages.next(), None);
    // But for the page below 1 MiB that is set apart for the RSDP.
    assert_eq!(ram + 4096, case.domain.memory_kib * 1024);
}

/// Asserts that a range is within one of the map's entries of a kind.
#[track_caller]
fn inside(map: &[Region], kind: u32, start: u64, bytes: u64) {
    let within = |region: &&Region| region.2 == kind && region.0 <= start && start + bytes <= region.1;
    assert!(map.iter().any(|region| within(&region)), "{start:#x}, {bytes} bytes");
}

/// RSDP, XSDT, and in the MADT an entry for each vCPU.
fn acpi(read: impl Fn(u64, u64) -> Vec<u8>, rsdp: u64, map: &[Region], case: &Case) {
    let pointer = read(rsdp, 36);
    assert_eq!(&pointer[..8], b"RSD PTR ");
    assert_eq!(read(0x10_0000 - 64, 36), pointer, "the copy below 1 MiB");
    assert_eq!(sum(&pointer), 0);
    let table = |address| {
        let length = u64::from(half(&read(address, 8), 4));
        inside(map, ACPI, address, length);
        let bytes = read(address, length);
        assert_eq!(sum(&bytes), 0);
        bytes
    };
    let root = table(word(&pointer, 24));
    assert_eq!(&root[..4], b"XSDT");
    let tables: Vec<_> = root[36..].chunks(8).map(|entry| table(word(entry, 0))).collect();
    assert!(tables.iter().any(|table| &table[..4] == b"FACP"));
    let madt = tables.iter().find(|table| &table[..4] == b"APIC").unwrap();
    let mut rest = &madt[44..];
    let mut enabled = 0;
    let mut processors = 0;
    while let [kind, length, ..] = *rest {
        let (entry, behind) = rest.split_at(length.into());
        if kind == 0 {
            assert_eq!(u16::from(entry[3]), 2 * processors, "APIC id");
            processors += 1;
            enabled += half(entry, 4) & 1;
        }
        rest = behind;
    }
    assert_eq!(processors, case.domain.max_vcpus);
    assert_eq!(enabled, u32::from(case.domain.vcpus));
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

fn parameters(guest: &Guest, built: &Built, read: impl Fn(u64, u64) -> Vec<u8>, map: &[Region]) {
    let parameter = |param: HvmParam| guest.params[&(param as u32)];
    assert_eq!(parameter(HvmParam::ConsolePfn), built.console.0);
    assert_eq!(parameter(HvmParam::ConsoleEvtchn), built.console.1.into());
    inside(map, RESERVED, built.console.0 << 12, 4096);
    let store = [HvmParam::StorePfn, HvmParam::StoreEvtchn].map(|param| guest.params.get(&(param as u32)).copied());
    let expected = built.store.map(|(frame, port)| [frame, port.into()]);
    assert_eq!(store, expected.map_or([None; 2], |values| values.map(Some)));
    if let Some((frame, _)) = built.store {
        inside(map, RESERVED, frame << 12, 4096);
    }
    let identity = parameter(HvmParam::IdentPt);
    inside(map, RESERVED, identity, 4096);
    for (slot, entry) in (0u32..).zip(read(identity, 4096).chunks(4)) {
        assert_eq!(half(entry, 0), slot << 22 | 0xe7);
    }
    let segment = parameter(HvmParam::Vm86TssSized);
    let (address, bytes) = (segment & 0xffff_ffff, segment >> 32);
    inside(map, RESERVED, address, bytes);
    assert!(read(address, bytes).iter().all(|&byte| byte == 0));
}
