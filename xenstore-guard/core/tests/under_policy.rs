//! A store under the policy of a host manifest: what stock guests and drivers do works, and what hostile ones try does not.

mod store;

use manifest::Manifest;
use store::{Answer, Store};
use xenstore_guard_core::policy::Policy;
use xenstore_guard_core::{Config, ConnectionId, Operation, StoreError};

const HOST: &str = r#"
[host]
name = "demo"

[[domain]]
name = "net"
kernel = "linux"
memory = 128
roles = ["driver"]
serves = ["vif"]

[[domain]]
name = "desk"
kernel = "linux"
memory = 128
roles = ["management"]
store-access = [
    { path = "/local/domain/*/name", access = "read" },
    { path = "/local/domain/*/control/shutdown", access = "write" },
]

[[domain]]
name = "web"
kernel = "linux"
memory = 128

[[domain]]
name = "db"
kernel = "linux"
memory = 128
"#;
const DENIED: Answer = Err(StoreError::Access);

fn ok() -> Answer {
    Ok("OK".into())
}

fn manifest() -> Manifest {
    let host = manifest::toml::read(HOST, "host.toml").unwrap_or_else(|errors| panic!("{errors}"));
    host.manifest(Vec::new())
}

struct Scene {
    store: Store,
    net: ConnectionId,
    desk: ConnectionId,
    web: ConnectionId,
    db: ConnectionId,
}

/// Four domains with their trees as a builder makes them, and a network interface of web's that net serves.
fn scene() -> Scene {
    let mut store = Store::new(Config {
        policy: Policy::from_manifest(&manifest()),
        ..Config::default()
    });
    let [net, desk, web, db] = [(2, "net"), (3, "desk"), (7, "web"), (8, "db")].map(|(domid, name)| {
        store.must(Operation::Control, &format!("assign\0{domid}\0{name}\0"));
        let home = format!("/local/domain/{domid}");
        for (node, value, permissions) in [
            ("", "", format!("n0 r{domid}")),
            ("/name", name, format!("n0 r{domid}")),
            ("/domid", &domid.to_string(), format!("n0 r{domid}")),
            ("/device", "", format!("n0 r{domid}")),
            ("/backend", "", format!("n{domid}")),
            ("/control", "", format!("n0 r{domid}")),
            ("/control/shutdown", "", format!("n{domid}")),
            ("/data", "", format!("n{domid}")),
            ("/error", "", format!("n{domid}")),
            // Wrong, so that the policy alone keeps it.
            ("/vm", "/vm/uuid", format!("n{domid}")),
        ] {
            make(&mut store, &format!("{home}{node}"), value, &permissions);
        }
        store.introduce(domid)
    });
    let frontend = "/local/domain/7/device/vif/0";
    let backend = "/local/domain/2/backend/vif/7/0";
    make(&mut store, "/local/domain/7/device/vif", "", "n7");
    make(&mut store, "/local/domain/2/backend/vif", "", "n2");
    make(&mut store, frontend, "", "n7 r2");
    make(&mut store, backend, "", "n2 r7");
    for (node, value) in [
        ("backend", backend),
        ("backend-id", "2"),
        ("state", "1"),
        ("handle", "0"),
        ("mac", "00:16:3e:00:00:01"),
    ] {
        make(&mut store, &format!("{frontend}/{node}"), value, "n7 r2");
    }
    make(&mut store, &format!("{frontend}/mtu"), "1500", "n2 r7");
    for (node, value) in [
        ("frontend", frontend),
        ("frontend-id", "7"),
        ("online", "1"),
        ("state", "1"),
        ("handle", "0"),
        ("bridge", "br0"),
    ] {
        make(&mut store, &format!("{backend}/{node}"), value, "n2 r7");
    }
    Scene {
        store,
        net,
        desk,
        web,
        db,
    }
}

fn make(store: &mut Store, path: &str, value: &str, permissions: &str) {
    let socket = store.socket;
    assert_eq!(store.write(socket, path, value), ok());
    assert_eq!(store.permit(socket, path, permissions), ok());
}

#[test]
fn a_stock_frontend_and_a_stock_backend_connect() {
    let Scene {
        mut store, net, web, ..
    } = scene();
    let frontend = "/local/domain/7/device/vif/0";
    // Linux' xen-netback and the script vif-bridge, by relative paths as the kernel has them.
    assert_eq!(store.list(net, "backend/vif/7"), Ok(vec!["0".into()]));
    assert_eq!(store.read(net, "backend/vif/7/0/frontend"), Ok(frontend.into()));
    assert_eq!(store.read(net, &format!("{frontend}/state")), Ok("1".into()));
    assert_eq!(store.watch(net, &format!("{frontend}/state"), "otherend"), ok());
    let transaction = store.begin(net);
    for node in [
        "feature-sg",
        "feature-gso-tcpv4",
        "feature-rx-copy",
        "multi-queue-max-queues",
    ] {
        let payload = format!("backend/vif/7/0/{node}\01");
        assert_eq!(store.within(net, transaction, Operation::Write, &payload), ok());
    }
    assert_eq!(store.commit(net, transaction), ok());
    assert_eq!(store.write(net, &format!("{frontend}/mtu"), "9000"), ok());
    assert_eq!(store.write(net, "backend/vif/7/0/hotplug-status", "connected"), ok());
    assert_eq!(store.write(net, "backend/vif/7/0/state", "2"), ok());
    store.take(net);
    // Linux' xenbus and xen-netfront.
    assert_eq!(store.list(web, "device"), Ok(vec!["vif".into()]));
    let backend = store.read(web, "device/vif/0/backend").unwrap();
    assert_eq!(store.watch(web, &format!("{backend}/state"), "otherend"), ok());
    assert_eq!(store.read(web, &format!("{backend}/state")), Ok("2".into()));
    assert_eq!(store.read(web, &format!("{backend}/feature-sg")), Ok("1".into()));
    assert_eq!(store.read(web, "device/vif/0/mtu"), Ok("9000".into()));
    let transaction = store.begin(web);
    for node in [
        "queue-0/tx-ring-ref",
        "queue-0/event-channel-tx",
        "request-rx-copy",
        "feature-sg",
    ] {
        let payload = format!("device/vif/0/{node}\01");
        assert_eq!(store.within(web, transaction, Operation::Write, &payload), ok());
    }
    assert_eq!(store.commit(web, transaction), ok());
    assert_eq!(store.write(web, "device/vif/0/state", "4"), ok());
    assert_eq!(store.events(net), [format!("{frontend}/state otherend")]);
    assert_eq!(
        store.read(net, &format!("{frontend}/queue-0/tx-ring-ref")),
        Ok("1".into())
    );
    store.take(web);
    assert_eq!(store.write(net, "backend/vif/7/0/state", "4"), ok());
    assert_eq!(store.events(web), [format!("{backend}/state otherend")]);
    // What went wrong.
    assert_eq!(store.write(web, "error/device/vif/0/error", "2 reading"), ok());
    assert_eq!(store.write(net, "error/backend/vif/7/0/error", "2 reading"), ok());
    store.check();
}

#[test]
fn a_guest_finds_out_about_itself() {
    let Scene { mut store, web, .. } = scene();
    let socket = store.socket;
    make(&mut store, "/vm/uuid", "", "n0 r7");
    assert_eq!(store.write(socket, "/vm/uuid/name", "web"), ok());
    assert_eq!(store.read(web, "domid"), Ok("7".into()));
    assert_eq!(store.read(web, "name"), Ok("web".into()));
    let vm = store.read(web, "/local/domain/7/vm").unwrap();
    assert_eq!(store.read(web, &format!("{vm}/name")), Ok("web".into()));
    let names = store.list(web, "/local/domain/7").unwrap();
    assert!(names.contains(&"device".into()));
    assert_eq!(store.watch(web, "control/shutdown", "shutdown"), ok());
    store.take(web);
    assert_eq!(
        store.write(socket, "/local/domain/7/control/shutdown", "poweroff"),
        ok()
    );
    assert_eq!(store.events(web), ["control/shutdown shutdown"]);
    assert_eq!(store.write(web, "control/shutdown", ""), ok());
}

#[test]
fn nobody_rewires_whatever_the_permissions_say() {
    let Scene {
        mut store,
        net,
        desk,
        web,
        db,
    } = scene();
    let socket = store.socket;
    for path in [
        "/local/domain/7/device/vif/0/backend",
        "/local/domain/7/device/vif/0/backend-id",
        "/local/domain/2/backend/vif/7/0/frontend",
        "/local/domain/2/backend/vif/7/0/frontend-id",
        "/tool/xenstored",
        "/vm/other",
        "/libxl/7",
    ] {
        let before = store.read(socket, path);
        if before.is_err() {
            make(&mut store, path, "", "b0");
        }
        let before = store.read(socket, path);
        let permissions = store.permissions(socket, path);
        for id in [net, desk, web, db] {
            assert_eq!(store.write(id, path, "/local/domain/8"), DENIED, "{path}");
            assert_eq!(store.remove(id, path), DENIED, "{path}");
            assert_eq!(store.permit(id, path, "b8"), DENIED, "{path}");
        }
        assert_eq!(store.read(socket, path), before);
        assert_eq!(store.permissions(socket, path), permissions);
    }
    // Nor by what is above, or by making what is not there.
    for (id, path) in [
        (web, "/local/domain/7"),
        (web, "device"),
        (web, "device/vif"),
        (web, "device/vif/0"),
        (net, "backend"),
        (net, "backend/vif"),
        (net, "backend/vif/7"),
        (net, "backend/vif/7/0"),
        (net, "/local/domain/7/device/vif/0"),
    ] {
        assert_eq!(store.remove(id, path), DENIED, "{path}");
    }
    assert_eq!(store.write(web, "device/vif/1/state", "1"), DENIED);
    assert_eq!(store.make(web, "device/vif/1/a/b"), DENIED);
    assert_eq!(store.write(net, "backend/vif/8/0/state", "1"), DENIED);
    assert_eq!(store.write(web, "vm", "/vm/other"), DENIED);
    store.check();
}

#[test]
fn what_a_guest_keeps_is_kept_from_all_others() {
    let Scene {
        mut store,
        net,
        desk,
        web,
        db,
    } = scene();
    let socket = store.socket;
    for id in [net, desk, db] {
        assert_eq!(store.watch(id, "/local/domain/7/data", "spy"), ok());
        store.take(id);
    }
    assert_eq!(store.write(web, "data/secret", "x"), ok());
    assert_eq!(store.permit(web, "data/secret", "r7"), DENIED);
    assert_eq!(store.permit(web, "data/secret", "n7 r3"), DENIED);
    // Permissions that somebody gave all the same change nothing.
    assert_eq!(store.permit(socket, "/local/domain/7/data", "b7"), ok());
    assert_eq!(store.permit(socket, "/local/domain/7/data/secret", "b7"), ok());
    for id in [net, desk, db] {
        assert_eq!(store.read(id, "/local/domain/7/data/secret"), DENIED);
        assert_eq!(store.ask(id, Operation::Directory, "/local/domain/7/data\0"), DENIED);
        assert_eq!(store.permissions(id, "/local/domain/7/data/secret"), DENIED);
        assert_eq!(store.write(id, "/local/domain/7/data/secret", "y"), DENIED);
        assert_eq!(store.events(id), Vec::<String>::new());
    }
    assert_eq!(store.read(web, "data/secret"), Ok("x".into()));
}

#[test]
fn what_is_delegated_needs_no_permission_of_the_owner() {
    let Scene {
        mut store, desk, web, ..
    } = scene();
    assert_eq!(store.read(desk, "/local/domain/7/name"), Ok("web".into()));
    assert_eq!(store.watch(web, "control/shutdown", "shutdown"), ok());
    store.take(web);
    assert_eq!(store.permissions(web, "control/shutdown"), Ok("n7".into()));
    assert_eq!(store.write(desk, "/local/domain/7/control/shutdown", "reboot"), ok());
    assert_eq!(store.events(web), ["control/shutdown shutdown"]);
    assert_eq!(store.read(web, "control/shutdown"), Ok("reboot".into()));
    // The node stays the guest's.
    assert_eq!(store.permissions(web, "control/shutdown"), Ok("n7".into()));
    assert_eq!(store.permit(desk, "/local/domain/7/control/shutdown", "n3"), DENIED);
    assert_eq!(store.remove(desk, "/local/domain/7/control/shutdown"), DENIED);
    assert_eq!(store.write(desk, "/local/domain/7/control/sysrq", "c"), DENIED);
    assert_eq!(store.write(desk, "/local/domain/7/name", "x"), DENIED);
}

#[test]
fn roles_go_with_the_domain_and_not_with_its_number() {
    let Scene { mut store, .. } = scene();
    assert_eq!(store.release(2), ok());
    make(&mut store, "/local/domain/2/backend/vif/7/0", "", "n2 r7");
    let heir = store.introduce(2);
    assert_eq!(
        store.permit(store.socket, "/local/domain/2/backend/vif/7/0", "n2 r7"),
        ok()
    );
    assert_eq!(store.write(heir, "backend/vif/7/0/state", "4"), DENIED);
    assert_eq!(store.read(heir, "/local/domain/7/device/vif/0/state"), DENIED);
    store.must(Operation::Control, "assign\x002\0net\0");
    assert_eq!(store.write(heir, "backend/vif/7/0/state", "4"), ok());
}
