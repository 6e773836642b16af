//! What is put into a box comes out of it.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;
use xen::DomId;
use xen::store::wire::{Access, Permission};

use super::memory::{Life, Memory};
use crate::Change;
use crate::quota::Quota;
use crate::recovery::item::{self, Item, Items};
use crate::recovery::replay::Replay;
use crate::recovery::{MIN_BOX_BYTES, Opened, Recovery, RecoveryBox, RecoveryError};
use crate::state::{ConnectionId, NodeState, Peer, PermissionState, State};
use crate::stream::Fields;

pub(super) fn empty() -> State {
    State {
        nodes: vec![NodeState {
            path: "/".to_string(),
            value: vec![],
            permissions: vec![entry(0)],
        }],
        domains: vec![],
        connections: vec![],
        quotas: Default::default(),
        generation: 1,
    }
}

fn entry(domid: u16) -> PermissionState {
    PermissionState {
        permission: Permission::new(DomId(domid), Access::READ),
        stale: false,
    }
}

fn connection(number: u32) -> ConnectionId {
    ConnectionId::from_number(number)
}

/// A change with what it borrows.
#[derive(Debug, Clone)]
enum Owned {
    Write(String, Vec<u8>, Vec<PermissionState>),
    Remove(String),
    Permissions(String, Vec<PermissionState>),
    Watch(u32, String, Vec<u8>, Option<u32>),
    Unwatch(u32, String, Vec<u8>),
    Assign(u16, String),
    Plain(Change<'static>),
}

impl Owned {
    fn change(&self) -> Change<'_> {
        match self {
            Self::Write(path, value, permissions) => Change::Write {
                path,
                value,
                permissions,
            },
            Self::Remove(path) => Change::Remove { path },
            Self::Permissions(path, permissions) => Change::Permissions { path, permissions },
            Self::Watch(number, path, token, depth) => Change::Watch {
                connection: connection(*number),
                path,
                token,
                depth: *depth,
            },
            Self::Unwatch(number, path, token) => Change::Unwatch {
                connection: connection(*number),
                path,
                token,
            },
            Self::Assign(domid, name) => Change::Assign {
                domid: DomId(*domid),
                name,
            },
            Self::Plain(change) => *change,
        }
    }
}

fn path() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["/a", "/a/b", "/a-b", "/a/b/c", "/a/bc", "@releaseDomain"]).prop_map(str::to_string)
}

fn permissions() -> impl Strategy<Value = Vec<PermissionState>> {
    let one = (any::<u16>(), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(domid, read, write, stale)| {
        PermissionState {
            permission: Permission::new(DomId(domid), Access { read, write }),
            stale,
        }
    });
    prop::collection::vec(one, 1..4)
}

fn changes() -> impl Strategy<Value = Owned> {
    let bytes = || prop::collection::vec(1..=255u8, 0..30);
    let number = || 1..4u32;
    let domid = || 0..5u16;
    let depth = || prop::option::of(0..9u32);
    let plain = (number(), domid(), any::<(u64, u32, u16, bool)>(), 0..14).prop_map(
        |(number, domid, (ring, port, target, flag), which)| {
            // Stands for none in a stream.
            let target = if target == 0x7ff4 { 0 } else { target };
            let (connection, domid) = (connection(number), DomId(domid));
            Owned::Plain(match which {
                0 => Change::Connect {
                    connection,
                    peer: Peer::Domain {
                        domid: DomId(u16::try_from(number).unwrap()),
                        ring,
                        port,
                    },
                },
                1 => Change::Disconnect { connection },
                2 => Change::Reset { connection },
                3 => Change::Ignore { connection },
                4 => Change::Known { domid },
                5 => Change::Introduce { domid, ring, port },
                6 => Change::Release { domid },
                7 => Change::Shutdown { domid, shutdown: flag },
                8 => Change::Target {
                    domid,
                    target: DomId(target),
                },
                9 => Change::TransactionOpen { connection, id: port },
                10 => Change::TransactionClosed { connection, id: port },
                11 => Change::Quota {
                    domid: flag.then_some(domid),
                    quota: Quota::ALL[usize::from(target) % Quota::ALL.len()],
                    value: port,
                },
                12 => Change::Features { domid, features: port },
                _ => Change::Disconnect { connection },
            })
        },
    );
    prop_oneof![
        3 => (path(), bytes(), permissions()).prop_map(|(path, value, list)| Owned::Write(path, value, list)),
        1 => path().prop_map(Owned::Remove),
        1 => (path(), permissions()).prop_map(|(path, list)| Owned::Permissions(path, list)),
        1 => (number(), path(), bytes(), depth()).prop_map(|(id, path, token, depth)| Owned::Watch(id, path, token, depth)),
        1 => (number(), path(), bytes()).prop_map(|(id, path, token)| Owned::Unwatch(id, path, token)),
        1 => (domid(), "[a-z]{1,9}").prop_map(|(domid, name)| Owned::Assign(domid, name)),
        4 => plain,
    ]
}

/// What a state is after changes, those left out that do not fit.
fn after(changes: &[Owned]) -> State {
    let mut replay = Replay::new(empty());
    for change in changes {
        let _ = replay.apply(&change.change());
    }
    replay.finish()
}

pub(super) fn open(memory: &Memory) -> Opened<Memory> {
    Recovery::open(memory.clone()).unwrap()
}

proptest! {
    #[test]
    fn items_come_back(changes in prop::collection::vec(changes(), 0..6), bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let id = connection(9);
        let rest = [
            Item::Reply { connection: id, end: 1 << 40, message: &bytes },
            Item::Input { connection: id, end: 7, bytes: &bytes },
            Item::Large { connection: id, begin: 5, end: None, message: &bytes },
            Item::Large { connection: id, begin: 5, end: Some(6), message: &bytes },
        ];
        let mut frame = Vec::new();
        let mut items = Items(&mut frame);
        for change in &changes {
            items.change(&change.change());
        }
        items.reply(id, 1 << 40, &bytes);
        items.input(id, 7, &bytes);
        items.large(id, 5, None, &bytes);
        items.large(id, 5, Some(6), &bytes);
        let expected = changes.iter().map(|change| Item::Change(change.change())).chain(rest);
        let mut fields = Fields::new(&frame);
        let mut list = Vec::new();
        for expected in expected {
            prop_assert_eq!(item::next(&mut fields, &mut list).unwrap(), Some(expected));
        }
        prop_assert_eq!(item::next(&mut fields, &mut list).unwrap(), None);
    }

    #[test]
    fn arbitrary_items_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let mut fields = Fields::new(&bytes);
        let mut list = Vec::new();
        while let Ok(Some(_)) = item::next(&mut fields, &mut list) {}
    }

    #[test]
    fn a_state_and_changes_come_back(changes in prop::collection::vec(changes(), 0..40)) {
        let memory = Memory::new(MIN_BOX_BYTES);
        let mut recovery = open(&memory).recovery;
        recovery.compact(empty()).unwrap();
        for change in &changes {
            recovery.journal(&change.change());
            recovery.commit().unwrap();
        }
        prop_assert_eq!(open(&memory).state.unwrap(), after(&changes));
    }

    /// Every frame is there as a whole, up to the last that was published, and one more at the most.
    #[test]
    fn a_crash_leaves_the_old_or_the_new(
        frames in prop::collection::vec(prop::collection::vec(changes(), 1..4), 1..8),
        compact_after in 0..8usize,
    ) {
        let mut crash_after = 0;
        loop {
            let life = Life::of(crash_after);
            let memory = Memory::new(MIN_BOX_BYTES);
            let mut recovery = open(&memory.with(&life)).recovery;
            let mut done = Vec::new();
            let mut acknowledged = 0;
            recovery.compact(empty()).unwrap();
            let started = life.is_alive();
            for (number, frame) in frames.iter().enumerate() {
                for change in frame {
                    recovery.journal(&change.change());
                    done.push(change.clone());
                }
                recovery.commit().unwrap();
                if life.is_alive() {
                    acknowledged = number + 1;
                }
                if number == compact_after {
                    recovery.compact(after(&done)).unwrap();
                }
            }
            let opened = open(&memory);
            match opened.state {
                Some(state) => {
                    let known: Vec<State> = (0..=frames.len()).map(|count| after(&frames[..count].concat())).collect();
                    let next = known.get(acknowledged + 1).unwrap_or(&known[acknowledged]);
                    prop_assert!(
                        state == known[acknowledged] || state == *next,
                        "after {} writes: {:?}", crash_after, state
                    );
                }
                None => prop_assert!(!started, "nothing is left after {} writes", crash_after),
            }
            // Changes that do not fit are no damage of the box.
            prop_assert!(opened.report.damages.iter().all(|damage| damage.what.contains("a change of")));
            if life.is_alive() {
                break;
            }
            crash_after += 1;
        }
    }

    #[test]
    fn arbitrary_boxes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..300), seed in any::<u64>()) {
        let memory = Memory::new(MIN_BOX_BYTES);
        let mut recovery = open(&memory).recovery;
        recovery.compact(empty()).unwrap();
        let mut at = usize::try_from(seed % MIN_BOX_BYTES as u64).unwrap();
        for byte in bytes {
            memory.bytes.borrow_mut()[at] = byte;
            at = (at * 5 + 7) % MIN_BOX_BYTES;
        }
        open(&memory);
    }
}

fn write<'a>(path: &'a str, value: &'a [u8], permissions: &'a [PermissionState]) -> Change<'a> {
    Change::Write {
        path,
        value,
        permissions,
    }
}

#[test]
fn every_scribble_shows_and_the_rest_is_there() {
    let memory = Memory::new(MIN_BOX_BYTES);
    let mut recovery = open(&memory).recovery;
    recovery.compact(empty()).unwrap();
    let list = [entry(0)];
    let paths: Vec<String> = (0..20).map(|number| format!("/node{number:02}")).collect();
    let mut states = vec![open(&memory).state.unwrap()];
    let mut ends = vec![MIN_BOX_BYTES - recovery.room()];
    for path in &paths {
        recovery.journal(&write(path, b"value", &list));
        recovery.commit().unwrap();
        states.push(open(&memory).state.unwrap());
        ends.push(MIN_BOX_BYTES - recovery.room());
    }
    let whole = states.last().unwrap();
    let used = recovery.layout_of_live();
    for at in (0..48).chain(used.clone()) {
        let copy = memory.copy();
        copy.bytes.borrow_mut()[at] ^= 0x41;
        let opened = open(&copy);
        let report = opened.report;
        if at >= used.start || at < 8 {
            assert!(!report.is_whole(), "byte {at:#x} is wrong");
        }
        match opened.state {
            Some(state) if report.is_whole() => assert_eq!(state, *whole, "byte {at:#x} is wrong"),
            // What is before the damage.
            Some(state) => assert!(states.contains(&state) || state.nodes.len() <= 1, "byte {at:#x}"),
            None => assert!(!report.damages.is_empty(), "byte {at:#x} is wrong"),
        }
        if at == used.end - 1 {
            assert_eq!(report.frames, paths.len() - 1);
            assert!(report.damages[0].to_string().contains("in the journal"), "{report:?}");
        }
    }
}

#[test]
fn the_older_state_is_taken_where_the_newer_is_damaged() {
    let memory = Memory::new(MIN_BOX_BYTES);
    let mut recovery = open(&memory).recovery;
    recovery.compact(empty()).unwrap();
    let list = [entry(0)];
    recovery.journal(&write("/a", b"1", &list));
    recovery.commit().unwrap();
    let before = open(&memory).state.unwrap();
    recovery.compact(before.clone()).unwrap();
    recovery.journal(&write("/b", b"2", &list));
    recovery.commit().unwrap();
    let live = recovery.layout_of_live();
    memory.bytes.borrow_mut()[live.start + 40] ^= 1;
    let opened = open(&memory);
    assert_eq!(opened.state, Some(before));
    assert_eq!(opened.report.generation, 1);
    assert!(opened.report.damages[0].to_string().contains("in the snapshot"));
}

#[test]
fn a_box_that_is_full_says_so_and_counts_what_it_misses() {
    let memory = Memory::new(MIN_BOX_BYTES);
    let mut recovery = open(&memory).recovery;
    let mut state = empty();
    recovery.compact(state.clone()).unwrap();
    let value = vec![7; 4000];
    let list = [entry(0)];
    let mut number = 0;
    let problem = loop {
        let path = format!("/node{number}");
        recovery.journal(&write(&path, &value, &list));
        state.nodes.push(NodeState {
            path,
            value: value.clone(),
            permissions: list.to_vec(),
        });
        number += 1;
        if recovery.commit().is_err()
            && let Err(problem) = recovery.compact(state.clone())
        {
            break problem;
        }
        assert!(number < 100);
    };
    assert!(matches!(problem, RecoveryError::NoRoom { area } if area < MIN_BOX_BYTES / 2));
    let opened = open(&memory);
    assert_eq!(opened.report.lost, 1);
    assert!(!opened.report.is_whole());
    assert_eq!(opened.state.unwrap().nodes.len(), number);
    // Once it fits again, nothing is missing.
    state.nodes.truncate(3);
    let mut tries = 0;
    while recovery.compact(state.clone()).is_err() {
        tries += 1;
    }
    assert!(tries < 3, "{tries}");
    let opened = open(&memory);
    assert!(opened.report.is_whole());
    assert_eq!(opened.state, Some(state));
}

#[test]
fn boxes_that_are_too_small_or_fresh() {
    let problem = Recovery::open(Memory::new(100)).unwrap_err();
    assert_eq!(
        problem.to_string(),
        "a recovery box of 100 bytes, expected at least 65536"
    );
    let opened = open(&Memory::new(MIN_BOX_BYTES));
    assert!(opened.state.is_none());
    assert!(opened.report.is_whole());
    let other = Memory::new(MIN_BOX_BYTES);
    other.bytes.borrow_mut().fill(0x55);
    let opened = open(&other);
    assert!(opened.state.is_none());
    assert!(
        opened.report.damages[0]
            .to_string()
            .starts_with("recovery box at byte 0x0: it begins with")
    );
}

#[test]
fn a_store_without_a_box_keeps_nothing() {
    let mut recovery = Recovery::without_box();
    recovery.compact(empty()).unwrap();
    recovery.journal(&write("/a", b"1", &[entry(0)]));
    assert_eq!(recovery.commit(), Ok(()));
    assert_eq!(recovery.memory().size(), 0);
}
