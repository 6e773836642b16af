//! A ring between the store and a domain that sends as few events as Linux does, in every order that the memory model allows:
//! loom (`make loom`).
//!
//! Neither side may sleep while there is something for it to do; if both do, loom says so.
#![cfg(loom)]

use std::sync::Arc;

use loom::sync::{Condvar, Mutex};
use loom::thread;
use xen::DomId;
use xen::ring::ModelPage;
use xen::store::ring::{FEATURE_RECONNECT, RING_BYTES, StoreRing};
use xen::store::wire::{self, Operation, StoreError};
use xenstore_guard_core::recovery::{MIN_BOX_BYTES, Recovery, RecoveryBox, serve};
use xenstore_guard_core::{Change, Config, Environment, Peer, Server};

const DOMAIN: DomId = DomId(7);
/// Offsets of the page's indices (`struct xenstore_domain_interface`).
const REQUESTS: [usize; 2] = [2048, 2052];
const REPLIES: [usize; 2] = [2056, 2060];

/// One end of an event channel: an event stays until it is taken.
#[derive(Default)]
struct Channel {
    pending: Mutex<bool>,
    arrived: Condvar,
}

impl Channel {
    fn notify(&self) {
        *self.pending.lock().unwrap() = true;
        self.arrived.notify_one();
    }

    fn wait(&self) {
        let mut pending = self.pending.lock().unwrap();
        while !*pending {
            pending = self.arrived.wait(pending).unwrap();
        }
        *pending = false;
    }
}

struct Shared {
    page: ModelPage,
    to_store: Channel,
    to_domain: Channel,
}

impl Shared {
    /// A page in whose ring of replies so many bytes wait already.
    fn new(waiting: u32) -> Arc<Self> {
        let words: Vec<(usize, u32)> = (2048..2080)
            .step_by(4)
            .map(|offset| (offset, if offset == REPLIES[1] { waiting } else { 0 }))
            .collect();
        let page = ModelPage::new(&words, &[0..2 * RING_BYTES]);
        Arc::new(Self {
            page,
            to_store: Channel::default(),
            to_domain: Channel::default(),
        })
    }

    fn ring(&self) -> StoreRing<'_> {
        StoreRing::new(self.page.shared())
    }

    fn index(&self, offset: usize) -> u32 {
        self.page.field(offset)
    }

    /// Sends bytes as Linux does (drivers/xen/xenbus/xenbus_comms.c, xb_write).
    fn send(&self, bytes: &[u8]) {
        let before = self.index(REQUESTS[1]);
        assert_eq!(self.ring().write_requests(bytes), Ok(bytes.len()));
        if self.index(REQUESTS[0]).wrapping_sub(before) <= 1024 {
            self.to_store.notify();
        }
    }

    /// Takes bytes as Linux does (xb_read).
    fn take(&self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        let mut there = 0;
        while there < count {
            let before = self.index(REPLIES[0]);
            match self.ring().read_replies(&mut bytes[there..]).unwrap() {
                0 => self.to_domain.wait(),
                taken => {
                    there += taken;
                    if self.index(REPLIES[1]).wrapping_sub(before) >= 1024 {
                        self.to_store.notify();
                    }
                }
            }
        }
        bytes
    }
}

struct Nothing;

impl Environment for Nothing {
    fn introduce(&mut self, _: DomId, _: u64, _: u32) -> Result<(), StoreError> {
        Ok(())
    }
    fn release(&mut self, _: DomId) {}
    fn now(&self) -> u64 {
        0
    }
    fn journal(&mut self, _: &Change<'_>) {}
    fn control(&mut self, _: &[&[u8]]) -> Option<Result<Vec<u8>, StoreError>> {
        None
    }
}

struct Memory(Vec<u8>);

impl RecoveryBox for Memory {
    fn size(&self) -> usize {
        self.0.len()
    }
    fn read(&self, offset: usize, bytes: &mut [u8]) {
        bytes.copy_from_slice(&self.0[offset..offset + bytes.len()]);
    }
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        self.0[offset..offset + bytes.len()].copy_from_slice(bytes);
    }
    fn publish(&mut self, offset: usize, number: u64) {
        self.write(offset, &number.to_le_bytes());
    }
}

/// Serves the domain until it was sent so many bytes.
fn store(shared: &Shared, bytes: u32) {
    let mut server = Server::new(Config::default());
    let peer = Peer::Domain {
        domid: DOMAIN,
        ring: 1,
        port: 2,
    };
    let id = server.connect(peer).unwrap();
    let mut recovery = Recovery::open(Memory(vec![0; MIN_BOX_BYTES])).unwrap().recovery;
    recovery.compact(server.state()).unwrap();
    shared.ring().begin(FEATURE_RECONNECT);
    let last = shared.ring().positions().1.wrapping_add(bytes);
    loop {
        let served = serve(&mut server, &mut recovery, &mut Nothing, id, &shared.ring()).unwrap();
        if served.notify {
            shared.to_domain.notify();
        }
        if shared.ring().positions().1 == last {
            return;
        }
        if !served.processed {
            shared.to_store.wait();
        }
    }
}

/// Explores with at most so many switches away from a side that could go on: a domain sends a request in these parts, when
/// so many bytes wait for it already.
fn explore(switches: usize, waiting: u32, request: &'static [u8], parts: &'static [usize]) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(switches);
    builder.max_branches = 10_000;
    builder.check(move || {
        let shared = Shared::new(waiting);
        let other = Arc::clone(&shared);
        let answer = wire::message(Operation::Error, 1, 0, &[b"EACCES\0"]);
        let bytes = u32::try_from(answer.len()).unwrap();
        let thread = thread::Builder::new().stack_size(1 << 18);
        let server = thread.spawn(move || store(&other, bytes)).unwrap();
        let request = wire::message(Operation::Read, 1, 0, &[request]);
        let mut rest = request.as_slice();
        for &part in parts {
            let (bytes, behind) = rest.split_at(part);
            shared.send(bytes);
            rest = behind;
        }
        shared.send(rest);
        shared.take(waiting as usize);
        assert_eq!(shared.take(answer.len()), answer);
        server.join().unwrap();
    });
}

#[test]
fn a_request_that_comes_in_parts_is_answered() {
    explore(3, 0, b"/a\0", &[17]);
}

#[test]
fn a_header_that_comes_in_parts_is_answered() {
    explore(2, 0, b"/a\0", &[3, 10]);
}

#[test]
fn an_answer_that_does_not_fit_arrives() {
    explore(2, 1020, b"/a\0", &[]);
}
