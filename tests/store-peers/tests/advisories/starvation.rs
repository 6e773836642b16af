//! Domains that keep others from their work.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result, ensure};

use crate::{ONLY_C, on};

#[test]
fn xsa_206_a_builder_finishes_beside_a_domain_that_writes_without_end() {
    on(ONLY_C, |scene| {
        let mut flood = scene.guest(7)?;
        ensure!(flood.write(0, "data", b"0")?.is_done());
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let flooding = scope.spawn(|| -> Result<()> {
                let mut turn = 0u32;
                while !stop.load(Ordering::Relaxed) {
                    turn += 1;
                    ensure!(flood.write(0, "data", turn.to_string().as_bytes())?.is_done());
                }
                Ok(())
            });
            let built = (|| -> Result<()> {
                let mut retries = 0;
                for _ in 0..20 {
                    loop {
                        let transaction = scene.builder.begin()?;
                        // What the domain writes is read, so that each of its writes is a conflict.
                        for index in 0..30 {
                            ensure!(scene.builder.read(transaction, "/local/domain/7/data")?.is_done());
                            ensure!(
                                scene
                                    .builder
                                    .write(transaction, &format!("/built/{index}"), b"x")?
                                    .is_done()
                            );
                        }
                        if scene.builder.end(transaction, true)?.is_done() {
                            break;
                        }
                        retries += 1;
                        ensure!(retries < 400, "the builder does not finish");
                    }
                }
                Ok(())
            })();
            stop.store(true, Ordering::Relaxed);
            flooding.join().ok().context("the flooding domain panicked")??;
            built
        })
    });
}
