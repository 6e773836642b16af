//! A domain that knows what the store must answer.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use xen::store::wire::{self, Operation};

use super::page::Page;
use crate::recovery::ring::first_message;

/// Numbers that look random.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed ^ 0x5851_f42d_4c95_7f2d)
    }

    /// One below `limit`.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

impl Random {
    /// One below `limit`.
    pub(super) fn domid(&mut self, limit: u16) -> u16 {
        u16::try_from(self.below(limit.into())).unwrap_or_default()
    }

    /// One below `limit`.
    pub(super) fn writes(&mut self, limit: u32) -> u64 {
        self.below(limit as usize) as u64
    }
}

/// A request, and what it does to what the client knows.
#[derive(Debug, Clone)]
enum Request {
    Write(String, Vec<u8>),
    Read(String),
    Remove(String),
    List,
    Watch(String, String),
    Unwatch(String, String),
    /// Anything that must succeed.
    Plain,
    /// RELEASE of a domain that only this client introduces and releases.
    Release(u16),
    Introduce(u16),
    /// Whether the store crashed since.
    Begin(bool),
    WriteIn(u32, String, Vec<u8>),
    End(u32, bool),
}

/// An open transaction: what was written in it, and whether there was another store since.
type Open = (Vec<(String, Vec<u8>)>, bool);

/// A client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) domid: u16,
    pub(super) page: Page,
    random: Random,
    /// Bytes that are not in the ring yet.
    output: Vec<u8>,
    input: Vec<u8>,
    next: u32,
    asked: VecDeque<(u32, Request)>,
    /// What the store must have under this client's `data`.
    pub(super) nodes: BTreeMap<String, Vec<u8>>,
    pub(super) watches: BTreeSet<(String, String)>,
    introduced: BTreeSet<u16>,
    /// Open transactions: what was written in them, and whether the store crashed meanwhile.
    transactions: BTreeMap<u32, Open>,
    /// Watches that must fire, since the store crashed.
    pub(super) to_fire: BTreeSet<(String, String)>,
    pub(super) answers: usize,
}

impl core::fmt::Display for Client {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let short = |text: String| text.chars().take(90).collect::<String>();
        write!(f, "domain {}", self.domid)?;
        for (number, request) in &self.asked {
            write!(f, ", asked {number} {}", short(format!("{request:?}")))?;
        }
        for (path, token) in &self.to_fire {
            write!(f, ", {path} {}", short(token.clone()))?;
        }
        Ok(())
    }
}

impl Client {
    pub(super) fn new(domid: u16, page: Page, seed: u64) -> Self {
        Self {
            domid,
            page,
            random: Random::new(seed),
            output: vec![],
            input: vec![],
            next: 1,
            asked: VecDeque::new(),
            nodes: BTreeMap::new(),
            watches: BTreeSet::new(),
            introduced: BTreeSet::new(),
            transactions: BTreeMap::new(),
            to_fire: BTreeSet::new(),
            answers: 0,
        }
    }

    fn home(&self) -> String {
        format!("/local/domain/{}/data", self.domid)
    }

    fn ask(&mut self, operation: Operation, transaction: u32, parts: &[&[u8]], request: Request) {
        self.output
            .extend(wire::message(operation, self.next, transaction, parts));
        self.asked.push_back((self.next, request));
        self.next += 1;
    }

    /// Asks for something that must succeed.
    pub(super) fn plain(&mut self, operation: Operation, payload: &[u8]) {
        self.ask(operation, 0, &[payload], Request::Plain);
    }

    pub(super) fn is_idle(&self) -> bool {
        self.asked.is_empty()
    }

    /// The store died: what was open is lost, watches will fire.
    pub(super) fn store_crashed(&mut self) {
        self.transactions_end();
        self.to_fire = self.watches.clone();
        for (_, request) in &mut self.asked {
            if let Request::Unwatch(path, token) = request {
                self.to_fire.remove(&(path.clone(), token.clone()));
            }
        }
    }

    /// There is another store: what was open ends with EAGAIN.
    pub(super) fn transactions_end(&mut self) {
        for transaction in self.transactions.values_mut() {
            transaction.1 = true;
        }
        for (_, request) in &mut self.asked {
            if let Request::Begin(crashed) = request {
                *crashed = true;
            }
        }
    }

    /// Asks for something, if there is little to be answered.
    pub(super) fn act(&mut self) {
        if self.asked.len() >= 3 {
            return;
        }
        let name = format!("{}/n{}", self.home(), self.random.below(4));
        let value = match self.random.below(8) {
            0 => vec![b'v'; 1000 + self.random.below(1000)],
            _ => format!("{}", self.next).into_bytes(),
        };
        let path = ["shared", "data", "data/n1"][self.random.below(3)];
        let path = if path == "shared" {
            "/shared".to_string()
        } else {
            path.to_string()
        };
        let token = match self.random.below(6) {
            0 => "t".repeat(1500),
            other => format!("t{}", other % 2),
        };
        match self.random.below(20) {
            0..5 => {
                let request = Request::Write(name.clone(), value.clone());
                self.ask(Operation::Write, 0, &[name.as_bytes(), b"\0", &value], request);
            }
            5..8 => self.ask(
                Operation::Read,
                0,
                &[name.as_bytes(), b"\0"],
                Request::Read(name.clone()),
            ),
            8 => {
                let long = format!("{}/{}", self.home(), "x".repeat(1500));
                self.ask(
                    Operation::Read,
                    0,
                    &[long.as_bytes(), b"\0"],
                    Request::Read(long.clone()),
                );
            }
            9 => self.ask(
                Operation::Rm,
                0,
                &[name.as_bytes(), b"\0"],
                Request::Remove(name.clone()),
            ),
            10 => {
                let home = self.home();
                self.ask(Operation::Directory, 0, &[home.as_bytes(), b"\0"], Request::List);
            }
            11..13 => {
                let request = Request::Watch(path.clone(), token.clone());
                self.ask(
                    Operation::Watch,
                    0,
                    &[path.as_bytes(), b"\0", token.as_bytes(), b"\0"],
                    request,
                );
            }
            13 => {
                let request = Request::Unwatch(path.clone(), token.clone());
                self.ask(
                    Operation::Unwatch,
                    0,
                    &[path.as_bytes(), b"\0", token.as_bytes(), b"\0"],
                    request,
                );
            }
            14 => self.plain(Operation::Write, b"/shared\0news"),
            15 if self.domid == 0 => {
                let domid = 90 + self.random.domid(2);
                let text = format!("{domid}\0");
                if self.random.below(2) == 0 {
                    self.ask(Operation::Release, 0, &[text.as_bytes()], Request::Release(domid));
                } else {
                    self.ask(
                        Operation::Introduce,
                        0,
                        &[text.as_bytes(), b"1\0", b"2\0"],
                        Request::Introduce(domid),
                    );
                }
            }
            15..18 if self.transactions.len() + self.begins() < 3 => {
                self.ask(Operation::TransactionStart, 0, &[b"\0"], Request::Begin(false));
            }
            _ => self.act_in_transaction(&name, &value),
        }
    }

    fn begins(&self) -> usize {
        self.asked
            .iter()
            .filter(|(_, request)| matches!(request, Request::Begin(_)))
            .count()
    }

    fn act_in_transaction(&mut self, name: &str, value: &[u8]) {
        let ending = |id| {
            let mut asked = self.asked.iter();
            asked.any(|(_, request)| matches!(request, Request::End(other, _) if *other == id))
        };
        let Some(id) = self.transactions.keys().copied().find(|&id| !ending(id)) else {
            return;
        };
        if self.random.below(2) == 0 {
            let request = Request::WriteIn(id, name.to_string(), value.to_vec());
            self.ask(Operation::Write, id, &[name.as_bytes(), b"\0", value], request);
        } else {
            let commit = self.random.below(4) > 0;
            let payload: &[u8] = if commit { b"T\0" } else { b"F\0" };
            self.ask(Operation::TransactionEnd, id, &[payload], Request::End(id, commit));
        }
    }

    /// Moves bytes to and from the ring.
    pub(super) fn pump(&mut self) {
        let sizes = [1, 7, 16, 40, 300, 5000];
        let count = self.page.send(&self.output, sizes[self.random.below(6)]);
        self.output.drain(..count);
        let bytes = self.page.take(sizes[self.random.below(6)]);
        self.input.extend(bytes);
        while let Some((header, message, rest)) = first_message(&self.input) {
            let payload = message[wire::HEADER_BYTES..].to_vec();
            self.input = rest.to_vec();
            if header.operation == Operation::WatchEvent as u32 {
                self.event(&payload);
            } else {
                let (request, what) = self.asked.pop_front().expect("an answer that nobody asked for");
                assert_eq!(
                    header.request, request,
                    "domain {}: {what:?} is answered by {header:?}",
                    self.domid
                );
                self.answered(&what, header.operation == Operation::Error as u32, &payload);
                self.answers += 1;
            }
        }
    }

    fn event(&mut self, payload: &[u8]) {
        let texts: Vec<&[u8]> = payload.split(|&byte| byte == 0).collect();
        assert_eq!(texts.len(), 3, "an event is a path and a token");
        let token = String::from_utf8(texts[1].to_vec()).unwrap();
        let path = String::from_utf8(texts[0].to_vec()).unwrap();
        self.to_fire
            .retain(|(watched, of)| *of != token || !path.starts_with(watched.as_str()));
    }

    /// Compares an answer with what it must be, and takes note of what was done.
    fn answered(&mut self, request: &Request, is_error: bool, payload: &[u8]) {
        let domid = self.domid;
        let text = String::from_utf8_lossy(payload).into_owned();
        let is = |expected: &[u8]| {
            let failed = matches!(expected, b"ENOENT\0" | b"EEXIST\0" | b"EAGAIN\0");
            let expected_text = String::from_utf8_lossy(expected);
            assert!(
                failed == is_error && payload == expected,
                "domain {domid}: {:.200}: answered {text:.80}, expected {expected_text}",
                format!("{request:?}")
            );
        };
        match request {
            Request::Write(path, value) => {
                is(b"OK\0");
                self.nodes.insert(path.clone(), value.clone());
            }
            Request::Read(path) => match self.nodes.get(path) {
                Some(value) => assert!(payload == value, "domain {domid}: {path}: {text:.80}"),
                None => is(b"ENOENT\0"),
            },
            Request::Remove(path) => {
                is(b"OK\0");
                self.nodes.remove(path);
            }
            Request::List => {
                let mut names: Vec<&str> = text.split_terminator('\0').collect();
                names.sort_unstable();
                let expected: Vec<&str> = self.nodes.keys().filter_map(|path| path.rsplit('/').next()).collect();
                assert_eq!(names, expected, "domain {domid}");
            }
            Request::Watch(path, token) => match self.watches.insert((path.clone(), token.clone())) {
                true => is(b"OK\0"),
                false => is(b"EEXIST\0"),
            },
            Request::Unwatch(path, token) => match self.watches.remove(&(path.clone(), token.clone())) {
                true => is(b"OK\0"),
                false => is(b"ENOENT\0"),
            },
            Request::Plain => is(b"OK\0"),
            Request::Introduce(other) => {
                is(b"OK\0");
                self.introduced.insert(*other);
            }
            Request::Release(other) => match self.introduced.remove(other) {
                true => is(b"OK\0"),
                false => is(b"ENOENT\0"),
            },
            Request::Begin(crashed) => {
                assert!(!is_error, "domain {domid}: {text}");
                let id = text.trim_end_matches('\0').parse().unwrap();
                let before = self.transactions.insert(id, (vec![], *crashed));
                assert_eq!(before, None, "domain {domid}: transaction {id} comes twice");
            }
            Request::WriteIn(id, path, value) => {
                is(b"OK\0");
                let written = self.transactions.get_mut(id).unwrap();
                written.0.push((path.clone(), value.clone()));
            }
            Request::End(id, commit) => {
                let (written, crashed) = self.transactions.remove(id).unwrap();
                if *commit && crashed && is_error {
                    is(b"EAGAIN\0");
                } else {
                    is(b"OK\0");
                    if *commit {
                        self.nodes.extend(written);
                    }
                }
            }
        }
    }
}
