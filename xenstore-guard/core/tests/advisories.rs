//! What went wrong in other stores, as far as the core by itself can show it. Each test is named after the advisory
//! (xenbits.xen.org/xsa).
#![expect(clippy::octal_escapes, reason = "numbers between NULs, as they travel")]

mod store;

use store::{Message, Store};
use xen::store::wire::{HEADER_BYTES, Header};
use xenstore_guard_core::{ConnectionId, DomId, Operation, Peer, ProtocolError, StoreError};

const ACCESS: Result<String, StoreError> = Err(StoreError::Access);

fn ok() -> Result<String, StoreError> {
    Ok("OK".into())
}

/// All bytes that a domain is charged with.
fn charged(store: &mut Store, domid: u16) -> usize {
    let line = store.usage(domid);
    let bytes = line.split([' ', ',']).collect::<Vec<_>>();
    let each = bytes.windows(2).filter(|pair| pair[1] == "B");
    each.map(|pair| pair[0].parse::<usize>().unwrap()).sum()
}

#[test]
fn xsa_38_and_420_a_length_that_cannot_be_kills_the_connection_only() {
    for length in [4097, 0x4000_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff] {
        let mut store = Store::default();
        let guest = store.domain(7);
        let header = Header {
            operation: Operation::Write as u32,
            length,
            ..Header::default()
        };
        let received = store.server.receive(guest, &header.encode());
        assert_eq!(received, Err(ProtocolError::TooLong(length)));
        assert_eq!(store.server.input_room(guest), 0);
        assert_eq!(store.server.receive(guest, b"x"), Err(ProtocolError::NoConnection));
        // Whatever random bytes are behind it, all others are served.
        let other = store.domain(8);
        assert_eq!(store.write(other, "data", "x"), ok());
    }
}

#[test]
fn xsa_72_a_listing_that_does_not_fit_is_refused_and_comes_in_parts() {
    let mut store = Store::default();
    let guest = store.domain(7);
    for number in 0..900 {
        store.write(guest, &format!("d/child-{number}"), "").unwrap();
    }
    assert_eq!(store.list(guest, "d"), Err(StoreError::TooBig));
    let mut offset = 0;
    let mut count = 0;
    loop {
        store.send(guest, Operation::DirectoryPart, 0, format!("d\0{offset}\0").as_bytes());
        assert!(store.process(guest));
        let got = store.take(guest);
        let [Message::Answer(_, bytes)] = got.as_slice() else {
            panic!("refused");
        };
        let generation = bytes.iter().position(|&byte| byte == 0).unwrap();
        let names = &bytes[generation + 1..];
        count += names.split(|&byte| byte == 0).filter(|name| !name.is_empty()).count();
        if names.ends_with(b"\0\0") || names == b"\0" {
            break;
        }
        offset += names.len();
    }
    assert_eq!(count, 900);
}

#[test]
fn xsa_115_nobody_learns_of_what_it_cannot_read() {
    let mut store = Store::default();
    let guest = store.domain(7);
    let other = store.domain(8);
    for path in [
        "/local/domain/7",
        "/local/domain/7/data",
        "/",
        "@introduceDomain",
        "@releaseDomain",
    ] {
        store.send(other, Operation::Watch, 0, format!("{path}\0token\0").as_bytes());
        assert!(store.process(other));
        let first = [
            Message::Answer(Operation::Watch, b"OK\0".to_vec()),
            Message::Event(path.into(), "token".into()),
        ];
        assert_eq!(store.take(other), first);
    }
    store.write(guest, "data", "x").unwrap();
    store.permit(guest, "data", "n7").unwrap();
    store.remove(guest, "data").unwrap();
    store.introduce(9);
    store.release(9).unwrap();
    let socket = store.socket;
    store.remove(socket, "/local/domain/7").unwrap();
    assert!(store.events(other).is_empty());
    assert_eq!(store.ask(other, Operation::IsDomainIntroduced, "7\0"), ACCESS);
}

#[test]
fn xsa_206_a_guest_that_writes_all_the_time_cannot_keep_a_builder_from_finishing() {
    let mut store = Store::default();
    let socket = store.socket;
    let guest = store.domain(7);
    let mut failures = 0;
    loop {
        let transaction = store.begin(socket);
        // The guest's value is read, and the guest changes it each time before the commit, if it may.
        let _ = store.within(socket, transaction, Operation::Read, "/local/domain/7/data\0");
        store
            .within(socket, transaction, Operation::Write, "/result\0x")
            .unwrap();
        if !store.server.has_request(guest) {
            store.send(guest, Operation::Write, 0, format!("data\0{failures}").as_bytes());
        }
        let wrote = store.process(guest);
        if wrote {
            store.take(guest);
        } else {
            // It waits, but reads of others and other guests do not.
            assert!(store.server.wake_at().is_some());
        }
        if store.commit(socket, transaction) == ok() {
            assert!(!wrote);
            break;
        }
        failures += 1;
        assert!(failures <= 3, "the builder starves");
    }
    // Then the guest's turn comes.
    assert!(store.process(guest));
    assert_eq!(store.server.wake_at(), None);
}

#[test]
fn xsa_206_a_builder_that_never_ends_does_not_hold_a_guest_up_for_long() {
    let mut store = Store::default();
    let socket = store.socket;
    let guest = store.domain(7);
    for number in 0..4 {
        let transaction = store.begin(socket);
        let _ = store.within(socket, transaction, Operation::Read, "/local/domain/7/data\0");
        store
            .within(socket, transaction, Operation::Write, "/result\0x")
            .unwrap();
        if number < 3 {
            store.write(guest, "data", &number.to_string()).unwrap();
            assert_eq!(store.commit(socket, transaction), Err(StoreError::Again));
        }
    }
    store.send(guest, Operation::Write, 0, b"data\0x");
    assert!(!store.server.has_request(guest));
    let until = store.server.wake_at().unwrap();
    assert!(until <= 200_000_000);
    store.host.now.set(until);
    store.server.advance(until);
    assert!(store.server.has_request(guest));
    assert!(store.process(guest));
}

#[test]
fn xsa_322_and_417_permissions_of_a_dead_domain_do_not_pass_to_the_next_one_of_its_number() {
    let mut store = Store::default();
    let socket = store.socket;
    let giver = store.domain(8);
    store.domain(7);
    store.write(giver, "gift", "secret").unwrap();
    store.permit(giver, "gift", "n8 b7").unwrap();
    store.write(socket, "/shared", "secret").unwrap();
    store.permit(socket, "/shared", "n0 r7").unwrap();
    // Said by a guest before there is such a domain.
    store.write(giver, "early", "secret").unwrap();
    store.permit(giver, "early", "n8 b9").unwrap();
    store.release(7).unwrap();
    let heir = store.domain(7);
    assert_eq!(store.read(heir, "/local/domain/8/gift"), ACCESS);
    assert_eq!(store.write(heir, "/local/domain/8/gift", "x"), ACCESS);
    assert_eq!(store.read(heir, "/shared"), ACCESS);
    let late = store.domain(9);
    assert_eq!(store.read(late, "/local/domain/8/early"), ACCESS);
    // Said again, it holds.
    store.permit(giver, "early", "n8 r9").unwrap();
    assert_eq!(store.read(late, "/local/domain/8/early"), Ok("secret".into()));
    store.check();
}

#[test]
fn xsa_323_a_long_relative_path_is_the_same_node_by_its_absolute_path() {
    let mut store = Store::default();
    let guest = store.domain(7);
    let relative = "a".repeat(1020);
    store.write(guest, &relative, "value").unwrap();
    assert_eq!(
        store.read(guest, &format!("/local/domain/7/{relative}")),
        Ok("value".into())
    );
    let longest = "b".repeat(2048);
    store.write(guest, &longest, "value").unwrap();
    assert_eq!(
        store.read(guest, &format!("/local/domain/7/{longest}")),
        Ok("value".into())
    );
    assert_eq!(store.write(guest, &(longest + "b"), "value"), Err(StoreError::Invalid));
}

#[test]
fn xsa_324_an_event_that_does_not_fit_is_not_sent() {
    let mut store = Store::default();
    let guest = store.domain(7);
    let token = "t".repeat(4000);
    store.watch(guest, "a", &token).unwrap();
    store.take(guest);
    store.write(guest, &format!("a/{}", "b".repeat(200)), "x").unwrap();
    assert!(store.events(guest).is_empty());
    // A shorter one does fit.
    store.send(guest, Operation::Write, 0, b"a/b\0x");
    store.process(guest);
    assert_eq!(store.take(guest).len(), 2);
}

#[test]
fn xsa_325_a_domain_whose_ring_failed_stays_known_until_it_ends() {
    let mut store = Store::default();
    let socket = store.socket;
    let guest = store.domain(7);
    store.watch(socket, "@releaseDomain", "token").unwrap();
    store.take(socket);
    store.server.ring_failed(guest);
    assert_eq!(store.must(Operation::IsDomainIntroduced, "7\0"), "T");
    store.server.domain_died(DomId(7), &mut store.host);
    assert_eq!(store.events(socket), ["@releaseDomain token"]);
    store.send(socket, Operation::Release, 0, b"7\0");
    assert!(store.process(socket));
    let released = [
        Message::Event("@releaseDomain".into(), "token".into()),
        Message::Answer(Operation::Release, b"OK\0".to_vec()),
    ];
    assert_eq!(store.take(socket), released);
    store.check();
}

/// Sends a request of a client that never takes answers; whether it was served.
fn push(store: &mut Store, id: ConnectionId, operation: Operation, transaction: u32, payload: &[u8]) -> bool {
    if store.server.input_room(id) < HEADER_BYTES + payload.len() {
        return false;
    }
    store.send(id, operation, transaction, payload);
    store.process(id)
}

#[test]
fn xsa_326_answers_that_nobody_takes_are_bounded() {
    let mut store = Store::default();
    let guest = store.domain(7);
    store.must(Operation::SetQuota, "7\0node-size\05000\0");
    store.write(guest, "big", &"x".repeat(4000)).unwrap();
    let mut served = 0;
    while push(&mut store, guest, Operation::Read, 0, b"big\0") {
        served += 1;
        assert!(served <= 20, "more than the quota of outstanding answers");
    }
    assert_eq!(served, 20);
    assert!(!store.server.has_request(guest));
    assert!(charged(&mut store, 7) < 20 * 4200 + 8192);
    // Taking them lets it go on.
    assert_eq!(store.take(guest).len(), 20);
    assert!(store.server.input_room(guest) > 0);
    assert_eq!(store.write(guest, "other", "x"), ok());
}

#[test]
fn xsa_326_events_that_nobody_takes_are_bounded() {
    let mut store = Store::default();
    let guest = store.domain(7);
    store.watch(guest, "/local/domain/7", &"t".repeat(1000)).unwrap();
    store.must(Operation::SetQuota, "7\0nodes\0100000\0");
    for number in 0..20_000 {
        store.must(Operation::Write, &format!("/local/domain/7/{}\0x", number % 5000));
        store.must(Operation::Rm, &format!("/local/domain/7/{}\0", number % 5000));
    }
    let charged = charged(&mut store, 7);
    assert!(charged < 2_700_000, "{charged}");
    assert!(store.server.output(guest).len() <= 2_600_000);
    store.check();
}

#[test]
fn a_transaction_that_lost_its_copy_and_what_it_read_fails() {
    let mut store = Store::default();
    let socket = store.socket;
    let guest = store.domain(7);
    store.write(guest, "data", "1").unwrap();
    let transaction = store.begin(guest);
    assert_eq!(
        store.within(guest, transaction, Operation::Read, "data\0"),
        Ok("1".into())
    );
    store.write(guest, "data", "2").unwrap();
    let other = store.begin(guest);
    let value = "x".repeat(1000);
    for number in 0..10_000 {
        // So that there is always a copy that keeps what is written over.
        let short = store.begin(socket);
        store.write(socket, "/churn", &format!("{value}{number}")).unwrap();
        store.commit(socket, short).unwrap();
    }
    // It sees the tree as it is, and cannot be committed.
    assert_eq!(
        store.within(guest, transaction, Operation::Read, "data\0"),
        Ok("2".into())
    );
    store.within(guest, transaction, Operation::Write, "result\0x").unwrap();
    assert_eq!(store.commit(guest, transaction), Err(StoreError::Again));
    assert_eq!(store.commit(guest, other), ok());
}

#[test]
fn xsa_349_the_same_event_waits_once() {
    let mut store = Store::default();
    let guest = store.domain(7);
    store.watch(guest, "data", "token").unwrap();
    for number in 0..10_000 {
        store.must(Operation::Write, &format!("/local/domain/7/data\0{number}"));
    }
    assert_eq!(store.events(guest), ["data token"]);
}

#[test]
fn xsa_352_an_owner_cannot_give_a_node_away() {
    let mut store = Store::default();
    let guest = store.domain(7);
    store.domain(8);
    store.write(guest, "data", "x").unwrap();
    assert_eq!(store.permit(guest, "data", "n8"), Err(StoreError::NotPermitted));
    assert_eq!(store.permit(guest, "data", "n0 b7"), Err(StoreError::NotPermitted));
    assert_eq!(store.permissions(guest, "data"), Ok("n7".into()));
    store.check();
}

#[test]
fn xsa_353_the_root_is_checked_like_any_node() {
    let mut store = Store::default();
    let guest = store.domain(7);
    assert_eq!(store.permit(guest, "/", "b7"), ACCESS);
    assert_eq!(store.write(guest, "/", "x"), ACCESS);
    assert_eq!(store.write(guest, "/new", "x"), ACCESS);
    assert_eq!(store.remove(guest, "/"), ACCESS);
    assert_eq!(store.list(guest, "/"), Err(StoreError::Access));
}

#[test]
fn xsa_414_415_and_421_what_fails_leaves_tree_and_quota_as_they_were() {
    let mut store = Store::default();
    let guest = store.domain(7);
    store.must(Operation::SetQuota, "7\0nodes\05\0");
    store.write(guest, "a", "x").unwrap();
    let before = (store.server.state().nodes, store.usage(7));
    // The first nodes of it would fit.
    assert_eq!(store.write(guest, "b/c/d/e/f", "x"), Err(StoreError::NoSpace));
    let unpermitted: Vec<String> = (0..6).map(|domid| format!("r{domid}")).collect();
    assert_eq!(
        store.permit(guest, "a", &unpermitted.join(" ")),
        Err(StoreError::NoSpace)
    );
    assert_eq!(store.write(guest, "a", &"x".repeat(3000)), Err(StoreError::NoSpace));
    assert_eq!((store.server.state().nodes, store.usage(7)), before);
    // In a transaction: made and removed in it, and one that is refused within.
    let transaction = store.begin(guest);
    store.within(guest, transaction, Operation::Write, "new\0x").unwrap();
    store.within(guest, transaction, Operation::Rm, "new\0").unwrap();
    store.within(guest, transaction, Operation::Rm, "a\0").unwrap();
    let refused = store.within(guest, transaction, Operation::Write, "b/c/d/e/f\0x");
    assert_eq!(refused, Err(StoreError::NoSpace));
    assert_eq!(store.commit(guest, transaction), ok());
    assert_eq!(store.list(guest, "/local/domain/7"), Ok(vec![]));
    store.check();
    // A conflict leaves nothing of the transaction.
    store.write(guest, "a", "1").unwrap();
    let transaction = store.begin(guest);
    store.within(guest, transaction, Operation::Write, "early\0x").unwrap();
    store.within(guest, transaction, Operation::Read, "a\0").unwrap();
    store.write(guest, "a", "2").unwrap();
    let before = store.server.state().nodes;
    assert_eq!(store.commit(guest, transaction), Err(StoreError::Again));
    assert_eq!(store.server.state().nodes, before);
    store.check();
}

#[test]
fn xsa_418_a_thousand_levels_are_made_listed_and_removed() {
    let work = || {
        let mut store = Store::default();
        let guest = store.domain(7);
        store.must(Operation::SetQuota, "7\0nodes\02000\0");
        let deep = ["a"; 1000].join("/");
        assert_eq!(store.write(guest, &deep, "x"), ok());
        assert_eq!(store.list(guest, &deep[..1997]), Ok(vec!["a".into()]));
        store.watch(guest, &deep, "token").unwrap();
        let transaction = store.begin(guest);
        store
            .within(guest, transaction, Operation::Write, &format!("{deep}\0y"))
            .unwrap();
        store.commit(guest, transaction).unwrap();
        store.check();
        assert_eq!(store.server.state().nodes.len(), 1000 + 8);
        assert_eq!(store.remove(guest, "a"), ok());
        assert_eq!(store.write(guest, &deep, "x"), ok());
        store.release(7).unwrap();
        store.check();
    };
    // So little stack that recursion would not do.
    let thread = std::thread::Builder::new().stack_size(128 * 1024);
    thread.spawn(work).unwrap().join().unwrap();
}

#[test]
fn xsa_419_a_dead_domains_nodes_go_wherever_they_are() {
    let mut store = Store::default();
    let socket = store.socket;
    let guest = store.domain(7);
    store.domain(8);
    store.make(socket, "/shared").unwrap();
    store.permit(socket, "/shared", "b0").unwrap();
    store.write(guest, "/shared/a/b", "x").unwrap();
    store.permit(socket, "/shared/a/b", "n8").unwrap();
    store.write(socket, "/shared/kept", "x").unwrap();
    store.watch(socket, "/shared/a", "token").unwrap();
    store.take(socket);
    store.send(socket, Operation::Release, 0, b"7\0");
    store.process(socket);
    assert!(
        store
            .take(socket)
            .contains(&Message::Event("/shared/a".into(), "token".into()))
    );
    assert_eq!(store.list(socket, "/shared"), Ok(vec!["kept".into()]));
    assert_eq!(store.read(socket, "/local/domain/7"), Err(StoreError::NotFound));
    assert_eq!(store.usage(7), "");
    store.check();
}

#[test]
fn what_cannot_be_removed_is_domain_0s_once_its_owner_is_gone() {
    let mut store = Store::default();
    let socket = store.socket;
    store.domain(7);
    let other = store.domain(8);
    store.permit(socket, "/", "r7 b8").unwrap();
    store.permit(socket, "@releaseDomain", "r7 b8").unwrap();
    store.release(7).unwrap();
    assert_eq!(store.permissions(socket, "/"), Ok("n0".into()));
    assert_eq!(store.permissions(socket, "@releaseDomain"), Ok("n0".into()));
    assert_eq!(store.read(other, "/"), ACCESS);
    store.check();
}

#[test]
fn xsa_425_a_domain_is_released_whatever_it_has_under_way() {
    let mut store = Store::default();
    let guest = store.domain(7);
    store.watch(guest, "data", "token").unwrap();
    store.begin(guest);
    store.write(guest, "data", "x").unwrap();
    store.must(Operation::Write, "/local/domain/7/data\0y");
    store.send(guest, Operation::Read, 0, b"data\0");
    store.server.receive(guest, &[1, 0, 0]).unwrap();
    store.release(7).unwrap();
    assert!(!store.process(guest));
    assert!(store.server.output(guest).is_empty());
    let guest = store.domain(7);
    assert_eq!(store.write(guest, "data", "x"), ok());
    store.check();
}

#[test]
fn xsa_484_watches_are_reset_within_a_transaction_and_a_new_one_can_begin() {
    let mut store = Store::default();
    let guest = store.domain(7);
    let transaction = store.begin(guest);
    store.within(guest, transaction, Operation::Write, "data\0x").unwrap();
    assert_eq!(store.within(guest, transaction, Operation::ResetWatches, "\0"), ok());
    assert_eq!(store.commit(guest, transaction), Err(StoreError::NotFound));
    let transaction = store.begin(guest);
    store.within(guest, transaction, Operation::Write, "data\0y").unwrap();
    assert_eq!(store.commit(guest, transaction), ok());
    assert_eq!(store.read(guest, "data"), Ok("y".into()));
    store.check();
}

#[test]
fn xsa_440_nodes_that_are_removed_twice_are_charged_once() {
    let mut store = Store::default();
    let guest = store.domain(7);
    for _ in 0..100 {
        store.write(guest, "a/b", "x").unwrap();
        let transaction = store.begin(guest);
        store.within(guest, transaction, Operation::Rm, "a\0").unwrap();
        store.remove(guest, "a/b").unwrap();
        store.remove(guest, "a").unwrap();
        store.commit(guest, transaction).unwrap();
        store.check();
    }
    let usage = store.usage(7);
    assert!(usage.contains(": 1 nodes"), "{usage}");
}

#[test]
fn xsa_483_a_number_that_is_used_again_begins_with_nothing_charged() {
    let mut store = Store::default();
    let socket = store.socket;
    store.make(socket, "/shared").unwrap();
    store.permit(socket, "/shared", "b0").unwrap();
    let mut first = None;
    for _ in 0..100 {
        let guest = store.domain(7);
        let begins_with = store.usage(7);
        assert_eq!(*first.get_or_insert_with(|| begins_with.clone()), begins_with);
        let mut number = 0;
        while store.write(guest, &format!("/shared/{number}"), "x") == ok() {
            number += 1;
        }
        assert_eq!(number, 999);
        store.watch(guest, "data", "token").unwrap();
        let transaction = store.begin(guest);
        store.within(guest, transaction, Operation::Rm, "/shared/0\0").unwrap();
        store.release(7).unwrap();
        store.host.journal.clear();
    }
    store.check();
}

#[test]
fn xsa_481_a_path_that_ends_in_a_slash_is_none() {
    let mut store = Store::default();
    let guest = store.domain(7);
    let other = store.server.connect(Peer::Socket).unwrap();
    for path in [
        "/local/domain/",
        "/local/domain/7/",
        "/local/domain/99999/",
        "/local/domain//",
        "//",
    ] {
        for id in [guest, other] {
            assert_eq!(store.read(id, path), Err(StoreError::Invalid), "{path}");
            assert_eq!(store.write(id, path, "x"), Err(StoreError::Invalid), "{path}");
            assert_eq!(store.watch(id, path, "token"), Err(StoreError::Invalid), "{path}");
        }
    }
}
