//! Xen's own test of a store: tools/tests/xenstore/test-xenstore.c, from Debian's xen-utils.

use anyhow::{Result, ensure};
use store_peers::{Scene, StoreKind};
use testbed::Assets;

use crate::say;

/// Its tests, by the names that it prints, each followed by how long it took.
const TESTS: [&str; 12] = [
    "read 1",
    "read 2000",
    "write 1",
    "write 2000",
    "dir",
    "rm node",
    "rm dir",
    "ta empty",
    "ta empty x",
    "ta rmw",
    "ta rmw x",
    "ta err",
];

#[test]
fn xens_own_test_passes_twelve_of_twelve() -> Result<()> {
    let program = Assets::load()?.stock_store.servers.join("test-xenstore");
    for kind in StoreKind::ALL {
        let mut scene = Scene::new(kind)?;
        let said = say(&scene, &program, &["--iterations", "20"])?;
        let passed: Vec<_> = said
            .out
            .lines()
            .filter(|line| line.contains(" ns"))
            .filter_map(|line| Some(line.split_once(':')?.0.trim()))
            .collect();
        ensure!(said.status == Some(0) && passed == TESTS, "{kind}: {said:#?}");
        ensure!(said.error.is_empty(), "{kind}: {said:#?}");
        // It cleans up after itself.
        let left = scene.builder.directory(0, "/local/domain/0/xenstore-test")?;
        ensure!(left.is_refused("ENOENT"), "{kind}: {left:?}");
    }
    Ok(())
}

#[test]
fn xens_own_test_passes_in_any_order() -> Result<()> {
    let program = Assets::load()?.stock_store.servers.join("test-xenstore");
    let scene = Scene::new(StoreKind::Guard)?;
    let said = say(&scene, &program, &["--random", "1"])?;
    ensure!(said.status == Some(0) && said.error.is_empty(), "{said:#?}");
    Ok(())
}
