//! From the start of the domain to a store that serves: a new one, or the successor of one that died.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use log::{info, warn};
use manifest::Manifest;
use stubdom::Domain;
use xen::DomId;
use xenstore_guard_core::policy::Policy;
use xenstore_guard_core::quota::Quotas;
use xenstore_guard_core::recovery::{Recovery, RecoveryBox, Unfinished};
use xenstore_guard_core::{Config, Peer, Server, State};

use crate::memory::Lent;
use crate::rings::Rings;
use crate::service::Store;

/// The store of a manifest, whose first client is its builder.
pub(crate) fn start(domain: &Domain) -> Result<Store, String> {
    if domain.initial {
        return Err("this is the store, not the domain builder: boot domb.elf in the place of Dom0's kernel".into());
    }
    let connection = domain
        .store
        .as_ref()
        .ok_or("no port of the builder in the start info: a domain builder has to start this image as the store")?;
    let manifest =
        Manifest::decode_unchecked(domain.ramdisk).map_err(|problem| format!("manifest (the ramdisk): {problem}"))?;
    let lent = Lent::by(DomId::INITIAL);
    let (mut recovery, left) = if lent.size() == 0 {
        warn!("no recovery box: what domains wrote does not survive a crash of the store");
        (Recovery::unused(lent), None)
    } else {
        let opened = Recovery::open(lent).map_err(|problem| problem.to_string())?;
        for damage in &opened.report.damages {
            warn!("{damage}");
        }
        if opened.report.lost > 0 || opened.report.more > 0 {
            warn!(
                "recovery: {} changes are lost, {} further damages",
                opened.report.lost, opened.report.more
            );
        }
        (opened.recovery, opened.state.map(|state| (state, opened.unfinished)))
    };
    let mut rings = Rings::default();
    let mut server = match left {
        None => Server::new(config(&manifest)),
        Some((state, unfinished)) => take_over(&manifest, state, unfinished, &mut recovery, &mut rings),
    };
    // Its connection begins anew with each instance: whatever it asked for before, it asks for again.
    rings
        .open(DomId::INITIAL, connection.port)
        .map_err(|problem| format!("the builder's ring: {problem}"))?;
    let builder = Peer::Domain {
        domid: DomId::INITIAL,
        ring: 0,
        port: connection.port,
    };
    server
        .connect(builder)
        .map_err(|problem| format!("the builder: {problem}"))?;
    if let Err(problem) = recovery.compact(server.state()) {
        warn!("recovery: {problem}");
    }
    Ok(Store::new(server, recovery, rings))
}

fn config(manifest: &Manifest) -> Config {
    Config {
        policy: Policy::from_manifest(manifest),
        quotas: Quotas::from_manifest(manifest),
    }
}

/// A server that goes on where the one before it died.
fn take_over(
    manifest: &Manifest,
    mut state: State,
    mut unfinished: Unfinished,
    recovery: &mut Recovery<Lent>,
    rings: &mut Rings,
) -> Server {
    let domains: Vec<_> = state
        .connections
        .iter()
        .filter_map(|connection| match connection.peer {
            Peer::Domain { domid, port, .. } if domid != DomId::INITIAL => Some((connection.id, domid, port)),
            _ => None,
        })
        .collect();
    let mut lost = Vec::new();
    for &(id, domid, port) in &domains {
        match rings.open(domid, port) {
            Ok(()) => {
                let Some(ring) = rings.get(domid) else { continue };
                let Some(page) = ring.ring() else { continue };
                let resume = unfinished.resume(recovery, &mut state, id, page.positions());
                page.set_positions(resume.requests, resume.replies);
                if resume.doubtful {
                    warn!("recovery: domain {domid}: a request in flight may have been executed before");
                }
            }
            Err(problem) => {
                // Most likely it ended meanwhile: the builder is about to say so.
                warn!("recovery: domain {domid} cannot be served: {problem}");
                lost.push(domid);
            }
        }
    }
    state
        .connections
        .retain(|connection| matches!(connection.peer, Peer::Domain { domid, .. } if domid != DomId::INITIAL && !lost.contains(&domid)));
    for domain in &mut state.domains {
        if domain.domid == DomId::INITIAL || lost.contains(&domain.domid) {
            domain.introduced = false;
        }
    }
    let nodes = state.nodes.len();
    match Server::restore(config(manifest), state, rings) {
        Ok(mut server) => {
            server.fire_all_watches(rings);
            info!(
                "recovery: goes on with {nodes} nodes and {} domains",
                domains.len() - lost.len()
            );
            server
        }
        Err(problem) => {
            warn!("recovery: {problem}: starts empty");
            *rings = Rings::default();
            Server::new(config(manifest))
        }
    }
}
