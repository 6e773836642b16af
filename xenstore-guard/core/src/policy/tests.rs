//! Every sentence of docs/store-policy.md as rows: who does what where, what comes of it, and by which rule.

extern crate std;

use std::string::ToString;
use std::sync::OnceLock;
use std::vec::Vec;

use manifest::Manifest;
use measure::Digests;
use xen::DomId;
use xen::store::{Operation, Permission};

use super::*;
use Kind::{Permissions, Read, Remove, Write};

pub(super) const DOMB: DomId = DomId(0);
pub(super) const NET: DomId = DomId(2);
pub(super) const DESK: DomId = DomId(3);
pub(super) const CONSOLES: DomId = DomId(4);
pub(super) const VTPM: DomId = DomId(5);
pub(super) const WEB: DomId = DomId(7);
pub(super) const DB: DomId = DomId(8);
/// Nobody told what it is.
pub(super) const NEW: DomId = DomId(12);

const HOST: &str = include_str!("host.toml");
const DECISIONS: &str = include_str!("decisions.txt");

pub(super) fn manifest(text: &str) -> Manifest {
    let host = manifest::toml::read(text, "host.toml").unwrap_or_else(|errors| panic!("{errors}"));
    let image = |source: &manifest::toml::ImageSource| manifest::Image {
        name: source.name.clone(),
        size: 0,
        digests: Digests::of(&host.host.banks, b""),
    };
    let manifest = host.manifest(host.images.iter().map(image).collect());
    assert_eq!(manifest.check(), []);
    manifest
}

pub(super) fn policy() -> Policy {
    static POLICY: OnceLock<Policy> = OnceLock::new();
    POLICY.get_or_init(assigned).clone()
}

fn assigned() -> Policy {
    let mut policy = Policy::from_manifest(&manifest(HOST));
    for (domid, name) in [
        (DomId(1), "store"),
        (NET, "net"),
        (DESK, "desk"),
        (CONSOLES, "consoles"),
        (VTPM, "web-vtpm"),
        (WEB, "web"),
        (DB, "db"),
    ] {
        policy.assign(domid, name);
    }
    policy
}

/// The outcome in a word, and the rule.
fn outcome(policy: &Policy, domid: DomId, kind: Kind, path: &str) -> (&'static str, &'static str) {
    let decision = policy.decide(domid, kind, path);
    let word = match (decision.allowed, decision.granted) {
        (true, true) => "granted",
        (true, false) => "allowed",
        (false, _) => "denied",
    };
    (word, decision.rule)
}

fn domain(name: &str) -> DomId {
    match name {
        "builder" => DOMB,
        "net" => NET,
        "desk" => DESK,
        "consoles" => CONSOLES,
        "vtpm" => VTPM,
        "web" => WEB,
        "db" => DB,
        "new" => NEW,
        _ => panic!("no domain {name}"),
    }
}

fn kinds(name: &str) -> &'static [Kind] {
    match name {
        "read" => &[Read],
        "write" => &[Write],
        "remove" => &[Remove],
        "permissions" => &[Permissions],
        "change" => &[Write, Remove, Permissions],
        _ => panic!("no kind {name}"),
    }
}

#[test]
fn the_table_of_decisions_holds() {
    let policy = policy();
    let mut decisions = 0;
    for line in DECISIONS.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [domains, operations, path, expected, rule] = words.as_slice() else {
            assert!(words.is_empty() || line.starts_with('#'), "{line}");
            continue;
        };
        for domid in domains.split(',').map(domain) {
            for &kind in operations.split(',').flat_map(kinds) {
                let found = outcome(&policy, domid, kind, path);
                assert_eq!(found, (*expected, *rule), "domain {domid} {kind:?} {path}");
                decisions += 1;
            }
        }
    }
    assert!(decisions > 500, "{decisions}");
}

#[test]
fn management_without_delegations_is_a_guest() {
    let mut plain = manifest(HOST);
    for domain in &mut plain.domains {
        domain.store_access.clear();
    }
    let mut plain = Policy::from_manifest(&plain);
    plain.assign(DESK, "desk");
    for (kind, path, rule) in [
        (Read, "/local/domain/7/name", "foreign"),
        (Write, "/local/domain/7/control/shutdown", "foreign"),
        (Read, "/local/domain/7/device/vif/0/state", "foreign"),
        (Read, "/local/domain/7/data", "private"),
        (Write, "/local/domain/7/device/vif/0/backend", "wiring"),
        (Write, "/tool/xenstored/domid", "builder"),
        (Write, "/libxl/7", "builder"),
        (Write, "/shared", "builder"),
    ] {
        assert_eq!(outcome(&plain, DESK, kind, path), ("denied", rule), "{kind:?} {path}");
    }
}

#[test]
fn a_star_for_everything_is_not_for_the_builders_trees() {
    let text = HOST.replace("\"/shared/**\"", "\"/**\"");
    let mut policy = Policy::from_manifest(&manifest(&text));
    policy.assign(DESK, "desk");
    for (kind, path, expected) in [
        (Write, "/shared", ("granted", "delegated")),
        (Write, "/local/domain/8/control", ("granted", "delegated")),
        (Read, "/vm/x", ("granted", "delegated")),
        (Write, "/vm/x", ("denied", "builder")),
        (Remove, "/local/domain", ("denied", "builder")),
        (Remove, "/local/domain/8", ("denied", "identity")),
        (Remove, "/", ("denied", "builder")),
        (Read, "/local/domain/8/data", ("denied", "private")),
        (Read, "@releaseDomain", ("allowed", "special")),
    ] {
        assert_eq!(outcome(&policy, DESK, kind, path), expected, "{kind:?} {path}");
    }
}

#[test]
fn privileged_operations() {
    let policy = policy();
    for &operation in Operation::ALL {
        if Kind::of(operation).is_some() {
            continue;
        }
        let privileged = matches!(
            operation.name(),
            "CONTROL" | "INTRODUCE" | "RELEASE" | "RESUME" | "SET_TARGET" | "SET_FEATURE" | "GET_QUOTA" | "SET_QUOTA"
        );
        for policy in [&policy, &Policy::stock()] {
            assert!(policy.decide_operation(DOMB, operation).allowed);
            for domid in [WEB, DESK, NET, NEW] {
                let decision = policy.decide_operation(domid, operation);
                assert_eq!(decision.allowed, !privileged, "{}", operation.name());
                assert_eq!(decision.rule, if privileged { "privileged" } else { "open" });
            }
        }
    }
}

#[test]
fn nodes_are_opened_to_those_whom_the_policy_lets_in() {
    let policy = policy();
    let ask = |domid, path, list: &str| {
        let list: Vec<Permission> = list
            .split(' ')
            .map(|entry| Permission::decode(entry.as_bytes()).unwrap())
            .collect();
        let decision = policy.decide_permissions(domid, path, &list);
        (decision.allowed, decision.rule)
    };
    for (domid, path, list, expected) in [
        (DB, "/local/domain/8/data/vchan/7/1", "n8 r7", (true, "home")),
        (DB, "/local/domain/8/data/vchan/7/1", "n8 b7", (false, "others")),
        (DB, "/local/domain/8/data/vchan/7/1", "n8 w7", (false, "others")),
        (DB, "/local/domain/8/data/vchan/7/1", "n8 r3", (false, "others")),
        (DB, "/local/domain/8/data/vchan/7/1", "n8 n3", (true, "home")),
        (DB, "/local/domain/8/data/vchan/7/1", "n8 r7 r3", (false, "others")),
        (DB, "/local/domain/8/data/vchan/7/1", "r8", (false, "others")),
        (DB, "/local/domain/8/data/vchan/7/1", "b8", (false, "others")),
        (DB, "/local/domain/8/data", "n8 b8 b0", (true, "home")),
        // DOMID_ANY.
        (DB, "/local/domain/8/data", "n8 r32757", (false, "others")),
        // A frontend to its backend, a backend to its frontend.
        (DB, "/local/domain/8/device/vif/0/state", "n8 r2", (true, "home")),
        (DB, "/local/domain/8/device/vif/0/state", "n8 b2", (false, "others")),
        (DB, "/local/domain/8/device/vif/0/state", "n8 r7", (false, "others")),
        (NET, "/local/domain/2/backend/vif/7/0/state", "n2 r7", (true, "backend")),
        (NET, "/local/domain/2/backend/vif/7/0/state", "n2 b7", (false, "others")),
        (NET, "/local/domain/2/backend/vif/7/0/state", "n2 r8", (false, "others")),
        (NET, "/local/domain/2/backend/vif/7/0", "n2 r7", (true, "backend")),
        (DB, "/local/domain/8/device/vif/0", "n8 r2", (false, "wiring")),
        (DB, "/local/domain/7/data", "n8", (false, "private")),
        (DOMB, "/local/domain/7/data", "r7", (true, "privileged")),
    ] {
        assert_eq!(ask(domid, path, list), expected, "domain {domid} {path} {list}");
    }
}

#[test]
fn who_has_a_target_acts_for_it() {
    let mut policy = policy();
    policy.set_target(VTPM, WEB);
    for (domid, kind, path, expected) in [
        (VTPM, Read, "/local/domain/7/data", ("allowed", "target")),
        (VTPM, Write, "/local/domain/7/data", ("allowed", "target")),
        (
            VTPM,
            Write,
            "/local/domain/7/device/vif/0/backend",
            ("denied", "wiring"),
        ),
        (
            VTPM,
            Write,
            "/local/domain/7/backend/vtpm/7/0/state",
            ("denied", "driver"),
        ),
        (VTPM, Read, "/local/domain/8/data", ("denied", "private")),
        (WEB, Read, "/local/domain/5/data", ("denied", "private")),
    ] {
        assert_eq!(outcome(&policy, domid, kind, path), expected, "{kind:?} {path}");
    }
    // The number may become another's.
    policy.forget(WEB);
    assert_eq!(
        outcome(&policy, VTPM, Read, "/local/domain/7/data"),
        ("denied", "private")
    );
}

#[test]
fn a_domid_is_what_it_was_last_assigned() {
    let mut policy = policy();
    let path = "/local/domain/2/backend/vif/7/0/state";
    assert!(policy.decide(NET, Write, path).allowed);
    policy.forget(NET);
    assert_eq!(policy.decide(NET, Write, path).rule, "driver");
    assert_eq!(policy.name_of(NET), None);
    policy.assign(DomId(20), "net");
    assert!(
        policy
            .decide(DomId(20), Write, "/local/domain/20/backend/vif/7/0/state")
            .allowed
    );
    policy.assign(DomId(20), "no-such-domain");
    assert_eq!(policy.name_of(DomId(20)), Some("no-such-domain"));
    assert!(
        !policy
            .decide(DomId(20), Write, "/local/domain/20/backend/vif/7/0/state")
            .allowed
    );
    // A delegation follows the domain that it names.
    assert!(policy.decide(WEB, Read, "/local/domain/8/data/vchan").granted);
    policy.forget(DB);
    assert!(!policy.decide(WEB, Read, "/local/domain/8/data/vchan").allowed);
    policy.assign(DomId(9), "db");
    assert!(policy.decide(WEB, Read, "/local/domain/9/data/vchan").granted);
}

#[test]
fn quotas_are_the_domains_or_the_hosts() {
    let text = HOST.replace(
        "serves = [\"console\"]",
        "serves = [\"console\"]\nstore-quota = { nodes = 5 }",
    );
    let mut policy = Policy::from_manifest(&manifest(
        &[&text, "\n[store]\nquota = { nodes = 7, watches = 9 }\n"].concat(),
    ));
    policy.assign(CONSOLES, "consoles");
    policy.assign(WEB, "web");
    let nodes_and_watches = |domid| policy.quota_of(domid).map(|quota| (quota.nodes, quota.watches));
    assert_eq!(nodes_and_watches(CONSOLES), Some((Some(5), Some(9))));
    assert_eq!(nodes_and_watches(WEB), Some((Some(7), Some(9))));
    assert_eq!(nodes_and_watches(NEW), Some((Some(7), Some(9))));
    assert_eq!(Policy::stock().quota_of(WEB), None);
}

#[test]
fn without_a_manifest_permissions_decide() {
    let mut policy = Policy::stock();
    policy.assign(WEB, "web");
    for path in [
        "/tool/x",
        "/local/domain/8/data",
        "/local/domain/7/device/vif/0/backend",
        "@releaseDomain",
        "/",
    ] {
        for kind in Kind::ALL {
            let decision = policy.decide(WEB, kind, path);
            assert_eq!(
                (decision.allowed, decision.granted, decision.rule),
                (true, false, "stock")
            );
        }
        assert_eq!(policy.decide_permissions(WEB, path, &[]).rule, "stock");
    }
}

#[test]
fn decisions_are_explained() {
    let policy = policy();
    let text = policy.explain(DB, Operation::Write, "/local/domain/7/data").to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "domain 8 (db): WRITE /local/domain/7/data");
    assert_eq!(
        lines[1],
        "What it exchanges with whom it chooses in the home of domain 7 (web)."
    );
    assert_eq!(
        lines[lines.len() - 2],
        "  private: Another domain's data, vtpm and console nodes are nobody's but those that the manifest names. Denied."
    );
    assert_eq!(lines[lines.len() - 1], "denied: rule private");
    let tried: Vec<&str> = lines[2..lines.len() - 1]
        .iter()
        .map(|line| line.trim().split(':').next().unwrap())
        .collect();
    assert_eq!(
        tried,
        [
            "privileged",
            "home",
            "target",
            "identity",
            "wiring",
            "delegated",
            "frontend",
            "private"
        ]
    );
    let net = policy.explain(NET, Operation::Introduce, "");
    assert_eq!(net.question, "domain 2 (net), serves vif qdisk: INTRODUCE");
    assert!(net.to_string().ends_with("denied: rule privileged"));
    let new = policy
        .explain(NEW, Operation::Watch, "/local/domain/7/name")
        .to_string();
    assert!(
        new.starts_with("domain 12, not in the manifest: WATCH /local/domain/7/name\n"),
        "{new}"
    );
    assert!(new.contains("The watch is set in any case"), "{new}");
}

#[test]
fn an_explanation_decides_as_the_decision() {
    let policy = policy();
    for domid in [DOMB, NET, DESK, CONSOLES, VTPM, WEB, DB, NEW] {
        for path in super::properties::PATHS {
            for &operation in Operation::ALL {
                let explained = policy.explain(domid, operation, path);
                let decision = match Kind::of(operation) {
                    Some(kind) => policy.decide(domid, kind, path),
                    None => policy.decide_operation(domid, operation),
                };
                assert_eq!(explained.decision, decision);
                assert_eq!(explained.steps.last().map(|step| step.rule), Some(decision.rule));
            }
        }
    }
}

#[test]
fn the_document_has_every_rule_and_examples_that_are_right() {
    let document = include_str!("../../../../docs/store-policy.md");
    let examples: Vec<&str> = document
        .split("```toml\n")
        .skip(1)
        .filter_map(|text| text.split("```").next())
        .collect();
    let db = "[[domain]]\nname = \"db\"\nkernel = \"debian\"\nmemory = 512\n";
    let host = "[host]\nname = \"h\"\n[image.debian]\nfile = \"x\"\n";
    let manifest = manifest(&[host, db, &examples.concat()].concat());
    assert_eq!((examples.len(), manifest.domains.len()), (3, 5));
    for rule in super::rule::Rule::ALL {
        let row = std::format!("| `{}` | {} |", rule.name(), rule.sentence());
        assert!(document.contains(&row), "{row}");
    }
}
