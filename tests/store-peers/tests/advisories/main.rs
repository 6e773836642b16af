//! What once broke a xenstore server, each as a test over rings: the rows of the table in `docs/store.md`.
//!
//! A test runs on this project's store, and on the stock ones where they have the fix too: that shows that the test tests what
//! it says. `STORE_ITERATIONS` sets how often the tests about leaks do what leaked; `make bench` uses a million.

mod lengths;
mod memory;
mod permissions;
mod reuse;
mod rings;
mod starvation;
mod transactions;

use anyhow::{Context as _, Result, ensure};
use store_peers::{Scene, StoreKind};

/// Both stock stores have the fix.
const BOTH: &[StoreKind] = &[StoreKind::C, StoreKind::OCaml];
/// C xenstored has the fix; oxenstored never had the problem, or solves it in a way that clients see.
const ONLY_C: &[StoreKind] = &[StoreKind::C];

/// Runs a test on this project's store, then on the stock ones that are named.
fn on(stock: &[StoreKind], test: impl Fn(&mut Scene) -> Result<()>) {
    for &kind in [StoreKind::Guard].iter().chain(stock) {
        let result = Scene::new(kind).and_then(|mut scene| {
            test(&mut scene)?;
            ensure!(scene.store.runs(), "the store ended: {}", scene.store.log());
            scene.settle().context("the store does not answer any more")
        });
        if let Err(error) = result {
            panic!("{kind}: {error:#}");
        }
    }
}

/// How often to do what once leaked.
fn iterations(scene: &Scene) -> u32 {
    let wanted = std::env::var("STORE_ITERATIONS")
        .ok()
        .and_then(|text| text.parse().ok());
    match scene.store.kind() {
        StoreKind::Guard => wanted.unwrap_or(20_000),
        // They are not what is tested.
        _ => 2_000,
    }
}

/// Asserts that the store holds at most `more_kib` more than `before_kib`.
fn assert_memory(scene: &Scene, before_kib: u64, more_kib: u64) -> Result<()> {
    let now = scene.resident_kib()?;
    ensure!(
        now <= before_kib + more_kib,
        "memory grew from {before_kib} to {now} KiB"
    );
    Ok(())
}
