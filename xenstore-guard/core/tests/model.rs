//! Random requests of four clients, interleaved, with transactions, watches, permissions, quotas, and domains that come and
//! go: the store and the reference answer the same, fire the same watches and hold the same nodes.

mod reference;
mod store;

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use reference::{Events, Request, Watch};
use store::{Message, Store};
use xenstore_guard_core::quota::Quota;
use xenstore_guard_core::{Config, ConnectionId, Operation, Permission, StoreError};

/// The socket's client, and domains.
const CLIENTS: [u16; 4] = [0, 7, 8, 9];
/// So few that tests meet it.
const NODES: u32 = 6;

#[derive(Debug, Clone)]
enum Action {
    Request(u16, Request),
    Begin(u16),
    /// In the transaction that the client has open.
    Within(u16, Request),
    End(u16, bool),
    Watch(u16, String, u8),
    /// Releases a domain and introduces another one of its number.
    Replace(u16),
    /// Releases a domain, or introduces one where there is none.
    Toggle(u16),
}

fn path() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["a", "b", "feature-long-name"]);
    let inside = prop::collection::vec(name, 0..3);
    let root = prop::sample::select(vec![
        "",
        "/shared",
        "/shared",
        "/local/domain/7",
        "/local/domain/8",
        "/local/domain/9",
    ]);
    (root, inside).prop_map(|(root, inside)| {
        let path = inside.iter().fold(root.to_string(), |path, name| path + "/" + name);
        if path.is_empty() { "/".into() } else { path }
    })
}

fn permissions() -> impl Strategy<Value = Vec<Permission>> {
    let entry = (
        prop::sample::select(b"nrwb".to_vec()),
        prop::sample::select(vec![0, 7, 8, 9, 12]),
    );
    let entry = entry.prop_map(|(letter, domid): (u8, u16)| {
        Permission::decode(format!("{}{domid}", char::from(letter)).as_bytes()).unwrap()
    });
    prop::collection::vec(entry, 1..4)
}

fn request() -> impl Strategy<Value = Request> {
    let value = prop_oneof![Just(b"1".to_vec()), Just(b"2".to_vec()), Just(vec![b'x'; 60])];
    prop_oneof![
        2 => path().prop_map(Request::Read),
        1 => path().prop_map(Request::Directory),
        1 => path().prop_map(Request::GetPermissions),
        5 => (path(), value).prop_map(|(path, value)| Request::Write(path, value)),
        1 => path().prop_map(Request::Mkdir),
        2 => path().prop_map(Request::Rm),
        // The root stays domain 0's.
        2 => (path(), permissions())
            .prop_filter("the root", |(path, _)| path != "/")
            .prop_map(|(path, permissions)| Request::SetPermissions(path, permissions)),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    let client = || prop::sample::select(CLIENTS.to_vec());
    let domain = || prop::sample::select(vec![7_u16, 8, 9]);
    prop_oneof![
        8 => (client(), request()).prop_map(|(client, request)| Action::Request(client, request)),
        2 => client().prop_map(Action::Begin),
        8 => (client(), request()).prop_map(|(client, request)| Action::Within(client, request)),
        3 => (client(), prop::bool::weighted(0.8)).prop_map(|(client, commit)| Action::End(client, commit)),
        1 => (client(), path(), 0..3_u8).prop_map(|(client, path, token)| Action::Watch(client, path, token)),
        1 => Just(Action::Replace(7)),
        1 => domain().prop_map(Action::Toggle),
    ]
}

/// The bytes of a request.
fn encode(request: &Request) -> (Operation, Vec<u8>) {
    let with_nul = |path: &str| [path.as_bytes(), b"\0"].concat();
    match request {
        Request::Read(path) => (Operation::Read, with_nul(path)),
        Request::Directory(path) => (Operation::Directory, with_nul(path)),
        Request::GetPermissions(path) => (Operation::GetPermissions, with_nul(path)),
        Request::Write(path, value) => (Operation::Write, [with_nul(path), value.clone()].concat()),
        Request::Mkdir(path) => (Operation::Mkdir, with_nul(path)),
        Request::Rm(path) => (Operation::Rm, with_nul(path)),
        Request::SetPermissions(path, permissions) => {
            let entries: Vec<String> = permissions.iter().map(|entry| format!("{entry}\0")).collect();
            let bytes = [with_nul(path), entries.concat().into_bytes()].concat();
            (Operation::SetPermissions, bytes)
        }
    }
}

/// Both stores, side by side.
struct Both {
    store: Store,
    model: reference::Store,
    clients: BTreeMap<u16, ConnectionId>,
    open: BTreeMap<u16, (u32, reference::Transaction)>,
}

impl Both {
    fn new() -> Self {
        let mut config = Config::default();
        config.quotas.defaults.set(Quota::Nodes, NODES);
        let store = Store::new(config);
        let mut both = Self {
            clients: BTreeMap::from([(0, store.socket)]),
            store,
            model: reference::Store::new(NODES as usize),
            open: BTreeMap::new(),
        };
        for domid in [7, 8, 9] {
            both.introduce(domid);
        }
        both.setup();
        both
    }

    /// Something that all domains can work on.
    fn setup(&mut self) {
        let permission = |text: &str| Permission::decode(text.as_bytes()).unwrap();
        self.request(0, &Request::Mkdir("/shared".into()));
        let shared = vec![permission("b0"), permission("r8")];
        self.request(0, &Request::SetPermissions("/shared".into(), shared));
        for domid in [7, 8, 9] {
            let home = format!("/local/domain/{domid}");
            self.request(0, &Request::Mkdir(home.clone()));
            self.request(
                0,
                &Request::SetPermissions(home, vec![permission(&format!("r{domid}"))]),
            );
            self.act(&Action::Watch(domid, "/".into(), 9));
        }
    }

    fn introduce(&mut self, domid: u16) {
        let id = self.store.introduce(domid);
        self.clients.insert(domid, id);
        self.model.introduce(domid);
        self.expect_events(&Events::new());
    }

    fn release(&mut self, domid: u16) {
        self.clients.remove(&domid);
        self.open.remove(&domid);
        let events = self.model.release(domid);
        let socket = self.store.socket;
        self.store
            .send(socket, Operation::Release, 0, format!("{domid}\0").as_bytes());
        assert!(self.store.process(socket));
        self.expect(0, Some(&Ok(b"OK\0".to_vec())), &events);
    }

    /// Everything that all clients got: one answer, to one of them, and events.
    fn expect(&mut self, client: u16, answer: Option<&reference::Answer>, events: &Events) {
        let mut got = Events::new();
        for (&domid, &id) in &self.clients {
            let mut answers = Vec::new();
            for message in self.store.take(id) {
                match message {
                    Message::Event(path, token) => {
                        got.insert((domid, path, token));
                    }
                    Message::Answer(_, bytes) => answers.push(Ok(bytes)),
                    Message::Error(error) => answers.push(Err(error)),
                }
            }
            let expected: Vec<_> = answer.filter(|_| domid == client).into_iter().cloned().collect();
            assert_eq!(answers, expected, "answers of domain {domid}");
        }
        assert_eq!(got, *events, "events");
    }

    fn expect_events(&mut self, events: &Events) {
        self.expect(0, None, events);
    }

    fn send(&mut self, client: u16, transaction: u32, operation: Operation, payload: &[u8]) {
        let id = self.clients[&client];
        self.store.send(id, operation, transaction, payload);
        assert!(self.store.process(id));
    }

    fn request(&mut self, client: u16, request: &Request) {
        let (operation, payload) = encode(request);
        self.send(client, 0, operation, &payload);
        let (answer, events) = self.model.execute(client, request);
        self.expect(client, Some(&answer), &events);
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::Request(client, request) if self.clients.contains_key(client) => self.request(*client, request),
            Action::Begin(client) if self.clients.contains_key(client) && !self.open.contains_key(client) => {
                let number = self.store.begin(self.clients[client]);
                self.open.insert(*client, (number, self.model.begin()));
            }
            Action::Within(client, request) => {
                if let Some((number, mut transaction)) = self.open.remove(client) {
                    let (operation, payload) = encode(request);
                    self.send(*client, number, operation, &payload);
                    let answer = self.model.within(*client, &mut transaction, request);
                    self.expect(*client, Some(&answer), &Events::new());
                    self.open.insert(*client, (number, transaction));
                }
            }
            Action::End(client, commit) => {
                if let Some((number, transaction)) = self.open.remove(client) {
                    let payload = if *commit { b"T\0" } else { b"F\0" };
                    self.send(*client, number, Operation::TransactionEnd, payload);
                    let (holds, events) = match commit {
                        true => self.model.commit(*client, &transaction),
                        false => (true, Events::new()),
                    };
                    let answer = if holds {
                        Ok(b"OK\0".to_vec())
                    } else {
                        Err(StoreError::Again)
                    };
                    self.expect(*client, Some(&answer), &events);
                }
            }
            Action::Watch(client, path, token) if self.clients.contains_key(client) => {
                let watch = Watch {
                    domid: *client,
                    path: path.clone(),
                    token: token.to_string(),
                };
                let there = |other: &Watch| (other.domid, &other.path, &other.token) == (*client, path, &watch.token);
                let again = self.model.watches.iter().any(there);
                let payload = format!("{path}\0{token}\0");
                self.send(*client, 0, Operation::Watch, payload.as_bytes());
                let (answer, events) = if again {
                    (Err(StoreError::Exists), Events::new())
                } else {
                    let event = (*client, path.clone(), watch.token.clone());
                    self.model.watches.push(watch);
                    (Ok(b"OK\0".to_vec()), Events::from([event]))
                };
                self.expect(*client, Some(&answer), &events);
            }
            Action::Replace(domid) if self.clients.contains_key(domid) => {
                self.release(*domid);
                self.introduce(*domid);
            }
            Action::Toggle(domid) => {
                if self.clients.contains_key(domid) {
                    self.release(*domid);
                } else {
                    self.introduce(*domid);
                }
            }
            _ => {}
        }
    }

    /// Both hold the same nodes, and the store's charges are right.
    fn compare(&mut self) {
        let state = self.store.server.state();
        let nodes: reference::Tree = state
            .nodes
            .into_iter()
            .filter(|node| !node.path.starts_with('@'))
            .map(|node| {
                let permissions = node
                    .permissions
                    .iter()
                    .map(|entry| (entry.permission, entry.stale))
                    .collect();
                let value = node.value;
                (node.path, reference::Node { value, permissions })
            })
            .collect();
        assert_eq!(nodes, self.model.tree);
        self.store.check();
    }
}

#[test]
fn the_store_does_what_the_reference_does() {
    let config = ProptestConfig {
        cases: 1500,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let actions = prop::collection::vec(action(), 1..120);
    let outcome = TestRunner::new(config).run(&actions, |actions| {
        let mut both = Both::new();
        for action in &actions {
            both.act(action);
        }
        both.compare();
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
