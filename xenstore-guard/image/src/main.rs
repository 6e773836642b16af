//! `xenstore-guard.elf`: the store in a domain of its own, without any privilege. It maps the rings that domains grant it
//! (reference 1), and serves them.
//!
//! All decisions are `xenstore-guard-core`'s; here are the rings and the tasks that wait for them. Its ramdisk is the
//! host's manifest in its canonical encoding: the policy. Its start info names the port that its builder, domain 0, offers.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod memory;
mod rings;
mod service;
mod start;

use log::{error, info};
use stubdom::{Domain, Exit};

stubdom::image!(main, memory: usize::MAX);

async fn main(domain: Domain) -> Exit {
    match start::start(&domain) {
        Ok(store) => {
            info!(
                "xenstore-guard {} serves memory_kib={} heap_bytes={}",
                env!("CARGO_PKG_VERSION"),
                domain.memory >> 10,
                stubdom::heap_used()
            );
            store.serve().await
        }
        Err(problem) => {
            error!("xenstore-guard cannot start: {problem}");
            Exit::Poweroff
        }
    }
}
