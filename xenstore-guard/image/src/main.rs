//! `xenstore-guard.elf`: the store in a domain of its own, without any privilege. It maps the rings that domains grant it
//! (reference 1), and serves them.
//!
//! All decisions are `xenstore-guard-core`'s; here are the rings and the tasks that wait for them. Its ramdisk is the
//! host's manifest in its canonical encoding: the policy. Its start info names the port that its builder, domain 0, offers.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod rings;
mod service;

use alloc::format;
use alloc::string::{String, ToString};

use log::{error, info};
use manifest::Manifest;
use stubdom::{Domain, Exit};
use xen::DomId;
use xenstore_guard_core::policy::Policy;
use xenstore_guard_core::quota::Quotas;
use xenstore_guard_core::{Config, Peer, Server};

use service::Store;

stubdom::image!(main, memory: usize::MAX);

async fn main(domain: Domain) -> Exit {
    match start(&domain) {
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

fn start(domain: &Domain) -> Result<Store, String> {
    if domain.initial {
        return Err("this is the store, not the domain builder: boot domb.elf in the place of Dom0's kernel".into());
    }
    let connection = domain
        .store
        .as_ref()
        .ok_or("no port of the builder in the start info: a domain builder has to start this image as the store")?;
    let manifest = Manifest::decode(domain.ramdisk).map_err(|problem| format!("manifest (the ramdisk): {problem}"))?;
    let server = Server::new(Config {
        policy: Policy::from_manifest(&manifest),
        quotas: Quotas::default(),
    });
    Store::open(
        server,
        Peer::Domain {
            domid: DomId::INITIAL,
            ring: 0,
            port: connection.port,
        },
    )
    .map_err(|problem| problem.to_string())
}
