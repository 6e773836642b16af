//! The fake hypervisor refuses what Xen refuses: else the other tests would show nothing.

use xen::{CreateDomain, DomId, DomainKind, Hypervisor, Mapping, PvContext};

use crate::fake_xen::FakeXen;

const PRESENT: u64 = 1;
const WRITABLE: u64 = 2;

fn create(xen: &FakeXen, kind: DomainKind) -> DomId {
    let mut xen = xen.clone();
    let domid = xen
        .create_domain(&CreateDomain {
            kind,
            uuid: [1; 16],
            domid: None,
            max_vcpus: 1,
            max_event_channels: 8,
            max_grant_frames: 1,
            max_maptrack_frames: 1,
        })
        .unwrap();
    xen.set_max_memory(domid, 64).unwrap();
    domid
}

/// Asserts that just this was noted.
#[track_caller]
fn noted(xen: &FakeXen, what: &str) {
    let machine = xen.machine();
    let [only] = machine.violations() else {
        panic!("{:?}", machine.violations());
    };
    assert!(only.contains(what), "{only}");
}

/// A PV domain with a table of each level and a page, and the tables' frames from the root down.
fn with_tables(leaf: impl Fn(&[u64; 5]) -> u64) -> (FakeXen, DomId, [u64; 5]) {
    let mut xen = FakeXen::new(1);
    let domid = create(&xen, DomainKind::Pv);
    let mut frames = [0, 1, 2, 3, 4];
    xen.populate(domid, 0, &mut frames).unwrap();
    let entries = [frames[1], frames[2], frames[3]].map(|frame| frame << 12 | PRESENT | WRITABLE);
    for (table, entry) in frames.into_iter().zip(entries.into_iter().chain([leaf(&frames)])) {
        let mut page = xen.map(domid, &[table]).unwrap();
        page.zero(0, 4096).unwrap();
        page.write(0, &entry.to_le_bytes()).unwrap();
    }
    (xen, domid, frames)
}

#[test]
fn right_tables_are_pinned() {
    let (mut xen, domid, frames) = with_tables(|frames| frames[4] << 12 | PRESENT | WRITABLE);
    xen.pin_l4(domid, frames[0]).unwrap();
    assert_eq!(xen.machine().translate(frames[0], 0), Some(frames[4]));
    assert_eq!(xen.machine().translate(frames[0], 4096), None);
    xen.machine().assert_obeyed();
    assert!(xen.map(domid, &[frames[2]]).is_err());
    noted(&xen, "is a page table now");
}

#[test]
fn wrong_tables_are_not() {
    type Leaf = fn(&[u64; 5]) -> u64;
    let cases: [(Leaf, &str); 3] = [
        (|frames| frames[3] << 12 | PRESENT | WRITABLE, "a page table, writable"),
        (|_| PRESENT, "not the domain's frame"),
        (|frames| 1 << 52 | frames[4] << 12 | PRESENT, "not the domain's frame"),
    ];
    for (leaf, what) in cases {
        let (mut xen, domid, frames) = with_tables(leaf);
        assert!(xen.pin_l4(domid, frames[0]).is_err());
        noted(&xen, what);
    }
}

#[test]
fn tables_that_others_can_write_are_not_pinned() {
    let (mut xen, domid, frames) = with_tables(|frames| frames[3] << 12 | PRESENT);
    let page = xen.map(domid, &[frames[1]]).unwrap();
    assert!(xen.pin_l4(domid, frames[0]).is_err());
    noted(&xen, "mapped writable");
    drop(page);
    xen.pin_l4(domid, frames[0]).unwrap();
}

#[test]
fn no_context_without_tables_and_no_start_without_context() {
    let mut xen = FakeXen::new(1);
    let domid = create(&xen, DomainKind::Pv);
    assert!(xen.unpause(domid).is_err());
    noted(&xen, "no vCPU");
    let (mut xen, domid, frames) = with_tables(|frames| frames[4] << 12 | PRESENT);
    let context = PvContext {
        entry: 0,
        stack: 4096,
        start_info: 0,
        l4_frame: frames[0],
    };
    assert!(xen.set_pv_context(domid, &context).is_err());
    noted(&xen, "not pinned");
    xen.pin_l4(domid, frames[0]).unwrap();
    xen.set_pv_context(domid, &context).unwrap();
    xen.unpause(domid).unwrap();
}

#[test]
fn frames_of_others_are_not_mapped() {
    let mut xen = FakeXen::new(1);
    let [one, other] = [0, 1].map(|_| create(&xen, DomainKind::Pv));
    let mut frames = [0];
    xen.populate(one, 0, &mut frames).unwrap();
    assert!(xen.map(other, &frames).is_err());
    noted(&xen, "has no frame");
}

#[test]
fn a_mapping_keeps_a_domain_from_going() {
    let mut xen = FakeXen::new(1);
    let free = xen.machine().free_pages();
    let domid = create(&xen, DomainKind::Pv);
    let mut frames = [0];
    xen.populate(domid, 0, &mut frames).unwrap();
    let page = xen.map(domid, &frames).unwrap();
    xen.destroy_domain(domid).unwrap();
    noted(&xen, "while its pages are mapped");
    assert!(xen.domain_info(domid).unwrap().unwrap().dying);
    drop(page);
    assert_eq!(xen.domain_info(domid), Ok(None));
    assert_eq!(xen.machine().free_pages(), free);
}

#[test]
fn memory_is_counted() {
    let mut xen = FakeXen::new(1);
    let free = xen.machine().free_pages();
    let domid = create(&xen, DomainKind::Pvh);
    assert!(xen.populate(domid, 0, &mut [0]).is_err());
    noted(&xen, "not allowed");
    xen.set_paging_mempool(domid, 3 << 12).unwrap();
    xen.populate(domid, 0, &mut (0..16).collect::<Vec<_>>()).unwrap();
    assert_eq!(xen.machine().free_pages(), free - 2 - 3 - 16);
    assert!(
        xen.populate(domid, 0, &mut [16]).is_err(),
        "more than set_max_memory allows"
    );
    xen.destroy_domain(domid).unwrap();
    assert_eq!(xen.machine().free_pages(), free);
}
