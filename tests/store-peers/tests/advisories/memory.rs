//! What a domain can make a store keep.

use anyhow::{Result, ensure};
use store_peers::{Guest, Scene};
use xen::store::{Operation, wire};

use crate::{BOTH, ONLY_C, assert_memory, iterations, on};

/// What a store may keep for one domain: its quota of memory (2.5 MiB), and room for its allocator.
const ONE_DOMAIN_KIB: u64 = 6 * 1024;
/// The same where one buffer grows to all of the quota: it is twice as long as what is in it, and the shorter ones before it are
/// given back late.
const ONE_BUFFER_KIB: u64 = 16 * 1024;
/// What may be used anew where nothing is kept.
const NOTHING_KIB: u64 = 1024;

/// Does something once, then many times; memory may grow only the first time.
fn does_not_grow(scene: &mut Scene, mut step: impl FnMut(&mut Scene) -> Result<()>) -> Result<()> {
    for _ in 0..200 {
        step(scene)?;
    }
    let before = scene.resident_kib()?;
    for _ in 0..iterations(scene) / 10 {
        step(scene)?;
    }
    assert_memory(scene, before, NOTHING_KIB)
}

/// Sends requests without taking answers, until the store takes no more.
fn fill(guest: &mut Guest, request: &[u8], at_most: u32) -> Result<u32> {
    let mut sent = 0;
    let mut stuck = 0;
    while sent < at_most && stuck < 20 {
        let count = guest.link().put(request)?;
        guest.link().kick()?;
        if count == request.len() {
            sent += 1;
            stuck = 0;
        } else {
            // A part of a request is in the ring and stays there: nothing else may follow.
            stuck = 20;
        }
    }
    Ok(sent)
}

#[test]
fn xsa_326_answers_that_nobody_takes_are_bounded() {
    on(BOTH, |scene| {
        let before = scene.resident_kib()?;
        let value = vec![b'x'; 1900];
        for domid in 1..=8 {
            let mut guest = scene.guest(domid)?;
            ensure!(guest.write(0, "data", &value)?.is_done());
            let request = wire::message(Operation::Read, 1, 0, &[b"data\0"]);
            for _ in 0..iterations(scene) / 1000 {
                fill(&mut guest, &request, 1000)?;
                scene.settle()?;
            }
        }
        assert_memory(scene, before, 8 * ONE_DOMAIN_KIB)
    });
}

#[test]
fn xsa_326_events_that_nobody_takes_are_bounded() {
    on(ONLY_C, |scene| {
        let mut guest = scene.guest(7)?;
        let path = |index| format!("/local/domain/7/data/{}", index % 200);
        for index in 0..200 {
            ensure!(scene.builder.write(0, &path(index), b"x")?.is_done());
        }
        let token = "t".repeat(1000);
        for index in 0..50 {
            ensure!(guest.watch("data", &format!("{token}{index}"))?.is_done());
        }
        let before = scene.resident_kib()?;
        for index in 0..iterations(scene) {
            let answer = scene.builder.write(0, &path(index), b"x")?;
            ensure!(answer.is_done(), "{}: {answer:?}", path(index));
        }
        assert_memory(scene, before, ONE_BUFFER_KIB)
    });
}

#[test]
fn xsa_326_transactions_are_bounded() {
    on(ONLY_C, |scene| {
        let mut guest = scene.guest(7)?;
        let before = scene.resident_kib()?;
        let value = vec![b'x'; 1900];
        let mut open = Vec::new();
        loop {
            let answer = guest.call(Operation::TransactionStart, 0, b"\0")?;
            if answer.is_refused("EBUSY") || answer.is_refused("ENOSPC") {
                break;
            }
            open.push(
                String::from_utf8(answer.bytes()?)?
                    .trim_end_matches('\0')
                    .parse::<u32>()?,
            );
            ensure!(open.len() <= 100, "no quota of transactions");
        }
        let mut refused = 0;
        for &transaction in &open {
            for index in 0..1500 {
                if !guest.write(transaction, &format!("data/{index}"), &value)?.is_done() {
                    refused += 1;
                    break;
                }
            }
        }
        ensure!(
            refused == open.len(),
            "{refused} of {} transactions met a quota",
            open.len()
        );
        assert_memory(scene, before, ONE_DOMAIN_KIB * 8)
    });
}

#[test]
fn xsa_330_reset_watches_leaves_nothing() {
    on(BOTH, |scene| {
        let mut guest = scene.guest(7)?;
        let watch = |index: u8| (Operation::Watch, 0, format!("data/{index}\0token\0").into_bytes());
        let mut requests: Vec<_> = (0..9).map(watch).collect();
        requests.push((Operation::ResetWatches, 0, b"\0".to_vec()));
        does_not_grow(scene, move |_| {
            let answers = guest.calls(&requests)?;
            ensure!(answers.iter().all(store_peers::Answer::is_done), "{answers:?}");
            guest.take_events();
            Ok(())
        })
    });
}

#[test]
fn xsa_512_setting_and_removing_a_watch_leaves_nothing() {
    on(BOTH, |scene| {
        let mut guest = scene.guest(7)?;
        let payload = b"data/node\0token\0";
        let requests: Vec<_> = [Operation::Watch, Operation::Unwatch]
            .into_iter()
            .cycle()
            .take(10)
            .map(|operation| (operation, 0, payload.to_vec()))
            .collect();
        does_not_grow(scene, move |_| {
            let answers = guest.calls(&requests)?;
            ensure!(answers.iter().all(store_peers::Answer::is_done), "{answers:?}");
            guest.take_events();
            Ok(())
        })
    });
}

#[test]
fn xsa_349_the_same_event_again_and_again_is_kept_once() {
    on(ONLY_C, |scene| {
        let mut guest = scene.guest(7)?;
        ensure!(guest.watch("data", "token")?.is_done());
        ensure!(guest.write(0, "data", b"0")?.is_done());
        guest.take_events();
        let before = scene.resident_kib()?;
        for index in 0..iterations(scene) {
            ensure!(
                scene
                    .builder
                    .write(0, "/local/domain/7/data", &index.to_le_bytes())?
                    .is_done()
            );
        }
        assert_memory(scene, before, NOTHING_KIB)?;
        ensure!(guest.read(0, "data")?.is_done());
        let events = guest.take_events().len();
        // Those that were in the ring already, and one that waited.
        ensure!((1..=60).contains(&events), "{events} events");
        Ok(())
    });
}
