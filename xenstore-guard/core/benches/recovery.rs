//! What a recovery box costs: requests over a ring with and without one, snapshots, and the start from one.
//!
//!     cargo bench -p xenstore-guard-core --bench recovery

use std::cell::RefCell;
use std::hint::black_box;
use std::time::Instant;

use xen::DomId;
use xen::ring::BadIndex;
use xen::store::StoreError;
use xen::store::wire::{self, Operation};
use xenstore_guard_core::recovery::{Recovery, RecoveryBox, Ring, serve};
use xenstore_guard_core::{Change, Config, ConnectionId, Environment, Peer, Server};

struct Nothing;

impl Environment for Nothing {
    fn introduce(&mut self, _: DomId, _: u64, _: u32) -> Result<(), StoreError> {
        Ok(())
    }
    fn release(&mut self, _: DomId) {}
    fn now(&self) -> u64 {
        0
    }
    fn journal(&mut self, change: &Change<'_>) {
        black_box(change);
    }
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

/// A ring whose domain has asked, and reads every reply at once.
#[derive(Default)]
struct Page {
    requests: RefCell<Vec<u8>>,
    positions: RefCell<(u32, u32)>,
}

impl Ring for Page {
    fn peek_requests(&self, skip: usize, buffer: &mut [u8]) -> Result<usize, BadIndex> {
        let requests = self.requests.borrow();
        let there = requests.get(skip..).unwrap_or_default();
        let count = there.len().min(buffer.len());
        buffer[..count].copy_from_slice(&there[..count]);
        Ok(count)
    }
    fn consume_requests(&self, count: usize) -> Result<(), BadIndex> {
        self.requests.borrow_mut().drain(..count);
        self.positions.borrow_mut().0 += u32::try_from(count).unwrap();
        Ok(())
    }
    fn reply_room(&self) -> Result<usize, BadIndex> {
        Ok(1024)
    }
    fn write_replies(&self, bytes: &[u8]) -> Result<usize, BadIndex> {
        let mut positions = self.positions.borrow_mut();
        positions.1 = positions.1.wrapping_add(u32::try_from(bytes.len()).unwrap());
        Ok(bytes.len().min(1024))
    }
    fn positions(&self) -> (u32, u32) {
        *self.positions.borrow()
    }
}

fn connect(server: &mut Server, domid: u16) -> ConnectionId {
    let peer = Peer::Domain {
        domid: DomId(domid),
        ring: 1,
        port: 1,
    };
    server.connect(peer).unwrap()
}

/// Nanoseconds of a request.
fn time<B: RecoveryBox>(recovery: &mut Recovery<B>, operation: Operation, payload: &[u8]) -> f64 {
    const COUNT: u32 = 200_000;
    let mut server = Server::new(Config::default());
    let id = connect(&mut server, 0);
    let page = Page::default();
    let mut environment = Nothing;
    let mut ask = |server: &mut Server, operation, payload: &[u8]| {
        page.requests
            .borrow_mut()
            .extend(wire::message(operation, 1, 0, &[payload]));
        let served = serve(server, recovery, &mut environment, id, &page).unwrap();
        assert!(served.processed && served.unkept.is_none());
    };
    ask(&mut server, Operation::Write, b"/local/domain/7/data/value\0first");
    let start = Instant::now();
    for _ in 0..COUNT {
        ask(&mut server, operation, payload);
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(COUNT)
}

fn main() {
    let path = b"/local/domain/7/data/value\0";
    let value = [path.as_slice(), b"second"].concat();
    for (name, operation, payload) in [
        ("read", Operation::Read, path.as_slice()),
        ("write", Operation::Write, &value),
    ] {
        let without = time(&mut Recovery::without_box(), operation, payload);
        let mut recovery = Recovery::open(Memory(vec![0; 8 << 20])).unwrap().recovery;
        let with = time(&mut recovery, operation, payload);
        println!("{name} over a ring: {without:.0} ns, with a box of 8 MiB {with:.0} ns");
    }

    let mut server = Server::new(Config::default());
    let id = connect(&mut server, 0);
    let mut ask = |operation, payload: &[u8]| {
        server.receive(id, &wire::message(operation, 1, 0, &[payload])).unwrap();
        server.process(id, &mut Nothing);
        let output = server.output(id).len();
        server.sent(id, output);
    };
    for domid in 1..=1000 {
        for node in 0..35 {
            let payload = format!("/local/domain/{domid}/device/vif/{node}/state\0{node}");
            ask(Operation::Write, payload.as_bytes());
        }
    }
    let nodes = server.state().nodes.len();
    let mut recovery = Recovery::open(Memory(vec![0; 32 << 20])).unwrap().recovery;
    recovery.compact(server.state()).unwrap();
    let start = Instant::now();
    let state = server.state();
    let copied = start.elapsed();
    recovery.compact(state).unwrap();
    let written = start.elapsed();
    let used = (16 << 20) - recovery.room();
    let start = Instant::now();
    let opened = Recovery::open(Memory(recovery.memory().0.clone())).unwrap();
    let read = start.elapsed();
    let start = Instant::now();
    let server = Server::restore(Config::default(), opened.state.unwrap(), &mut Nothing).unwrap();
    let restored = start.elapsed();
    assert_eq!(server.state().nodes.len(), nodes);
    println!(
        "{nodes} nodes: snapshot {written:.1?} (of it {copied:.1?} to copy the state), {} KiB; opened {read:.1?}, restored {restored:.1?}",
        used >> 10
    );
}
