//! The store ends, hangs or answers nonsense: it comes back under its number, and knows of everything that runs.

use domb_core::host::{RequestError, Shutdown};
use manifest::{Action, Domain};
use xen::ShutdownReason::{Crash, Poweroff, Reboot, Suspend};
use xen::{DomId, Errno, Error};

use crate::clock::{self, SECOND};
use crate::fake_store::Fault;
use crate::host_store::running;
use crate::scene::{Scene, domain, pvh, store};

const FAULT: fn(&'static str) -> Error = |operation| Error::Refused {
    operation,
    errno: Errno::EBUSY,
};

/// Lets the time pass until something is due, and does it.
#[track_caller]
fn run_due(scene: &mut Scene) {
    let due = scene.host.next_due().unwrap();
    clock::pass(due.saturating_sub(clock::now()));
    scene.host.run_due();
}

#[test]
fn it_comes_back_at_once_under_its_number() {
    for reason in [Crash, Poweroff, Reboot, Suspend] {
        let mut scene = running(vec![pvh("web"), domain("other")]);
        let guests = ["web", "other"].map(|name| scene.domid(name));
        for starts in 2..5 {
            clock::pass(60 * SECOND);
            scene.store.take_requests();
            scene.store.state().link.clear();
            scene.end("store", reason);
            assert_eq!(scene.host.next_due(), Some(clock::now()));
            scene.host.run_due();
            assert_eq!(scene.domid("store"), DomId(1));
            assert_eq!(scene.store.state().link, ["disconnect", "prepare 1", "connect"]);
            // It knew of both.
            let requests = scene.store.take_requests();
            assert!(!requests.iter().any(|request| request.starts_with("INTRODUCE")));
            assert_eq!(["web", "other"].map(|name| scene.domid(name)), guests);
            assert!(scene.host.store_report()[0].contains(&format!(" starts={starts} domains=2 ")));
        }
        scene.finish();
    }
}

#[test]
fn its_policy_is_to_come_back_unless_it_is_to_be_kept() {
    let never = Domain {
        on_poweroff: Action::Destroy,
        on_reboot: Action::Destroy,
        on_crash: Action::Destroy,
        ..store()
    };
    let kept = Domain {
        on_crash: Action::Preserve,
        ..store()
    };
    for (store, state) in [(never, "waiting to restart"), (kept, "preserved (after crash)")] {
        let mut scene = Scene::new(vec![store, domain("web")]);
        scene.boot();
        scene.end("store", Crash);
        assert_eq!(scene.state("store"), state);
        if state.starts_with("preserved") {
            // It still maps the ring.
            scene.xen.machine_mut().lingering.insert(DomId(2));
        }
        scene.host.destroy("web").unwrap();
        scene.xen.machine().assert_obeyed();
        if state.starts_with("preserved") {
            scene.host.destroy("store").unwrap();
            scene.xen.machine_mut().let_go(DomId(2));
        }
        scene.finish();
    }
}

#[test]
fn a_store_that_always_crashes_is_always_tried_again() {
    let mut scene = running(vec![domain("web")]);
    let mut pauses = Vec::new();
    for _ in 0..12 {
        let began = clock::now();
        scene.end("store", Crash);
        run_due(&mut scene);
        assert_eq!(scene.state("store"), "running");
        pauses.push((clock::now() - began) / SECOND);
    }
    assert_eq!(pauses, [0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60]);
    scene.finish();
}

/// Its number is waited for while Xen is not done with the instance before.
#[test]
fn an_instance_that_takes_its_time_to_go_is_waited_for() {
    let mut scene = running(vec![domain("web")]);
    scene.xen.machine_mut().lingering.insert(DomId(1));
    scene.end("store", Crash);
    for _ in 0..1000 {
        run_due(&mut scene);
        assert_eq!(scene.state("store"), "waiting to restart");
    }
    assert_eq!(scene.host.create("store"), Err(RequestError::NumberTaken(DomId(1))));
    assert_eq!(scene.state("store"), "waiting to restart");
    scene.xen.machine_mut().let_go(DomId(1));
    run_due(&mut scene);
    assert_eq!(scene.domid("store"), DomId(1));
    scene.finish();
}

/// After ten seconds each further look waits longer, and it is said why.
#[test]
fn one_that_does_not_go_at_all_is_said() {
    let mut scene = running(vec![domain("web")]);
    scene.xen.machine_mut().lingering.insert(DomId(1));
    let began = clock::now();
    scene.end("store", Crash);
    let mut looks = 0;
    while scene.host.next_due().unwrap() < clock::now() + SECOND {
        run_due(&mut scene);
        looks += 1;
        assert!(looks <= 10_001);
    }
    assert_eq!((clock::now() - began) / SECOND, 10);
    assert_eq!(scene.state("store"), "waiting to restart");
    scene.xen.machine_mut().let_go(DomId(1));
    run_due(&mut scene);
    assert_eq!(scene.state("store"), "running");
    scene.finish();
}

/// An empty recovery box: all that runs is made known again, with its old ring and port.
#[test]
fn a_store_that_forgot_everything_is_told_again() {
    let mut scene = running(vec![pvh("web"), domain("other"), domain("third")]);
    let before: Vec<_> = scene.store.state().tree.clone().into_iter().collect();
    scene.store.forget_all();
    scene.end("store", Crash);
    scene.host.run_due();
    let after: Vec<_> = scene.store.state().tree.clone().into_iter().collect();
    assert_eq!(before, after);
    let names = ["web", "other", "third"];
    let served = [2, 3, 4].into_iter().zip(names.map(String::from)).collect::<Vec<_>>();
    assert_eq!(scene.store.served(), served);
    scene.finish();
}

/// It has a domain of that number, but not this one: what it knows is of no use.
#[test]
fn a_store_that_knows_another_domain_by_the_number_is_told_again() {
    let mut scene = running(vec![pvh("web")]);
    scene.store.set("/local/domain/2/vm", "/vm/another");
    scene.store.take_requests();
    scene.end("store", Crash);
    scene.host.run_due();
    let requests = scene.store.take_requests();
    for request in ["RELEASE 2", "INTRODUCE 2"] {
        assert!(requests.iter().any(|other| other == request), "{request}");
    }
    assert_ne!(scene.store.value("/local/domain/2/vm"), "/vm/another");
    scene.finish();
}

#[test]
fn what_went_meanwhile_is_told_afterwards() {
    let mut scene = running(vec![pvh("web"), domain("other"), domain("third")]);
    let [web, other] = ["web", "other"].map(|name| scene.domid(name));
    scene.xen.machine_mut().shut_down(web, Poweroff);
    scene.end("store", Crash);
    // One ended with it, one is destroyed.
    assert_eq!(scene.state("web"), "off");
    scene.host.destroy("other").unwrap();
    scene.xen.machine().assert_obeyed();
    assert_eq!(scene.store.homes(), ["web", "other", "third"]);
    scene.host.run_due();
    assert_eq!(scene.store.homes(), ["third"]);
    assert_eq!(scene.store.served(), [(4, "third".into())]);
    assert!(
        scene
            .xen
            .machine()
            .domains
            .keys()
            .all(|domid| *domid != web && *domid != other)
    );
    scene.finish();
}

#[test]
fn whoever_is_to_start_meanwhile_waits() {
    let off = Domain {
        autostart: false,
        ..domain("off")
    };
    let mut scene = Scene::new(vec![store(), off, domain("web")]);
    scene.boot();
    // One crash long ago would be forgiven: two in a row are not followed at once.
    for _ in 0..2 {
        scene.end("store", Crash);
        run_due(&mut scene);
    }
    scene.end("store", Crash);
    scene.end("web", Reboot);
    assert_eq!(
        scene.host.create("off"),
        Err(RequestError::StoreRestarts("store".into()))
    );
    for name in ["off", "web"] {
        assert_eq!(scene.state(name), "waiting to restart");
    }
    scene.host.run_due();
    assert_eq!(scene.state("web"), "waiting to restart");
    let asked = scene.host.shutdown("web", Shutdown::Poweroff);
    assert_eq!(asked, Err(RequestError::NotRunning));
    assert!(scene.host.next_due().unwrap() > clock::now() + SECOND);
    run_due(&mut scene);
    for name in ["store", "off", "web"] {
        assert_eq!(scene.state(name), "running");
    }
    scene.finish();
}

#[test]
fn a_store_that_was_destroyed_can_be_created_again() {
    let mut scene = running(vec![domain("web")]);
    scene.host.destroy("store").unwrap();
    assert_eq!(scene.state("store"), "off");
    assert_eq!(scene.host.next_due(), None);
    scene.host.destroy("web").unwrap();
    assert_eq!(scene.host.create("web"), Err(RequestError::Needs("store".into())));
    scene.host.create("store").unwrap();
    assert_eq!(scene.domid("store"), DomId(1));
    assert_eq!(scene.store.homes(), [] as [&str; 0]);
    scene.host.create("web").unwrap();
    scene.finish();
}

/// Requests that are not answered, or with nonsense: the store is destroyed and built again, and what was asked is done.
#[test]
fn a_store_that_hangs_is_built_again() {
    for fault in [Fault::Silent, Fault::Unanswered, Fault::Garbled] {
        for call in 1.. {
            let mut scene = running(vec![domain("other")]);
            scene.store.state().fault = fault;
            let mut other = scene.domid("other");
            scene.xen.machine_mut().fail(call, FAULT);
            let result = scene.host.destroy("other");
            let Some(operation) = scene.xen.machine_mut().stop_failing() else {
                assert_eq!(call, 5, "after RELEASE, RM, RM and the destruction itself");
                scene.finish();
                break;
            };
            scene.xen.machine().assert_obeyed();
            if operation == "XEN_DOMCTL_destroydomain" {
                assert_eq!(result, Err(RequestError::Xen(FAULT(operation))));
                scene.finish();
                continue;
            }
            assert_eq!(scene.state("other"), "off");
            assert_eq!(scene.state("store"), "waiting to restart", "{operation}");
            scene.host.run_due();
            assert_eq!(scene.domid("store"), DomId(1));
            assert_eq!(scene.store.homes(), [] as [&str; 0], "{fault:?} of {operation}");
            scene.host.create("other").unwrap();
            other.0 += 1;
            assert_eq!(scene.domid("other"), other);
            scene.finish();
        }
    }
}

/// A request of the operator's that meets the death of the store is answered with that.
#[test]
fn a_request_that_meets_the_death_of_the_store_says_so() {
    let mut scene = running(vec![domain("web")]);
    scene.xen.machine_mut().shut_down(DomId(1), Reboot);
    let Err(RequestError::Store(problem)) = scene.host.shutdown("web", Shutdown::Poweroff) else {
        panic!("an error");
    };
    assert_eq!(problem.to_string(), "no connection: READ: wait for the store: EAGAIN");
    // It is not waited for Xen to say so.
    assert_eq!(scene.state("store"), "waiting to restart");
    scene.host.domain_exception();
    scene.host.run_due();
    assert_eq!(scene.state("store"), "running");
    scene.host.shutdown("web", Shutdown::Poweroff).unwrap();
    scene.finish();
}
