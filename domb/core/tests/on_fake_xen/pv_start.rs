//! What a PV guest finds when it starts: `struct start_info` and "start of day" in `public/xen.h`.

use domb_core::build::{Built, Store};
use xen::{LEGACY_MAX_VCPUS, VCPU_INFO_BYTES, VCPU_INFO_UPCALL_MASK};

use crate::any_size::{BUILDER_PORT, Case, assert_kernel, assert_ramdisk};
use crate::bytes::{half, word};
use crate::guest::{Context, Guest};
use crate::kernel::{BASE, HYPERCALL_PAGE, INIT_P2M, Like, PV_ENTRY};
use crate::machine::Machine;

const SIF_MOD_START_PFN: u32 = 1 << 3;

/// Looks at a domain through its page tables.
pub(crate) fn look(machine: &Machine, guest: &Guest, built: &Built, case: &Case) {
    let Some(Context::Pv(context)) = guest.context else {
        panic!("{:?}", guest.context);
    };
    let root = context.l4_frame;
    let read = |address, count| machine.read_virtual(root, address, count);
    assert_eq!(context.entry, BASE + PV_ENTRY);
    assert_eq!(guest.pages.len() as u64, case.pages());
    assert_eq!(guest.pages.keys().next_back(), Some(&(case.pages() - 1)));

    let info = read(context.start_info, 4096);
    assert_eq!(&info[..32], b"xen-3.0-x86_64\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    assert_eq!(word(&info, 32), case.pages());
    assert_eq!(word(&info, 40), guest.shared_info << 12);
    match case.store {
        Store::None => assert_eq!(half(&info, 64), 0, "nobody serves the store"),
        Store::ServedBy(_) => assert_eq!(Some((word(&info, 56), half(&info, 64))), built.store),
        Store::Server { .. } => assert_eq!((word(&info, 56), half(&info, 64)), (0, BUILDER_PORT)),
    }
    assert_eq!((word(&info, 72), half(&info, 80)), built.console);
    let command_line = case.domain.command_line.as_bytes();
    assert_eq!(&info[128..128 + command_line.len()], command_line);
    assert!(info[128 + command_line.len()..1152].iter().all(|&byte| byte == 0));
    assert!(info[1168..].iter().all(|&byte| byte == 0));

    mapping(machine, guest, root, context.stack);
    tables(machine, guest, root, &info);
    list_of_frames(machine, guest, root, &info, case);
    ramdisk(machine, built, root, &info, case);

    let hypercall_page = (case.kernel.like == Like::Linux).then_some(HYPERCALL_PAGE);
    let frame = hypercall_page.map(|address| guest.pages[&(address >> 12)]);
    assert_eq!(guest.hypercall_page, frame);
    assert_kernel(case, hypercall_page, |address, count| read(BASE + address, count));
    assert_kernel(case, hypercall_page, |address, count| {
        machine.read_physical(built.domid, address, count)
    });

    if !matches!(case.store, Store::Server { .. }) {
        let store = machine.page(word(&info, 56));
        assert_eq!(store, &[0; 4096]);
    }
    let shared_info = machine.page(guest.shared_info);
    let masks = (0..LEGACY_MAX_VCPUS).map(|vcpu| shared_info[vcpu * VCPU_INFO_BYTES + VCPU_INFO_UPCALL_MASK]);
    assert!(masks.eq([1; LEGACY_MAX_VCPUS]));
    let map: Vec<_> = guest.memory_map.iter().map(|it| (it.start, it.size, it.kind)).collect();
    assert_eq!(map, [(0, case.domain.maxmem_kib * 1024, 1)]);
}

/// The initial mapping: one to one from the base, to a boundary of 4 MiB, 512 KiB or more behind the stack.
fn mapping(machine: &Machine, guest: &Guest, root: u64, stack: u64) {
    let mapped = (0..)
        .take_while(|page| machine.translate(root, BASE + page * 4096).is_some())
        .inspect(|page| {
            assert_eq!(
                machine.translate(root, BASE + page * 4096),
                guest.pages.get(page).copied()
            );
        })
        .count() as u64;
    assert!(mapped > 0 && mapped.is_multiple_of(1024), "{mapped} pages mapped");
    assert!(stack.is_multiple_of(4096) && stack + (512 << 10) <= BASE + mapped * 4096);
    let stack_page = machine.translate(root, stack - 8).unwrap();
    assert!(!guest.tables.contains(&stack_page));
}

/// The page tables: those of the initial mapping one after the other, the root first.
fn tables(machine: &Machine, guest: &Guest, root: u64, info: &[u8]) {
    let (base, count) = (word(info, 88), word(info, 96));
    let frames: Vec<u64> = (0..count)
        .map(|table| machine.translate(root, base + table * 4096).unwrap())
        .collect();
    assert_eq!(frames[0], root);
    assert!(frames.iter().all(|frame| guest.tables.contains(frame)));
    let first_p2m = word(info, 1152);
    let others = (first_p2m..first_p2m + word(info, 1160)).filter(|page| guest.tables.contains(&guest.pages[page]));
    assert_eq!(guest.tables.len(), frames.len() + others.count());
}

/// The machine frame of each page.
fn list_of_frames(machine: &Machine, guest: &Guest, root: u64, info: &[u8], case: &Case) {
    let address = word(info, 104);
    let list = machine.read_virtual(root, address, case.pages().next_multiple_of(512) * 8);
    let (words, _) = list.as_chunks::<8>();
    let frames = words.iter().map(|word| u64::from_le_bytes(*word));
    let beyond = std::iter::repeat(u64::MAX);
    assert!(frames.eq(guest.pages.values().copied().chain(beyond).take(words.len())));
    if word(info, 1160) > 0 {
        assert_eq!((case.kernel.like, address), (Like::Linux, INIT_P2M));
        let first = guest.pages[&word(info, 1152)];
        assert_eq!(machine.translate(root, address), Some(first));
    }
}

fn ramdisk(machine: &Machine, built: &Built, root: u64, info: &[u8], case: &Case) {
    let (start, bytes) = (word(info, 112), word(info, 120));
    assert_eq!(bytes, case.ramdisk.len() as u64);
    if bytes == 0 {
        assert_eq!(start, 0);
    } else if half(info, 48) & SIF_MOD_START_PFN != 0 {
        assert_eq!(case.kernel.like, Like::Linux);
        assert_ramdisk(case, |count| machine.read_physical(built.domid, start << 12, count));
    } else {
        assert_ramdisk(case, |count| machine.read_virtual(root, start, count));
    }
}
