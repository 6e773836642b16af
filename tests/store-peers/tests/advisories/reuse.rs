//! Numbers of domains that are used again.

use anyhow::{Result, ensure};
use store_peers::Scene;
use xen::DomId;

use crate::{BOTH, ONLY_C, on};

fn release_and_build_again(scene: &mut Scene, domid: u16) -> Result<store_peers::Guest> {
    ensure!(scene.builder.release(DomId(domid))?.is_done());
    ensure!(scene.builder.rm(0, &format!("/local/domain/{domid}"))?.is_done());
    scene.guest(domid)
}

#[test]
fn xsa_322_what_was_open_to_a_domain_is_not_open_to_the_next_of_its_number() {
    on(BOTH, |scene| {
        let mut owner = scene.guest(8)?;
        let mut first = scene.guest(7)?;
        ensure!(owner.write(0, "shared", b"for 7")?.is_done());
        ensure!(owner.set_permissions(0, "shared", "n8 b7")?.is_done());
        ensure!(first.read(0, "/local/domain/8/shared")?.is_done());
        let mut second = release_and_build_again(scene, 7)?;
        ensure!(second.read(0, "/local/domain/8/shared")?.is_refused("EACCES"));
        ensure!(second.write(0, "/local/domain/8/shared", b"x")?.is_refused("EACCES"));
        // And it can be opened to the new one.
        ensure!(owner.set_permissions(0, "shared", "n8 r7")?.is_done());
        ensure!(second.read(0, "/local/domain/8/shared")?.bytes()? == b"for 7");
        Ok(())
    });
}

#[test]
fn xsa_417_what_was_opened_to_nobody_is_not_open_to_who_comes_later() {
    on(ONLY_C, |scene| {
        let mut owner = scene.guest(8)?;
        ensure!(owner.write(0, "shared", b"for nobody")?.is_done());
        ensure!(owner.set_permissions(0, "shared", "n8 b7")?.is_done());
        let mut later = scene.guest(7)?;
        ensure!(later.read(0, "/local/domain/8/shared")?.is_refused("EACCES"));
        Ok(())
    });
}

#[test]
fn xsa_419_a_domains_nodes_go_with_it_wherever_they_are() {
    on(ONLY_C, |scene| {
        let mut owner = scene.guest(8)?;
        let mut guest = scene.guest(7)?;
        ensure!(owner.write(0, "open", b"")?.is_done());
        ensure!(owner.set_permissions(0, "open", "n8 b7")?.is_done());
        ensure!(guest.write(0, "/local/domain/8/open/of-7/deep", b"x")?.is_done());
        ensure!(owner.children("open")? == ["of-7"]);
        ensure!(scene.builder.release(DomId(7))?.is_done());
        ensure!(owner.children("open")?.is_empty());
        Ok(())
    });
}

#[test]
fn xsa_419_a_domain_that_dies_takes_its_nodes_with_it() {
    on(ONLY_C, |scene| {
        let mut owner = scene.guest(8)?;
        let mut guest = scene.guest(7)?;
        ensure!(owner.write(0, "open", b"")?.is_done());
        ensure!(owner.set_permissions(0, "open", "n8 b7")?.is_done());
        ensure!(guest.write(0, "/local/domain/8/open/of-7", b"x")?.is_done());
        scene.mark_dying(7)?;
        let end = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while !owner.children("open")?.is_empty() {
            ensure!(std::time::Instant::now() < end, "its nodes are still there");
        }
        ensure!(scene.builder.read(0, "/local/domain/7")?.is_refused("ENOENT"));
        Ok(())
    });
}

#[test]
fn xsa_483_a_number_that_is_used_again_starts_with_nothing_on_its_account() {
    on(ONLY_C, |scene| {
        for round in 0..100 {
            let mut guest = scene.guest(7)?;
            let mut made = 0;
            loop {
                let answer = guest.mkdir(0, &format!("of-{}/{made}", made / 100))?;
                if answer.is_refused("ENOSPC") {
                    break;
                }
                ensure!(answer.is_done(), "round {round}, node {made}: {answer:?}");
                made += 1;
                ensure!(made <= 1000, "no quota");
                // Once is enough to see that the quota is whole.
                if round > 0 && round < 99 && made == 50 {
                    break;
                }
            }
            ensure!(made == 50 || made >= 980, "round {round}: {made} nodes");
            ensure!(scene.builder.release(DomId(7))?.is_done());
            // The builder's own rest of the home.
            let _ = scene.builder.rm(0, "/local/domain/7")?;
        }
        Ok(())
    });
}
