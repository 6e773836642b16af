//! A daemon that ends and starts again with `--state`: its domains do not notice.

use std::time::Duration;

use anyhow::{Result, ensure};
use store_peers::{Answer, Options, Scene, StoreKind};
use xen::DomId;
use xen::store::{Operation, wire};

fn with_state(scene: impl FnOnce(&mut Scene, &Options) -> Result<()>) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("state");
    let options = Options {
        arguments: vec!["--state".to_owned(), file.display().to_string()],
    };
    let mut store = Scene::with(StoreKind::Guard, &options)?;
    scene(&mut store, &options)?;
    ensure!(store.store.runs(), "the store ended: {}", store.store.log());
    Ok(())
}

fn restart(scene: &mut Scene, options: &Options) -> Result<()> {
    scene.store.restart(options)?;
    scene.builder = scene.socket_client()?;
    Ok(())
}

#[test]
fn nodes_permissions_watches_and_requests_in_flight_survive() -> Result<()> {
    with_state(|scene, options| {
        let mut guest = scene.guest(7)?;
        let mut other = scene.guest(8)?;
        ensure!(guest.write(0, "data", b"before")?.is_done());
        ensure!(guest.set_permissions(0, "data", "n7 r8")?.is_done());
        ensure!(guest.watch("data", "token")?.is_done());
        ensure!(
            guest.event(Duration::from_secs(5))?.is_some(),
            "the watch did not fire when it was set"
        );
        let transaction = other.begin()?;
        ensure!(other.write(transaction, "data", b"lost")?.is_done());
        let request = wire::message(Operation::Read, 77, 0, &[b"data\0"]);
        // The first half of a request before, the second one after.
        let (first, second) = request.split_at(9);
        guest.link().put(first)?;
        guest.link().kick()?;
        scene.settle()?;
        restart(scene, options)?;
        guest.link().put(second)?;
        guest.link().kick()?;
        ensure!(guest.answer(Operation::Read, 77)?.bytes()? == b"before");
        ensure!(other.read(0, "/local/domain/7/data")?.bytes()? == b"before");
        ensure!(other.write(0, "/local/domain/7/data", b"x")?.is_refused("EACCES"));
        ensure!(scene.builder.write(0, "/local/domain/7/data", b"after")?.is_done());
        ensure!(guest.read(0, "data")?.bytes()? == b"after");
        let events = guest.take_events();
        ensure!(events.len() == 1 && events[0].token == "token", "{events:?}");
        // What was done in a transaction is forgotten, and the client is told to do it again.
        ensure!(other.end(transaction, true)?.is_refused("EAGAIN"));
        Ok(())
    })
}

#[test]
fn a_domain_that_died_meanwhile_is_forgotten() -> Result<()> {
    with_state(|scene, options| {
        let mut guest = scene.guest(7)?;
        ensure!(guest.write(0, "data", b"x")?.is_done());
        scene.store.terminate()?;
        scene.forget_files(7)?;
        restart(scene, options)?;
        let known = scene.builder.call(Operation::IsDomainIntroduced, 0, b"7\0")?;
        ensure!(known == Answer::Done(b"F\0".to_vec()));
        ensure!(scene.builder.read(0, "/local/domain/7/data")?.is_refused("ENOENT"));
        Ok(())
    })
}

#[test]
fn a_domain_that_is_dying_when_the_state_is_taken_is_forgotten() -> Result<()> {
    with_state(|scene, options| {
        let mut guest = scene.guest(7)?;
        ensure!(guest.write(0, "data", b"x")?.is_done());
        scene.store.terminate()?;
        // Its page can be mapped still, and that it dies was told while nobody listened.
        std::fs::write(scene.store.rings().join("dom.7.dying"), "")?;
        restart(scene, options)?;
        let known = scene.builder.call(Operation::IsDomainIntroduced, 0, b"7\0")?;
        ensure!(known == Answer::Done(b"F\0".to_vec()));
        ensure!(scene.builder.read(0, "/local/domain/7/data")?.is_refused("ENOENT"));
        Ok(())
    })
}

#[test]
fn a_state_is_taken_once() -> Result<()> {
    with_state(|scene, options| {
        ensure!(scene.builder.write(0, "/first", b"x")?.is_done());
        restart(scene, options)?;
        ensure!(scene.builder.read(0, "/first")?.is_done());
        // As after a crash: nothing was left.
        scene.store.crash_and_start(options)?;
        scene.builder = scene.socket_client()?;
        ensure!(scene.builder.read(0, "/first")?.is_refused("ENOENT"));
        Ok(())
    })
}

#[test]
fn a_domain_is_released_after_a_restart_as_before() -> Result<()> {
    with_state(|scene, options| {
        let _guest = scene.guest(7)?;
        restart(scene, options)?;
        ensure!(scene.builder.release(DomId(7))?.is_done());
        let mut again = scene.guest(7)?;
        ensure!(again.write(0, "data", b"x")?.is_done());
        Ok(())
    })
}
