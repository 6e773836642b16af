//! A bare-metal guest for the scenarios: says that it lives, then does what its command line asks for.
//!
//! `do=idle` (default) waits for ever, printing nothing more; `poweroff`, `reboot`, `crash` (a panic),
//! `overflow` (the stack) end the domain that way; `tick` prints a line every second; `store` talks to the store and obeys
//! `control/shutdown`; `store-load` does so while it writes and checks without end; `after=MS` waits first.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod store;

use stubdom::{Domain, Exit, time};

stubdom::image!(main, memory: 2 << 20);

async fn main(domain: Domain) -> Exit {
    log::info!(
        "bare guest: {} KiB, ramdisk {} bytes, command line \"{}\"",
        domain.memory >> 10,
        domain.ramdisk.len(),
        domain.command_line
    );
    if let Some(ms) = domain.option("after").and_then(|ms| ms.parse::<u64>().ok()) {
        time::sleep(ms.saturating_mul(1_000_000)).await;
    }
    match domain.option("do").unwrap_or("idle") {
        "poweroff" => return Exit::Poweroff,
        "reboot" => return Exit::Reboot,
        "crash" => panic!("told to crash"),
        "store" => return store::run(&domain, false).await,
        "store-load" => return store::run(&domain, true).await,
        "overflow" => log::info!("depth {}", deeper(0)),
        "tick" => {
            for tick in 0u64.. {
                time::sleep(1_000_000_000).await;
                log::info!("tick {tick}");
            }
        }
        _ => {}
    }
    loop {
        time::sleep(3_600_000_000_000).await;
    }
}

/// Uses up the stack.
#[expect(unconditional_recursion, reason = "this is what it is for")]
fn deeper(depth: u64) -> u64 {
    core::hint::black_box(depth) + deeper(core::hint::black_box(depth + 1))
}
