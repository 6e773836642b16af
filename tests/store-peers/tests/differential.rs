//! The same random requests to this project's store, C xenstored and oxenstored.
//!
//! `STORE_SEQUENCES` sets how many sequences are tried.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use store_peers::StoreKind;
use store_peers::differential::{Action, Player, actions, compare, transactions_apart};

/// Steps in a sequence, about.
const STEPS: usize = 60;

fn sequences() -> u32 {
    let wanted = std::env::var("STORE_SEQUENCES").ok().and_then(|text| text.parse().ok());
    wanted.unwrap_or(60)
}

/// Does the same on two stores; `strict` compares each step, else only what is there at the end.
fn differ(stock: StoreKind, actions: &[Action], strict: bool) -> Result<()> {
    let mut ours = Player::start(StoreKind::Guard)?;
    let mut theirs = Player::start(stock)?;
    for (index, action) in actions.iter().enumerate() {
        let (seen, wanted) = (ours.step(action)?, theirs.step(action)?);
        if strict {
            let known = compare(stock, action, &seen, &wanted);
            ensure!(known.is_ok(), "step {index}: {:?}", known.err());
        }
    }
    let (seen, wanted) = (ours.tree()?, theirs.tree()?);
    let differing: BTreeMap<_, _> = seen
        .keys()
        .chain(wanted.keys())
        .filter(|path| seen.get(*path) != wanted.get(*path))
        .map(|path| (path, (seen.get(path), wanted.get(path))))
        .collect();
    ensure!(differing.is_empty(), "at the end: {differing:#?}");
    ensure!(ours.release_guests()? == theirs.release_guests()?);
    Ok(())
}

fn try_many(stock: StoreKind, strategy: impl Strategy<Value = Vec<Action>>, strict: bool) {
    let config = Config {
        cases: sequences(),
        max_shrink_iters: 300,
        failure_persistence: None,
        ..Config::default()
    };
    let tried = TestRunner::new(config).run(&strategy, |actions| {
        differ(stock, &actions, strict).map_err(|error| TestCaseError::fail(format!("{stock}: {error:#}")))
    });
    if let Err(error) = tried {
        panic!("{error}");
    }
}

#[test]
fn c_xenstored_answers_the_same() {
    try_many(StoreKind::C, transactions_apart(STEPS), true);
}

#[test]
fn oxenstored_answers_the_same() {
    try_many(StoreKind::OCaml, transactions_apart(STEPS), true);
}

#[test]
fn c_xenstored_ends_with_the_same_tree_after_transactions_that_met() {
    try_many(StoreKind::C, actions(STEPS), false);
}

#[test]
fn oxenstored_ends_with_the_same_tree_after_transactions_that_met() {
    try_many(StoreKind::OCaml, actions(STEPS), false);
}
