//! What a domain may see and give away.

use std::time::Duration;

use anyhow::{Result, ensure};
use store_peers::Guest;
use xen::store::Operation;

use crate::{BOTH, ONLY_C, on};

/// The events that came, after the one that each watch fires when it is set.
fn events_after_setting(guest: &mut Guest, watches: usize) -> Result<Vec<String>> {
    // The answer comes behind all events of what was done before.
    ensure!(guest.read(0, "name")?.is_refused("ENOENT"));
    let events = guest.take_events();
    ensure!(
        events.len() >= watches,
        "a watch did not fire when it was set: {events:?}"
    );
    Ok(events.into_iter().skip(watches).map(|event| event.path).collect())
}

#[test]
fn xsa_115_a_watch_tells_nothing_of_what_its_owner_may_not_read() {
    on(BOTH, |scene| {
        let mut spy = scene.guest(7)?;
        let mut victim = scene.guest(8)?;
        ensure!(spy.watch("/local/domain/8", "home")?.is_done());
        ensure!(spy.watch("/local/domain/8/data/secret", "node")?.is_done());
        ensure!(victim.write(0, "data/secret", b"1")?.is_done());
        ensure!(scene.builder.write(0, "/local/domain/8/data/secret", b"2")?.is_done());
        ensure!(victim.rm(0, "data")?.is_done());
        let seen = events_after_setting(&mut spy, 2)?;
        ensure!(seen.is_empty(), "{seen:?}");
        // What it may read, it is told of.
        ensure!(victim.write(0, "open", b"1")?.is_done());
        ensure!(victim.set_permissions(0, "open", "n8 r7")?.is_done());
        ensure!(victim.write(0, "open", b"2")?.is_done());
        ensure!(spy.read(0, "/local/domain/8/open")?.is_done());
        let seen = spy.take_events();
        ensure!(
            seen.iter().any(|event| event.path == "/local/domain/8/open"),
            "{seen:?}"
        );
        Ok(())
    });
}

#[test]
fn xsa_115_a_domain_is_not_told_which_others_there_are() {
    on(ONLY_C, |scene| {
        let mut spy = scene.guest(7)?;
        let _other = scene.guest(8)?;
        let answer = spy.call(Operation::IsDomainIntroduced, 0, b"8\0")?;
        ensure!(answer.is_refused("EACCES"), "{answer:?}");
        ensure!(
            spy.watch("@introduceDomain", "births")?.is_refused("EACCES") || {
                let _third = scene.guest(9)?;
                events_after_setting(&mut spy, 0)?.len() <= 1
            }
        );
        Ok(())
    });
}

#[test]
fn xsa_115_the_special_watches_are_for_those_whom_they_are_given_to() {
    on(ONLY_C, |scene| {
        let mut told = scene.guest(7)?;
        ensure!(scene.builder.set_permissions(0, "@releaseDomain", "n0 r7")?.is_done());
        ensure!(told.watch("@releaseDomain", "deaths")?.is_done());
        ensure!(told.event(Duration::from_secs(5))?.is_some());
        let _other = scene.guest(8)?;
        ensure!(scene.builder.release(xen::DomId(8))?.is_done());
        ensure!(told.event(Duration::from_secs(5))?.is_some(), "it was not told");
        Ok(())
    });
}

#[test]
fn xsa_352_an_owner_cannot_give_its_node_away() {
    on(ONLY_C, |scene| {
        let mut guest = scene.guest(7)?;
        let _other = scene.guest(8)?;
        ensure!(guest.write(0, "data", b"mine")?.is_done());
        for list in ["n8", "b0", "n8 b7", "r0 b7"] {
            let answer = guest.set_permissions(0, "data", list)?;
            ensure!(answer.is_refused("EPERM"), "{list}: {answer:?}");
        }
        ensure!(guest.set_permissions(0, "data", "n7 r8")?.is_done());
        ensure!(scene.builder.permissions("/local/domain/7/data")?.len() == 2);
        ensure!(
            scene
                .builder
                .set_permissions(0, "/local/domain/7/data", "n8")?
                .is_done()
        );
        ensure!(guest.read(0, "data")?.is_refused("EACCES"));
        Ok(())
    });
}

#[test]
fn xsa_353_the_root_is_not_a_domains() {
    on(ONLY_C, |scene| {
        let mut guest = scene.guest(7)?;
        for path in ["/", "/local", "/local/domain"] {
            let answer = guest.set_permissions(0, path, "n7")?;
            ensure!(answer.is_refused("EACCES"), "{path}: {answer:?}");
            ensure!(!guest.rm(0, path)?.is_done(), "{path} was removed");
            ensure!(guest.write(0, path, b"x")?.is_refused("EACCES"), "{path} was written");
        }
        ensure!(guest.mkdir(0, "/mine")?.is_refused("EACCES"));
        ensure!(guest.mkdir(0, "/local/domain/9")?.is_refused("EACCES"));
        Ok(())
    });
}
