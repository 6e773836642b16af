//! A store with clients, for tests.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test program has its own copy and uses a part of it"
)]

use std::cell::Cell;
use std::collections::BTreeSet;

use xen::store::wire::{self, HEADER_BYTES, Header};
use xenstore_guard_core::{Change, Config, ConnectionId, DomId, Environment, Operation, Peer, Server, StoreError};

/// Whoever runs the server.
#[derive(Debug, Default)]
pub struct Host {
    pub now: Cell<u64>,
    pub mapped: BTreeSet<DomId>,
    pub refuses_rings: bool,
    pub journal: Vec<String>,
    pub forgets_changes: bool,
}

impl Environment for Host {
    fn introduce(&mut self, domid: DomId, _ring: u64, _port: u32) -> Result<(), StoreError> {
        if self.refuses_rings {
            return Err(StoreError::Invalid);
        }
        self.mapped.insert(domid);
        Ok(())
    }

    fn release(&mut self, domid: DomId) {
        assert!(self.mapped.remove(&domid), "domain {domid} is not mapped");
    }

    fn now(&self) -> u64 {
        self.now.get()
    }

    fn journal(&mut self, change: &Change<'_>) {
        if self.keeps_journal() {
            self.journal.push(format!("{change:?}"));
        }
    }

    fn keeps_journal(&self) -> bool {
        !self.forgets_changes
    }

    fn control(&mut self, words: &[&[u8]]) -> Option<Result<Vec<u8>, StoreError>> {
        (words == [b"hello"]).then(|| Ok(b"from outside".to_vec()))
    }
}

/// What a client got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    Answer(Operation, Vec<u8>),
    Error(StoreError),
    Event(String, String),
}

/// The answer to a request.
pub type Answer = Result<String, StoreError>;

#[derive(Debug)]
pub struct Store {
    pub server: Server,
    pub host: Host,
    /// Privileged.
    pub socket: ConnectionId,
}

impl Default for Store {
    fn default() -> Self {
        Self::new(Config::default())
    }
}

impl Store {
    pub fn new(config: Config) -> Self {
        let mut server = Server::new(config);
        let socket = server.connect(Peer::Socket).unwrap();
        Self {
            server,
            host: Host::default(),
            socket,
        }
    }

    /// Has the store serve a domain, as a builder does.
    pub fn introduce(&mut self, domid: u16) -> ConnectionId {
        let socket = self.socket;
        let text = format!("{domid}\0{}\05\0", 1000 + u32::from(domid));
        assert_eq!(self.ask(socket, Operation::Introduce, &text), Ok("OK".into()));
        self.server.connection_of(DomId(domid)).unwrap()
    }

    /// Introduces a domain and gives it a home of its own.
    pub fn domain(&mut self, domid: u16) -> ConnectionId {
        let id = self.introduce(domid);
        let home = format!("/local/domain/{domid}");
        self.must(Operation::Mkdir, &format!("{home}\0"));
        self.must(Operation::SetPermissions, &format!("{home}\0n{domid}\0"));
        id
    }

    pub fn release(&mut self, domid: u16) -> Answer {
        let socket = self.socket;
        self.ask(socket, Operation::Release, &format!("{domid}\0"))
    }

    /// Sends a request.
    pub fn send(&mut self, id: ConnectionId, operation: Operation, transaction: u32, payload: &[u8]) {
        let message = wire::message(operation, 7, transaction, &[payload]);
        self.server.receive(id, &message).unwrap();
    }

    /// Processes what was sent.
    pub fn process(&mut self, id: ConnectionId) -> bool {
        self.server.process(id, &mut self.host)
    }

    /// Takes what waits for a client.
    pub fn take(&mut self, id: ConnectionId) -> Vec<Message> {
        let bytes = self.server.output(id).to_vec();
        self.server.sent(id, bytes.len());
        messages(&bytes)
    }

    /// Events that wait for a client, as `path token`.
    pub fn events(&mut self, id: ConnectionId) -> Vec<String> {
        self.take(id)
            .into_iter()
            .map(|message| match message {
                Message::Event(path, token) => format!("{path} {token}"),
                other => panic!("an event was expected, not {other:?}"),
            })
            .collect()
    }

    /// A request and its answer, without the last NUL. Events before it are left out.
    pub fn ask_within(&mut self, id: ConnectionId, transaction: u32, operation: Operation, payload: &[u8]) -> Answer {
        self.send(id, operation, transaction, payload);
        assert!(self.process(id));
        let mut answers = self
            .take(id)
            .into_iter()
            .filter(|message| !matches!(message, Message::Event(..)));
        let answer = answers.next().expect("no answer");
        assert_eq!(answers.next(), None);
        match answer {
            Message::Answer(answered, bytes) => {
                assert_eq!(answered, operation);
                let text = String::from_utf8(bytes).unwrap();
                Ok(text.strip_suffix('\0').map(Into::into).unwrap_or(text))
            }
            Message::Error(error) => Err(error),
            Message::Event(..) => unreachable!(),
        }
    }

    pub fn ask(&mut self, id: ConnectionId, operation: Operation, payload: &str) -> Answer {
        self.ask_within(id, 0, operation, payload.as_bytes())
    }

    /// A privileged request that has to succeed.
    pub fn must(&mut self, operation: Operation, payload: &str) -> String {
        let socket = self.socket;
        match self.ask(socket, operation, payload) {
            Ok(answer) => answer,
            Err(error) => panic!("{} {payload:?}: {error}", operation.name()),
        }
    }

    pub fn read(&mut self, id: ConnectionId, path: &str) -> Answer {
        self.ask(id, Operation::Read, &format!("{path}\0"))
    }

    pub fn write(&mut self, id: ConnectionId, path: &str, value: &str) -> Answer {
        self.ask(id, Operation::Write, &format!("{path}\0{value}"))
    }

    pub fn make(&mut self, id: ConnectionId, path: &str) -> Answer {
        self.ask(id, Operation::Mkdir, &format!("{path}\0"))
    }

    pub fn remove(&mut self, id: ConnectionId, path: &str) -> Answer {
        self.ask(id, Operation::Rm, &format!("{path}\0"))
    }

    pub fn list(&mut self, id: ConnectionId, path: &str) -> Result<Vec<String>, StoreError> {
        let names = self.ask(id, Operation::Directory, &format!("{path}\0"))?;
        Ok(names
            .split('\0')
            .filter(|name| !name.is_empty())
            .map(Into::into)
            .collect())
    }

    /// Permissions, with blanks between the entries.
    pub fn permissions(&mut self, id: ConnectionId, path: &str) -> Answer {
        self.ask(id, Operation::GetPermissions, &format!("{path}\0"))
            .map(|text| text.replace('\0', " "))
    }

    pub fn permit(&mut self, id: ConnectionId, path: &str, permissions: &str) -> Answer {
        let entries = permissions.replace(' ', "\0");
        self.ask(id, Operation::SetPermissions, &format!("{path}\0{entries}\0"))
    }

    pub fn watch(&mut self, id: ConnectionId, path: &str, token: &str) -> Answer {
        self.ask(id, Operation::Watch, &format!("{path}\0{token}\0"))
    }

    pub fn begin(&mut self, id: ConnectionId) -> u32 {
        self.ask(id, Operation::TransactionStart, "\0")
            .unwrap()
            .parse()
            .unwrap()
    }

    pub fn within(&mut self, id: ConnectionId, transaction: u32, operation: Operation, payload: &str) -> Answer {
        self.ask_within(id, transaction, operation, payload.as_bytes())
    }

    pub fn commit(&mut self, id: ConnectionId, transaction: u32) -> Answer {
        self.within(id, transaction, Operation::TransactionEnd, "T\0")
    }

    /// The server counts everything again and finds what it charged.
    pub fn check(&mut self) {
        assert_eq!(self.must(Operation::Control, "check\0"), "OK");
    }

    /// What a domain uses, as CONTROL print tells it.
    pub fn usage(&mut self, domid: u16) -> String {
        let report = self.must(Operation::Control, "print\0");
        let start = format!("domain {domid} ");
        let line = report.lines().find(|line| line.starts_with(&start));
        line.unwrap_or_default().into()
    }
}

/// Takes bytes apart.
pub fn messages(mut bytes: &[u8]) -> Vec<Message> {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        let header = Header::decode(bytes.first_chunk().expect("a header"));
        let end = HEADER_BYTES + header.length as usize;
        let payload = &bytes[HEADER_BYTES..end];
        bytes = &bytes[end..];
        let operation = Operation::from_number(header.operation).unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        messages.push(match operation {
            Operation::Error => Message::Error(StoreError::from_name(payload.strip_suffix(b"\0").unwrap()).unwrap()),
            Operation::WatchEvent => {
                assert_eq!((header.request, header.transaction), (0, 0));
                let mut texts = payload.split(|&byte| byte == 0);
                Message::Event(text(texts.next().unwrap()), text(texts.next().unwrap()))
            }
            _ => {
                assert_eq!(header.request, 7);
                Message::Answer(operation, payload.to_vec())
            }
        });
    }
    messages
}
