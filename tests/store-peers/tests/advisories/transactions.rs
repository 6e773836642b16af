//! Changes that fail half-way.

use anyhow::{Result, ensure};
use store_peers::Guest;
use xen::store::Operation;

use crate::{BOTH, ONLY_C, on};

/// Nodes of which C xenstored lets one node have as children.
const CHILDREN: u32 = 100;

/// Makes nodes below `top`, `count` of them or as many as may be made; how many, `top` included.
fn make_nodes(guest: &mut Guest, top: &str, count: u32) -> Result<u32> {
    let mut made = 0;
    while made < count {
        let path = match made {
            0 => top.to_owned(),
            _ if made % CHILDREN == 1 => format!("{top}/{made}"),
            _ => format!("{top}/{}/{made}", (made - 1) / CHILDREN * CHILDREN + 1),
        };
        let answer = guest.mkdir(0, &path)?;
        if answer.is_refused("ENOSPC") {
            break;
        }
        ensure!(answer.is_done(), "{path}: {answer:?}");
        made += 1;
    }
    Ok(made)
}

/// How many more nodes a domain may make; it makes them and removes them.
fn nodes_left(guest: &mut Guest) -> Result<u32> {
    let made = make_nodes(guest, "counted", 5000)?;
    ensure!(made < 5000, "no quota of nodes");
    ensure!(guest.rm(0, "counted")?.is_done());
    Ok(made)
}

#[test]
fn xsa_414_a_path_that_cannot_be_made_to_its_end_is_not_made_at_all() {
    on(ONLY_C, |scene| {
        let mut guest = scene.guest(7)?;
        let left = nodes_left(&mut guest)?;
        // All but two of the nodes; then a path of five.
        ensure!(make_nodes(&mut guest, "full", left - 2)? == left - 2);
        let answer = guest.write(0, "a/b/c/d/e", b"x")?;
        ensure!(answer.is_refused("ENOSPC"), "{answer:?}");
        ensure!(guest.read(0, "a")?.is_refused("ENOENT"), "a part of the path was made");
        ensure!(
            guest.write(0, "a/b", b"x")?.is_done(),
            "the quota was charged for what was not made"
        );
        ensure!(guest.rm(0, "a")?.is_done());
        ensure!(guest.rm(0, "full")?.is_done());
        ensure!(nodes_left(&mut guest)? == left);
        Ok(())
    });
}

#[test]
fn xsa_421_a_commit_that_meets_a_quota_changes_nothing() {
    on(ONLY_C, |scene| {
        let mut guest = scene.guest(7)?;
        let left = nodes_left(&mut guest)?;
        let transaction = guest.begin()?;
        for index in 0..10 {
            ensure!(guest.mkdir(transaction, &format!("in/{index}"))?.is_done());
        }
        ensure!(make_nodes(&mut guest, "out", left - 2)? == left - 2);
        let answer = guest.end(transaction, true)?;
        ensure!(!answer.is_done(), "{answer:?}");
        ensure!(guest.read(0, "in")?.is_refused("ENOENT"), "a part was committed");
        ensure!(guest.rm(0, "out")?.is_done());
        ensure!(nodes_left(&mut guest)? == left);
        Ok(())
    });
}

#[test]
fn xsa_415_a_transaction_given_up_leaves_tree_and_quota_as_they_were() {
    on(ONLY_C, |scene| {
        let mut guest = scene.guest(7)?;
        let left = nodes_left(&mut guest)?;
        for _ in 0..20 {
            let transaction = guest.begin()?;
            for index in 0..50 {
                ensure!(guest.mkdir(transaction, &format!("in/{index}"))?.is_done());
            }
            ensure!(guest.rm(transaction, "in/3")?.is_done());
            ensure!(guest.end(transaction, false)?.is_done());
            ensure!(guest.read(0, "in")?.is_refused("ENOENT"));
        }
        ensure!(nodes_left(&mut guest)? == left);
        Ok(())
    });
}

#[test]
fn xsa_440_a_node_removed_outside_and_inside_is_counted_once() {
    on(ONLY_C, |scene| {
        let mut guest = scene.guest(7)?;
        let left = nodes_left(&mut guest)?;
        for _ in 0..50 {
            ensure!(guest.mkdir(0, "data/a")?.is_done());
            let transaction = guest.begin()?;
            ensure!(guest.rm(transaction, "data/a")?.is_done());
            ensure!(guest.mkdir(transaction, "data/b")?.is_done());
            ensure!(guest.rm(0, "data")?.is_done());
            // Committed, or to be done again: the account has to be right either way.
            let _ = guest.end(transaction, true)?;
            let _ = guest.rm(0, "data")?;
        }
        let now = nodes_left(&mut guest)?;
        ensure!(now == left, "{now} nodes may be made, {left} before");
        Ok(())
    });
}

#[test]
fn xsa_484_reset_watches_within_a_transaction_leaves_transactions_usable() {
    on(BOTH, |scene| {
        let mut guest = scene.guest(7)?;
        for _ in 0..30 {
            ensure!(guest.watch("data", "token")?.is_done());
            let transaction = guest.begin()?;
            ensure!(guest.write(transaction, "data", b"x")?.is_done());
            // It drops the transactions of its caller, or is refused within one.
            let _ = guest.call(Operation::ResetWatches, transaction, b"\0")?;
            let _ = guest.end(transaction, false)?;
            let again = guest.begin()?;
            ensure!(guest.write(again, "data", b"y")?.is_done());
            ensure!(guest.end(again, true)?.is_done());
            ensure!(guest.read(0, "data")?.bytes()? == b"y");
            let _ = guest.call(Operation::ResetWatches, 0, b"\0")?;
        }
        Ok(())
    });
}
