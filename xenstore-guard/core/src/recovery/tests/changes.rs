//! The journal of the server is complete: replayed, it gives the state that the server has.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use xen::DomId;
use xen::store::wire::{self, Operation};

use super::client::Random;
use super::contents::open;
use super::crash::Plain;
use super::memory::Memory;
use crate::quota::Quota;
use crate::recovery::{Recovery, perform};
use crate::state::{ConnectionState, Peer, State};
use crate::stream::{self, Handover};
use crate::{Config, ConnectionId, Server};

struct World {
    server: Server,
    recovery: Recovery<Memory>,
    memory: Memory,
    random: Random,
}

impl World {
    fn new(seed: u64) -> Self {
        let memory = Memory::new(1 << 20);
        let mut server = Server::new(Config::default());
        let peer = Peer::Domain {
            domid: DomId(0),
            ring: 0,
            port: 0,
        };
        server.connect(peer).unwrap();
        let mut recovery = open(&memory).recovery;
        recovery.compact(server.state()).unwrap();
        Self {
            server,
            recovery,
            memory,
            random: Random::new(seed),
        }
    }

    fn connection(&self, domid: u16) -> Option<ConnectionId> {
        self.server.connection_of(DomId(domid))
    }

    fn of(&mut self, choices: &[&str]) -> String {
        choices[self.random.below(choices.len())].to_string()
    }

    fn path(&mut self) -> String {
        self.of(&[
            "/a",
            "/a/b",
            "/a/b/c",
            "/a/d",
            "/local/domain/1/data",
            "/local/domain/2/x",
            "here",
            "here/too",
        ])
    }

    /// A domain does something; what it asked for, for a message.
    fn request(&mut self, domid: u16) -> String {
        let Some(id) = self.connection(domid) else {
            return String::new();
        };
        if self.server.input_room(id) == 0 {
            return String::new();
        }
        let state = self.server.state();
        let open = state.connections.iter().find(|connection| connection.id == id).unwrap();
        let transaction = match (self.random.below(3), open.transactions.first()) {
            (0, Some(&transaction)) => transaction,
            _ => 0,
        };
        let other = self.random.below(4).to_string();
        let number = self.random.below(200).to_string();
        let special = self.of(&["@releaseDomain", "@introduceDomain"]);
        let path = self.path();
        let token = self.of(&["t", "u"]);
        let list = self.of(&["n0\0", "n1\0r2", "b2\0", "r0\0w1\0b9", "n0\0b3"]);
        let quota = Quota::ALL[self.random.below(Quota::ALL.len())].name();
        let (operation, payload) = match self.random.below(25) {
            0..5 => (Operation::Write, format!("{path}\0{number}")),
            5 => (Operation::Mkdir, format!("{path}\0")),
            6 => (Operation::Rm, format!("{path}\0")),
            7..9 => (Operation::SetPermissions, format!("{path}\0{list}\0")),
            9 => (Operation::SetPermissions, format!("{special}\0{list}\0")),
            10 => (Operation::Watch, format!("{path}\0{token}\0")),
            11 => (
                Operation::Watch,
                format!("{special}\0{token}\0{}\0", self.random.below(3)),
            ),
            12 => (Operation::Unwatch, format!("{path}\0{token}\0")),
            13 => (Operation::ResetWatches, "\0".into()),
            14 => (Operation::TransactionStart, "\0".into()),
            15..17 => (Operation::TransactionEnd, self.of(&["T\0", "F\0"])),
            17..19 => (Operation::Introduce, format!("{other}\0{number}\x003\0")),
            19 => (Operation::Release, format!("{other}\0")),
            20 => (Operation::SetTarget, format!("{other}\x002\0")),
            21 => (
                Operation::SetQuota,
                self.of(&[
                    &format!("{quota}\0{number}\0"),
                    &format!("{other}\0{quota}\0{number}\0"),
                ]),
            ),
            22 => (Operation::SetFeature, format!("{other}\0{}\0", self.random.below(16))),
            23 => (Operation::Control, format!("assign\0{other}\0name-{number}\0")),
            _ => (Operation::Resume, format!("{other}\0")),
        };
        self.ask(id, operation, transaction, &payload);
        format!("domain {domid}, transaction {transaction}: {operation:?} {payload:?}")
    }

    /// Sends a request and takes its answer.
    fn ask(&mut self, id: ConnectionId, operation: Operation, transaction: u32, payload: &str) {
        let bytes = wire::message(operation, 1, transaction, &[payload.as_bytes()]);
        self.server.receive(id, &bytes).unwrap();
        let (processed, problem) = perform(
            &mut self.server,
            &mut self.recovery,
            &mut Plain,
            |server, environment| server.process(id, environment),
        );
        assert!(processed && problem.is_none());
        let output = self.server.output(id).len();
        self.server.sent(id, output);
    }

    /// A transaction of many changes of the same few nodes.
    fn long_transaction(&mut self) -> String {
        let id = self.connection(0).unwrap();
        self.ask(id, Operation::TransactionStart, 0, "\0");
        let state = self.server.state();
        let open = state.connections.iter().find(|connection| connection.id == id).unwrap();
        let transaction = *open.transactions.last().unwrap();
        let mut what = String::new();
        for number in 0..90 {
            let path = self.path();
            let (operation, payload) = match self.random.below(4) {
                0 => (Operation::Rm, format!("{path}\0")),
                1 => (Operation::SetPermissions, format!("{path}\0n{number}\0")),
                _ => (Operation::Write, format!("{path}\0{number}")),
            };
            self.ask(id, operation, transaction, &payload);
            what.push_str(&format!("{operation:?} {payload:?}, "));
        }
        self.ask(id, Operation::TransactionEnd, transaction, "T\0");
        what
    }

    /// Something happens that nobody asked for.
    fn accident(&mut self) -> String {
        let domid = 1 + self.random.domid(3);
        let id = self.connection(domid);
        let what = self.random.below(4);
        let ((), problem) = perform(
            &mut self.server,
            &mut self.recovery,
            &mut Plain,
            |server, environment| match (what, id) {
                (0, _) => server.domain_died(DomId(domid), environment),
                (1, Some(id)) => server.ring_failed(id),
                (2, Some(id)) => server.reset(id, environment),
                _ => {}
            },
        );
        assert_eq!(problem, None);
        format!("accident {what} of domain {domid}")
    }
}

/// What must be the same: bytes in flight, sockets and the generation are not told in the journal.
fn durable(mut state: State) -> State {
    state.generation = 0;
    state.nodes.sort_by(|a, b| a.path.cmp(&b.path));
    for domain in &mut state.domains {
        domain.quotas.sort();
    }
    for connection in &mut state.connections {
        connection
            .watches
            .sort_by(|a, b| (&a.path, &a.token).cmp(&(&b.path, &b.token)));
        *connection = ConnectionState {
            input: vec![],
            output: vec![],
            partial_output: 0,
            ..connection.clone()
        };
    }
    state
}

#[test]
fn changes_replayed_give_the_state_of_the_server() {
    for seed in 0..40 {
        let mut world = World::new(seed);
        let mut history: Vec<String> = vec![];
        for _ in 0..150 {
            let what = match world.random.below(13) {
                0 => world.accident(),
                1 if world.random.below(4) == 0 => world.long_transaction(),
                number => {
                    let domid = if number < 7 { 0 } else { 1 + world.random.domid(2) };
                    world.request(domid)
                }
            };
            history.push(what);
            // A failed ring is told in the journal with the next change.
            perform(
                &mut world.server,
                &mut world.recovery,
                &mut Plain,
                |server, environment| {
                    server.domain_died(DomId(999), environment);
                },
            );
            let opened = open(&world.memory);
            let last = &history[history.len().saturating_sub(6)..];
            assert!(opened.report.is_whole(), "seed {seed}, {last:#?}: {:?}", opened.report);
            let (found, is) = (durable(opened.state.unwrap()), durable(world.server.state()));
            assert_eq!(found.domains, is.domains, "seed {seed}, {last:#?}");
            assert_eq!(found.connections, is.connections, "seed {seed}, {last:#?}");
            assert_eq!(found.quotas, is.quotas, "seed {seed}, {last:#?}");
            assert_eq!(found.nodes, is.nodes, "seed {seed}, {last:#?}");
            if world.random.below(20) == 0 {
                // And the state is one that a stream and another server take as it is.
                let bytes = stream::write(&world.server.state(), &Handover::default()).unwrap();
                let state = stream::read(&bytes).unwrap().state;
                let other = Server::restore(Config::default(), state, &mut Plain).unwrap();
                assert_eq!(durable(other.state()), is, "seed {seed}, {last:#?}");
            }
        }
    }
}
