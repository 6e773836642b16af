//! What becomes of domains that end.

use domb_core::host::RequestError;
use domb_core::restart::MOST_CRASHES;
use manifest::{Action, Domain, ManagementSettings, Role};
use xen::ShutdownReason::{self, Crash, Poweroff, Reboot, Suspend};

use crate::clock::{self, SECOND};
use crate::scene::{Scene, domain, needing, pvh};

fn with_actions(on_poweroff: Action, on_reboot: Action, on_crash: Action) -> Domain {
    Domain {
        on_poweroff,
        on_reboot,
        on_crash,
        ..pvh("web")
    }
}

fn always(action: Action) -> Domain {
    with_actions(action, action, action)
}

/// A scene in which all domains run.
fn running(domains: Vec<Domain>) -> Scene {
    let wanted = domains.len();
    let mut scene = Scene::new(domains);
    assert_eq!(scene.boot().len(), wanted);
    scene
}

/// Lets the time pass until something is due, and does it; how many seconds.
#[track_caller]
fn run_due(scene: &mut Scene) -> u64 {
    let wait = scene.host.next_due().unwrap() - clock::now();
    if wait > 0 {
        clock::pass(wait - 1);
        scene.host.run_due();
        assert_eq!(scene.state("web"), "waiting to restart", "too early");
        clock::pass(1);
    }
    scene.host.run_due();
    wait / SECOND
}

#[test]
fn what_the_operator_crashes_has_crashed() {
    for (action, state) in [
        (Action::Destroy, "off"),
        (Action::Restart, "waiting to restart"),
        (Action::Preserve, "preserved (after crash)"),
    ] {
        let mut scene = running(vec![always(action), domain("other")]);
        scene.host.crash("web").unwrap();
        assert_eq!(scene.state("web"), state);
        assert_eq!(scene.host.crash("web"), Err(RequestError::NotRunning));
        assert_eq!(scene.state("other"), "running");
        scene.finish();
    }
}

#[test]
fn destroy() {
    for reason in [Poweroff, Reboot, Crash, Suspend] {
        let mut scene = running(vec![always(Action::Destroy), domain("other")]);
        scene.end("web", reason);
        assert_eq!(scene.state("web"), "off");
        assert_eq!(scene.host.domid("web"), None);
        assert_eq!(scene.host.next_due(), None);
        assert_eq!(scene.consoles.names(), ["other"]);
        assert_eq!(scene.xen.machine().domains.len(), 1);
        assert_eq!(scene.state("other"), "running");
        scene.finish();
    }
}

#[test]
fn preserve() {
    for (reason, said) in [
        (Poweroff, "poweroff"),
        (Reboot, "reboot"),
        (Crash, "crash"),
        (Suspend, "crash"),
    ] {
        let mut scene = running(vec![always(Action::Preserve)]);
        let domid = scene.domid("web");
        scene.end("web", reason);
        assert_eq!(scene.state("web"), format!("preserved (after {said})"));
        // It is there with its console, until someone asks for it to go; looking again changes nothing.
        scene.host.domain_exception();
        assert_eq!(scene.host.domid("web"), Some(domid));
        assert_eq!(scene.consoles.names(), ["web"]);
        assert_eq!(scene.host.next_due(), None);
        assert_eq!(scene.host.create("web"), Err(RequestError::Running(domid)));
        scene.host.destroy("web").unwrap();
        scene.xen.machine().assert_empty();
        scene.host.create("web").unwrap();
        scene.finish();
    }
}

#[test]
fn each_end_has_its_own_action() {
    let mixed = || with_actions(Action::Preserve, Action::Restart, Action::Destroy);
    for (reason, state) in [
        (Poweroff, "preserved (after poweroff)"),
        (Reboot, "waiting to restart"),
        (Crash, "off"),
    ] {
        let mut scene = running(vec![mixed()]);
        scene.end("web", reason);
        assert_eq!(scene.state("web"), state);
        scene.finish();
    }
}

#[test]
fn restart() {
    let mut scene = running(vec![always(Action::Restart), domain("other")]);
    let free = scene.xen.machine().free_pages();
    let mut domids = vec![scene.domid("web")];
    for turn in 2..6 {
        clock::pass(60 * SECOND);
        scene.end("web", Reboot);
        assert_eq!(scene.host.domid("web"), None);
        assert_eq!(scene.consoles.names(), ["other"]);
        assert_eq!(run_due(&mut scene), 0);
        assert_eq!(scene.state("web"), "running");
        assert_eq!(scene.host.next_due(), None);
        assert_eq!(scene.consoles.names(), ["other", "web"]);
        domids.push(scene.domid("web"));
        assert_eq!(scene.xen.machine().free_pages(), free);
        let starts = format!(" starts={turn} ");
        assert!(scene.host.list()[0].contains(&starts), "{}", scene.host.list()[0]);
    }
    domids.dedup();
    assert_eq!(domids.len(), 5);
    scene.finish();
}

/// The pauses in seconds before each restart, when the domain always ends a second after its start.
fn pauses(scene: &mut Scene, reason: ShutdownReason, most: usize) -> Vec<u64> {
    let mut pauses = Vec::new();
    while pauses.len() < most {
        clock::pass(SECOND);
        scene.end("web", reason);
        if scene.host.next_due().is_none() {
            break;
        }
        pauses.push(run_due(scene));
    }
    pauses
}

#[test]
fn a_crash_loop_ends() {
    let mut scene = running(vec![always(Action::Restart)]);
    assert_eq!(pauses(&mut scene, Crash, 99), [1, 2, 4, 8, 16, 32, 60]);
    assert_eq!(scene.state("web"), "off");
    scene.xen.machine().assert_empty();
    scene.finish();
}

#[test]
fn reboots_slow_down_and_never_stop() {
    for reason in [Reboot, Poweroff] {
        let mut scene = running(vec![always(Action::Restart)]);
        assert_eq!(pauses(&mut scene, reason, 9), [0, 1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(scene.state("web"), "running");
        clock::pass(60 * SECOND);
        // A minute of running is forgiven.
        assert_eq!(pauses(&mut scene, reason, 2), [0, 1]);
        scene.finish();
    }
}

#[test]
fn a_minute_of_running_is_forgiven() {
    let mut scene = running(vec![always(Action::Restart)]);
    for _ in 0..3 {
        assert_eq!(pauses(&mut scene, Crash, 6), [1, 2, 4, 8, 16, 32]);
        clock::pass(59 * SECOND);
    }
    scene.finish();
}

#[test]
fn a_domain_that_waits_can_be_destroyed_and_created() {
    let mut scene = running(vec![always(Action::Restart)]);
    scene.end("web", Crash);
    assert_eq!(scene.state("web"), "waiting to restart");
    scene.host.destroy("web").unwrap();
    assert_eq!((scene.state("web").as_str(), scene.host.next_due()), ("off", None));
    assert_eq!(scene.host.destroy("web"), Err(RequestError::NotRunning));
    clock::pass(100 * SECOND);
    scene.host.run_due();
    assert_eq!(scene.state("web"), "off");
    scene.host.create("web").unwrap();
    scene.end("web", Crash);
    scene.host.create("web").unwrap();
    assert_eq!((scene.state("web").as_str(), scene.host.next_due()), ("running", None));
    clock::pass(100 * SECOND);
    scene.host.run_due();
    assert_eq!(scene.xen.machine().domains.len(), 1);
    scene.finish();
}

#[test]
fn a_restart_without_memory_is_tried_again_and_given_up() {
    for returns in [true, false] {
        let mut scene = running(vec![always(Action::Restart)]);
        scene.end("web", Reboot);
        let free = scene.xen.machine().free_pages();
        scene.xen.machine_mut().take(free - 100);
        let mut tries = 0;
        while scene.host.next_due().is_some() && tries < 3 {
            run_due(&mut scene);
            tries += 1;
        }
        scene.xen.machine().assert_empty();
        assert_eq!(scene.state("web"), "waiting to restart");
        if returns {
            scene.xen.machine_mut().give_back();
            run_due(&mut scene);
            assert_eq!(scene.state("web"), "running");
        } else {
            while scene.host.next_due().is_some() {
                run_due(&mut scene);
                tries += 1;
            }
            assert_eq!(tries, MOST_CRASHES);
            let state = scene.state("web");
            assert!(state.contains("KiB free"), "{state}");
        }
        scene.finish();
    }
}

#[test]
fn a_paused_domain_that_goes_is_noticed() {
    // Its kernel cannot end it while it is paused, but it may have ended just before.
    let mut scene = running(vec![always(Action::Destroy)]);
    let domid = scene.domid("web");
    scene.xen.machine_mut().shut_down(domid, Poweroff);
    scene.host.pause("web").unwrap();
    assert_eq!(scene.state("web"), "paused");
    scene.host.domain_exception();
    assert_eq!(scene.state("web"), "off");
    scene.finish();
}

#[test]
fn several_ends_at_once() {
    let mut scene = running(vec![always(Action::Restart), domain("a"), domain("b"), domain("c")]);
    let [web, a, b] = ["web", "a", "b"].map(|name| scene.domid(name));
    {
        let mut machine = scene.xen.machine_mut();
        machine.shut_down(web, Crash);
        machine.shut_down(a, Poweroff);
        machine.shut_down(b, Reboot);
    }
    scene.host.domain_exception();
    let states = ["web", "a", "b", "c"].map(|name| scene.state(name));
    assert_eq!(states, ["waiting to restart", "off", "waiting to restart", "running"]);
    scene.host.run_due();
    assert_eq!(scene.state("b"), "running");
    assert_eq!(run_due(&mut scene), 1);
    assert_eq!(scene.state("web"), "running");
    scene.finish();
}

#[test]
fn the_restart_of_a_need_does_not_touch_those_that_need_it() {
    let mut scene = running(vec![domain("store"), needing("web", &["store"])]);
    let web = scene.domid("web");
    scene.end("store", Reboot);
    scene.host.run_due();
    assert_eq!(scene.state("store"), "running");
    assert_eq!(scene.domid("web"), web);
    scene.finish();
}

/// Someone else destroyed it, or Xen did: the host forgets it as if it had crashed.
#[test]
fn a_domain_that_is_gone_has_crashed() {
    for console in [manifest::Console::Log, manifest::Console::None] {
        for (action, state) in [(Action::Destroy, "off"), (Action::Restart, "waiting to restart")] {
            let mut scene = running(vec![Domain {
                console,
                ..always(action)
            }]);
            let domid = scene.domid("web");
            scene.xen.machine_mut().vanish(domid);
            scene.host.domain_exception();
            assert_eq!(scene.state("web"), state, "{console:?}");
            scene.xen.machine().assert_empty();
            scene.finish();
        }
    }
}

#[test]
fn a_domain_that_is_gone_can_be_destroyed() {
    for action in [Action::Destroy, Action::Preserve] {
        let mut scene = running(vec![always(action)]);
        let domid = scene.domid("web");
        if action == Action::Preserve {
            scene.end("web", Crash);
        }
        scene.xen.machine_mut().vanish(domid);
        scene.host.destroy("web").unwrap();
        assert_eq!(scene.state("web"), "off");
        scene.host.create("web").unwrap();
        scene.finish();
    }
}

#[test]
fn many_lives_leave_nothing_behind() {
    let mut scene = Scene::new(vec![domain("pv"), pvh("pvh")]);
    for _ in 0..50 {
        for name in ["pv", "pvh"] {
            scene.host.create(name).unwrap();
            scene.host.destroy(name).unwrap();
            scene.xen.machine().assert_empty();
        }
    }
    scene.finish();
}

#[test]
fn restarts_follow_needs() {
    let mut scene = running(vec![needing("web", &["store"]), domain("store")]);
    let [web, store] = ["web", "store"].map(|name| scene.domid(name));
    for domid in [web, store] {
        scene.xen.machine_mut().shut_down(domid, Reboot);
    }
    scene.host.domain_exception();
    scene.host.run_due();
    let states = ["web", "store"].map(|name| scene.state(name));
    assert_eq!(states, ["running", "running"]);
    scene.finish();
}

#[test]
fn a_domain_waits_for_a_need_that_waits() {
    let store = Domain {
        on_crash: Action::Restart,
        ..domain("store")
    };
    let mut scene = running(vec![needing("web", &["store"]), store]);
    for _ in 0..9 {
        // Long enough for both to have a clean slate: no pause but the one of a crash.
        clock::pass(60 * SECOND);
        scene.end("store", Crash);
        let due = scene.host.next_due().unwrap();
        scene.end("web", Reboot);
        scene.host.run_due();
        assert_eq!(scene.state("web"), "waiting to restart");
        assert_eq!(scene.host.next_due(), Some(due));
        clock::pass(due - clock::now());
        scene.host.run_due();
        let states = ["web", "store"].map(|name| scene.state(name));
        assert_eq!(states, ["running", "running"]);
    }
    scene.finish();
}

#[test]
fn a_request_in_vain_does_not_cancel_a_restart() {
    let mut scene = running(vec![always(Action::Restart)]);
    scene.end("web", Crash);
    let free = scene.xen.machine().free_pages();
    scene.xen.machine_mut().take(free);
    scene.host.create("web").unwrap_err();
    scene.xen.machine_mut().give_back();
    assert_eq!(scene.state("web"), "waiting to restart");
    assert_eq!(run_due(&mut scene), 1);
    assert_eq!(scene.state("web"), "running");
    scene.finish();
}

#[test]
fn who_starts_it_by_hand_gives_it_a_new_chance() {
    let mut scene = running(vec![always(Action::Restart)]);
    for _ in 0..2 {
        assert_eq!(pauses(&mut scene, Crash, 99), [1, 2, 4, 8, 16, 32, 60]);
        scene.host.create("web").unwrap();
    }
    scene.finish();
}

/// What others grant and offer to it is granted and offered to its number.
#[test]
fn who_serves_others_comes_back_under_its_number() {
    let serves = Domain {
        roles: vec![Role::Management],
        management: ManagementSettings {
            channels: 1,
            image_memory_kib: 0,
        },
        ..always(Action::Restart)
    };
    let guest = Domain {
        on_reboot: Action::Restart,
        ..domain("guest")
    };
    let mut scene = running(vec![serves, guest]);
    let (kept, number) = (scene.domid("web"), scene.domid("guest"));
    for name in ["guest", "web"] {
        scene.end(name, Reboot);
        scene.host.run_due();
    }
    assert_eq!(scene.domid("web"), kept);
    assert_ne!(scene.domid("guest"), number);
    // Xen takes its time with the instance before.
    scene.xen.machine_mut().lingering.insert(kept);
    scene.end("web", Reboot);
    clock::pass(SECOND);
    scene.host.run_due();
    assert_eq!(scene.state("web"), "waiting to restart");
    scene.xen.machine_mut().let_go(kept);
    clock::pass(SECOND);
    scene.host.run_due();
    assert_eq!(scene.domid("web"), kept);
    scene.finish();
}
