//! Both ends of a ring at once, in every order that the memory model allows: loom (`make loom`).
//!
//! An end that finds nothing to do sleeps until an event. One that is never sent, or comes too early, leaves both asleep, and
//! loom says so.
#![cfg(loom)]

use std::sync::Arc;

use loom::sync::{Condvar, Mutex};
use loom::thread;
use xen::ring::{ByteRing, ModelPage, SharedPage};
use xen::store::StoreRing;
use xen::store::ring::{ConnectionState, FEATURE_RECONNECT};

/// A ring of two bytes.
const RING: ByteRing = ByteRing {
    data: 0,
    size: 2,
    consumer: 8,
    producer: 12,
};
/// Its indices pass zero on the way.
const START: u32 = u32::MAX;

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

/// What one side has of a page and its channel.
#[derive(Clone)]
struct Side {
    page: Arc<ModelPage>,
    mine: Arc<Channel>,
    other: Arc<Channel>,
}

impl Side {
    fn pair(page: ModelPage) -> (Self, Self) {
        let page = Arc::new(page);
        let (mine, other) = <(Arc<Channel>, Arc<Channel>)>::default();
        let domain = Self { page, mine, other };
        let store = Self {
            mine: Arc::clone(&domain.other),
            other: Arc::clone(&domain.mine),
            ..domain.clone()
        };
        (domain, store)
    }

    fn page(&self) -> SharedPage<'_> {
        self.page.shared()
    }

    fn ring(&self) -> StoreRing<'_> {
        StoreRing::new(self.page())
    }
}

fn small_ring() -> (Side, Side) {
    let indices = [(RING.consumer, START), (RING.producer, START)];
    Side::pair(ModelPage::new(&indices, &[0..2]))
}

fn store_ring() -> (Side, Side) {
    let words: Vec<(usize, u32)> = (2048..2080).step_by(4).map(|offset| (offset, 0)).collect();
    Side::pair(ModelPage::new(&words, &[0..2, 1024..1026]))
}

/// Explores with at most so many switches away from a side that could go on.
fn model(switches: usize, check: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(switches);
    builder.check(check);
}

/// Sends bytes, and says each time that there are some.
fn send(side: &Side, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match RING.write(side.page(), bytes).unwrap() {
            0 => side.mine.wait(),
            put => {
                bytes = &bytes[put..];
                side.other.notify();
            }
        }
    }
}

/// Sends bytes as Linux does (drivers/xen/xenbus/xenbus_comms.c, xb_write): it says so only if the other had seen all before.
fn send_sparingly(side: &Side, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let before = RING.producer_index(side.page());
        match RING.write(side.page(), bytes).unwrap() {
            0 => side.mine.wait(),
            put => {
                bytes = &bytes[put..];
                if RING.consumer_index(side.page()).wrapping_sub(before) <= RING.size {
                    side.other.notify();
                }
            }
        }
    }
}

/// Looks at bytes and takes them out one by one, as the store does; says each time that there is room.
fn receive(side: &Side, count: usize) -> Vec<u8> {
    let mut got = Vec::new();
    while got.len() < count {
        let mut byte = [0];
        match RING.peek(side.page(), 0, &mut byte).unwrap() {
            0 => side.mine.wait(),
            _ => {
                got.extend(byte);
                RING.consume(side.page(), 1).unwrap();
                side.other.notify();
            }
        }
    }
    got
}

/// Takes bytes as Linux does (xb_read): it says so only if the ring was full.
fn receive_sparingly(side: &Side, count: usize) -> Vec<u8> {
    let mut got = Vec::new();
    while got.len() < count {
        let before = RING.consumer_index(side.page());
        let mut bytes = [0; 2];
        match RING.read(side.page(), &mut bytes).unwrap() {
            0 => side.mine.wait(),
            taken => {
                got.extend(&bytes[..taken]);
                if RING.producer_index(side.page()).wrapping_sub(before) >= RING.size {
                    side.other.notify();
                }
            }
        }
    }
    got
}

fn arrives(switches: usize, send: fn(&Side, &[u8]), receive: fn(&Side, usize) -> Vec<u8>) {
    model(switches, move || {
        let (from, to) = small_ring();
        let sender = thread::spawn(move || send(&from, b"abcd"));
        assert_eq!(receive(&to, 4), b"abcd");
        sender.join().unwrap();
    });
}

#[test]
fn bytes_arrive_as_they_were_sent() {
    arrives(4, send, receive);
}

#[test]
fn a_store_hears_of_all_that_linux_sends() {
    arrives(4, send_sparingly, receive);
}

#[test]
fn a_store_hears_of_room_that_linux_makes() {
    arrives(4, send, receive_sparingly);
}

/// The domain writes, asks for a fresh start, and writes again.
fn start_afresh(side: &Side) {
    let ring = side.ring();
    while ring.features() == 0 {
        side.mine.wait();
    }
    assert_eq!(ring.write_requests(b"a"), Ok(1));
    side.other.notify();
    ring.ask_to_reconnect();
    side.other.notify();
    while ring.connection() != ConnectionState::Connected {
        side.mine.wait();
    }
    assert_eq!(ring.positions(), (0, 0), "both directions are as new");
    assert_eq!(ring.write_requests(b"b"), Ok(1));
    side.other.notify();
    let mut reply = [0];
    while ring.read_replies(&mut reply) == Ok(0) {
        side.mine.wait();
    }
    assert_eq!(&reply, b"B", "what was asked for before is not answered");
}

/// Answers each request by its capital letter, until the last one.
fn answer(side: &Side) {
    let ring = side.ring();
    ring.begin(FEATURE_RECONNECT);
    side.other.notify();
    loop {
        if ring.connection() == ConnectionState::Reconnect {
            ring.reset();
            side.other.notify();
            continue;
        }
        let mut request = [0];
        if ring.read_requests(&mut request) == Ok(0) {
            side.mine.wait();
            continue;
        }
        assert_eq!(
            ring.write_replies(&request.map(|byte| byte.to_ascii_uppercase())),
            Ok(1)
        );
        side.other.notify();
        if &request == b"b" {
            return;
        }
    }
}

#[test]
fn a_fresh_start_is_whole_and_none_is_lost() {
    model(3, || {
        let (domain, store) = store_ring();
        let server = thread::spawn(move || answer(&store));
        start_afresh(&domain);
        server.join().unwrap();
    });
}
