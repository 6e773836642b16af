//! What the operator asks that goes through the store.

use domb_core::build::MEMORY_SLACK_KIB;
use domb_core::host::{Asked, RequestError, Shutdown};
use manifest::Domain;
use xen::{DomId, ShutdownReason};

use crate::host_store::running;
use crate::scene::{Scene, domain, pvh, store};

const SHUTDOWN: &str = "/local/domain/2/control/shutdown";
const FEATURE: &str = "/local/domain/2/control/feature-reboot";

#[test]
fn a_guest_is_asked_through_its_node() {
    let mut scene = running(vec![pvh("web")]);
    assert_eq!(scene.host.shutdown("web", Shutdown::Poweroff), Ok(Asked::Unannounced));
    assert_eq!(scene.store.value(SHUTDOWN), "poweroff");
    // As Linux does.
    scene.store.set(SHUTDOWN, "");
    scene.store.set(FEATURE, "1");
    assert_eq!(scene.host.shutdown("web", Shutdown::Reboot), Ok(Asked::Announced));
    assert_eq!(scene.store.value(SHUTDOWN), "reboot");
    // The rest is its own doing, and the policy's.
    scene.end("web", ShutdownReason::Reboot);
    scene.host.run_due();
    assert_eq!(scene.state("web"), "running");
    scene.finish();
}

#[test]
fn a_guest_that_does_not_obey_is_not_asked() {
    let mut scene = running(vec![pvh("web")]);
    scene.store.set(FEATURE, "0");
    let ignores = Err(RequestError::Ignores("reboot"));
    assert_eq!(scene.host.shutdown("web", Shutdown::Reboot), ignores);
    scene.store.state().tree.remove(FEATURE);
    assert_eq!(scene.host.shutdown("web", Shutdown::Reboot), ignores);
    assert_eq!(scene.store.value(SHUTDOWN), "");
    assert_eq!(
        RequestError::Ignores("reboot").to_string(),
        "the guest does not obey reboot: its node control/feature-reboot is gone or 0"
    );
    scene.finish();
}

#[test]
fn requests_that_make_no_sense() {
    let off = Domain {
        autostart: false,
        ..domain("off")
    };
    let mut scene = Scene::new(vec![store(), domain("web"), off]);
    assert_eq!(scene.boot(), ["store", "web"]);
    let mut ask = |name: &str| scene.host.shutdown(name, Shutdown::Poweroff);
    assert_eq!(ask("nobody"), Err(RequestError::Unknown));
    assert_eq!(ask("off"), Err(RequestError::NotRunning));
    assert_eq!(ask("store"), Err(RequestError::NoStore));
    scene.host.pause("web").unwrap();
    assert_eq!(
        scene.host.shutdown("web", Shutdown::Poweroff),
        Err(RequestError::NotRunning)
    );
    scene.finish();

    let mut scene = Scene::new(vec![domain("web")]);
    scene.boot();
    assert_eq!(
        scene.host.shutdown("web", Shutdown::Poweroff),
        Err(RequestError::NoStore)
    );
    scene.finish();
}

#[test]
fn the_store_is_reported_on() {
    let mut scene = running(vec![pvh("web"), domain("other")]);
    assert_eq!(
        scene.host.store_report(),
        [
            "store=store domid=1 starts=1 domains=2 untold=0 state=running",
            "store: nodes 7",
            "store: watches ?[2J0",
        ]
    );
    scene.end("store", ShutdownReason::Crash);
    scene.host.destroy("web").unwrap();
    assert_eq!(
        scene.host.store_report(),
        [
            "store=store domid=1 starts=1 domains=1 untold=1 state=waiting to restart",
            "store: no connection: the store does not run",
        ]
    );
    scene.host.run_due();
    assert!(scene.host.store_report()[0].contains("starts=2 domains=1 untold=0 state=running"));
    scene.finish();

    let mut scene = Scene::new(vec![domain("web")]);
    assert_eq!(
        scene.host.store_report(),
        ["no domain of the manifest has the role store"]
    );
    scene.finish();
}

/// Nothing is asked of a store that was stopped; what it has to be told waits.
#[test]
fn a_store_that_is_paused() {
    let mut scene = running(vec![domain("web"), domain("other")]);
    let web = scene.domid("web");
    scene.host.pause("store").unwrap();
    let result = scene.host.shutdown("web", Shutdown::Poweroff);
    assert!(
        matches!(result, Err(RequestError::Store(ref problem)) if problem.is_connection()),
        "{result:?}"
    );
    assert_eq!(scene.state("store"), "paused");
    // It still maps the ring.
    scene.xen.machine_mut().lingering.insert(web);
    scene.host.destroy("web").unwrap();
    assert_eq!(scene.host.create("web"), Err(RequestError::StorePaused("store".into())));
    assert_eq!(scene.store.homes(), ["web", "other"]);
    scene.host.unpause("store").unwrap();
    assert_eq!(scene.store.homes(), ["other"]);
    scene.xen.machine_mut().let_go(web);
    scene.host.create("web").unwrap();
    assert_eq!(scene.store.homes(), ["other", "web"]);
    scene.finish();
}

#[test]
fn a_guest_is_told_its_memory_and_its_vcpus() {
    let web = Domain {
        memory_kib: 8 << 10,
        maxmem_kib: 16 << 10,
        ..pvh("web")
    };
    let mut scene = running(vec![web]);
    let value = |scene: &Scene, node: &str| scene.store.value(&format!("/local/domain/2/{node}"));
    scene.host.set_memory("web", 12 << 10).unwrap();
    scene.host.set_vcpus("web", 3).unwrap();
    let wanted = ["12288", "online", "online", "online", "offline"];
    let nodes = [
        "memory/target",
        "cpu/0/availability",
        "cpu/1/availability",
        "cpu/2/availability",
        "cpu/3/availability",
    ];
    assert_eq!(nodes.map(|node| value(&scene, node)), wanted);
    assert_eq!(
        scene.xen.machine().domains[&DomId(2)].max_pages,
        ((12 << 10) + MEMORY_SLACK_KIB) / 4
    );
    // A store that forgot everything is told the same.
    scene.store.forget_all();
    scene.end("store", ShutdownReason::Crash);
    scene.host.run_due();
    assert_eq!(nodes.map(|node| value(&scene, node)), wanted);
    scene.host.set_vcpus("web", 1).unwrap();
    assert_eq!(value(&scene, "cpu/1/availability"), "offline");
    scene.finish();
}

#[test]
fn what_a_guest_cannot_have_is_refused() {
    let mut scene = running(vec![pvh("web")]);
    for kib in [0, 4095, (8 << 10) + 1, u64::MAX] {
        let refused = scene.host.set_memory("web", kib).unwrap_err().to_string();
        assert_eq!(refused, format!("memory in KiB {kib}; accepted: 4096 to 8192"));
    }
    for vcpus in [0, 5, u16::MAX] {
        let refused = scene.host.set_vcpus("web", vcpus).unwrap_err().to_string();
        assert_eq!(refused, format!("vcpus {vcpus}; accepted: 1 to 4"));
    }
    assert_eq!(scene.host.set_memory("store", 8 << 10), Err(RequestError::NoStore));
    assert_eq!(scene.host.set_vcpus("nobody", 1), Err(RequestError::Unknown));
    scene.host.destroy("web").unwrap();
    assert_eq!(scene.host.set_memory("web", 8 << 10), Err(RequestError::NotRunning));
    scene.finish();
}
