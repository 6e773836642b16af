//! The policy: whatever the path, nobody but the builder wires, and nobody writes where neither its home nor the manifest
//! lets it.
//!
//! An input is two bytes that choose who asks for what, and then a path: a byte below the number of [`NAMES`] stands for a
//! slash and that name, every other for itself.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use xen::DomId;
use xen::store::{Operation, Permission};
use xenstore_guard_core::policy::{Kind, Policy};

const NAMES: [&str; 32] = [
    "local", "domain", "tool", "vm", "libxl", "data", "console", "device", "backend", "vif", "vbd", "qdisk", "vtpm", "vsnd",
    "vscsi", "vscsi-devs", "suspend", "frontend", "frontend-id", "backend-id", "mtu", "tty", "state", "control", "shutdown",
    "name", "0", "2", "4", "7", "8", "local/domain/7",
];
/// The domains of the host, and one that is not in it.
const DOMAINS: [(u16, &str); 8] = [
    (0, "builder"),
    (2, "net"),
    (3, "desk"),
    (4, "consoles"),
    (5, "web-vtpm"),
    (7, "web"),
    (8, "db"),
    (12, ""),
];

fn policy() -> &'static Policy {
    static POLICY: OnceLock<Policy> = OnceLock::new();
    POLICY.get_or_init(|| {
        let host = manifest::toml::read(include_str!("../../src/policy/host.toml"), "host.toml").unwrap();
        let mut policy = Policy::from_manifest(&host.manifest(Vec::new()));
        for (domid, name) in DOMAINS {
            policy.assign(DomId(domid), name);
        }
        policy
    })
}

fn path(bytes: &[u8]) -> String {
    let mut path = String::new();
    for byte in bytes {
        match NAMES.get(usize::from(*byte)) {
            Some(name) => {
                path.push('/');
                path.push_str(name);
            }
            None => path.push(char::from(*byte)),
        }
    }
    path
}

fuzz_target!(|input: &[u8]| {
    let [who, what, bytes @ ..] = input else { return };
    let policy = policy();
    let domid = DomId(DOMAINS[usize::from(*who) % DOMAINS.len()].0);
    let operation = Operation::ALL[usize::from(*what) % Operation::ALL.len()];
    let path = path(bytes);
    if !path.starts_with(['/', '@']) {
        return;
    }

    let explanation = policy.explain(domid, operation, &path);
    assert!(explanation.to_string().ends_with(explanation.decision.rule));
    assert_eq!(explanation.steps.last().map(|step| step.rule), Some(explanation.decision.rule));
    let Some(kind) = Kind::of(operation) else {
        assert_eq!(explanation.decision, policy.decide_operation(domid, operation));
        return;
    };
    let decision = policy.decide(domid, kind, &path);
    assert_eq!(decision, explanation.decision);
    assert!(decision.allowed || !decision.granted);
    if domid == DomId::INITIAL {
        assert!(decision.allowed);
        return;
    }
    let names: Vec<&str> = path.split('/').skip(1).collect();
    let own = domid.to_string();
    if kind != Kind::Read && decision.allowed {
        match names.as_slice() {
            ["local", "domain", home, _, ..] if *home == own => {}
            ["local", "domain", _, "device", "vif", _, "mtu"] => assert_eq!(own, "2"),
            ["local", "domain", _, "console", "tty"] | ["local", "domain", _, "device", "console", _, "tty"] => {
                assert_eq!(own, "4");
            }
            _ => assert_eq!(decision.rule, "delegated"),
        }
        match names.as_slice() {
            [] | ["" | "tool" | "vm" | "libxl", ..] | ["local"] | ["local", "domain"] | ["local", "domain", _] => {
                panic!("the builder's")
            }
            ["local", "domain", _, "device", class, _, "backend" | "backend-id", ..] => assert_eq!(*class, "suspend"),
            ["local", "domain", _, "backend", _, _, _, "frontend" | "frontend-id", ..] => panic!("wiring"),
            _ => {}
        }
    }
    // Who removes a node removes what is below it.
    if kind == Kind::Remove && decision.allowed {
        for below in ["backend", "state", "0/frontend", "0/0", "name", "data"] {
            let below = [&path, "/", below].concat();
            assert!(policy.decide(domid, Kind::Write, &below).allowed, "{below}");
        }
    }
    // Who is let in by permissions may enter.
    let others = [b"r7".as_slice(), b"w2", b"b4"].map(|entry| Permission::decode(entry).unwrap());
    for other in others {
        let list = [Permission::decode(format!("n{domid}").as_bytes()).unwrap(), other];
        if policy.decide_permissions(domid, &path, &list).allowed && other.domid != domid {
            assert!(!other.access.read || policy.decide(other.domid, Kind::Read, &path).allowed);
            assert!(!other.access.write || policy.decide(other.domid, Kind::Write, &path).allowed);
        }
    }
});
