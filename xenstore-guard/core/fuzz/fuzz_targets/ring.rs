//! A ring whose domain is hostile: its page changes between any two of the store's accesses, indices, state and error words
//! included. Nothing panics; at most that ring is given up; another domain's ring is served as if nothing were; the state is
//! whole, and so is what a store finds that comes after a crash.
//!
//! An input is a list of acts: a byte that chooses one, and what it needs.
#![no_main]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use libfuzzer_sys::fuzz_target;
use xen::DomId;
use xen::ring::{BadIndex, SharedPage};
use xen::store::ring::{ConnectionState, RING_BYTES, RingError, StoreRing};
use xen::store::wire::{self, HEADER_BYTES, Header};
use xen::store::{Operation, StoreError};
use xen::vchan::{LocalPages, SharedPages as _};
use xenstore_guard_core::recovery::{MIN_BOX_BYTES, Recovery, RecoveryBox, Ring, ServeError, perform, serve};
use xenstore_guard_core::state::Peer;
use xenstore_guard_core::{Change, Config, Environment, Server};

const HOSTILE: DomId = DomId(7);
const HONEST: DomId = DomId(8);

/// The words of the page: indices of requests and replies, features, state, error.
const WORDS: [usize; 7] = [2048, 2052, 2056, 2060, 2064, 2068, 2072];

/// What paths and the like are made of.
const TEXTS: [&[u8]; 8] = [
    b"/local/domain/7",
    b"data",
    b"/shared",
    b"a/b",
    b"token",
    b"n7",
    b"T",
    b"",
];

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

#[derive(Clone)]
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

/// A ring page.
struct Page(LocalPages);

impl Page {
    fn new() -> Self {
        Self(LocalPages::new(1))
    }

    fn shared(&self) -> SharedPage<'_> {
        self.0.page(0).expect("there is one")
    }
}

/// Takes the input apart.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    fn number(&mut self) -> u32 {
        let mut bytes = [0; 4];
        for (to, from) in bytes.iter_mut().zip(self.bytes(4)) {
            *to = *from;
        }
        u32::from_le_bytes(bytes)
    }

    fn change(&mut self) -> Option<Hostility> {
        let what = self.byte()?;
        let word = WORDS[usize::from(what & 15) % WORDS.len()];
        Some(match what >> 4 & 3 {
            0 => Hostility::Move(word, i32::from(self.byte()?.cast_signed()) * 9),
            1 => Hostility::Set(word, self.number()),
            2 => Hostility::Set(word, self.byte()?.into()),
            _ => {
                let at = usize::try_from(self.number()).unwrap() % 2200;
                Hostility::Bytes(at, self.bytes(usize::from(what >> 6) * 6 + 2).to_vec())
            }
        })
    }
}

/// A change of the page that the store did not make.
enum Hostility {
    /// A word, by so much.
    Move(usize, i32),
    Set(usize, u32),
    Bytes(usize, Vec<u8>),
}

impl Hostility {
    fn perform(&self, page: SharedPage<'_>) {
        let done = match self {
            Self::Move(offset, by) => {
                let mut word = [0; 4];
                page.read_bytes(*offset, &mut word)
                    && page.write_bytes(
                        *offset,
                        &u32::from_le_bytes(word).wrapping_add_signed(*by).to_le_bytes(),
                    )
            }
            Self::Set(offset, value) => page.write_bytes(*offset, &value.to_le_bytes()),
            Self::Bytes(offset, bytes) => page.write_bytes(*offset, bytes),
        };
        assert!(done);
    }
}

/// The page, which changes before the store's accesses: after so many of them each time.
struct Changing<'a> {
    page: SharedPage<'a>,
    plan: &'a RefCell<VecDeque<(u8, Hostility)>>,
    reads: Cell<usize>,
}

impl Changing<'_> {
    fn ring(&self) -> StoreRing<'_> {
        let mut plan = self.plan.borrow_mut();
        self.reads.set(self.reads.get() + 1);
        assert!(self.reads.get() < 100_000, "it never ends");
        while let Some((wait, _)) = plan.front_mut() {
            if *wait > 0 {
                *wait -= 1;
                break;
            }
            if let Some((_, change)) = plan.pop_front() {
                change.perform(self.page);
            }
        }
        StoreRing::new(self.page)
    }
}

impl Ring for Changing<'_> {
    fn peek_requests(&self, skip: usize, buffer: &mut [u8]) -> Result<usize, BadIndex> {
        let length = buffer.len();
        let result = self.ring().peek_requests(skip, buffer);
        assert!(
            result.is_err() || result.is_ok_and(|count| count <= length && skip.min(RING_BYTES) + count <= RING_BYTES)
        );
        result
    }

    fn consume_requests(&self, count: usize) -> Result<(), BadIndex> {
        self.ring().consume_requests(count)
    }

    fn reply_room(&self) -> Result<usize, BadIndex> {
        self.ring().reply_room()
    }

    fn write_replies(&self, bytes: &[u8]) -> Result<usize, BadIndex> {
        self.ring().write_replies(bytes)
    }

    fn positions(&self) -> (u32, u32) {
        self.ring().positions()
    }
}

fn request(input: &mut Input<'_>) -> Option<Vec<u8>> {
    let operation = Operation::ALL[usize::from(input.byte()?) % Operation::ALL.len()];
    let shape = input.byte()?;
    let mut payload = Vec::new();
    for _ in 0..shape & 3 {
        payload.extend_from_slice(TEXTS[usize::from(input.byte()?) % TEXTS.len()]);
        payload.push(0);
    }
    // Longer than the ring, every now and then.
    payload.resize(
        payload.len() + [0, 0, 1, 7, 300, 1000, 1500, 4000][usize::from(shape >> 2 & 7)],
        b'v',
    );
    payload.truncate(wire::MAX_PAYLOAD);
    Some(wire::message(operation, 1, u32::from(shape >> 6), &[&payload]))
}

/// A store, its box, and the two domains' pages.
struct World {
    server: Server,
    recovery: Recovery<Memory>,
    hostile: Page,
    honest: Page,
    asked: u32,
    /// The hostile domain's ring was given up.
    failed: bool,
}

fn peer(domid: DomId) -> Peer {
    Peer::Domain {
        domid,
        ring: 1,
        port: 2,
    }
}

impl World {
    fn new(start: u32) -> Self {
        let mut server = Server::new(Config::default());
        let mut recovery = Recovery::open(Memory(vec![0; MIN_BOX_BYTES])).unwrap().recovery;
        let builder = server.connect(peer(DomId::INITIAL)).unwrap();
        for domid in [HOSTILE, HONEST] {
            let setup = [
                (Operation::Introduce, format!("{domid}\x001\x002\0")),
                (Operation::Mkdir, format!("/local/domain/{domid}\0")),
                (Operation::SetPermissions, format!("/local/domain/{domid}\0n{domid}\0")),
            ];
            for (operation, payload) in setup {
                let message = wire::message(operation, 1, 0, &[payload.as_bytes()]);
                server.receive(builder, &message).unwrap();
                assert!(server.process(builder, &mut Nothing));
            }
        }
        let waiting = server.output(builder).len();
        server.sent(builder, waiting);
        recovery.compact(server.state()).unwrap();
        let hostile = Page::new();
        for offset in WORDS.into_iter().take(4) {
            assert!(hostile.shared().write_bytes(offset, &start.to_le_bytes()));
        }
        Self {
            server,
            recovery,
            hostile,
            honest: Page::new(),
            asked: 0,
            failed: false,
        }
    }

    /// A turn of the hostile domain's, as the image does it.
    fn turn(&mut self, plan: &RefCell<VecDeque<(u8, Hostility)>>) {
        let Some(id) = self.server.connection_of(HOSTILE).filter(|_| !self.failed) else {
            return;
        };
        let page = self.hostile.shared();
        let ring = StoreRing::new(page);
        if ring.connection() == ConnectionState::Reconnect {
            self.recovery.forget_ring(id);
            let ((), unkept) = perform(&mut self.server, &mut self.recovery, &mut Nothing, |server, env| {
                server.reset(id, env);
            });
            assert_eq!(unkept, None);
            ring.reset();
            return;
        }
        let changing = Changing {
            page,
            plan,
            reads: Cell::new(0),
        };
        if let Err(problem) = serve(&mut self.server, &mut self.recovery, &mut Nothing, id, &changing) {
            self.failed = true;
            let ((), unkept) = perform(&mut self.server, &mut self.recovery, &mut Nothing, |server, _| {
                server.ring_failed(id)
            });
            assert_eq!(unkept, None);
            let reason = match problem {
                ServeError::Protocol(_) => RingError::Protocol,
                ServeError::Index(_) | ServeError::LessRoom { .. } => RingError::Index,
            };
            ring.set_error(reason);
            assert_eq!(ring.error(), reason as u32);
        }
    }

    /// The other domain writes and reads, and is answered as ever.
    fn ask(&mut self) {
        self.asked += 1;
        let value = self.asked.to_string();
        let write = wire::message(Operation::Write, 1, 0, &[b"data\0", value.as_bytes()]);
        self.answered(&write, Operation::Write, b"OK\0");
        let read = wire::message(Operation::Read, 1, 0, &[b"data\0"]);
        self.answered(&read, Operation::Read, value.as_bytes());
    }

    fn answered(&mut self, request: &[u8], operation: Operation, payload: &[u8]) {
        let id = self.server.connection_of(HONEST).unwrap();
        let ring = StoreRing::new(self.honest.shared());
        assert_eq!(ring.write_requests(request), Ok(request.len()));
        while serve(&mut self.server, &mut self.recovery, &mut Nothing, id, &ring)
            .unwrap()
            .processed
        {}
        let expected = wire::message(operation, 1, 0, &[payload]);
        let mut answer = vec![0; expected.len()];
        assert_eq!(ring.read_replies(&mut answer), Ok(expected.len()));
        assert_eq!(answer, expected);
        assert_eq!(ring.read_replies(&mut answer), Ok(0));
    }

    /// The store dies, and another one takes its place.
    fn crash(&mut self) {
        let opened = Recovery::open(self.recovery.memory().clone()).unwrap();
        assert!(opened.report.is_whole(), "{:?}", opened.report);
        let (mut recovery, mut unfinished) = (opened.recovery, opened.unfinished);
        let mut state = opened.state.expect("the snapshot is there");
        // The builder's begins anew.
        state
            .connections
            .retain(|connection| connection.peer != peer(DomId::INITIAL));
        for domain in &mut state.domains {
            domain.introduced &= domain.domid != DomId::INITIAL;
        }
        let ids: Vec<_> = state
            .connections
            .iter()
            .map(|connection| (connection.id, connection.peer))
            .collect();
        for (id, of) in ids {
            let page = if of == peer(HOSTILE) {
                &self.hostile
            } else {
                &self.honest
            };
            let ring = StoreRing::new(page.shared());
            let resume = unfinished.resume(&mut recovery, &mut state, id, ring.positions());
            assert!(!resume.doubtful || of == peer(HOSTILE));
            ring.set_positions(resume.requests, resume.replies);
        }
        self.server = Server::restore(Config::default(), state, &mut Nothing).expect("the store's own state");
        self.server.fire_all_watches(&Nothing);
        self.server.connect(peer(DomId::INITIAL)).unwrap();
        recovery.compact(self.server.state()).unwrap();
        self.recovery = recovery;
        self.failed = false;
    }

    /// The store finds nothing wrong with itself, and what a successor finds is the same.
    fn check(&mut self) {
        let id = self.server.connect(Peer::Socket).expect("room for a connection");
        let message = wire::message(Operation::Control, 1, 0, &[b"check\0"]);
        self.server.receive(id, &message).unwrap();
        assert!(self.server.process(id, &mut Nothing));
        let answer = self.server.output(id).to_vec();
        assert_eq!(
            answer.get(HEADER_BYTES..),
            Some(&b"OK\0"[..]),
            "{}",
            answer.escape_ascii()
        );
        self.server.disconnect(id, &mut Nothing);
        let header = Header::decode(answer.first_chunk().unwrap());
        assert_eq!(header.operation, Operation::Control as u32);

        let found = Recovery::open(self.recovery.memory().clone()).unwrap().state.unwrap();
        let state = self.server.state();
        assert_eq!(found.nodes.len(), state.nodes.len());
        assert_eq!(found.domains, state.domains);
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input(bytes);
    let start = if input.byte().is_some_and(|byte| byte & 1 == 1) {
        u32::MAX - 500
    } else {
        0
    };
    let mut world = World::new(start);
    let plan = RefCell::new(VecDeque::new());
    while let Some(act) = input.byte() {
        match act & 15 {
            0..3 => {
                let Some(message) = request(&mut input) else { break };
                // As much as fits; what does not is a request that never comes whole.
                let _ = StoreRing::new(world.hostile.shared()).write_requests(&message);
            }
            3 => {
                let raw = input.bytes(usize::from(act >> 4) * 5 + 1);
                let _ = StoreRing::new(world.hostile.shared()).write_requests(raw);
            }
            4 => {
                let mut taken = [0; RING_BYTES];
                let count = usize::from(act >> 4) * 68;
                let _ = StoreRing::new(world.hostile.shared()).read_replies(&mut taken[..count]);
            }
            5 | 6 => {
                let Some(change) = input.change() else { break };
                change.perform(world.hostile.shared());
            }
            7 | 8 => {
                let Some(change) = input.change() else { break };
                plan.borrow_mut().push_back((act >> 4, change));
            }
            9 => StoreRing::new(world.hostile.shared()).ask_to_reconnect(),
            10 => world.ask(),
            11 => world.crash(),
            _ => world.turn(&plan),
        }
    }
    world.ask();
    world.check();
});
