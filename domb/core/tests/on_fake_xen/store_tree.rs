//! What is written for each domain, byte for byte.

use std::fmt::Write;

use domb_core::build::{Built, Times};
use domb_core::store::tree::{self, Node};
use manifest::{Domain, uuid};
use xen::DomId;

use crate::scene::{Scene, domain, pvh, store};

fn text(nodes: &[Node]) -> String {
    let mut text = String::new();
    for node in nodes {
        let value = String::from_utf8(node.value.clone()).unwrap();
        let permissions: Vec<String> = node.permissions.iter().map(ToString::to_string).collect();
        writeln!(text, "{} = \"{value}\" {}", node.path, permissions.join(",")).unwrap();
    }
    text
}

fn built(domain: &Domain, domid: u16) -> Built {
    Built {
        domid: DomId(domid),
        console: (0xfefff, 2),
        store: Some((0xfeffc, 3)),
        target_kib: domain.memory_kib,
        vcpus: domain.vcpus,
        channels: Vec::new(),
        times: Times::default(),
    }
}

#[test]
fn of_a_pvh_domain() {
    let web = Domain {
        uuid: uuid::parse("01234567-89ab-cdef-0123-456789abcdef").unwrap(),
        memory_kib: 131_072,
        maxmem_kib: 262_144,
        vcpus: 2,
        max_vcpus: 3,
        ..pvh("web")
    };
    let expected = r#"/local/domain/7 = "" n0,r7
/local/domain/7/vm = "/vm/01234567-89ab-cdef-0123-456789abcdef" n0,r7
/local/domain/7/name = "web" n0,r7
/local/domain/7/domid = "7" n0,r7
/local/domain/7/memory/static-max = "131072" n0,r7
/local/domain/7/memory/target = "131072" n0,r7
/local/domain/7/cpu/0/availability = "online" n0,r7
/local/domain/7/cpu/1/availability = "online" n0,r7
/local/domain/7/cpu/2/availability = "offline" n0,r7
/local/domain/7/store/port = "3" n0,r7
/local/domain/7/store/ring-ref = "1044476" n0,r7
/local/domain/7/console/port = "2" n0,r7
/local/domain/7/console/ring-ref = "1044479" n0,r7
/local/domain/7/console/type = "xenconsoled" n0,r7
/local/domain/7/console/limit = "1048576" n0,r7
/local/domain/7/control/platform-feature-multiprocessor-suspend = "1" n0,r7
/local/domain/7/control/platform-feature-xs_reset_watches = "1" n0,r7
/local/domain/7/control/shutdown = "" n7
/local/domain/7/control/feature-poweroff = "" n7
/local/domain/7/control/feature-reboot = "" n7
/local/domain/7/control/feature-suspend = "" n7
/local/domain/7/control/sysrq = "" n7
/local/domain/7/device/suspend/event-channel = "" n7
/local/domain/7/data = "" n7
/local/domain/7/drivers = "" n7
/local/domain/7/feature = "" n7
/local/domain/7/attr = "" n7
/local/domain/7/error = "" n7
/vm/01234567-89ab-cdef-0123-456789abcdef = "" n0,r7
/vm/01234567-89ab-cdef-0123-456789abcdef/name = "web" n0,r7
/vm/01234567-89ab-cdef-0123-456789abcdef/uuid = "01234567-89ab-cdef-0123-456789abcdef" n0,r7
"#;
    assert_eq!(text(&tree::of_domain(&web, &built(&web, 7))), expected);
}

/// The same nodes; what differs is how far memory can grow.
#[test]
fn of_a_pv_domain() {
    let sizes = |domain: Domain| Domain {
        memory_kib: 65_536,
        maxmem_kib: 98_304,
        vcpus: 1,
        max_vcpus: 1,
        ..domain
    };
    let of = |domain: &Domain| text(&tree::of_domain(domain, &built(domain, 300)));
    let pv = of(&sizes(domain("web")));
    assert!(
        pv.contains("/local/domain/300/memory/static-max = \"98304\" n0,r300\n"),
        "{pv}"
    );
    assert!(pv.contains("/local/domain/300/memory/target = \"65536\" n0,r300\n"));
    let pvh = of(&sizes(pvh("web")));
    assert_eq!(pv.replace("98304", "65536"), pvh);
}

#[test]
fn of_the_host() {
    let expected = r#"/tool = "" r0
/tool/xenstored = "" r0
/tool/xenstored/domid = "3" r0
/tool/xenconsoled = "" r0
/tool/xenconsoled/domid = "0" r0
/vm = "" n0
/local = "" n0
/local/domain = "" n0
/local/domain/0 = "" r0
/local/domain/0/name = "domb" r0
/local/domain/0/domid = "0" r0
/local/domain/3 = "" r0
/local/domain/3/name = "guard" r0
/local/domain/3/domid = "3" r0
"#;
    assert_eq!(text(&tree::of_host("guard", DomId(3))), expected);
}

/// What the store has after a start is what the functions say, whether permissions were inherited or set; and nodes on the
/// way have those of the node above.
#[test]
fn the_store_gets_just_this() {
    let mut scene = Scene::new(vec![store(), domain("pv"), pvh("pvh")]);
    assert_eq!(scene.boot(), ["store", "pv", "pvh"]);
    let mut expected = tree::of_host("store", DomId(1));
    for (domain, domid) in [(domain("pv"), 2), (pvh("pvh"), 3)] {
        let guest = &scene.xen.machine().domains[&DomId(domid)];
        let ring = |reference: u32, port: u32| (guest.grants[&reference].frame, port);
        let built = Built {
            domid: DomId(domid),
            console: ring(xen::GRANT_RESERVED_CONSOLE, 1),
            store: Some(ring(xen::GRANT_RESERVED_XENSTORE, 2)),
            target_kib: domain.memory_kib,
            vcpus: domain.vcpus,
            channels: Vec::new(),
            times: Times::default(),
        };
        expected.extend(tree::of_domain(&domain, &built));
    }
    let state = scene.store.state();
    for node in &expected {
        let found = &state.tree[&node.path];
        assert_eq!((&node.value, &node.permissions), (&found.0, &found.1), "{}", node.path);
    }
    let listed = |path: &str| expected.iter().find(|node| node.path == path);
    for (path, (value, permissions)) in &state.tree {
        if listed(path).is_none() {
            let (above, _) = path.rsplit_once('/').unwrap();
            assert_eq!(
                (value.as_slice(), permissions),
                (&b""[..], &state.tree[above].1),
                "{path}"
            );
            assert!(
                expected.iter().any(|node| node.path.starts_with(&format!("{path}/"))),
                "{path}"
            );
        }
    }
    drop(state);
    scene.finish();
}
