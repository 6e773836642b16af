//! A host with a store: it comes first, every other domain is made known to it, and forgotten when it goes.

use domb_core::build::{BuildError, Failure, Step};
use domb_core::host::RequestError;
use domb_core::store;
use manifest::{Action, Domain, ManagementSettings, Role};
use measure::Bank;
use xen::store::{Permission, StoreError};
use xen::{CreateDomain, DomId, DomainKind, GRANT_RESERVED_XENSTORE, Hypervisor, ShutdownReason};

use crate::bytes::word;
use crate::clock;
use crate::guest::Context;
use crate::scene::{Scene, bundle, domain, manifest, needing, pvh, store};

/// A store and these domains, all running.
pub(crate) fn running(domains: Vec<Domain>) -> Scene {
    let mut domains = domains;
    domains.push(store());
    let wanted = domains.len();
    let mut scene = Scene::new(domains);
    assert_eq!(scene.boot().len(), wanted);
    scene.xen.machine().assert_obeyed();
    scene
}

#[test]
fn the_store_comes_first_and_serves_all_others() {
    let off = Domain {
        autostart: false,
        ..store()
    };
    let mut scene = Scene::new(vec![needing("web", &["net"]), pvh("net"), off]);
    assert_eq!(scene.boot(), ["store", "net", "web"]);
    assert_eq!(scene.domid("store"), DomId(1));
    assert_eq!(scene.store.served(), [(2, "net".into()), (3, "web".into())]);
    assert_eq!(scene.store.homes(), ["net", "web"]);
    let machine = scene.xen.machine();
    for domid in [2, 3] {
        let guest = &machine.domains[&DomId(domid)];
        assert_eq!(guest.ports, [DomId::INITIAL, DomId(1)]);
        assert_eq!(guest.grants[&GRANT_RESERVED_XENSTORE].to, DomId(1));
    }
    assert_eq!(machine.domains[&DomId(1)].ports, [DomId::INITIAL]);
    drop(machine);
    assert_eq!(scene.store.state().link, ["prepare 1", "connect"]);
    scene.finish();
}

#[test]
fn without_a_store_all_is_as_before() {
    let mut scene = Scene::new(vec![domain("web")]);
    assert_eq!(scene.boot(), ["web"]);
    assert_eq!(scene.xen.machine().domains[&DomId(1)].ports, [DomId::INITIAL]);
    assert_eq!(scene.store.state().link, [] as [&str; 0]);
    assert_eq!(scene.store.take_requests(), [] as [&str; 0]);
    scene.finish();
}

#[test]
fn its_ramdisk_is_the_manifest() {
    let manifest = manifest(vec![store(), domain("web")], &[Bank::Sha256]);
    let mut scene = Scene::from_bundle(bundle(&manifest)).unwrap();
    scene.host.create("store").unwrap();
    let machine = scene.xen.machine();
    let Some(Context::Pv(context)) = machine.domains[&DomId(1)].context else {
        panic!("no PV context");
    };
    let info = machine.read_virtual(context.l4_frame, context.start_info, 128);
    // The test kernel wants its ramdisk by frame.
    let found = machine.read_physical(DomId(1), word(&info, 112) << 12, word(&info, 120));
    assert!(found == manifest.encode());
    drop(machine);
    scene.finish();
}

#[test]
fn its_number_is_the_lowest_that_is_free() {
    let mut scene = Scene::new(vec![store(), domain("web")]);
    let request = CreateDomain {
        kind: DomainKind::Pv,
        uuid: [1; 16],
        domid: Some(DomId(1)),
        max_vcpus: 1,
        max_event_channels: 8,
        max_grant_frames: 1,
        max_maptrack_frames: 1,
    };
    scene.xen.create_domain(&request).unwrap();
    assert_eq!(scene.boot(), ["store", "web"]);
    assert_eq!((scene.domid("store"), scene.domid("web")), (DomId(2), DomId(3)));
    assert_eq!(scene.store.value("/tool/xenstored/domid"), "2");
    scene.xen.destroy_domain(DomId(1)).unwrap();
    scene.finish();
}

#[test]
fn what_the_store_is_asked_for_a_domain() {
    let mut scene = Scene::new(vec![store(), domain("web")]);
    scene.host.create("store").unwrap();
    scene.store.take_requests();
    scene.host.create("web").unwrap();
    let requests = scene.store.take_requests();
    assert_eq!(
        requests[..4],
        [
            "TRANSACTION_START ",
            "RM /local/domain/2",
            &format!("RM /vm/{}", manifest::uuid::text(&domain("web").uuid)),
            "WRITE /local/domain/2",
        ]
    );
    assert_eq!(
        requests[requests.len() - 3..],
        ["TRANSACTION_END T", "CONTROL assign", "INTRODUCE 2"]
    );
    // One for each node, and permissions only where they differ from those of the node above.
    let sets: Vec<_> = requests
        .iter()
        .filter(|request| request.starts_with("SET_PERMS"))
        .collect();
    assert_eq!(sets.len(), 13, "{sets:?}");
    assert!(requests.iter().filter(|request| request.starts_with("WRITE")).count() < 32);

    scene.host.destroy("web").unwrap();
    assert_eq!(
        scene.store.take_requests(),
        [
            "RELEASE 2",
            "RM /local/domain/2",
            &format!("RM /vm/{}", manifest::uuid::text(&domain("web").uuid)),
        ]
    );
    scene.finish();
}

#[test]
fn without_the_store_no_other_domain_starts() {
    let broken = Domain {
        kernel: "initrd".into(),
        ..store()
    };
    let mut scene = Scene::new(vec![domain("web"), broken]);
    assert_eq!(scene.boot(), [] as [&str; 0]);
    assert!(
        scene.state("store").starts_with("failed (kernel: "),
        "{}",
        scene.state("store")
    );
    assert_eq!(scene.state("web"), "failed (needs store, which does not run)");
    assert_eq!(scene.store.state().link, ["prepare 1"]);
    scene.finish();
}

#[test]
fn every_end_is_told() {
    for reason in [ShutdownReason::Poweroff, ShutdownReason::Reboot, ShutdownReason::Crash] {
        for action in [Action::Destroy, Action::Restart, Action::Preserve] {
            let web = Domain {
                on_poweroff: action,
                on_reboot: action,
                on_crash: action,
                ..pvh("web")
            };
            let mut scene = running(vec![web, domain("other")]);
            scene.end("web", reason);
            assert_eq!(scene.store.homes(), ["other"], "{reason} {action}");
            assert_eq!(scene.store.served(), [(3, "other".into())]);
            scene.xen.machine().assert_obeyed();
            if action == Action::Restart {
                crate::clock::pass(crate::clock::SECOND);
                scene.host.run_due();
                assert_eq!(scene.store.homes(), ["other", "web"]);
                assert_eq!(scene.store.served().last(), Some(&(4, "web".into())));
            }
            scene.finish();
        }
    }
}

/// A number that was used before: nothing of the domain that had it is found.
#[test]
fn nothing_is_left_for_the_next_domain_of_a_number() {
    let mut scene = running(vec![domain("web")]);
    let left = "/local/domain/3/data/left";
    let permissions = vec![Permission::decode(b"n0").unwrap()];
    scene.store.state().tree.insert(left.into(), (Vec::new(), permissions));
    scene.host.destroy("web").unwrap();
    scene.host.create("web").unwrap();
    assert_eq!(scene.domid("web"), DomId(3));
    assert!(!scene.store.state().tree.contains_key(left));
    scene.finish();
}

#[test]
fn a_transaction_that_met_others_is_tried_again_but_not_for_ever() {
    let mut scene = Scene::new(vec![store(), domain("web")]);
    scene.host.create("store").unwrap();
    scene.store.state().conflicts = 3;
    scene.host.create("web").unwrap();
    scene.host.destroy("web").unwrap();
    scene.store.state().conflicts = 1000;
    assert_eq!(
        scene.host.create("web"),
        Err(RequestError::Build(Failure {
            step: Step::Store,
            error: BuildError::Store(store::Error::Conflicts),
        }))
    );
    scene.store.state().conflicts = 0;
    assert_eq!(scene.store.homes(), [] as [&str; 0]);
    assert_eq!(scene.xen.machine().domains.len(), 1);
    scene.finish();
}

/// What the store refuses when a domain goes, is logged, and the domain goes all the same.
#[test]
fn a_store_that_refuses_to_forget_holds_nothing_up() {
    let mut scene = running(vec![domain("web")]);
    scene.xen.machine_mut().fail(1, |operation| xen::Error::Refused {
        operation,
        errno: xen::Errno::EBUSY,
    });
    scene.store.state().fault = crate::fake_store::Fault::Refused;
    // It still maps the ring.
    let web = scene.domid("web");
    scene.xen.machine_mut().lingering.insert(web);
    scene.host.destroy("web").unwrap();
    assert_eq!(scene.xen.machine_mut().stop_failing(), Some("RELEASE"));
    assert_eq!(scene.state("web"), "off");
    assert_eq!(scene.state("store"), "running");
    scene.host.destroy("store").unwrap();
    scene.xen.machine_mut().let_go(web);
    scene.finish();
}

#[test]
fn a_refusal_names_what_was_refused() {
    let mut scene = Scene::new(vec![store(), domain("web")]);
    scene.host.create("store").unwrap();
    let reason = (1..)
        .find_map(|call| {
            scene.xen.machine_mut().fail(call, |operation| xen::Error::Refused {
                operation,
                errno: xen::Errno::EBUSY,
            });
            let result = scene.host.create("web");
            let failed = scene.xen.machine_mut().stop_failing();
            if result.is_ok() {
                // Memory is there in smaller pieces, too.
                scene.host.destroy("web").unwrap();
            }
            result.err().filter(|_| failed == Some("INTRODUCE"))
        })
        .unwrap();
    let said = reason.to_string();
    assert!(
        said.starts_with("store: INTRODUCE ") && said.ends_with(": ENOSPC"),
        "{said}"
    );
    let RequestError::Build(Failure {
        step: Step::Store,
        error: BuildError::Store(store::Error::Refused { error, .. }),
    }) = reason
    else {
        panic!("{reason}");
    };
    assert_eq!(error, StoreError::NoSpace);
    assert_eq!(scene.state("web"), format!("failed ({said})"));
    scene.finish();
}

/// It finds its channels in the store, also after the store lost everything, and has the same ones when it comes back.
#[test]
fn who_may_ask_has_channels() {
    let manager = Domain {
        roles: vec![Role::Management],
        management: ManagementSettings {
            channels: 2,
            image_memory_kib: 0,
        },
        on_crash: Action::Restart,
        ..domain("mgmt")
    };
    let mut scene = running(vec![manager]);
    let domid = scene.domid("mgmt");
    let nodes = |scene: &Scene| {
        ["0/ring-ref", "0/event-channel", "1/ring-ref", "1/event-channel"]
            .map(|node| scene.store.value(&format!("/local/domain/{domid}/domb/{node}")))
    };
    assert_eq!(nodes(&scene), ["100", "200", "101", "201"]);
    assert_eq!(scene.consoles.offered(), [(domid, 2)]);
    scene.store.forget_all();
    scene.end("store", ShutdownReason::Crash);
    scene.host.run_due();
    assert_eq!(nodes(&scene), ["100", "200", "101", "201"]);
    scene.end("mgmt", ShutdownReason::Crash);
    assert_eq!(scene.consoles.offered(), []);
    clock::pass(scene.host.next_due().unwrap().saturating_sub(clock::now()));
    scene.host.run_due();
    assert_eq!(
        (scene.domid("mgmt"), scene.consoles.offered()),
        (domid, vec![(domid, 2)])
    );
    scene.finish();
}
