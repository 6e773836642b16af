//! Does steps on one store.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use xen::DomId;
use xen::store::{Operation, wire};

use super::action::{Action, CLIENTS, GUESTS, Request, SOCKETS};
use crate::client::{Answer, Client, Event, Link};
use crate::ring_link::RingLink;
use crate::scene::Scene;
use crate::socket_link::SocketLink;
use crate::store::StoreKind;

/// What was seen of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// What the store answered. The number of a transaction is left out: each store has its own.
    pub answer: Answer,
    /// How often a commit had to be done again.
    pub retries: u32,
    /// Of the end of a transaction: whether something in it was refused.
    pub refused: bool,
    /// For each client the events that came.
    pub events: Vec<Vec<Event>>,
}

/// A node, as the privileged client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its value.
    pub value: Vec<u8>,
    /// Its permissions, as they travel.
    pub permissions: String,
}

/// A client of either kind.
enum Anyone {
    Socket(Client<SocketLink>),
    Guest(Client<RingLink>),
}

macro_rules! with_client {
    ($anyone:expr, $client:ident => $body:expr) => {
        match $anyone {
            Anyone::Socket($client) => $body,
            Anyone::Guest($client) => $body,
        }
    };
}

/// A transaction that is open.
struct Transaction {
    number: u32,
    /// What was done in it, to be done again.
    done: Vec<(Operation, Vec<u8>)>,
    /// Whether any of it was refused.
    refused: bool,
}

/// A store with clients.
pub struct Player {
    scene: Scene,
    clients: Vec<Anyone>,
    transactions: BTreeMap<(usize, usize), Transaction>,
}

impl Player {
    /// Starts a store, with the clients of [`CLIENTS`].
    pub fn start(kind: StoreKind) -> Result<Self> {
        let mut scene = Scene::new(kind)?;
        let mut clients = Vec::with_capacity(CLIENTS);
        for _ in 0..SOCKETS {
            clients.push(Anyone::Socket(scene.socket_client()?));
        }
        for domid in 1..=u16::try_from(GUESTS)? {
            clients.push(Anyone::Guest(scene.guest(domid)?));
        }
        Ok(Self {
            scene,
            clients,
            transactions: BTreeMap::new(),
        })
    }

    /// The store's kind.
    pub fn kind(&self) -> StoreKind {
        self.scene.store.kind()
    }

    /// What the store logged.
    pub fn log(&self) -> String {
        self.scene.store.log()
    }

    /// Does a step.
    pub fn step(&mut self, action: &Action) -> Result<Observation> {
        let (mut retries, mut refused) = (0, false);
        let answer = match &action.request {
            Request::Begin(transaction) => self.begin(action.client, *transaction)?,
            Request::End(slot, commit) => {
                let transaction = self.transactions.get(&(action.client, *slot));
                refused = transaction.is_some_and(|transaction| transaction.refused);
                self.end(action.client, *slot, *commit, &mut retries)?
            }
            Request::Plain(operation, payload) => self.plain(action, *operation, payload)?,
            Request::Unknown(number, payload) => self.unknown(action.client, *number, payload)?,
        };
        Ok(Observation {
            answer,
            retries,
            refused,
            events: self.events()?,
        })
    }

    fn plain(&mut self, action: &Action, operation: Operation, payload: &[u8]) -> Result<Answer> {
        let key = action.transaction.map(|slot| (action.client, slot));
        let open = key.and_then(|key| self.transactions.get(&key));
        let number = open.map_or(0, |transaction| transaction.number);
        let answer = self.call(action.client, operation, number, payload)?;
        if let Some(transaction) = key.and_then(|key| self.transactions.get_mut(&key)) {
            transaction.done.push((operation, payload.to_vec()));
            transaction.refused |= !answer.is_done();
        }
        Ok(answer)
    }

    fn call(&mut self, client: usize, operation: Operation, transaction: u32, payload: &[u8]) -> Result<Answer> {
        with_client!(self.client(client)?, client => client.call(operation, transaction, payload))
    }

    fn client(&mut self, client: usize) -> Result<&mut Anyone> {
        self.clients.get_mut(client).context("no such client")
    }

    fn begin(&mut self, client: usize, slot: usize) -> Result<Answer> {
        let answer = self.call(client, Operation::TransactionStart, 0, b"\0")?;
        let Answer::Done(bytes) = answer else {
            return Ok(answer);
        };
        let number = String::from_utf8(bytes)?.trim_end_matches('\0').parse()?;
        let transaction = Transaction {
            number,
            done: Vec::new(),
            refused: false,
        };
        self.transactions.insert((client, slot), transaction);
        Ok(Answer::Done(Vec::new()))
    }

    fn end(&mut self, client: usize, slot: usize, commit: bool, retries: &mut u32) -> Result<Answer> {
        let word: &[u8] = if commit { b"T\0" } else { b"F\0" };
        let Some(mut transaction) = self.transactions.remove(&(client, slot)) else {
            // Of none: the store has to refuse.
            return self.call(client, Operation::TransactionEnd, 0, word);
        };
        loop {
            let answer = self.call(client, Operation::TransactionEnd, transaction.number, word)?;
            if !answer.is_refused("EAGAIN") {
                return Ok(answer);
            }
            *retries += 1;
            let started = self.call(client, Operation::TransactionStart, 0, b"\0")?;
            let Answer::Done(bytes) = started else {
                return Ok(started);
            };
            transaction.number = String::from_utf8(bytes)?.trim_end_matches('\0').parse()?;
            for (operation, payload) in &transaction.done {
                self.call(client, *operation, transaction.number, payload)?;
            }
        }
    }

    fn unknown(&mut self, client: usize, number: u32, payload: &[u8]) -> Result<Answer> {
        with_client!(self.client(client)?, client => unknown(client, number, payload))
    }

    /// The events that each client got for what was done. A store sends them before it answers the next request of that client.
    fn events(&mut self) -> Result<Vec<Vec<Event>>> {
        (0..CLIENTS)
            .map(|index| {
                self.call(index, Operation::GetDomainPath, 0, b"0\0")?;
                Ok(with_client!(self.client(index)?, client => client.take_events()))
            })
            .collect()
    }

    /// Every node, by its path, but for those that oxenstored makes for itself.
    pub fn tree(&mut self) -> Result<BTreeMap<String, Node>> {
        let mut tree = BTreeMap::new();
        let mut waiting = vec!["/".to_owned()];
        let builder = &mut self.scene.builder;
        while let Some(path) = waiting.pop() {
            let names = builder.children(&path).with_context(|| path.clone())?;
            for name in names.iter().filter(|name| !name.starts_with('@')) {
                waiting.push(format!("{}/{name}", path.trim_end_matches('/')));
            }
            let mut value = builder.read(0, &path)?.bytes()?;
            if path == "/tool/xenstored" {
                value.clear();
            }
            let permissions: Vec<String> = builder.permissions(&path)?.iter().map(ToString::to_string).collect();
            let permissions = permissions.join(" ");
            tree.insert(path, Node { value, permissions });
        }
        Ok(tree)
    }

    /// Destroys the domains, as a toolstack does.
    pub fn release_guests(&mut self) -> Result<Vec<Answer>> {
        (1..=GUESTS)
            .map(|domid| self.scene.builder.release(DomId(u16::try_from(domid)?)))
            .collect()
    }
}

fn unknown<L: Link>(client: &mut Client<L>, number: u32, payload: &[u8]) -> Result<Answer> {
    const REQUEST: u32 = 0x7777;
    let mut message = wire::message(Operation::Control, REQUEST, 0, &[payload]);
    message[..4].copy_from_slice(&number.to_le_bytes());
    let end = Instant::now() + Duration::from_secs(10);
    client.link().send(&message, end)?;
    // Answered with the number that was sent, or with ERROR.
    let reply = client.receive_until(end)?.context("no answer")?;
    let text = String::from_utf8_lossy(&reply.payload)
        .trim_end_matches('\0')
        .to_owned();
    Ok(if reply.header.operation == Operation::Error as u32 {
        Answer::Refused(text)
    } else {
        Answer::Done(reply.payload)
    })
}
