//! Arbitrary bytes of several clients, privileged and not: nothing panics; what is charged is what is there; answers are
//! whole messages; what waits for a client is bounded; the state can be taken over and is the same afterwards.

#![no_main]

use libfuzzer_sys::fuzz_target;
use xen::store::wire::{self, HEADER_BYTES, Header, MAX_PAYLOAD};
use xenstore_guard_core::quota::Quota;
use xenstore_guard_core::{Change, Config, ConnectionId, DomId, Environment, Operation, Peer, Server, StoreError};

/// So few that short inputs meet them.
const QUOTAS: [(Quota, u32); 7] = [
    (Quota::Nodes, 12),
    (Quota::Memory, 20_000),
    (Quota::Watches, 4),
    (Quota::Transactions, 2),
    (Quota::TransactionOperations, 8),
    (Quota::Outstanding, 4),
    (Quota::Events, 8),
];

/// What paths and the like are made of.
const WORDS: [&[u8]; 24] = [
    b"/",
    b"/a",
    b"/a/b",
    b"/a/b/c",
    b"a",
    b"a/b",
    b"/local/domain/1",
    b"/local/domain/2/a",
    b"@releaseDomain",
    b"@introduceDomain/1",
    b"n0",
    b"r1",
    b"b2",
    b"n1",
    b"w3",
    b"n2",
    b"T",
    b"F",
    b"1",
    b"2",
    b"5",
    b"check",
    b"quota",
    b"",
];

struct Host {
    now: u64,
}

impl Environment for Host {
    fn introduce(&mut self, _: DomId, _: u64, _: u32) -> Result<(), StoreError> {
        Ok(())
    }
    fn release(&mut self, _: DomId) {}
    fn now(&self) -> u64 {
        self.now
    }
    fn journal(&mut self, change: &Change<'_>) {
        if let Change::Write { path, .. } | Change::Remove { path } = change {
            assert!(path.starts_with('/'));
        }
    }
    fn control(&mut self, _: &[&[u8]]) -> Option<Result<Vec<u8>, StoreError>> {
        None
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
}

/// A request of words, or of the input's bytes.
fn request(input: &mut Input<'_>) -> Option<Vec<u8>> {
    let operation = Operation::ALL[usize::from(input.byte()?) % Operation::ALL.len()];
    let shape = input.byte()?;
    let transaction = u32::from(shape >> 6);
    let mut payload = Vec::new();
    for _ in 0..shape & 3 {
        payload.extend_from_slice(WORDS[usize::from(input.byte()?) % WORDS.len()]);
        payload.push(0);
    }
    match shape >> 2 & 3 {
        0 => {}
        1 => payload.extend_from_slice(input.bytes(5)),
        2 => payload.resize(payload.len() + 900, b'v'),
        _ => {
            payload.pop();
        }
    }
    payload.truncate(MAX_PAYLOAD);
    Some(wire::message(operation, 1, transaction, &[&payload]))
}

/// Whole messages, which begin behind the rest of one.
fn check_messages(bytes: &[u8], partial: usize) {
    let mut rest = &bytes[partial..];
    while let Some(header) = rest.first_chunk::<HEADER_BYTES>() {
        let header = Header::decode(header);
        assert!(Operation::from_number(header.operation).is_some());
        assert!(header.length as usize <= MAX_PAYLOAD);
        rest = &rest[HEADER_BYTES + header.length as usize..];
    }
    assert!(rest.is_empty());
}

fuzz_target!(|bytes: &[u8]| {
    let mut config = Config::default();
    for (quota, value) in QUOTAS {
        config.quotas.defaults.set(quota, value);
    }
    let mut host = Host { now: 0 };
    let mut server = Server::new(config.clone());
    let mut socket = server.connect(Peer::Socket).expect("room for a connection");
    for domid in 1..=3_u16 {
        let setup = [
            (Operation::Introduce, format!("{domid}\01\05\0")),
            (Operation::Mkdir, format!("/local/domain/{domid}\0")),
            (Operation::SetPermissions, format!("/local/domain/{domid}\0n{domid}\0")),
        ];
        for (operation, payload) in setup {
            let message = wire::message(operation, 1, 0, &[payload.as_bytes()]);
            server.receive(socket, &message).expect("a whole message fits");
            assert!(server.process(socket, &mut host));
        }
    }
    let waiting = server.output(socket).len();
    server.sent(socket, waiting);

    let mut input = Input(bytes);
    while let Some(act) = input.byte() {
        // The socket, or a domain that is there.
        let id = match act & 3 {
            0 => Some(socket),
            number => server.connection_of(DomId(number.into())),
        };
        let Some(id) = id else { continue };
        match act >> 2 & 15 {
            0..=8 => {
                let Some(message) = request(&mut input) else { break };
                if message.len() <= server.input_room(id) && server.receive(id, &message).is_ok() {
                    server.process(id, &mut host);
                }
            }
            9 => {
                let count = usize::from(act >> 6) * 11 + 3;
                let raw = input.bytes(count.min(server.input_room(id)));
                let _ = server.receive(id, raw);
            }
            10 => while server.process(id, &mut host) {},
            11 => {
                let count = server.output(id).len().min(usize::from(act) * 3);
                server.sent(id, count);
            }
            12 => {
                host.now += 150_000_000;
                server.advance(host.now);
            }
            13 => server.ring_failed(id),
            14 => server.reset(id, &mut host),
            _ if id == socket => {
                server.disconnect(socket, &mut host);
                socket = server.connect(Peer::Socket).expect("room for a connection");
            }
            _ => server.domain_died(DomId(u16::from(act & 3)), &mut host),
        }
        assert!(server.pending_request_bytes(id) <= HEADER_BYTES + MAX_PAYLOAD);
        if id != socket {
            // Answers and events up to their quotas.
            assert!(server.output(id).len() <= 12 * (HEADER_BYTES + MAX_PAYLOAD) + 20_000);
        }
        for id in server.outputs() {
            assert_ne!(id.number(), 0);
        }
    }
    finish(&mut server, config, &mut host);
});

fn finish(server: &mut Server, config: Config, host: &mut Host) {
    let last = server.connect(Peer::Socket).expect("room for a connection");
    let check = wire::message(Operation::Control, 1, 0, &[b"check\0"]);
    server.receive(last, &check).expect("a whole message fits");
    assert!(server.process(last, host));
    let answer = server.output(last).to_vec();
    assert_eq!(
        answer.get(HEADER_BYTES..),
        Some(&b"OK\0"[..]),
        "{}",
        answer.escape_ascii()
    );
    server.sent(last, answer.len());

    let state = server.state();
    for connection in &state.connections {
        check_messages(&connection.output, connection.partial_output);
    }
    let other = Server::restore(config, state.clone(), host).expect("a server's own state");
    let mut again = other.state();
    again.generation = state.generation;
    assert_eq!(again, state);
    let _: Option<ConnectionId> = other.connection_of(DomId(1));
}
