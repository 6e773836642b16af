//! A client that sees every message as it is: what a test compares.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use xen::DomId;
use xen::store::wire::{self, HEADER_BYTES};
use xen::store::{Header, Operation, Permission};

/// Guards against hanging only.
const TIMEOUT: Duration = Duration::from_secs(20);

/// What carries a client's bytes.
pub trait Link {
    /// Sends all of `bytes`, if there is room for them before `end`; how many were sent.
    fn send(&mut self, bytes: &[u8], end: Instant) -> Result<usize>;

    /// Waits for bytes until `end`; none when none came.
    fn receive(&mut self, buffer: &mut [u8], end: Instant) -> Result<usize>;
}

/// A message from a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Its header.
    pub header: Header,
    /// What follows it.
    pub payload: Vec<u8>,
}

/// What a store answers to a request.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Answer {
    /// Done, with these bytes.
    Done(Vec<u8>),
    /// Refused, with this name of an error.
    Refused(String),
}

impl Answer {
    /// The bytes of an answer that is not a refusal.
    pub fn bytes(self) -> Result<Vec<u8>> {
        match self {
            Self::Done(bytes) => Ok(bytes),
            Self::Refused(error) => bail!("refused: {error}"),
        }
    }

    /// Whether it is a refusal with this error.
    pub fn is_refused(&self, error: &str) -> bool {
        matches!(self, Self::Refused(name) if name == error)
    }

    /// Whether it is no refusal.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done(bytes) => write!(formatter, "{:?}", String::from_utf8_lossy(bytes)),
            Self::Refused(error) => formatter.write_str(error),
        }
    }
}

/// A watch fired.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Event {
    /// The node.
    pub path: String,
    /// What the watch was set with.
    pub token: String,
}

/// A client of a store.
pub struct Client<L> {
    link: L,
    input: Vec<u8>,
    events: VecDeque<Event>,
    next_request: u32,
}

impl<L: Link> Client<L> {
    /// A client over a link on which nothing was sent yet.
    pub fn new(link: L) -> Self {
        Self {
            link,
            input: Vec::new(),
            events: VecDeque::new(),
            next_request: 1,
        }
    }

    /// What carries its bytes.
    pub fn link(&mut self) -> &mut L {
        &mut self.link
    }

    /// Sends a request; its number, which the answer will have.
    pub fn send(&mut self, operation: Operation, transaction: u32, payload: &[u8]) -> Result<u32> {
        let request = self.next_request;
        self.next_request += 1;
        let message = wire::message(operation, request, transaction, &[payload]);
        let sent = self.link.send(&message, Instant::now() + TIMEOUT)?;
        if sent < message.len() {
            bail!("{}: the store takes no request", operation.name());
        }
        Ok(request)
    }

    /// The next message that comes before `end`.
    pub fn receive_until(&mut self, end: Instant) -> Result<Option<Reply>> {
        let mut buffer = [0; 8192];
        loop {
            if let Some((header, rest)) = self.input.split_first_chunk::<HEADER_BYTES>() {
                let header = Header::decode(header);
                let length = header.length as usize;
                if length > wire::MAX_PAYLOAD {
                    bail!("a message of {length} bytes");
                }
                if let Some(payload) = rest.get(..length) {
                    let payload = payload.to_vec();
                    self.input.drain(..HEADER_BYTES + length);
                    return Ok(Some(Reply { header, payload }));
                }
            }
            let count = self.link.receive(&mut buffer, end)?;
            if count == 0 {
                return Ok(None);
            }
            self.input.extend_from_slice(&buffer[..count]);
        }
    }

    /// The answer to request `request`; events before it are kept.
    pub fn answer(&mut self, operation: Operation, request: u32) -> Result<Answer> {
        let end = Instant::now() + TIMEOUT;
        loop {
            let Reply { header, payload } = self
                .receive_until(end)?
                .with_context(|| format!("{}: no answer", operation.name()))?;
            if header.operation == Operation::WatchEvent as u32 {
                self.note_event(&payload);
                continue;
            }
            if header.request != request {
                bail!("{}: request {request}, answer {}", operation.name(), header.request);
            }
            return if header.operation == Operation::Error as u32 {
                Ok(Answer::Refused(text(&payload)))
            } else if header.operation == operation as u32 {
                Ok(Answer::Done(payload))
            } else {
                bail!("{}: an answer to operation {}", operation.name(), header.operation)
            };
        }
    }

    /// Sends a request and waits for its answer.
    pub fn call(&mut self, operation: Operation, transaction: u32, payload: &[u8]) -> Result<Answer> {
        let request = self.send(operation, transaction, payload)?;
        self.answer(operation, request)
    }

    /// Sends requests one behind the other, then waits for all answers.
    pub fn calls(&mut self, requests: &[(Operation, u32, Vec<u8>)]) -> Result<Vec<Answer>> {
        let mut bytes = Vec::new();
        let first = self.next_request;
        for (operation, transaction, payload) in requests {
            bytes.extend(wire::message(*operation, self.next_request, *transaction, &[payload]));
            self.next_request += 1;
        }
        let sent = self.link.send(&bytes, Instant::now() + TIMEOUT)?;
        if sent < bytes.len() {
            bail!("the store takes no more than {sent} of {} bytes", bytes.len());
        }
        let numbered = requests.iter().zip(first..);
        numbered
            .map(|((operation, ..), request)| self.answer(*operation, request))
            .collect()
    }

    fn note_event(&mut self, payload: &[u8]) {
        let mut texts = payload.split(|&byte| byte == 0).map(text);
        let (path, token) = (texts.next().unwrap_or_default(), texts.next().unwrap_or_default());
        self.events.push_back(Event { path, token });
    }

    /// The next event that comes within `wait`.
    pub fn event(&mut self, wait: Duration) -> Result<Option<Event>> {
        let end = Instant::now() + wait;
        while self.events.is_empty() {
            let Some(reply) = self.receive_until(end)? else {
                return Ok(None);
            };
            if reply.header.operation != Operation::WatchEvent as u32 {
                bail!("an answer that nobody asked for: {:?}", reply.header);
            }
            self.note_event(&reply.payload);
        }
        Ok(self.events.pop_front())
    }

    /// Takes all events that came so far. What a store sent for earlier requests has come when it answered the last one.
    pub fn take_events(&mut self) -> Vec<Event> {
        self.events.drain(..).collect()
    }

    /// READ.
    pub fn read(&mut self, transaction: u32, path: &str) -> Result<Answer> {
        self.call(Operation::Read, transaction, &terminated(path))
    }

    /// WRITE.
    pub fn write(&mut self, transaction: u32, path: &str, value: &[u8]) -> Result<Answer> {
        self.call(Operation::Write, transaction, &[&terminated(path), value].concat())
    }

    /// MKDIR.
    pub fn mkdir(&mut self, transaction: u32, path: &str) -> Result<Answer> {
        self.call(Operation::Mkdir, transaction, &terminated(path))
    }

    /// RM.
    pub fn rm(&mut self, transaction: u32, path: &str) -> Result<Answer> {
        self.call(Operation::Rm, transaction, &terminated(path))
    }

    /// DIRECTORY.
    pub fn directory(&mut self, transaction: u32, path: &str) -> Result<Answer> {
        self.call(Operation::Directory, transaction, &terminated(path))
    }

    /// The names of a node's children.
    pub fn children(&mut self, path: &str) -> Result<Vec<String>> {
        Ok(names(&self.directory(0, path)?.bytes()?))
    }

    /// SET_PERMS, with a list such as `n0 r7`.
    pub fn set_permissions(&mut self, transaction: u32, path: &str, list: &str) -> Result<Answer> {
        let texts: Vec<u8> = list.split_whitespace().flat_map(terminated).collect();
        self.call(
            Operation::SetPermissions,
            transaction,
            &[terminated(path), texts].concat(),
        )
    }

    /// The permissions of a node.
    pub fn permissions(&mut self, path: &str) -> Result<Vec<Permission>> {
        let bytes = self.call(Operation::GetPermissions, 0, &terminated(path))?.bytes()?;
        names(&bytes)
            .iter()
            .map(|entry| Permission::decode(entry.as_bytes()).with_context(|| format!("permission {entry:?}")))
            .collect()
    }

    /// WATCH.
    pub fn watch(&mut self, path: &str, token: &str) -> Result<Answer> {
        self.call(Operation::Watch, 0, &[terminated(path), terminated(token)].concat())
    }

    /// UNWATCH.
    pub fn unwatch(&mut self, path: &str, token: &str) -> Result<Answer> {
        self.call(Operation::Unwatch, 0, &[terminated(path), terminated(token)].concat())
    }

    /// TRANSACTION_START; the transaction's number.
    pub fn begin(&mut self) -> Result<u32> {
        let bytes = self.call(Operation::TransactionStart, 0, b"\0")?.bytes()?;
        text(&bytes).parse().context("the number of a transaction")
    }

    /// TRANSACTION_END: commit or not.
    pub fn end(&mut self, transaction: u32, commit: bool) -> Result<Answer> {
        let word: &[u8] = if commit { b"T\0" } else { b"F\0" };
        self.call(Operation::TransactionEnd, transaction, word)
    }

    /// INTRODUCE.
    pub fn introduce(&mut self, domid: DomId) -> Result<Answer> {
        self.call(Operation::Introduce, 0, format!("{domid}\x001\x005\0").as_bytes())
    }

    /// RELEASE.
    pub fn release(&mut self, domid: DomId) -> Result<Answer> {
        self.call(Operation::Release, 0, &terminated(&domid.to_string()))
    }
}

fn terminated(text: &str) -> Vec<u8> {
    [text.as_bytes(), b"\0"].concat()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.strip_suffix(b"\0").unwrap_or(bytes)).into_owned()
}

/// The texts of a list in which each ends with a NUL.
fn names(bytes: &[u8]) -> Vec<String> {
    bytes
        .split_inclusive(|&byte| byte == 0)
        .map(text)
        .filter(|name| !name.is_empty())
        .collect()
}
