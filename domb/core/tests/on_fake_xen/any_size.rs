//! Domains of any size: each finds what its start info says where its start info says.

use std::fmt;

use domb_core::build::{Built, Step, Store};
use manifest::{Domain, Kind};
use proptest::prelude::*;
use xen::{DomId, Hypervisor};

use crate::fake_xen::FakeXen;
use crate::guest::Guest;
use crate::kernel::{Kernel, Like, pattern};
use crate::machine::Machine;
use crate::scene::{self, STORE};
use crate::{pv_start, pvh_start};

/// The port that is offered to it.
pub(crate) const BUILDER_PORT: u32 = 42;

/// A domain and what it is built from.
pub(crate) struct Case {
    pub(crate) domain: Domain,
    pub(crate) kernel: Kernel,
    pub(crate) ramdisk: Vec<u8>,
    pub(crate) store: Store,
    /// Extents of more than one page that the machine has.
    large_extents: u64,
}

/// Sizes instead of contents.
impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case")
            .field("kind", &self.domain.kind)
            .field("memory_kib", &self.domain.memory_kib)
            .field("maxmem_kib", &self.domain.maxmem_kib)
            .field("vcpus", &(self.domain.vcpus, self.domain.max_vcpus))
            .field("command_line", &self.domain.command_line.len())
            .field("kernel", &(self.kernel.like, self.kernel.data.len(), self.kernel.bss))
            .field("ramdisk", &self.ramdisk.len())
            .field("store", &self.store)
            .field("large_extents", &self.large_extents)
            .finish()
    }
}

impl Case {
    pub(crate) fn pages(&self) -> u64 {
        self.domain.memory_kib / 4
    }

    /// Pages that surely are enough.
    fn enough(&self) -> u64 {
        let slack = match self.domain.kind {
            // The initial mapping is rounded to 4 MiB.
            Kind::Pv => 6 << 20,
            Kind::Pvh => 64 << 10,
        };
        (self.kernel.end() + self.ramdisk.len() as u64 + slack) / 4096
    }
}

/// Sizes of most orders of magnitude, none among them.
fn size(most: usize) -> impl Strategy<Value = usize> {
    prop_oneof![
        Just(0),
        1..=1usize,
        4095..=4097usize,
        0..=most / 16,
        0..=most,
        Just(most),
    ]
}

fn case(kind: Kind) -> impl Strategy<Value = Case> {
    let memory = (
        prop_oneof![1024..=2600u64, 1024..=16384u64],
        prop_oneof![Just(0), 1..=8192u64],
        prop_oneof![Just(u64::MAX), 0..=8u64],
    );
    let vcpus = (1..=64u16, 0..=63u16);
    let kernel = (
        prop_oneof![Just(Like::Linux), Just(Like::UniKernel)],
        any::<u8>(),
        size(5 << 19),
        size(1 << 20),
    );
    let command_line = size(kind.max_command_line()).prop_map(move |length| {
        let letters = ('!'..='~').cycle();
        letters.take(length.min(kind.max_command_line())).collect::<String>()
    });
    let store = prop_oneof![
        Just(Store::None),
        Just(Store::ServedBy(STORE)),
        // A store is a PV domain.
        Just(match kind {
            Kind::Pv => Store::Server { port: BUILDER_PORT },
            Kind::Pvh => Store::ServedBy(STORE),
        }),
    ];
    (memory, vcpus, kernel, size(3 << 20), command_line, store).prop_map(move |sizes| {
        let ((pages, more, large_extents), (vcpus, more_vcpus), kernel, ramdisk, command_line, store) = sizes;
        let (like, seed, data, bss) = kernel;
        Case {
            domain: Domain {
                kind,
                memory_kib: pages * 4,
                maxmem_kib: (pages + more) * 4,
                vcpus,
                max_vcpus: (vcpus + more_vcpus).min(64),
                command_line,
                ..scene::domain("any")
            },
            kernel: Kernel::new(like, seed, data, bss as u64 + 1),
            ramdisk: pattern(seed ^ 0x55, ramdisk),
            store,
            large_extents,
        }
    })
}

/// Builds it on a machine of so many MiB and looks at it, or sees it refused for want of room.
fn check(mib: u64, case: &Case, look: impl Fn(&Machine, &Guest, &Built, &Case)) {
    let xen = FakeXen::new(mib);
    xen.machine_mut().large_extents = case.large_extents;
    match scene::build_with(&xen, &case.domain, &case.kernel.elf(), &case.ramdisk, case.store) {
        Ok(built) => {
            let machine = xen.machine();
            machine.assert_obeyed();
            let guest = &machine.domains[&built.domid];
            assert_eq!(guest.uuid, case.domain.uuid);
            assert_eq!(guest.max_vcpus, u32::from(case.domain.max_vcpus));
            assert!(guest.max_pages >= case.domain.maxmem_kib / 4);
            let mut rings = vec![(xen::GRANT_RESERVED_CONSOLE, DomId::INITIAL, built.console)];
            if case.store == Store::ServedBy(STORE) {
                rings.push((xen::GRANT_RESERVED_XENSTORE, STORE, built.store.unwrap()));
            } else {
                assert_eq!(built.store, None);
            }
            assert_eq!(guest.ports.len(), rings.len());
            assert_eq!(guest.grants.len(), rings.len());
            for (reference, server, (frame, port)) in rings {
                assert_eq!(guest.ports[port as usize - 1], server);
                let grant = guest.grants[&reference];
                assert_eq!((grant.to, grant.frame), (server, frame));
                let ring = machine.frame_of(built.domid, frame).unwrap();
                assert_eq!(machine.page(ring), &[0; 4096]);
            }
            if matches!(case.store, Store::Server { .. }) {
                assert_eq!(built.domid, STORE);
            }
            look(&machine, guest, &built, case);
            drop(machine);
            xen.clone().destroy_domain(built.domid).unwrap();
        }
        Err(failure) => {
            assert_eq!(failure.step, Step::Layout, "{failure}");
            assert!(case.pages() < case.enough(), "{failure}");
        }
    }
    xen.machine().assert_empty();
}

/// Asserts that the kernel lies there as its file says, given the bytes at a pseudo-physical address.
pub(crate) fn assert_kernel(case: &Case, hypercall_page: Option<u64>, read: impl Fn(u64, u64) -> Vec<u8>) {
    for (address, bytes, zeros) in case.kernel.parts() {
        let length = bytes.len() as u64;
        assert!(read(address, length) == bytes, "file part at {address:#x}");
        let mut behind = read(address + length, zeros);
        if let Some(page) = hypercall_page.and_then(|page| page.checked_sub(address + length))
            && page < zeros
        {
            let page = usize::try_from(page).unwrap();
            let stubs = &mut behind[page..page + 4096];
            assert!(stubs.iter().all(|&byte| byte == 0xcc));
            stubs.fill(0);
        }
        assert!(behind.iter().all(|&byte| byte == 0), "bss at {address:#x}");
    }
}

/// Asserts that the ramdisk is there and that the rest of its last page is zero.
pub(crate) fn assert_ramdisk(case: &Case, read: impl Fn(u64) -> Vec<u8>) {
    let found = read((case.ramdisk.len() as u64).next_multiple_of(4096));
    let (ramdisk, rest) = found.split_at(case.ramdisk.len());
    assert!(ramdisk == case.ramdisk, "ramdisk of {} bytes", case.ramdisk.len());
    assert!(rest.iter().all(|&byte| byte == 0), "behind the ramdisk");
}

/// More memory than there is room for below the hole under 4 GiB.
#[test]
fn a_large_domain() {
    type Look = fn(&Machine, &Guest, &Built, &Case);
    let cases: [(Kind, u64, Look); 2] = [(Kind::Pvh, u64::MAX, pvh_start::look), (Kind::Pv, 40, pv_start::look)];
    for (kind, large_extents, look) in cases {
        let case = Case {
            domain: Domain {
                kind,
                memory_kib: (4 << 20) + 8,
                maxmem_kib: 5 << 20,
                ..scene::domain("large")
            },
            kernel: Kernel::new(Like::Linux, 1, 3 << 20, 0x1234),
            ramdisk: pattern(2, 5 << 20),
            store: Store::ServedBy(STORE),
            large_extents,
        };
        check(5 << 10, &case, look);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_pv_domain(case in case(Kind::Pv)) {
        check(168, &case, pv_start::look);
    }

    #[test]
    fn a_pvh_domain(case in case(Kind::Pvh)) {
        check(168, &case, pvh_start::look);
    }
}
