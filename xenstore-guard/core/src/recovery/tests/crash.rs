//! A store with rings that dies after each of its writes, and its successor.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use xen::DomId;
use xen::store::StoreError;
use xen::store::wire::Operation;

use super::client::{Client, Random};
use super::memory::{Life, Memory};
use super::page::Page;
use crate::recovery::{MIN_BOX_BYTES, Recovery, Ring, serve};
use crate::state::{ConnectionState, Peer};
use crate::stream::{self, Handover};
use crate::{Change, Config, ConnectionId, Environment, Server};

/// An environment that needs nothing.
pub(super) struct Plain;

impl Environment for Plain {
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

/// A store, its box and its clients.
struct World {
    memory: Memory,
    life: Life,
    server: Server,
    recovery: Recovery<Memory>,
    clients: Vec<Client>,
    random: Random,
}

impl World {
    fn new(seed: u64, box_bytes: usize) -> Self {
        let memory = Memory::new(box_bytes);
        let opened = Recovery::open(memory.clone()).unwrap();
        let mut server = Server::new(Config::default());
        let peer = Peer::Domain {
            domid: DomId(0),
            ring: 0,
            port: 0,
        };
        server.connect(peer).unwrap();
        // Indices that pass zero on the way, on one of the rings.
        let pages = [u32::MAX - 3000, 0, 77].map(Page::new);
        let clients = pages
            .into_iter()
            .zip(0..)
            .map(|(page, domid)| Client::new(domid, page, seed + u64::from(domid)));
        let mut world = Self {
            memory,
            life: Life::endless(),
            server,
            recovery: opened.recovery,
            clients: clients.collect(),
            random: Random::new(seed ^ 1),
        };
        world.recovery.compact(world.server.state()).unwrap();
        let first = &mut world.clients[0];
        first.plain(Operation::Write, b"/shared\0old");
        first.plain(Operation::SetPermissions, b"/shared\0b0\0");
        for domid in 0..3 {
            let home = format!("/local/domain/{domid}/data");
            first.plain(Operation::Write, format!("{home}\0").as_bytes());
            first.plain(Operation::SetPermissions, format!("{home}\0n{domid}\0").as_bytes());
            if domid > 0 {
                first.plain(Operation::Introduce, format!("{domid}\x001\x002\0").as_bytes());
            }
        }
        world.finish();
        world
    }

    fn connection(&self, client: usize) -> Option<ConnectionId> {
        self.server.connection_of(DomId(self.clients[client].domid))
    }

    /// Serves a client; whether anything happened.
    fn serve(&mut self, client: usize) -> bool {
        let Some(id) = self.connection(client) else {
            return false;
        };
        let page = self.clients[client].page.with(&self.life);
        let served = serve(&mut self.server, &mut self.recovery, &mut Plain, id, &page);
        if !self.life.is_alive() {
            // What the dead seem to do goes nowhere, and comes from nowhere.
            return false;
        }
        let served = served.unwrap();
        assert_eq!(served.unkept, None);
        served.notify || served.processed
    }

    /// Lives until the store dies, at most so many steps.
    fn run(&mut self, steps: usize) {
        for _ in 0..steps {
            let client = self.random.below(self.clients.len());
            match self.random.below(3) {
                0 => self.clients[client].act(),
                1 => self.clients[client].pump(),
                _ => {
                    self.serve(client);
                    if !self.life.is_alive() {
                        return;
                    }
                }
            }
        }
    }

    /// Lives until everything is answered.
    fn finish(&mut self) {
        let mut idle = 0;
        while idle < 200 {
            idle += 1;
            for client in 0..self.clients.len() {
                self.clients[client].pump();
                if self.serve(client) {
                    idle = 0;
                }
            }
        }
        for client in &self.clients {
            assert!(client.is_idle(), "no answer: {client}");
            assert!(client.to_fire.is_empty(), "did not fire: {client}");
        }
    }

    /// The store is dead: another one takes its place.
    fn succeed(&mut self, life: Life) {
        for client in &mut self.clients {
            client.store_crashed();
        }
        self.life = life;
        let mut opened = Recovery::open(self.memory.with(&self.life)).unwrap();
        assert!(opened.report.is_whole(), "{:?}", opened.report);
        let mut state = opened.state.expect("a state");
        let rings: Vec<(ConnectionId, DomId)> = state
            .connections
            .iter()
            .filter_map(|connection| match connection.peer {
                Peer::Domain { domid, .. } => Some((connection.id, domid)),
                Peer::Socket => None,
            })
            .collect();
        for (id, domid) in rings {
            let Some(client) = self.clients.iter().find(|client| client.domid == domid.0) else {
                continue;
            };
            let page = client.page.with(&self.life);
            let positions = Ring::positions(&page);
            let resume = opened
                .unfinished
                .resume(&mut opened.recovery, &mut state, id, positions);
            assert!(!resume.doubtful, "domain {domid}");
            page.set_positions(resume.requests, resume.replies);
        }
        self.server = Server::restore(Config::default(), state, &mut Plain).unwrap();
        self.recovery = opened.recovery;
        self.server.fire_all_watches(&Plain);
        self.recovery.compact(self.server.state()).unwrap();
    }

    /// Another store takes the place of this one, as planned.
    fn update(&mut self) {
        for client in &mut self.clients {
            client.transactions_end();
        }
        let mut state = self.server.state();
        self.recovery.hand_over(&mut state);
        let bytes = stream::write(&state, &Handover::default()).unwrap();
        let state = stream::read(&bytes).unwrap().state;
        let size = self.memory.bytes.borrow().len();
        self.memory = Memory::new(size);
        self.recovery = Recovery::open(self.memory.with(&self.life)).unwrap().recovery;
        for client in &self.clients {
            if let Some(id) = self.server.connection_of(DomId(client.domid)) {
                let positions = Ring::positions(&client.page);
                self.recovery.adopt(&state, id, positions);
            }
        }
        self.server = Server::restore(Config::default(), state, &mut Plain).unwrap();
        self.recovery.compact(self.server.state()).unwrap();
    }

    /// The store has what its clients were told that it has.
    fn check(&self) {
        let state = self.server.state();
        for client in &self.clients {
            let home = format!("/local/domain/{}/data/", client.domid);
            let nodes: BTreeMap<String, Vec<u8>> = state
                .nodes
                .iter()
                .filter(|node| node.path.starts_with(&home))
                .map(|node| (node.path.clone(), node.value.clone()))
                .collect();
            for (path, value) in &client.nodes {
                assert!(nodes.get(path) == Some(value), "{path}");
            }
            assert_eq!(nodes.len(), client.nodes.len(), "domain {}", client.domid);
            let connection = state
                .connections
                .iter()
                .find(|connection| matches!(connection.peer, Peer::Domain { domid, .. } if domid.0 == client.domid));
            let watches: Vec<_> = connection
                .unwrap()
                .watches
                .iter()
                .map(|watch| (watch.path.clone(), String::from_utf8(watch.token.clone()).unwrap()))
                .collect();
            let expected: Vec<_> = client.watches.iter().cloned().collect();
            assert!(sorted(watches) == expected, "domain {}", client.domid);
        }
        // And what a successor would find is the same.
        let opened = Recovery::open(self.memory.clone()).unwrap();
        let mut found = opened.state.unwrap();
        let mut state = self.server.state();
        for state in [&mut found, &mut state] {
            state.generation = 0;
            state.nodes.sort_by(|a, b| a.path.cmp(&b.path));
            for connection in &mut state.connections {
                connection
                    .watches
                    .sort_by(|a, b| (&a.path, &a.token).cmp(&(&b.path, &b.token)));
            }
        }
        assert_eq!(found.domains, state.domains);
        assert_eq!(found.connections.len(), state.connections.len());
        for (found, is) in found.connections.iter().zip(&state.connections) {
            let short = |state: &ConnectionState| {
                let bytes = (state.input.len(), state.output.len());
                format!(
                    "{bytes:?}, {} watches, transactions {:?}",
                    state.watches.len(),
                    state.transactions
                )
            };
            assert!(found == is, "{:?}: {} but {}", is.peer, short(found), short(is));
        }
        for (found, is) in found.nodes.iter().zip(&state.nodes) {
            assert!(found == is, "{}, {}", found.path, is.path);
        }
        assert!(found == state);
    }
}

fn sorted<T: Ord>(mut list: Vec<T>) -> Vec<T> {
    list.sort();
    list
}

/// Steps of a life that ends by itself.
const STEPS: usize = 400;

/// Crashes a store after that many writes; false where it lived on.
fn crash_after(seed: u64, box_bytes: usize, writes: &[u64]) -> bool {
    let mut world = World::new(seed, box_bytes);
    let mut lives = writes.iter().map(|&writes| Life::of(writes)).chain([Life::endless()]);
    world.life = lives.next().unwrap();
    world.recovery.memory.life = world.life.clone();
    world.run(STEPS);
    let mut died = false;
    for life in lives {
        died = !world.life.is_alive();
        world.succeed(life);
        world.run(STEPS / 4);
    }
    world.finish();
    world.check();
    died
}

/// Crashes after each write, until a store lives long enough.
fn crash_everywhere(seed: u64, box_bytes: usize, step: usize) {
    for writes in (0..).step_by(step) {
        if !crash_after(seed, box_bytes, &[writes]) {
            return;
        }
    }
}

#[test]
fn no_request_is_answered_twice_or_never_wherever_the_store_crashes() {
    for seed in 0..2 {
        crash_everywhere(seed, 1 << 20, 1);
    }
}

#[test]
fn crashes_around_snapshots_lose_nothing() {
    crash_everywhere(7, MIN_BOX_BYTES, 3);
}

#[test]
fn successors_may_crash_too() {
    for writes in 0..150 {
        crash_after(3, MIN_BOX_BYTES, &[writes * 11, writes, 7 + writes * 5, 3]);
    }
}

#[test]
fn a_store_that_does_not_crash_serves_its_clients() {
    for seed in 0..20 {
        let mut world = World::new(seed, 1 << 20);
        world.run(4000);
        world.finish();
        world.check();
        let answers: Vec<usize> = world.clients.iter().map(|client| client.answers).collect();
        assert!(answers.iter().all(|&answers| answers > vec![20].len()), "{answers:?}");
    }
}

#[test]
fn a_planned_update_loses_nothing_and_a_crash_after_it_neither() {
    for seed in 0..60 {
        let mut world = World::new(seed, 1 << 20);
        for round in 0..10 {
            let steps = 50 + world.random.below(50);
            world.run(steps);
            world.update();
            let writes = world.random.writes(60);
            let life = Life::of(writes);
            world.life.clone_from(&life);
            world.recovery.memory.life = life;
            world.run(200);
            if round % 2 == 0 {
                world.succeed(Life::endless());
            } else {
                world.succeed(Life::of(writes * 2));
                world.run(100);
                world.succeed(Life::endless());
            }
        }
        world.finish();
        world.check();
    }
}
