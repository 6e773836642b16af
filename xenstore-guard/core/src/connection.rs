//! Connections: bytes that come, bytes that go, watches and transactions.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::rc::Rc;
use alloc::vec::Vec;

use xen::DomId;
use xen::store::wire::{HEADER_BYTES, Header, MAX_PAYLOAD};

use crate::output::Output;
use crate::state::{ConnectionId, Peer};
use crate::transaction::Transaction;
use crate::watch::WatchId;

/// The most bytes of a request.
pub(crate) const MAX_MESSAGE: usize = HEADER_BYTES + MAX_PAYLOAD;

/// A connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) peer: Peer,
    /// Where relative paths begin.
    pub(crate) home: Rc<str>,
    /// It broke the protocol.
    pub(crate) ignored: bool,
    pub(crate) input: Input,
    /// How often it was begun again: what was read before is void.
    pub(crate) resets: u32,
    pub(crate) output: Output,
    /// It is among those whose output nobody was told of yet.
    pub(crate) told: bool,
    pub(crate) watches: BTreeSet<WatchId>,
    pub(crate) transactions: BTreeMap<u32, Transaction>,
    next_transaction: u32,
    /// Commits in a row that others were in the way of, and who these were.
    pub(crate) failures: u32,
    pub(crate) in_the_way: Vec<DomId>,
}

impl Connection {
    fn new(peer: Peer) -> Self {
        let domid = domid_of(peer);
        Self {
            peer,
            home: format!("/local/domain/{domid}").into(),
            ignored: false,
            input: Input::default(),
            resets: 0,
            output: Output::default(),
            told: false,
            watches: BTreeSet::new(),
            transactions: BTreeMap::new(),
            next_transaction: 1,
            failures: 0,
            in_the_way: Vec::new(),
        }
    }

    /// The domain that it acts as.
    pub(crate) fn domid(&self) -> DomId {
        domid_of(self.peer)
    }

    pub(crate) fn is_privileged(&self) -> bool {
        self.domid() == DomId::INITIAL
    }

    /// A number that none of its transactions has.
    pub(crate) fn new_transaction(&mut self) -> u32 {
        loop {
            let number = self.next_transaction;
            self.next_transaction = number.wrapping_add(1).max(1);
            if !self.transactions.contains_key(&number) {
                return number;
            }
        }
    }
}

fn domid_of(peer: Peer) -> DomId {
    match peer {
        Peer::Socket => DomId::INITIAL,
        Peer::Domain { domid, .. } => domid,
    }
}

/// Bytes that came, up to one message's.
#[derive(Debug, Default)]
pub(crate) struct Input {
    bytes: Vec<u8>,
    /// Bytes of requests that were processed.
    done: usize,
    /// Where the first header begins that was not looked at yet.
    unchecked: usize,
}

impl Input {
    pub(crate) fn waiting(&self) -> &[u8] {
        self.bytes.get(self.done..).unwrap_or_default()
    }

    pub(crate) fn room(&self) -> usize {
        MAX_MESSAGE.saturating_sub(self.waiting().len())
    }

    /// Takes bytes.
    ///
    /// # Errors
    /// The length of a request that is longer than one may be.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), u32> {
        if self.done > 0 {
            self.bytes.drain(..self.done);
            self.unchecked = self.unchecked.saturating_sub(self.done);
            self.done = 0;
        }
        self.bytes.extend_from_slice(bytes);
        while let Some(header) = self.bytes.get(self.unchecked..).and_then(<[u8]>::first_chunk) {
            let header = Header::decode(header);
            if header.length as usize > MAX_PAYLOAD {
                return Err(header.length);
            }
            self.unchecked += HEADER_BYTES + header.length as usize;
        }
        Ok(())
    }

    /// The first request, if all of it is there: its header, and its bytes behind that.
    pub(crate) fn request(&self) -> Option<(Header, &[u8])> {
        let waiting = self.waiting();
        let header = Header::decode(waiting.first_chunk()?);
        let payload = waiting.get(HEADER_BYTES..HEADER_BYTES.checked_add(header.length as usize)?)?;
        Some((header, payload))
    }

    /// The first request is processed.
    pub(crate) fn advance(&mut self) {
        if let Some((_, payload)) = self.request() {
            self.done += HEADER_BYTES + payload.len();
        }
        if self.done == self.bytes.len() {
            self.unchecked = 0;
            self.done = 0;
            self.bytes.clear();
        }
    }
}

/// All connections.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    slots: Vec<Slot>,
    free: Vec<u16>,
}

#[derive(Debug, Default)]
struct Slot {
    /// Counts the connections that had this slot, so that a name is not given again soon.
    turn: u16,
    connection: Option<Box<Connection>>,
}

const fn name(index: u16, turn: u16) -> ConnectionId {
    ConnectionId::from_number((turn as u32) << 16 | index as u32)
}

#[expect(clippy::cast_possible_truncation, reason = "the halves of a name")]
const fn parts(id: ConnectionId) -> (u16, u16) {
    (id.number() as u16, (id.number() >> 16) as u16)
}

impl Connections {
    pub(crate) fn get(&self, id: ConnectionId) -> Option<&Connection> {
        let (index, turn) = parts(id);
        let slot = self.slots.get(usize::from(index))?;
        slot.connection.as_deref().filter(|_| slot.turn == turn)
    }

    pub(crate) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        let (index, turn) = parts(id);
        let slot = self.slots.get_mut(usize::from(index))?;
        let current = slot.turn == turn;
        slot.connection.as_deref_mut().filter(|_| current)
    }

    /// Adds a connection; none where there are 65536 already.
    pub(crate) fn add(&mut self, peer: Peer) -> Option<ConnectionId> {
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                let index = u16::try_from(self.slots.len()).ok()?;
                self.slots.push(Slot::default());
                index
            }
        };
        let slot = self.slots.get_mut(usize::from(index))?;
        slot.turn = slot.turn.wrapping_add(1).max(1);
        slot.connection = Some(Box::new(Connection::new(peer)));
        Some(name(index, slot.turn))
    }

    /// Adds a connection under the name that it had; none where it is no name, or taken.
    pub(crate) fn restore(&mut self, id: ConnectionId, peer: Peer) -> Option<&mut Connection> {
        let (index, turn) = parts(id);
        if id.number() == 0 {
            return None;
        }
        while self.slots.len() <= usize::from(index) {
            let new = u16::try_from(self.slots.len()).ok()?;
            self.slots.push(Slot::default());
            self.free.push(new);
        }
        let slot = self.slots.get_mut(usize::from(index))?;
        if slot.connection.is_some() {
            return None;
        }
        self.free.retain(|&free| free != index);
        slot.turn = turn;
        Some(slot.connection.insert(Box::new(Connection::new(peer))))
    }

    pub(crate) fn remove(&mut self, id: ConnectionId) -> Option<Box<Connection>> {
        self.get(id)?;
        let (index, _) = parts(id);
        let connection = self.slots.get_mut(usize::from(index))?.connection.take();
        self.free.push(index);
        connection
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (ConnectionId, &Connection)> {
        (0..=u16::MAX).zip(&self.slots).filter_map(|(index, slot)| {
            let connection = slot.connection.as_deref()?;
            Some((name(index, slot.turn), connection))
        })
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (ConnectionId, &mut Connection)> {
        (0..=u16::MAX).zip(&mut self.slots).filter_map(|(index, slot)| {
            let turn = slot.turn;
            let connection = slot.connection.as_deref_mut()?;
            Some((name(index, turn), connection))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xen::store::{Operation, wire};

    #[test]
    fn requests_come_in_pieces_and_in_packs() {
        let one = wire::message(Operation::Read, 1, 0, &[b"/one\0"]);
        let two = wire::message(Operation::Write, 2, 7, &[b"/two\0", b"value"]);
        let all: Vec<u8> = [one.as_slice(), &two, &one].concat();
        for piece in 1..all.len() {
            let mut input = Input::default();
            let mut seen = Vec::new();
            for bytes in all.chunks(piece) {
                assert!(bytes.len() <= input.room());
                input.push(bytes).unwrap();
                while let Some((header, payload)) = input.request() {
                    seen.push((header.request, payload.to_vec()));
                    input.advance();
                }
            }
            let expected = [(1, &b"/one\0"[..]), (2, b"/two\0value"), (1, b"/one\0")];
            assert_eq!(seen, expected.map(|(request, payload)| (request, payload.to_vec())));
            assert_eq!(input.room(), MAX_MESSAGE);
        }
    }

    #[test]
    fn a_request_of_more_than_4096_bytes_is_refused_at_its_header() {
        for length in [4097, 0x4000_0000, 0x8000_0000, u32::MAX] {
            let header = Header {
                length,
                ..Header::default()
            };
            assert_eq!(Input::default().push(&header.encode()), Err(length));
        }
        let mut input = Input::default();
        let longest = wire::message(Operation::Write, 0, 0, &[&[b'x'; MAX_PAYLOAD]]);
        input.push(&longest).unwrap();
        assert_eq!(input.room(), 0);
        assert!(input.request().is_some());
    }

    #[test]
    fn names_are_not_used_again_soon() {
        let mut connections = Connections::default();
        let first = connections.add(Peer::Socket).unwrap();
        assert!(connections.remove(first).is_some());
        let second = connections.add(Peer::Socket).unwrap();
        assert_ne!(first, second);
        assert!(connections.get(first).is_none());
        assert!(connections.remove(first).is_none());
        assert_ne!(second.number(), 0);
    }

    #[test]
    fn names_can_be_kept() {
        let mut connections = Connections::default();
        let id = ConnectionId::from_number(0x0003_0002);
        assert!(connections.restore(id, Peer::Socket).is_some());
        assert!(connections.restore(id, Peer::Socket).is_none());
        // Another implementation counts from 1.
        let other = ConnectionId::from_number(5);
        assert!(connections.restore(other, Peer::Socket).is_some());
        assert!(
            connections
                .restore(ConnectionId::from_number(0), Peer::Socket)
                .is_none()
        );
        let others: Vec<_> = (0..3).map(|_| connections.add(Peer::Socket).unwrap()).collect();
        assert_eq!(connections.iter().count(), 5);
        assert!(!others.contains(&id));
    }
}
