//! Each call that a build makes fails in turn: nothing may be left of the domain, and the next one is built.

use domb_core::build::{BuildError, Step, Store};
use manifest::{Domain, Kind};
use xen::{DomId, Errno, Error, Hypervisor};

use crate::fake_xen::FakeXen;
use crate::scene::{self, MIB_IN_KIB};

const REFUSED: fn(&'static str) -> Error = |operation| Error::Refused {
    operation,
    errno: Errno::ENOMEM,
};
const NO_ROOM: fn(&'static str) -> Error = |_| Error::NoRoom {
    window: "foreign",
    pages: 512,
};
const NONE_DONE: fn(&'static str) -> Error = |operation| Error::Partly {
    operation,
    done: 0,
    wanted: 1,
};

/// The steps in which a builder may make a call.
fn steps(operation: &str) -> &'static [Step] {
    match operation {
        "XEN_SYSCTL_physinfo"
        | "XEN_DOMCTL_createdomain"
        | "XEN_DOMCTL_set_paging_mempool_size"
        | "XEN_DOMCTL_max_mem" => &[Step::Create],
        "XEN_SYSCTL_get_cpu_policy" | "XEN_DOMCTL_set_cpu_policy" => &[Step::CpuPolicy],
        "XENMEM_populate_physmap" => &[Step::Memory],
        "map" | "remap" | "foreign mapping" => &[Step::Copy, Step::Tables],
        "XENMEM_set_memory_map" | "XEN_DOMCTL_getdomaininfo" | "XEN_DOMCTL_hypercall_init" => &[Step::Tables],
        "EVTCHNOP_alloc_unbound" | "seed_grants" | "HVMOP_set_param" => &[Step::Connections],
        "MMUEXT_PIN_L4_TABLE" | "XEN_DOMCTL_setvcpucontext" | "XEN_DOMCTL_sethvmcontext" => &[Step::Vcpu],
        other => panic!("{other}: a builder has no need of it"),
    }
}

/// Builds with each call failing in turn; the operations that failed.
fn fail_each(domain: &Domain, store: Store, error: fn(&'static str) -> Error) -> Vec<&'static str> {
    let kernel = scene::image(&domain.kernel);
    let ramdisk = domain.ramdisk.as_deref().map(scene::image).unwrap_or_default();
    let xen = FakeXen::new(24);
    let build = || scene::build_with(&xen, domain, kernel, ramdisk, store);
    let mut failed = Vec::new();
    for call in 1.. {
        xen.machine_mut().fail(call, error);
        let result = build();
        let Some(operation) = xen.machine_mut().stop_failing() else {
            let built = result.unwrap();
            xen.clone().destroy_domain(built.domid).unwrap();
            break;
        };
        failed.push(operation);
        match result {
            Err(failure) => {
                assert_eq!(failure.error, BuildError::Xen(error(operation)), "call {call}");
                assert!(steps(operation).contains(&failure.step), "call {call}: {failure}");
                let said = failure.to_string();
                assert!(said.starts_with(&failure.step.to_string()), "{said}");
            }
            Ok(built) => {
                // Only where there is another way: smaller extents.
                assert_eq!(operation, "XENMEM_populate_physmap", "call {call}");
                xen.clone().destroy_domain(built.domid).unwrap();
            }
        }
        xen.machine().assert_empty();
        let again = build().unwrap_or_else(|failure| panic!("after call {call}: {failure}"));
        xen.clone().destroy_domain(again.domid).unwrap();
        xen.machine().assert_empty();
    }
    failed
}

/// What each kind of domain can have to do with a store.
fn all_stores(kind: Kind) -> Vec<Store> {
    let mut stores = vec![Store::None, Store::ServedBy(DomId(9))];
    if kind == Kind::Pv {
        stores.push(Store::Server { port: 42 });
    }
    stores
}

fn all_kinds() -> Vec<Domain> {
    let pv = scene::domain("pv");
    vec![
        Domain {
            memory_kib: 8 * MIB_IN_KIB + 12,
            ..pv.clone()
        },
        Domain {
            kernel: "unikernel".into(),
            ramdisk: None,
            memory_kib: 4 * MIB_IN_KIB,
            ..pv
        },
        Domain {
            memory_kib: 6 * MIB_IN_KIB + 4,
            ..scene::pvh("pvh")
        },
    ]
}

#[test]
fn a_refused_call_leaves_nothing_behind() {
    let cases = all_kinds().into_iter().flat_map(|domain| {
        all_stores(domain.kind)
            .into_iter()
            .map(move |store| (domain.clone(), store))
    });
    for (domain, store) in cases {
        let failed = fail_each(&domain, store, REFUSED);
        let ports = failed.iter().filter(|call| **call == "EVTCHNOP_alloc_unbound");
        assert_eq!(ports.count(), if matches!(store, Store::ServedBy(_)) { 2 } else { 1 });
        let mut seen = failed.clone();
        seen.sort_unstable();
        seen.dedup();
        let own: &[&str] = match domain.kind {
            Kind::Pv => &[
                "MMUEXT_PIN_L4_TABLE",
                "XEN_DOMCTL_setvcpucontext",
                "XENMEM_set_memory_map",
            ],
            Kind::Pvh => &[
                "HVMOP_set_param",
                "XEN_DOMCTL_sethvmcontext",
                "XEN_DOMCTL_set_cpu_policy",
            ],
        };
        for operation in own.iter().chain(&["map", "foreign mapping", "seed_grants"]) {
            assert!(seen.contains(operation), "{}: {operation} in {seen:?}", domain.name);
        }
    }
}

#[test]
fn neither_do_a_full_window_and_a_call_half_done() {
    for domain in all_kinds() {
        fail_each(&domain, Store::ServedBy(DomId(9)), NO_ROOM);
        fail_each(&domain, Store::ServedBy(DomId(9)), NONE_DONE);
    }
}

/// Memory goes to someone else between the count of free pages and the allocation, a page more each time.
#[test]
fn memory_that_runs_out_on_the_way_leaves_nothing_behind() {
    for domain in all_kinds() {
        let kernel = scene::image(&domain.kernel);
        let xen = FakeXen::new(24);
        let free = xen.machine().free_pages();
        let mut failures = 0;
        for left in (0..free).step_by(61) {
            xen.machine_mut().vanishing_pages = free - left;
            match scene::build(&xen, &domain, kernel, &[]) {
                Err(failure) => {
                    let step = failure.step;
                    assert!(
                        step == Step::Create || step == Step::Memory,
                        "{left} pages left: {failure}"
                    );
                    failures += 1;
                }
                Ok(built) => {
                    assert!(left > domain.memory_kib / 4);
                    xen.clone().destroy_domain(built.domid).unwrap();
                }
            }
            xen.machine().assert_empty();
            xen.machine_mut().give_back();
        }
        assert!(failures >= domain.memory_kib / 4 / 61, "{failures} failures");
    }
}

#[test]
fn without_large_extents_small_ones_will_do() {
    for domain in all_kinds() {
        let kernel = scene::image(&domain.kernel);
        for large in 0..4 {
            let xen = FakeXen::new(24);
            xen.machine_mut().large_extents = large;
            let built = scene::build(&xen, &domain, kernel, &[]).unwrap();
            assert!(xen.machine().domains[&built.domid].pages.len() as u64 >= domain.memory_kib / 4);
            assert_eq!(
                xen.machine().large_extents,
                large.saturating_sub(domain.memory_kib / 2048)
            );
            xen.clone().destroy_domain(built.domid).unwrap();
            xen.machine().assert_empty();
        }
    }
}
