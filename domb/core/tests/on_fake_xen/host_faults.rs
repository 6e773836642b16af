//! Each call below a host fails in turn, the console's included: nothing is lost, nothing is left.

use domb_core::host::RequestError;
use manifest::{Action, Domain};
use measure::Bank;
use xen::{Errno, Error, ShutdownReason};

use crate::clock::{self, SECOND};
use crate::scene::{Scene, bundle, domain, manifest, pvh};

const REFUSED: fn(&'static str) -> Error = |operation| Error::Refused {
    operation,
    errno: Errno::EBUSY,
};

/// Runs `action` on a new scene for each call that can fail in it, `then` after it; the operations that failed.
fn fail_each(
    domain: &Domain,
    mut prepare: impl FnMut(&mut Scene),
    mut action: impl FnMut(&mut Scene),
    mut then: impl FnMut(Scene, &'static str),
) -> Vec<&'static str> {
    let mut failed = Vec::new();
    let bundle = bundle(&manifest(vec![domain.clone()], &[Bank::Sha256]));
    for call in 1.. {
        let mut scene = Scene::from_bundle(bundle.clone()).unwrap();
        prepare(&mut scene);
        scene.xen.machine_mut().fail(call, REFUSED);
        action(&mut scene);
        let Some(operation) = scene.xen.machine_mut().stop_failing() else {
            scene.finish();
            break;
        };
        failed.push(operation);
        then(scene, operation);
    }
    failed
}

fn start(scene: &mut Scene) {
    scene.host.create("web").unwrap();
    assert_eq!(scene.consoles.names(), ["web"]);
}

fn kinds() -> [Domain; 2] {
    let restarting = |domain| Domain {
        on_crash: Action::Restart,
        ..domain
    };
    [restarting(domain("web")), restarting(pvh("web"))]
}

#[test]
fn creation() {
    for domain in kinds() {
        let mut result = None;
        let failed = fail_each(
            &domain,
            |_| (),
            |scene| result = scene.host.create("web").err(),
            |mut scene, operation| {
                // In the creation itself, or afterwards: the console and the start.
                scene.xen.machine().assert_empty();
                assert_eq!(scene.consoles.names(), [] as [&str; 0]);
                assert_eq!(scene.host.domid("web"), None);
                let problem = scene.state("web");
                assert!(
                    problem.starts_with("failed (") && problem.contains("EBUSY"),
                    "{problem}"
                );
                assert!(problem.contains(operation), "{problem}");
                start(&mut scene);
                assert_eq!(scene.state("web"), "running");
                scene.finish();
            },
        );
        assert_eq!(result, None);
        for operation in [
            "attach a console",
            "EVTCHNOP_bind_interdomain",
            "XEN_DOMCTL_unpausedomain",
        ] {
            assert!(failed.contains(&operation), "{operation}");
        }
    }
}

#[test]
fn the_reason_is_the_failure_itself() {
    let mut scene = Scene::new(vec![domain("web")]);
    let calls = (1..)
        .find(|&call| {
            scene.xen.machine_mut().fail(call, REFUSED);
            let result = scene.host.create("web");
            scene.xen.machine_mut().stop_failing() == Some("attach a console")
                && matches!(result, Err(RequestError::Xen(problem)) if problem == REFUSED("attach a console"))
        })
        .unwrap();
    assert!(calls > 10);
    scene.finish();
}

#[test]
fn destruction_can_be_asked_for_again() {
    let failed = fail_each(
        &domain("web"),
        start,
        |scene| drop(scene.host.destroy("web")),
        |mut scene, _| {
            assert_eq!(scene.state("web"), "running");
            scene.host.destroy("web").unwrap();
            assert_eq!(scene.state("web"), "off");
            start(&mut scene);
            scene.finish();
        },
    );
    assert_eq!(failed, ["XEN_DOMCTL_destroydomain"]);
}

#[test]
fn pausing_and_going_on() {
    let pause = |scene: &mut Scene| drop(scene.host.pause("web"));
    let failed = fail_each(&domain("web"), start, pause, |mut scene, _| {
        assert_eq!(scene.state("web"), "running");
        scene.host.pause("web").unwrap();
        scene.finish();
    });
    assert_eq!(failed, ["XEN_DOMCTL_pausedomain"]);
    let paused = |scene: &mut Scene| {
        start(scene);
        scene.host.pause("web").unwrap();
    };
    let unpause = |scene: &mut Scene| drop(scene.host.unpause("web"));
    let failed = fail_each(&domain("web"), paused, unpause, |mut scene, _| {
        assert_eq!(scene.state("web"), "paused");
        scene.host.unpause("web").unwrap();
        assert_eq!(scene.state("web"), "running");
        scene.finish();
    });
    assert_eq!(failed, ["XEN_DOMCTL_unpausedomain"]);
}

/// What failed when a domain ended is done when Xen next says that something happened.
#[test]
fn the_end_of_a_domain() {
    for (reason, state) in [
        (ShutdownReason::Poweroff, "off"),
        (ShutdownReason::Reboot, "waiting to restart"),
        (ShutdownReason::Crash, "waiting to restart"),
    ] {
        let failed = fail_each(
            &kinds()[0],
            start,
            |scene| scene.end("web", reason),
            |mut scene, _| {
                scene.host.domain_exception();
                assert_eq!(scene.state("web"), state);
                scene.xen.machine().assert_empty();
                scene.finish();
            },
        );
        assert_eq!(failed, ["XEN_DOMCTL_getdomaininfo", "XEN_DOMCTL_destroydomain"]);
    }
}

#[test]
fn a_restart_is_tried_again() {
    for domain in kinds() {
        let failed = fail_each(
            &domain,
            |scene| {
                start(scene);
                scene.end("web", ShutdownReason::Reboot);
            },
            |scene| scene.host.run_due(),
            |mut scene, operation| {
                scene.xen.machine().assert_empty();
                assert_eq!(scene.state("web"), "waiting to restart", "after {operation}");
                let due = scene.host.next_due().unwrap();
                assert!(due >= clock::now() + SECOND);
                scene.host.run_due();
                assert_eq!(scene.state("web"), "waiting to restart");
                clock::pass(due - clock::now());
                scene.host.run_due();
                assert_eq!(scene.state("web"), "running");
                scene.finish();
            },
        );
        assert!(failed.len() > 10);
    }
}
