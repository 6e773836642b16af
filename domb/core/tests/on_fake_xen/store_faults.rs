//! Each call below a host with a store fails in turn, those to the store in every way that there is: nothing is lost,
//! nothing is left.

use domb_core::build::{BuildError, Failure, Step};
use domb_core::host::RequestError;
use manifest::Domain;
use measure::Bank;
use xen::{DomId, Errno, Error, ShutdownReason};

use crate::clock;
use crate::fake_store::Fault;
use crate::scene::{Scene, bundle, domain, manifest, pvh, store};

const FAULT: fn(&'static str) -> Error = |operation| Error::Refused {
    operation,
    errno: Errno::EBUSY,
};
const FAULTS: [Fault; 4] = [Fault::Refused, Fault::Silent, Fault::Unanswered, Fault::Garbled];

/// What may fail of the store's.
fn is_stores(operation: &str) -> bool {
    let stores = [
        "TRANSACTION_START",
        "TRANSACTION_END",
        "WRITE",
        "SET_PERMS",
        "RM",
        "CONTROL",
        "INTRODUCE",
        "RELEASE",
        "IS_DOMAIN_INTRODUCED",
        "READ",
    ];
    stores.contains(&operation)
}

/// Runs `action` on a new scene of a store and these domains for each call that can fail in it, `then` after it; the
/// operations that failed. Calls to Xen can fail in one way only, and are left out in the other ways.
fn fail_each(
    domains: Vec<Domain>,
    fault: Fault,
    prepare: impl Fn(&mut Scene),
    action: impl Fn(&mut Scene),
    then: impl Fn(&mut Scene, &'static str),
) -> Vec<&'static str> {
    let mut domains = domains;
    domains.insert(0, store());
    let bundle = bundle(&manifest(domains, &[Bank::Sha256])).leak();
    let start = || {
        let mut scene = Scene::on(bundle).unwrap();
        scene.store.state().fault = fault;
        prepare(&mut scene);
        scene
    };
    let mut scene = start();
    scene.xen.machine_mut().calls = Some(Vec::new());
    action(&mut scene);
    let calls = scene.xen.machine_mut().calls.take().unwrap();
    scene.finish();
    let mut failed = Vec::new();
    for (call, expected) in (1..).zip(calls) {
        if fault != Fault::Refused && !is_stores(expected) {
            continue;
        }
        let mut scene = start();
        scene.xen.machine_mut().fail(call, FAULT);
        action(&mut scene);
        let operation = scene.xen.machine_mut().stop_failing().unwrap();
        assert_eq!(operation, expected);
        failed.push(operation);
        then(&mut scene, operation);
        scene.finish();
    }
    failed
}

/// Lets time pass until nothing is due any more.
fn settle(scene: &mut Scene) {
    while let Some(due) = scene.host.next_due() {
        clock::pass(due.saturating_sub(clock::now()));
        scene.host.run_due();
    }
}

/// The operations that failed, each once.
fn each_once(mut operations: Vec<&'static str>) -> Vec<&'static str> {
    operations.sort_unstable();
    operations.dedup();
    operations
}

#[test]
fn creation_of_a_domain() {
    for web in [domain("web"), pvh("web")] {
        for fault in FAULTS {
            let failed = fail_each(
                vec![web.clone()],
                fault,
                |scene| assert_eq!(scene.host.create("store"), Ok(DomId(1))),
                |scene| drop(scene.host.create("web")),
                |scene, operation| {
                    scene.xen.machine().assert_obeyed();
                    assert_eq!(scene.consoles.names(), [] as [&str; 0], "{operation}");
                    assert_eq!(scene.host.domid("web"), None);
                    if is_stores(operation) && fault != Fault::Refused {
                        // The store goes with it, and both come back.
                        assert_eq!(scene.xen.machine().domains.len(), 0, "{operation}");
                        assert_eq!(scene.state("store"), "waiting to restart", "{operation}");
                        assert_eq!(scene.state("web"), "waiting to restart", "{operation}");
                        scene.host.run_due();
                        assert_eq!(scene.domid("store"), DomId(1));
                    } else {
                        let only: Vec<_> = scene.xen.machine().domains.keys().copied().collect();
                        assert_eq!(only, [DomId(1)], "{operation}");
                        let state = scene.state("web");
                        assert!(state.starts_with("failed (") && state.contains(operation), "{state}");
                        if is_stores(operation) {
                            assert!(
                                state.starts_with("failed (store: ") && state.contains("ENOSPC"),
                                "{state}"
                            );
                        }
                        assert_eq!(scene.store.homes(), [] as [&str; 0]);
                        assert_eq!(scene.store.served(), []);
                        scene.host.create("web").unwrap();
                    }
                    assert_eq!(scene.state("web"), "running", "after {operation}");
                    assert_eq!(scene.store.homes(), ["web"]);
                    assert_eq!(scene.store.served().len(), 1);
                },
            );
            let failed = each_once(failed);
            for operation in [
                "TRANSACTION_START",
                "RM",
                "WRITE",
                "SET_PERMS",
                "TRANSACTION_END",
                "CONTROL",
                "INTRODUCE",
            ] {
                assert!(failed.contains(&operation), "{operation}");
            }
            let of_xen = ["attach a console", "XEN_DOMCTL_unpausedomain"].map(|it| failed.contains(&it));
            assert_eq!(of_xen, [fault == Fault::Refused; 2]);
        }
    }
}

#[test]
fn creation_of_the_store() {
    for fault in FAULTS {
        let failed = fail_each(
            vec![domain("web")],
            fault,
            |_| (),
            |scene| drop(scene.host.create("store")),
            |scene, operation| {
                scene.xen.machine().assert_empty();
                assert_eq!(scene.host.domid("store"), None);
                let state = scene.state("store");
                assert!(state.starts_with("failed ("), "{operation}: {state}");
                if is_stores(operation) || operation.ends_with("the link") || operation.ends_with("the store") {
                    assert!(state.starts_with("failed (store: "), "{operation}: {state}");
                }
                assert_eq!(scene.host.create("web"), Err(RequestError::Needs("store".into())));
                assert_eq!(scene.boot(), ["store", "web"]);
            },
        );
        let failed = each_once(failed);
        for operation in ["TRANSACTION_START", "WRITE"] {
            assert!(failed.contains(&operation), "{operation}");
        }
        let of_link = ["prepare the link", "connect to the store"].map(|it| failed.contains(&it));
        assert_eq!(of_link, [fault == Fault::Refused; 2]);
    }
}

#[test]
fn the_restart_of_the_store() {
    for fault in FAULTS {
        for forgets in [false, true] {
            let failed = fail_each(
                vec![domain("web"), pvh("other"), domain("gone")],
                fault,
                |scene| {
                    assert_eq!(scene.boot(), ["store", "web", "other", "gone"]);
                    if forgets {
                        scene.store.forget_all();
                    }
                    scene.end("store", ShutdownReason::Crash);
                    scene.host.destroy("gone").unwrap();
                },
                |scene| scene.host.run_due(),
                |scene, operation| {
                    settle(scene);
                    scene.xen.machine().assert_obeyed();
                    assert_eq!(scene.domid("store"), DomId(1), "after {operation}");
                    assert_eq!((scene.domid("web"), scene.domid("other")), (DomId(2), DomId(3)));
                    if fault == Fault::Refused && is_stores(operation) {
                        // Said in the log: a store that refuses its builder once will not be told twice.
                        scene.store.forget_all();
                        scene.end("store", ShutdownReason::Crash);
                        settle(scene);
                    }
                    assert_eq!(scene.store.homes(), ["web", "other"], "after {operation}");
                    assert_eq!(scene.store.served(), [(2, "web".into()), (3, "other".into())]);
                },
            );
            let failed = each_once(failed);
            assert!(
                failed.contains(&"IS_DOMAIN_INTRODUCED") && failed.contains(&"RELEASE"),
                "{failed:?}"
            );
            assert_eq!(failed.contains(&"INTRODUCE"), forgets);
        }
    }
}

/// A domain during whose start the store dies again and again is not tried for ever: it may be the reason.
#[test]
fn a_domain_that_takes_the_store_down_twice_has_failed() {
    let bundle = bundle(&manifest(vec![store(), domain("web")], &[Bank::Sha256]));
    let mut scene = Scene::from_bundle(bundle).unwrap();
    scene.host.create("store").unwrap();
    scene.store.state().fault = Fault::Silent;
    let fail_introduction = |scene: &mut Scene, start: &dyn Fn(&mut Scene)| {
        scene.store.state().hangs_at = Some("INTRODUCE");
        start(scene);
        assert_eq!(scene.store.state().hangs_at, None);
    };
    fail_introduction(&mut scene, &|scene| drop(scene.host.create("web")));
    assert_eq!(scene.state("web"), "waiting to restart");
    fail_introduction(&mut scene, &|scene| scene.host.run_due());
    // It was tried once more, and now waits as any domain does that cannot be built again.
    assert_eq!(scene.state("store"), "waiting to restart");
    let mut tries = 2;
    while scene.state("web") == "waiting to restart" {
        let due = scene.host.next_due().unwrap();
        clock::pass(due.saturating_sub(clock::now()));
        scene.store.state().hangs_at = Some("INTRODUCE");
        scene.host.run_due();
        if scene.store.state().hangs_at.take().is_none() {
            tries += 1;
        }
    }
    assert!((3..=9).contains(&tries), "{tries} tries");
    let state = scene.state("web");
    assert!(state.starts_with("failed (store: no connection: INTRODUCE"), "{state}");
    settle(&mut scene);
    assert_eq!(scene.state("store"), "running");
    let web = scene.host.create("web").unwrap();
    assert_eq!(scene.store.served(), [(web.0, "web".into())]);
    scene.finish();
}

#[test]
fn the_step_is_the_store() {
    let bundle = bundle(&manifest(vec![store(), domain("web")], &[Bank::Sha256]));
    let mut scene = Scene::from_bundle(bundle).unwrap();
    scene.xen.machine_mut().fail(1, FAULT);
    scene.host.create("store").unwrap_err();
    let mut steps = Vec::new();
    for call in 1..40 {
        scene.xen.machine_mut().fail(call, FAULT);
        let result = scene.host.create("store");
        let operation = scene.xen.machine_mut().stop_failing();
        match result {
            Err(RequestError::Build(Failure {
                step: Step::Store,
                error,
            })) => steps.push((operation.unwrap(), error)),
            Err(_) => {}
            Ok(_) => scene.host.destroy("store").unwrap(),
        }
    }
    let prepare = "prepare the link";
    assert_eq!(steps.first(), Some(&(prepare, BuildError::Xen(FAULT(prepare)))));
    scene.finish();
}
