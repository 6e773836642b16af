//! Rings that are not as they should be.

use std::time::Duration;

use anyhow::{Result, ensure};
use store_peers::Scene;
use store_peers::ring_link::{REPLIES_CONSUMER, REPLIES_PRODUCER, REQUESTS_CONSUMER, REQUESTS_PRODUCER};
use xen::DomId;

use crate::{BOTH, ONLY_C, on};

/// A cheap generator of numbers that are always the same.
fn numbers(mut state: u64) -> impl Iterator<Item = u32> {
    std::iter::repeat_with(move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 32) as u32
    })
}

/// A domain whose neighbour broke its ring goes on.
fn neighbour_goes_on(scene: &mut Scene, neighbour: &mut store_peers::Guest) -> Result<()> {
    scene.settle()?;
    ensure!(neighbour.write(0, "data", b"still here")?.is_done());
    ensure!(neighbour.read(0, "data")?.bytes()? == b"still here");
    Ok(())
}

#[test]
fn xsa_38_indices_that_cannot_be_harm_only_their_own_domain() {
    on(BOTH, |scene| {
        let mut neighbour = scene.guest(8)?;
        let edges = [0, 1, 1024, 1025, 1 << 31, (1 << 31) + 1, u32::MAX - 1024, u32::MAX];
        let mut random = numbers(38);
        for round in 0..40 {
            let mut guest = scene.guest(7)?;
            let fields = [REQUESTS_CONSUMER, REQUESTS_PRODUCER, REPLIES_CONSUMER, REPLIES_PRODUCER];
            for field in fields {
                let value = random.next().unwrap_or_default();
                let value = if round % 2 == 0 {
                    edges[value as usize % edges.len()]
                } else {
                    value
                };
                guest.link().set_field(field, value)?;
            }
            guest.link().kick()?;
            neighbour_goes_on(scene, &mut neighbour)?;
            ensure!(
                scene.builder.release(DomId(7))?.is_done(),
                "round {round}: the domain is not known any more"
            );
        }
        Ok(())
    });
}

#[test]
fn xsa_38_a_ring_full_of_noise_harms_only_its_own_domain() {
    on(BOTH, |scene| {
        let mut neighbour = scene.guest(8)?;
        let mut random = numbers(3838);
        for _ in 0..40 {
            let mut guest = scene.guest(7)?;
            let noise: Vec<u8> = random.by_ref().take(256).flat_map(u32::to_le_bytes).collect();
            guest.link().set_bytes(0, &noise)?;
            guest.link().set_field(REQUESTS_PRODUCER, 1024)?;
            guest.link().kick()?;
            neighbour_goes_on(scene, &mut neighbour)?;
            ensure!(scene.builder.release(DomId(7))?.is_done());
        }
        Ok(())
    });
}

#[test]
fn xsa_325_a_domain_with_a_broken_ring_is_still_seen_to_die() {
    on(ONLY_C, |scene| {
        let mut guest = scene.guest(7)?;
        let mut watcher = scene.socket_client()?;
        ensure!(watcher.watch("@releaseDomain", "deaths")?.is_done());
        ensure!(
            watcher.event(Duration::from_secs(5))?.is_some(),
            "the watch did not fire when it was set"
        );
        guest.link().set_field(REQUESTS_PRODUCER, 5000)?;
        guest.link().kick()?;
        scene.settle()?;
        let known = scene
            .builder
            .call(xen::store::Operation::IsDomainIntroduced, 0, b"7\0")?;
        ensure!(known.bytes()? == b"T\0", "the store forgot the domain");
        scene.destroy(7)?;
        let event = watcher.event(Duration::from_secs(5))?;
        ensure!(
            event.is_some_and(|event| event.token == "deaths"),
            "nobody was told of the death"
        );
        Ok(())
    });
}

#[test]
fn xsa_425_a_release_while_requests_wait_leaves_nothing_behind() {
    on(ONLY_C, |scene| {
        for _ in 0..20 {
            let mut guest = scene.guest(7)?;
            ensure!(guest.write(0, "data/a", b"1")?.is_done());
            // Requests of which the last is not whole, and answers that nobody takes.
            let request = xen::store::wire::message(xen::store::Operation::Read, 9, 0, &[b"data/a\0"]);
            let many = request.repeat(30);
            guest.link().put(&many[..many.len() - 5])?;
            guest.link().kick()?;
            ensure!(scene.builder.release(DomId(7))?.is_done());
            ensure!(scene.builder.rm(0, "/local/domain/7")?.is_done());
            let mut again = scene.guest(7)?;
            ensure!(again.read(0, "data/a")?.is_refused("ENOENT"));
            ensure!(scene.builder.release(DomId(7))?.is_done());
        }
        Ok(())
    });
}
