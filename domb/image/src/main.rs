//! `domb.elf`: the initial domain. Xen starts it where Dom0's kernel would be, with the bundle as its ramdisk.
//!
//! All decisions are `domb-core`'s; here are the tasks that wait for Xen and for the operator.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod channels;
mod consoles;
mod operator;
mod services;
mod store_link;

use alloc::rc::Rc;
use core::cell::{Cell, RefCell};

use domb_core::host::{Host, Identity};
use log::{error, info, warn};
use manifest::LogLevel;
use stubdom::events::Events;
use stubdom::{Domain, Exit, executor, image, logger, time};
use xen::bare::BareMetal;
use xen::event_channel::Port;
use xen::version;

use services::Peers;
use store_link::Link;

/// Memory beyond image, bundle and what Xen puts there: 30 MiB for heap, page tables and what is mapped of others, so that
/// the whole is 32 MiB beside bundle and image.
const MEMORY: usize = 30 << 20;

/// Bytes of domb's own log that are kept for those who may read it.
const LOG_KEPT: usize = 256 << 10;

stubdom::image!(main, memory: MEMORY);

/// When the next restart that is waited for happens.
type Armed = Rc<Cell<Option<u64>>>;
type TheHost = Rc<RefCell<Host<'static, BareMetal, Peers, Link>>>;

async fn main(domain: Domain) -> Exit {
    match start(&domain) {
        Ok((host, armed)) => {
            boot(&host).await;
            arm(&host, &armed);
            if host.borrow().manifest().host.operator_console {
                return operator::serve(&host, &armed).await;
            }
            core::future::pending().await
        }
        Err(problem) => {
            error!("{problem}");
            // Nothing can be built; the message stays on the screen.
            Exit::Poweroff
        }
    }
}

/// Opens the bundle and makes ready to be told of domains that end.
fn start(domain: &Domain) -> Result<(TheHost, Armed), alloc::string::String> {
    use alloc::string::ToString;
    if !domain.initial {
        return Err("domb must be Xen's initial domain: boot it in the place of Dom0's kernel".into());
    }
    let hypervisor = BareMetal::probe().map_err(|problem| problem.to_string())?;
    info!(
        "domb {} on Xen {}{} domctl={:#x} memory_kib={} given_back_kib={} bundle_bytes={}",
        env!("CARGO_PKG_VERSION"),
        xen::Hypervisor::version(&hypervisor),
        version::extra_version().unwrap_or_default(),
        hypervisor.domctl_version(),
        domain.memory >> 10,
        domain.given_back >> 10,
        domain.ramdisk.len(),
    );
    let identity = Identity {
        image: &image::loaded(),
        command_line: &domain.command_line,
    };
    let link = Link::new(hypervisor.toolstack());
    logger::keep_lines(LOG_KEPT);
    let peers = Peers::default();
    let listener = peers.channels.host();
    let mut host = Host::new(hypervisor, peers, link, time::now, domain.ramdisk, &identity)
        .map_err(|problem| problem.to_string())?;
    if domain.option("loglvl").is_none() {
        log::set_max_level(level(host.manifest().host.log_level));
    }
    hold_images(&mut host);
    let host = Rc::new(RefCell::new(host));
    let ends = Port::bind_virq(xen::VIRQ_DOM_EXC).map_err(|problem| problem.to_string())?;
    let armed = Armed::default();
    // It was empty.
    let _ = listener.set((Rc::clone(&host), Rc::clone(&armed)));
    executor::spawn(supervise(Rc::clone(&host), Rc::clone(&armed), Events::listen(ends)));
    Ok((host, armed))
}

/// Makes room for images that are brought at run time: as much as the manifest says, or as the heap has.
fn hold_images(host: &mut Host<'static, BareMetal, Peers, Link>) {
    let wanted: u64 = host
        .manifest()
        .domains
        .iter()
        .map(|domain| domain.management.image_memory_kib)
        .sum();
    let wanted = usize::try_from(wanted).unwrap_or(usize::MAX).saturating_mul(1024);
    let room = stubdom::heap_size().saturating_sub(MEMORY);
    if wanted > room {
        warn!(
            "image-memory: {} KiB in the manifest, {} KiB to be had: memory={} on domb's command line, and dom0_mem to match",
            wanted >> 10,
            room >> 10,
            (wanted.saturating_add(MEMORY)) >> 20
        );
    }
    host.held_images().limit(wanted.min(room));
}

/// Starts what the manifest marks, one after the other; the consoles of those that run are served in between.
async fn boot(host: &TheHost) {
    let names = host.borrow().autostart();
    for name in &names {
        // A failure is logged where it happens, and stops nobody else.
        let _ = host.borrow_mut().create(name);
        executor::yield_now().await;
    }
    info!(
        "boot complete: {} of {} domains started heap_bytes={}",
        running(host, &names),
        names.len(),
        stubdom::heap_used()
    );
}

fn running(host: &TheHost, names: &[alloc::string::String]) -> usize {
    names.iter().filter(|name| host.borrow().domid(name).is_some()).count()
}

/// Looks after domains that end, and starts those again whose time has come.
async fn supervise(host: TheHost, armed: Armed, ends: Events) {
    loop {
        ends.next().await;
        host.borrow_mut().domain_exception();
        arm(&host, &armed);
    }
}

/// Sees to it that the next restart that is due happens.
fn arm(host: &TheHost, armed: &Armed) {
    let Some(when) = host.borrow().next_due() else { return };
    if armed.get().is_some_and(|earlier| earlier <= when) {
        return;
    }
    armed.set(Some(when));
    let (host, armed) = (Rc::clone(host), Rc::clone(armed));
    executor::spawn(async move {
        time::sleep_until(when).await;
        if armed.get() == Some(when) {
            armed.set(None);
        }
        host.borrow_mut().run_due();
        arm(&host, &armed);
    });
}

fn level(level: LogLevel) -> log::LevelFilter {
    match level {
        LogLevel::Error => log::LevelFilter::Error,
        LogLevel::Warn => log::LevelFilter::Warn,
        LogLevel::Info => log::LevelFilter::Info,
        LogLevel::Debug => log::LevelFilter::Debug,
        LogLevel::Trace => log::LevelFilter::Trace,
    }
}
