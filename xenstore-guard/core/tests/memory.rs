//! Memory that clients can make the store take, as the system counts it: one test after the other.

mod store;

use std::sync::{Mutex, MutexGuard, PoisonError};

use store::Store;
use xenstore_guard_core::{Operation, StoreError};

fn ok() -> Result<String, StoreError> {
    Ok("OK".into())
}

/// A million with optimisation; without, what takes some seconds.
const ROUNDS: usize = if cfg!(debug_assertions) { 60_000 } else { 1_000_000 };

/// Keeps the other tests of this program out.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// KiB of memory that this process has.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().trim().parse().unwrap()
}

/// All bytes that a domain is charged with.
fn charged(store: &mut Store, domid: u16) -> usize {
    let line = store.usage(domid);
    let bytes = line.split([' ', ',']).collect::<Vec<_>>();
    let each = bytes.windows(2).filter(|pair| pair[1] == "B");
    each.map(|pair| pair[0].parse::<usize>().unwrap()).sum()
}

#[test]
fn xsa_416_transactions_are_bounded() {
    let _alone = alone();
    let mut store = Store::default();
    store.host.forgets_changes = true;
    let guest = store.domain(7);
    let before = resident();
    let value = "x".repeat(2000);
    let mut refused = 0;
    for _ in 0..10 {
        let transaction = store.begin(guest);
        for number in 0..1100 {
            let payload = format!("{}\0{value}", number % 400);
            match store.within(guest, transaction, Operation::Write, &payload) {
                Ok(_) => {}
                Err(error) => {
                    assert_eq!(error, StoreError::NoSpace);
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 0);
    let eleventh = store.ask(guest, Operation::TransactionStart, "\0");
    assert_eq!(eleventh, Err(StoreError::NoSpace));
    assert!(charged(&mut store, 7) < 2_700_000);
    assert!(resident() - before < 20_000, "{} KiB more", resident() - before);
    store.check();
}

#[test]
fn xsa_416_what_transactions_keep_of_the_past_is_bounded() {
    let _alone = alone();
    let mut store = Store::default();
    store.host.forgets_changes = true;
    let socket = store.socket;
    let guests: Vec<_> = (1..20).map(|domid| store.domain(domid)).collect();
    let before = resident();
    let value = "x".repeat(4000);
    for round in 0..400 {
        // An old copy for each, of a tree that changes all the time.
        let guest = guests[round % guests.len()];
        if round < guests.len() * 10 {
            let transaction = store.begin(guest);
            store.within(guest, transaction, Operation::Write, "a\0x").unwrap();
        }
        for number in 0..100 {
            store.write(socket, &format!("/churn/{number}"), &value).unwrap();
        }
    }
    assert!(resident() - before < 40_000, "{} KiB more", resident() - before);
    // They go on and end all the same, though the tree is another.
    for &guest in &guests {
        assert_eq!(store.within(guest, 1, Operation::Write, "b\0x"), ok());
        assert_eq!(store.commit(guest, 1), ok());
        assert_eq!(store.read(guest, "a"), Ok("x".into()));
        assert_eq!(store.read(guest, "b"), Ok("x".into()));
    }
    store.check();
}

#[test]
fn xsa_330_and_512_watches_that_come_and_go_leave_nothing() {
    let _alone = alone();
    let mut store = Store::default();
    store.host.forgets_changes = true;
    let guest = store.domain(7);
    let mut used = None;
    let mut before = 0;
    for number in 0..ROUNDS {
        store.watch(guest, &format!("a/b/{}", number % 9), "token").unwrap();
        let transaction = if number % 10 == 0 { store.begin(guest) } else { 0 };
        if number % 3 == 0 {
            store
                .ask_within(guest, transaction, Operation::ResetWatches, b"\0")
                .unwrap();
        } else {
            let payload = format!("a/b/{}\0token\0", number % 9);
            store.ask(guest, Operation::Unwatch, &payload).unwrap();
        }
        if number % 3 == 0 && number > 0 && number % 1000 == 0 {
            let now = store.usage(7);
            assert_eq!(*used.get_or_insert_with(|| now.clone()), now);
        }
        if number == ROUNDS / 2 {
            before = resident();
        }
        if transaction != 0 && number % 3 != 0 {
            store.commit(guest, transaction).unwrap();
        }
    }
    assert!(resident() <= before + 512, "{} KiB more", resident() - before);
    store.check();
}
