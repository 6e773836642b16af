//! What holds for every path and every domain.

extern crate std;

use std::format;
use std::string::String;
use std::vec::Vec;

use proptest::prelude::*;
use xen::DomId;
use xen::store::{Access, Permission};

use super::tests::{CONSOLES, DB, DESK, DOMB, NET, NEW, VTPM, WEB, policy};
use super::*;

const DOMAINS: [DomId; 7] = [NET, DESK, CONSOLES, VTPM, WEB, DB, NEW];

/// Paths of every kind.
pub(super) const PATHS: &[&str] = &[
    "/",
    "/tool/xenstored",
    "/vm/uuid",
    "/libxl/7",
    "/other",
    "/local/domain",
    "/local/domain/07",
    "/local/domain/7",
    "/local/domain/7/name",
    "/local/domain/7/data/x",
    "/local/domain/7/console/tty",
    "/local/domain/7/device",
    "/local/domain/7/device/vif/0/mtu",
    "/local/domain/7/device/vif/0/state",
    "/local/domain/7/device/vtpm/0/state",
    "/local/domain/2/backend/vif/7/0",
    "/local/domain/2/backend/vif/7/0/state",
    "/local/domain/2/backend/vif/7/0/frontend",
    "/local/domain/0/backend/vif/7/0/state",
    "/local/domain/8/data/vchan/7",
    "@releaseDomain",
    "@introduceDomain/7",
    "@",
];

/// Paths of the names that mean something, a few that do not, and numbers of domains.
fn path() -> impl Strategy<Value = String> {
    let names = [
        "local",
        "domain",
        "tool",
        "vm",
        "libxl",
        "data",
        "console",
        "device",
        "backend",
        "vif",
        "vbd",
        "qdisk",
        "vtpm",
        "vsnd",
        "vscsi",
        "vscsi-devs",
        "dev-0",
        "suspend",
        "frontend",
        "frontend-id",
        "backend-id",
        "mtu",
        "tty",
        "state",
        "mac",
        "params",
        "control",
        "shutdown",
        "name",
        "store",
        "report",
        "vchan",
        "0",
        "2",
        "3",
        "7",
        "8",
        "12",
        "07",
        "x",
        "unique-id",
    ];
    let name = prop::sample::select(names.to_vec());
    let home = prop::sample::select(&["0", "2", "3", "4", "5", "7", "8", "12"][..]);
    let below = prop::collection::vec(name.clone(), 0..6);
    let anywhere = prop::collection::vec(name, 0..8).prop_map(|names| format!("/{}", names.join("/")));
    let in_home = (home, below).prop_map(|(home, below)| {
        let names: Vec<&str> = ["", "local", "domain", home].into_iter().chain(below).collect();
        names.join("/")
    });
    prop_oneof![4 => in_home, 1 => anywhere]
}

fn domain() -> impl Strategy<Value = DomId> {
    prop::sample::select(&DOMAINS[..])
}

/// The same without what the manifest delegates.
fn without_delegations() -> Policy {
    let mut policy = policy();
    for rights in &mut policy.rules.as_mut().unwrap().domains {
        rights.delegations.clear();
    }
    policy
}

fn components(path: &str) -> Vec<&str> {
    path.split('/').skip(1).filter(|name| !name.is_empty()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8192))]

    #[test]
    fn nobody_writes_outside_its_home_and_its_delegations(domid in domain(), path in path(), remove in any::<bool>()) {
        let kind = if remove { Kind::Remove } else { Kind::Write };
        let decision = policy().decide(domid, kind, &path);
        let number = format!("{domid}");
        match components(&path).as_slice() {
            ["local", "domain", home, rest @ ..] if *home == number => {
                prop_assert!(!decision.allowed || !rest.is_empty());
            }
            // What scripts and daemons of stock driver domains write, by the class that they serve.
            ["local", "domain", _, "device", "vif", _, "mtu"] if domid == NET => prop_assert_eq!(decision.allowed, !remove),
            ["local", "domain", _, "console", "tty"] | ["local", "domain", _, "device", "console", _, "tty"]
                if domid == CONSOLES =>
            {
                prop_assert_eq!(decision.allowed, !remove);
            }
            _ => prop_assert!(!decision.allowed || decision.granted && decision.rule == "delegated"),
        }
        if !remove && kind == Kind::Write && components(&path).first() != Some(&"local") {
            prop_assert!(!without_delegations().decide(domid, kind, &path).allowed);
        }
    }

    #[test]
    fn nobody_rewires(domid in domain(), path in path()) {
        let policy = policy();
        let names = components(&path);
        let wires = match names.as_slice() {
            ["tool" | "vm" | "libxl", ..] | [] | ["local"] | ["local", "domain"] => true,
            ["local", "domain", _, "device", class, _, "backend" | "backend-id", ..] => *class != "suspend",
            ["local", "domain", _, "backend", _, _, _, "frontend" | "frontend-id", ..] => true,
            _ => false,
        };
        for kind in [Kind::Write, Kind::Remove, Kind::Permissions] {
            prop_assert!(!wires || !policy.decide(domid, kind, &path).allowed);
        }
    }

    #[test]
    fn what_is_removed_holds_nothing_that_may_not_be_written(domid in domain(), path in path(), below in path()) {
        let policy = policy();
        if path != "/" && policy.decide(domid, Kind::Remove, &path).allowed {
            let below = [path.as_str(), below.trim_end_matches('/')].concat();
            prop_assert!(policy.decide(domid, Kind::Write, &below).allowed, "{}", below);
        }
    }

    #[test]
    fn nobody_reads_private_nodes_of_others(domid in domain(), path in path()) {
        let decision = without_delegations().decide(domid, Kind::Read, &path);
        let names = components(&path);
        let ["local", "domain", owner, rest @ ..] = names.as_slice() else {
            return Ok(());
        };
        let private = match rest {
            ["data" | "vtpm", ..] => true,
            ["console", ..] | ["device", "console", ..] => domid != CONSOLES,
            ["device", "vtpm", ..] => domid != VTPM,
            _ => false,
        };
        let home = format!("{domid}");
        if private && *owner != home && owner.parse::<u16>().is_ok_and(|number| format!("{number}") == *owner) {
            prop_assert!(!decision.allowed);
        }
    }

    #[test]
    fn what_is_opened_can_be_entered(
        domid in domain(),
        path in path(),
        entries in prop::collection::vec((domain(), any::<bool>(), any::<bool>()), 1..4),
    ) {
        let policy = policy();
        let list: Vec<Permission> = entries
            .iter()
            .map(|&(domid, read, write)| Permission::new(domid, Access { read, write }))
            .collect();
        if policy.decide_permissions(domid, &path, &list).allowed {
            prop_assert_eq!(list[0].access, Access::NONE);
            for entry in &list[1..] {
                if entry.domid != domid {
                    prop_assert!(!entry.access.read || policy.decide(entry.domid, Kind::Read, &path).allowed);
                    prop_assert!(!entry.access.write || policy.decide(entry.domid, Kind::Write, &path).allowed);
                }
            }
        }
    }

    #[test]
    fn roles_and_names_are_all_that_counts(path in path(), kind in prop::sample::select(&Kind::ALL[..])) {
        // A management domain without delegations decides as a guest, but for those who come and go.
        let policy = without_delegations();
        let mut guest = policy.clone();
        guest.assign(DESK, "web");
        prop_assert_eq!(policy.decide(DESK, kind, &path), guest.decide(DESK, kind, &path));
        prop_assert!(policy.decide(DOMB, kind, &path).allowed);
    }

    #[test]
    fn no_text_makes_it_panic(domid in any::<u16>(), path in any::<String>(), target in any::<u16>()) {
        let mut policy = policy();
        policy.set_target(DomId(domid), DomId(target));
        for kind in Kind::ALL {
            let decision = policy.decide(DomId(domid), kind, &path);
            prop_assert!(decision.allowed || !decision.granted);
        }
    }
}
