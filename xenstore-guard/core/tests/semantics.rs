//! What clients can rely on, operation by operation; where C xenstored's source decides, as it has it.

#![expect(clippy::octal_escapes, reason = "numbers between NULs, as they travel")]

mod store;

use store::{Message, Store};
use xen::store::wire::Header;
use xenstore_guard_core::{DomId, Operation, Peer, ProtocolError, StoreError};

const ACCESS: Result<String, StoreError> = Err(StoreError::Access);
const NOT_FOUND: Result<String, StoreError> = Err(StoreError::NotFound);
const INVALID: Result<String, StoreError> = Err(StoreError::Invalid);

fn ok() -> Result<String, StoreError> {
    Ok("OK".into())
}

#[test]
fn values_are_read_as_written() {
    let mut store = Store::default();
    let socket = store.socket;
    assert_eq!(store.write(socket, "/a/b", "value"), ok());
    assert_eq!(store.read(socket, "/a/b"), Ok("value".into()));
    assert_eq!(store.read(socket, "/a"), Ok(String::new()));
    assert_eq!(store.write(socket, "/a/b", "nul\0inside"), ok());
    assert_eq!(store.read(socket, "/a/b"), Ok("nul\0inside".into()));
    assert_eq!(store.list(socket, "/"), Ok(vec!["a".into(), "tool".into()]));
    assert_eq!(store.read(socket, "/b"), NOT_FOUND);
    assert_eq!(store.read(socket, "/a/b/c/d"), NOT_FOUND);
}

#[test]
fn relative_paths_of_the_socket_begin_at_domain_0() {
    let mut store = Store::default();
    let socket = store.socket;
    assert_eq!(store.write(socket, "name", "dom0"), ok());
    assert_eq!(store.read(socket, "/local/domain/0/name"), Ok("dom0".into()));
}

#[test]
fn malformed_requests_are_invalid() {
    let mut store = Store::default();
    let socket = store.socket;
    for (operation, payload) in [
        (Operation::Read, ""),
        (Operation::Read, "/tool"),
        (Operation::Read, "/tool\0/tool\0"),
        (Operation::Read, "\0"),
        (Operation::Read, "@releaseDomain\0"),
        (Operation::Write, "/a"),
        (Operation::Write, "/a//b\0"),
        (Operation::Mkdir, "/a/\0"),
        (Operation::Rm, "/\0"),
        (Operation::DirectoryPart, "/\0"),
        (Operation::DirectoryPart, "/\0x\0"),
        (Operation::SetPermissions, "/tool\0"),
        (Operation::SetPermissions, "/tool\0x0\0"),
        (Operation::SetPermissions, "/tool\0r\0"),
        (Operation::Watch, "/a\0"),
        (Operation::Watch, "/a\0token\0x\0"),
        (Operation::Watch, "/a\0token\01\0more\0"),
        (Operation::Unwatch, "/a\0"),
        (Operation::TransactionEnd, "X\0"),
        (Operation::Introduce, "7\01\0"),
        (Operation::Introduce, "7\01\00\0"),
        (Operation::Introduce, "32752\01\01\0"),
        (Operation::Introduce, "x\01\01\0"),
        (Operation::Release, "0\0"),
        (Operation::Release, "7"),
        (Operation::GetDomainPath, "65536\0"),
        (Operation::SetQuota, "unknown\01\0"),
        (Operation::GetQuota, "unknown\0"),
        (Operation::SetFeature, "7\0255\0"),
        (Operation::Control, ""),
        (Operation::Control, "unknown\0"),
    ] {
        assert_eq!(
            store.ask(socket, operation, payload),
            INVALID,
            "{} {payload:?}",
            operation.name()
        );
    }
    store.check();
}

#[test]
fn unknown_operations_are_not_implemented() {
    let mut store = Store::default();
    let socket = store.socket;
    for number in [
        Operation::WatchEvent as u32,
        Operation::Error as u32,
        20,
        27,
        65535,
        u32::MAX,
    ] {
        let header = Header {
            operation: number,
            ..Header::default()
        };
        store.server.receive(socket, &header.encode()).unwrap();
        assert!(store.process(socket));
        assert_eq!(store.take(socket), [Message::Error(StoreError::NotImplemented)]);
    }
}

#[test]
fn removing_what_is_not_there_is_fine_where_its_parent_is() {
    let mut store = Store::default();
    let socket = store.socket;
    store.write(socket, "/a/b/c", "").unwrap();
    assert_eq!(store.remove(socket, "/a/x"), ok());
    assert_eq!(store.remove(socket, "/a/x/y"), NOT_FOUND);
    assert_eq!(store.remove(socket, "/a/b"), ok());
    assert_eq!(store.read(socket, "/a/b/c"), NOT_FOUND);
    assert_eq!(store.read(socket, "/a"), Ok(String::new()));
    assert_eq!(store.remove(socket, "/"), INVALID);
}

#[test]
fn making_a_directory_leaves_what_is_there() {
    let mut store = Store::default();
    let socket = store.socket;
    store.write(socket, "/a", "value").unwrap();
    assert_eq!(store.make(socket, "/a"), ok());
    assert_eq!(store.read(socket, "/a"), Ok("value".into()));
    assert_eq!(store.make(socket, "/b/c"), ok());
    assert_eq!(store.list(socket, "/b"), Ok(vec!["c".into()]));
}

#[test]
fn a_domain_is_told_no_more_than_the_nearest_readable_node_tells() {
    let mut store = Store::default();
    let socket = store.socket;
    let guest = store.domain(7);
    store.write(socket, "/secret/inside", "x").unwrap();
    store.write(socket, "/open", "x").unwrap();
    store.permit(socket, "/open", "r0").unwrap();
    // There or not: the same answer below what it cannot read.
    assert_eq!(store.read(guest, "/secret/inside"), ACCESS);
    assert_eq!(store.read(guest, "/secret/missing"), ACCESS);
    assert_eq!(store.read(guest, "/missing"), ACCESS);
    assert_eq!(store.read(guest, "/open"), Ok("x".into()));
    assert_eq!(store.read(guest, "/open/missing"), NOT_FOUND);
    assert_eq!(store.write(guest, "/open/missing", ""), ACCESS);
    assert_eq!(store.remove(guest, "/open/missing"), ACCESS);
    assert_eq!(store.read(guest, "missing"), NOT_FOUND);
    assert_eq!(store.permit(guest, "missing", "n7"), NOT_FOUND);
}

#[test]
fn new_nodes_inherit_permissions_and_belong_to_their_unprivileged_makers() {
    let mut store = Store::default();
    let socket = store.socket;
    let guest = store.domain(7);
    store.domain(8);
    store.make(socket, "/shared").unwrap();
    store.permit(socket, "/shared", "n0 b7 r8").unwrap();
    store.write(guest, "/shared/a/b", "").unwrap();
    assert_eq!(store.permissions(socket, "/shared/a"), Ok("n7 b7 r8".into()));
    assert_eq!(store.permissions(socket, "/shared/a/b"), Ok("n7 b7 r8".into()));
    store.write(socket, "/shared/c", "").unwrap();
    assert_eq!(store.permissions(socket, "/shared/c"), Ok("n0 b7 r8".into()));
    // What the privileged make below a guest's node is the guest's.
    store.write(socket, "/local/domain/7/data", "").unwrap();
    assert_eq!(store.permissions(guest, "data"), Ok("n7".into()));
    store.check();
}

#[test]
fn only_owners_and_the_privileged_set_permissions() {
    let mut store = Store::default();
    let socket = store.socket;
    let guest = store.domain(7);
    let other = store.domain(8);
    store.write(guest, "a", "").unwrap();
    assert_eq!(store.permit(guest, "a", "r7 b8"), ok());
    assert_eq!(store.write(other, "/local/domain/7/a", "x"), ok());
    assert_eq!(store.permit(other, "/local/domain/7/a", "b7"), ACCESS);
    assert_eq!(store.permissions(other, "/local/domain/7/a"), Ok("r7 b8".into()));
    assert_eq!(store.permit(socket, "/local/domain/7/a", "n8"), ok());
    assert_eq!(store.read(guest, "a"), ACCESS);
    store.check();
}

#[test]
fn a_domain_with_a_target_acts_for_it() {
    let mut store = Store::default();
    store.domain(7);
    let helper = store.domain(8);
    assert_eq!(store.read(helper, "/local/domain/7"), ACCESS);
    store.must(Operation::SetTarget, "8\07\0");
    assert_eq!(store.write(helper, "/local/domain/7/device", "x"), ok());
    store.release(7).unwrap();
    store.domain(7);
    assert_eq!(store.read(helper, "/local/domain/7"), ACCESS);
}

#[test]
fn only_the_privileged_speak_about_domains() {
    let mut store = Store::default();
    let guest = store.domain(7);
    for (operation, payload) in [
        (Operation::Control, "help\0"),
        (Operation::Introduce, "8\01\01\0"),
        (Operation::Release, "7\0"),
        (Operation::IsDomainIntroduced, "7\0"),
        (Operation::Resume, "7\0"),
        (Operation::SetTarget, "7\00\0"),
        (Operation::SetFeature, "7\00\0"),
        (Operation::GetFeature, "7\0"),
        (Operation::GetQuota, "\0"),
        (Operation::SetQuota, "nodes\01\0"),
    ] {
        assert_eq!(store.ask(guest, operation, payload), ACCESS, "{}", operation.name());
    }
    assert_eq!(
        store.ask(guest, Operation::GetDomainPath, "9\0"),
        Ok("/local/domain/9".into())
    );
    assert_eq!(store.ask(guest, Operation::GetFeature, ""), Ok("15".into()));
}

#[test]
fn domains_come_and_go() {
    let mut store = Store::default();
    let introduced = |store: &mut Store, domid: u16| store.must(Operation::IsDomainIntroduced, &format!("{domid}\0"));
    assert_eq!(introduced(&mut store, 7), "F");
    let first = store.domain(7);
    assert_eq!(introduced(&mut store, 7), "T");
    assert!(store.host.mapped.contains(&DomId(7)));
    assert_eq!(introduced(&mut store, DomId::SELF.0), "T");
    assert_eq!(store.release(7), ok());
    assert_eq!(introduced(&mut store, 7), "F");
    assert_eq!(store.release(7), NOT_FOUND);
    assert!(store.host.mapped.is_empty());
    let socket = store.socket;
    // Its home was its own.
    assert_eq!(store.read(socket, "/local/domain/7"), NOT_FOUND);
    assert_ne!(store.domain(7), first);
    assert_eq!(store.server.receive(first, b"x"), Err(ProtocolError::NoConnection));
    store.host.refuses_rings = true;
    assert_eq!(store.ask(socket, Operation::Introduce, "8\01\01\0"), INVALID);
    assert_eq!(introduced(&mut store, 8), "F");
    store.check();
}

#[test]
fn introducing_again_gives_a_domain_a_fresh_connection() {
    let mut store = Store::default();
    let guest = store.domain(7);
    store.watch(guest, "data", "token").unwrap();
    let transaction = store.begin(guest);
    assert_eq!(store.introduce(7), guest);
    assert_eq!(store.commit(guest, transaction), NOT_FOUND);
    store.write(guest, "data", "x").unwrap();
    assert!(store.events(guest).is_empty());
    store.check();
}

#[test]
fn a_reconnection_forgets_watches_transactions_and_bytes() {
    let mut store = Store::default();
    let guest = store.domain(7);
    store.watch(guest, "data", "token").unwrap();
    let transaction = store.begin(guest);
    store.server.receive(guest, &[1, 2, 3]).unwrap();
    store.server.ring_failed(guest);
    assert_eq!(store.server.input_room(guest), 0);
    store.server.reset(guest, &mut store.host);
    assert_eq!(store.commit(guest, transaction), NOT_FOUND);
    assert_eq!(store.write(guest, "data", "x"), ok());
    store.check();
}

#[test]
fn special_watches_tell_of_domains() {
    let mut store = Store::default();
    let socket = store.socket;
    let guest = store.domain(7);
    for (path, token, depth) in [
        ("@introduceDomain", "any", ""),
        ("@releaseDomain", "any", ""),
        ("@releaseDomain", "each", "1\0"),
        ("@releaseDomain/8", "eight", ""),
        ("@releaseDomain/9", "nine", ""),
    ] {
        store.must(Operation::Watch, &format!("{path}\0{token}\0{depth}"));
    }
    store.watch(guest, "@releaseDomain", "guest").unwrap();
    store.take(guest);
    store.introduce(8);
    // A domain that is introduced is told of before the answer.
    store.send(socket, Operation::Introduce, 0, b"9\01\01\0");
    store.process(socket);
    let told = store.take(socket);
    assert_eq!(told[0], Message::Event("@introduceDomain".into(), "any".into()));
    store.server.domain_died(DomId(8), &mut store.host);
    store.server.domain_died(DomId(8), &mut store.host);
    let events = ["@releaseDomain any", "@releaseDomain/8 each", "@releaseDomain/8 eight"];
    assert_eq!(store.events(socket), events);
    // A guest is told only if it may read the special name.
    assert!(store.events(guest).is_empty());
    store.permit(socket, "@releaseDomain", "n0 r7").unwrap();
    store.must(Operation::Resume, "8\0");
    store.server.domain_died(DomId(8), &mut store.host);
    assert_eq!(store.events(guest), ["@releaseDomain guest"]);
    assert_eq!(store.events(socket), events);
    assert_eq!(store.permissions(guest, "@releaseDomain"), Ok("n0 r7".into()));
    assert_eq!(store.permit(guest, "@releaseDomain", "n7"), ACCESS);
}

#[test]
fn watches_fire_once_at_first_and_then_for_changes() {
    let mut store = Store::default();
    let socket = store.socket;
    let watcher = store.server.connect(Peer::Socket).unwrap();
    store.send(watcher, Operation::Watch, 0, b"/a\0one\0");
    store.process(watcher);
    let first = [
        Message::Answer(Operation::Watch, b"OK\0".to_vec()),
        Message::Event("/a".into(), "one".into()),
    ];
    assert_eq!(store.take(watcher), first);
    assert_eq!(store.watch(watcher, "/a", "one"), Err(StoreError::Exists));
    store.watch(watcher, "/a/b", "two").unwrap();
    store.take(watcher);
    store.write(socket, "/a/b/c", "").unwrap();
    assert_eq!(store.events(watcher), ["/a/b/c one", "/a/b/c two"]);
    store.make(socket, "/a/b/c").unwrap();
    assert!(store.events(watcher).is_empty());
    store.permit(socket, "/a/b", "r0").unwrap();
    assert_eq!(store.events(watcher), ["/a/b one", "/a/b two"]);
    // What is watched goes with what is above it.
    store.remove(socket, "/a").unwrap();
    assert_eq!(store.events(watcher), ["/a/b two", "/a one"]);
    store.ask(watcher, Operation::Unwatch, "/a\0one\0").unwrap();
    assert_eq!(store.ask(watcher, Operation::Unwatch, "/a\0one\0"), NOT_FOUND);
    store.write(socket, "/a", "").unwrap();
    assert!(store.events(watcher).is_empty());
    store.check();
}

#[test]
fn a_clients_own_events_come_before_the_answer() {
    let mut store = Store::default();
    let socket = store.socket;
    store.watch(socket, "/a", "token").unwrap();
    store.send(socket, Operation::Write, 0, b"/a\0value");
    store.process(socket);
    let expected = [
        Message::Event("/a".into(), "token".into()),
        Message::Answer(Operation::Write, b"OK\0".to_vec()),
    ];
    assert_eq!(store.take(socket), expected);
}

#[test]
fn relative_watches_tell_relative_paths() {
    let mut store = Store::default();
    let guest = store.domain(7);
    store.watch(guest, "device", "relative").unwrap();
    store.watch(guest, "/local/domain/7/device", "absolute").unwrap();
    store.take(guest);
    store.must(Operation::Write, "/local/domain/7/device/vif\0");
    let events = ["device/vif relative", "/local/domain/7/device/vif absolute"];
    assert_eq!(store.events(guest), events);
}

#[test]
fn a_watch_with_a_depth_leaves_out_what_is_deeper() {
    let mut store = Store::default();
    let watcher = store.server.connect(Peer::Socket).unwrap();
    store.ask(watcher, Operation::Watch, "/a\0token\01\0").unwrap();
    store.take(watcher);
    for path in ["/a", "/a/b", "/a/b/c"] {
        store.must(Operation::Write, &format!("{path}\0"));
    }
    assert_eq!(store.events(watcher), ["/a token", "/a/b token"]);
    // Not offered to a domain without the feature.
    store.must(Operation::SetFeature, "7\03\0");
    let guest = store.domain(7);
    assert_eq!(store.ask(guest, Operation::Watch, "a\0t\01\0"), INVALID);
    assert_eq!(store.ask(guest, Operation::GetFeature, ""), Ok("3".into()));
    let socket = store.socket;
    assert_eq!(
        store.ask(socket, Operation::SetFeature, "7\01\0"),
        Err(StoreError::Busy)
    );
    assert_eq!(store.server.features(DomId(7)), 3);
}

#[test]
fn transactions_are_seen_when_they_are_committed() {
    let mut store = Store::default();
    let socket = store.socket;
    let watcher = store.server.connect(Peer::Socket).unwrap();
    store.watch(watcher, "/a", "token").unwrap();
    store.take(watcher);
    let transaction = store.begin(socket);
    store
        .within(socket, transaction, Operation::Write, "/a/b\0value")
        .unwrap();
    store
        .within(socket, transaction, Operation::Write, "/a/b\0again")
        .unwrap();
    assert_eq!(
        store.within(socket, transaction, Operation::Read, "/a/b\0"),
        Ok("again".into())
    );
    assert_eq!(store.read(socket, "/a/b"), NOT_FOUND);
    assert!(store.events(watcher).is_empty());
    assert_eq!(store.commit(socket, transaction), ok());
    assert_eq!(store.read(socket, "/a/b"), Ok("again".into()));
    assert_eq!(store.events(watcher), ["/a/b token"]);
    assert_eq!(store.commit(socket, transaction), NOT_FOUND);
    let given_up = store.begin(socket);
    store.within(socket, given_up, Operation::Rm, "/a\0").unwrap();
    assert_eq!(store.within(socket, given_up, Operation::TransactionEnd, "F\0"), ok());
    assert_eq!(store.read(socket, "/a/b"), Ok("again".into()));
    store.check();
}

#[test]
fn transactions_belong_to_their_connections_and_do_not_nest() {
    let mut store = Store::default();
    let socket = store.socket;
    let other = store.server.connect(Peer::Socket).unwrap();
    let transaction = store.begin(socket);
    assert_eq!(store.within(other, transaction, Operation::Read, "/tool\0"), NOT_FOUND);
    let nested = store.within(socket, transaction, Operation::TransactionStart, "\0");
    assert_eq!(nested, Err(StoreError::Busy));
    assert_eq!(store.ask(socket, Operation::TransactionEnd, "T\0"), NOT_FOUND);
    // WATCH does not mind.
    assert_eq!(store.within(socket, 99, Operation::Watch, "/a\0t\0"), ok());
}

#[test]
fn adding_children_to_one_directory_commutes() {
    let mut store = Store::default();
    let builders: Vec<_> = (0..16).map(|_| store.server.connect(Peer::Socket).unwrap()).collect();
    let open: Vec<_> = builders.iter().map(|&id| (id, store.begin(id))).collect();
    for (number, &(id, transaction)) in open.iter().enumerate() {
        for path in ["name", "device/vif/0/state", "control/shutdown"] {
            let payload = format!("/local/domain/{number}/{path}\0value");
            store.within(id, transaction, Operation::Write, &payload).unwrap();
        }
    }
    for &(id, transaction) in &open {
        assert_eq!(store.commit(id, transaction), ok());
    }
    let socket = store.socket;
    assert_eq!(store.list(socket, "/local/domain").unwrap().len(), 16);
    store.check();
}

#[test]
fn what_was_read_must_still_hold() {
    let mut store = Store::default();
    let socket = store.socket;
    store.write(socket, "/a", "1").unwrap();
    for (operation, payload, change) in [
        (Operation::Read, "/a\0", ("/a", "2")),
        (Operation::Directory, "/\0", ("/new", "")),
        (Operation::Read, "/missing\0", ("/missing", "")),
        (Operation::GetPermissions, "/gone\0", ("/gone", "")),
    ] {
        let transaction = store.begin(socket);
        let _ = store.within(socket, transaction, operation, payload);
        store
            .within(socket, transaction, Operation::Write, "/result\0x")
            .unwrap();
        store.write(socket, change.0, change.1).unwrap();
        assert_eq!(store.commit(socket, transaction), Err(StoreError::Again), "{payload:?}");
        assert_eq!(store.read(socket, "/result"), NOT_FOUND);
    }
    // What is the same again is no conflict.
    let transaction = store.begin(socket);
    store.within(socket, transaction, Operation::Read, "/a\0").unwrap();
    store
        .within(socket, transaction, Operation::Write, "/result\0x")
        .unwrap();
    store.write(socket, "/a", "3").unwrap();
    store.write(socket, "/a", "2").unwrap();
    assert_eq!(store.commit(socket, transaction), ok());
    store.check();
}

#[test]
fn a_transaction_that_only_reads_always_commits() {
    let mut store = Store::default();
    let socket = store.socket;
    store.write(socket, "/a", "1").unwrap();
    store.write(socket, "/b", "1").unwrap();
    let transaction = store.begin(socket);
    assert_eq!(
        store.within(socket, transaction, Operation::Read, "/a\0"),
        Ok("1".into())
    );
    store.write(socket, "/b", "2").unwrap();
    assert_eq!(
        store.within(socket, transaction, Operation::Read, "/b\0"),
        Ok("1".into())
    );
    assert_eq!(store.commit(socket, transaction), ok());
}

#[test]
fn long_directories_come_in_parts() {
    let mut store = Store::default();
    let socket = store.socket;
    let expected: std::collections::BTreeSet<String> =
        (0..1000).map(|number| format!("a-child-of-number-{number}")).collect();
    for name in &expected {
        store.write(socket, &format!("/d/{name}"), "").unwrap();
    }
    assert_eq!(store.list(socket, "/d"), Err(StoreError::TooBig));
    let mut listed = String::new();
    let mut generations = std::collections::BTreeSet::new();
    let mut parts = 0;
    loop {
        let part = store
            .ask(socket, Operation::DirectoryPart, &format!("/d\0{}\0", listed.len()))
            .unwrap();
        parts += 1;
        let (generation, names) = part.split_once('\0').unwrap();
        generations.insert(generation.to_string());
        // The helper took one NUL off the end; the end of all is an empty name.
        listed.push_str(names);
        if names.ends_with('\0') || names.is_empty() {
            break;
        }
        listed.push('\0');
    }
    let names: std::collections::BTreeSet<String> = listed.split_terminator('\0').map(Into::into).collect();
    assert_eq!(names, expected);
    assert!(parts > 5);
    assert_eq!(generations.len(), 1);
    store.write(socket, "/d/another", "").unwrap();
    let part = store.ask(socket, Operation::DirectoryPart, "/d\00\0").unwrap();
    assert!(!generations.contains(part.split_once('\0').unwrap().0));
}

#[test]
fn quotas_can_be_asked_for_and_set() {
    let mut store = Store::default();
    let names = store.must(Operation::GetQuota, "");
    assert!(names.starts_with("nodes memory watches"), "{names}");
    assert_eq!(store.must(Operation::GetQuota, "nodes\0"), "1000");
    assert_eq!(store.must(Operation::GetQuota, "permissions\0"), "5");
    store.domain(7);
    store.must(Operation::SetQuota, "7\0watches\05\0");
    store.must(Operation::SetQuota, "watches\06\0");
    assert_eq!(store.must(Operation::GetQuota, "7\0watches\0"), "5");
    store.domain(8);
    assert_eq!(store.must(Operation::GetQuota, "8\0watches\0"), "6");
    // They go with the domain.
    store.release(7).unwrap();
    store.domain(7);
    assert_eq!(store.must(Operation::GetQuota, "7\0watches\0"), "6");
}

#[test]
fn control_commands_answer() {
    let mut store = Store::default();
    store.domain(7);
    for (command, expected) in [
        ("help\0", "explain DOMID"),
        ("print\0", "domain 7 (-): 1 nodes"),
        ("print\0hello\0", "OK"),
        ("log\0hello\0", "OK"),
        ("quota\0", "nodes            : 1000"),
        ("quota\07\0", "nodes            : 1000, 1 used"),
        ("quota\0set\0nodes\02000\0", "OK"),
        ("quota\0set\07\0nodes\03000\0", "OK"),
        ("check\0", "OK"),
        ("assign\07\0web\0", "OK"),
        (
            "explain\07\0READ\0/tool\0",
            "the permissions of the node (n0) refuse it",
        ),
        (
            "explain\07\0WRITE\0/local/domain/7/x\0",
            "the permissions of the nearest node above (n7) allow it",
        ),
        ("hello\0", "from outside"),
    ] {
        let answer = store.must(Operation::Control, command);
        assert!(answer.contains(expected), "{command:?}: {answer}");
    }
    assert_eq!(store.must(Operation::GetQuota, "7\0nodes\0"), "3000");
    assert!(store.must(Operation::Control, "print\0").contains("domain 7 (web)"));
}

#[test]
fn each_change_is_journalled_before_its_answer() {
    let mut store = Store::default();
    let socket = store.socket;
    store.write(socket, "/a", "1").unwrap();
    store.remove(socket, "/a").unwrap();
    store.host.journal.clear();
    store.write(socket, "/a/b", "1").unwrap();
    let journal = std::mem::take(&mut store.host.journal);
    assert_eq!(journal.len(), 4, "{journal:?}");
    assert!(journal[0].starts_with("Begin") && journal[3].starts_with("End"));
    assert!(journal[1].contains("\"/a\"") && journal[2].contains("\"/a/b\""));
    store.read(socket, "/a/b").unwrap();
    store.read(socket, "/c").unwrap_err();
    assert!(store.host.journal.is_empty());
    let transaction = store.begin(socket);
    store.within(socket, transaction, Operation::Rm, "/a\0").unwrap();
    store.within(socket, transaction, Operation::Write, "/a\0new").unwrap();
    assert_eq!(store.host.journal.len(), 1);
    store.commit(socket, transaction).unwrap();
    let kinds: Vec<_> = store
        .host
        .journal
        .iter()
        .map(|change| change.split([' ', '{']).next().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "TransactionOpen",
            "Begin",
            "Remove",
            "Write",
            "TransactionClosed",
            "End"
        ]
    );
}

#[test]
fn a_transaction_that_names_a_domain_fails_when_another_has_its_number() {
    let mut store = Store::default();
    let socket = store.socket;
    store.introduce(7);
    store.make(socket, "/a").unwrap();
    let transaction = store.begin(socket);
    store
        .within(socket, transaction, Operation::SetPermissions, "/a\0n0\0r7\0")
        .unwrap();
    // Nothing of the tree changes.
    store.release(7).unwrap();
    let other = store.introduce(7);
    assert_eq!(store.commit(socket, transaction), Err(StoreError::Again));
    assert_eq!(store.read(other, "/a"), ACCESS);
}
