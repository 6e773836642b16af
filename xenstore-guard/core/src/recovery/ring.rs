//! What the recovery knows of a ring.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use xen::DomId;
use xen::store::wire::{HEADER_BYTES, Header, Operation};

use super::flight::Large;
use super::item::Items;
use super::region::RecoveryBox;
use super::resume::{Resumed, anew};
use super::slot::{Owner, Progress, Slot, Slots};
use crate::state::{ConnectionId, ConnectionState};

/// A request whose reply is not in the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unanswered {
    /// Where the request ends.
    pub(super) end: u64,
    /// Its reply is in the box. Else the request stays in the ring until the reply is there.
    pub(super) durable: bool,
}

/// A ring. Positions count all bytes since the connection began.
#[derive(Debug)]
pub(super) struct RingState {
    pub(super) domid: DomId,
    pub(super) slot: Option<Slot>,
    /// Its indices are known.
    pub(super) served: bool,
    /// Where the first byte of requests is in the ring.
    pub(super) requests: u64,
    /// Bytes behind it that the server has already.
    pub(super) fed: usize,
    /// Where the next byte of replies goes.
    pub(super) replies: u64,
    /// Where the last request ends that was answered.
    pub(super) answered: u64,
    /// Requests that were executed, in order.
    pub(super) unanswered: VecDeque<Unanswered>,
    /// A message that goes into the ring a part at a time, and how much of it is there.
    pub(super) large: Option<(Large, usize)>,
    /// Where the request ends in all that came whose first bytes came.
    pub(super) framing: Framing,
}

/// How much of a request came.
#[derive(Debug, Default)]
pub(super) struct Framing {
    header: [u8; HEADER_BYTES],
    came: usize,
    /// Bytes that another store handed over: several requests, perhaps.
    inherited: Vec<u8>,
}

impl Framing {
    /// Bytes to the end of the header, or of the request.
    pub(super) fn missing(&self) -> usize {
        self.length().saturating_sub(self.came)
    }

    /// Bytes of the header, or of the request where the header is there.
    fn length(&self) -> usize {
        if self.came < HEADER_BYTES {
            return HEADER_BYTES;
        }
        HEADER_BYTES.saturating_add(Header::decode(&self.header).length as usize)
    }

    /// Takes note of bytes that came.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        for (to, from) in self.header.iter_mut().skip(self.came).zip(bytes) {
            *to = *from;
        }
        self.came += bytes.len();
    }

    /// Takes note of bytes that were there before.
    pub(super) fn inherit(&mut self, bytes: &[u8]) {
        self.inherited = bytes.to_vec();
        self.add(bytes);
    }

    /// Whether bytes of a request came.
    pub(super) const fn began(&self) -> bool {
        self.came > 0
    }

    /// The request was processed, and another one begins.
    pub(super) fn restart(&mut self) {
        let done = self.length();
        self.came = 0;
        if !self.inherited.is_empty() {
            let rest = self.inherited.split_off(done.min(self.inherited.len()));
            self.inherit(&rest);
        }
    }

    /// Bytes of later requests that were handed over.
    pub(super) fn ahead(&self) -> usize {
        self.inherited.len()
    }
}

impl RingState {
    pub(super) fn new(domid: DomId) -> Self {
        Self {
            domid,
            slot: None,
            served: false,
            requests: 0,
            fed: 0,
            replies: 0,
            answered: 0,
            unanswered: VecDeque::new(),
            large: None,
            framing: Framing::default(),
        }
    }

    /// The ring is as new: positions go on behind those that were.
    pub(super) fn start_anew(&mut self) {
        let used = self.requests.max(self.replies);
        *self = Self {
            requests: used,
            replies: used,
            ..Self::new(self.domid)
        };
    }

    /// Learns the ring's indices.
    pub(super) fn start(&mut self, (requests, replies): (u32, u32)) {
        let used = self.requests.max(self.replies);
        self.requests = anew(used, requests);
        self.replies = anew(used, replies);
        self.answered = self.requests;
        self.served = true;
    }

    /// Takes over what a store before this one left, and gives the connection what belongs to it.
    pub(super) fn resume(&mut self, resumed: Resumed, connection: &mut ConnectionState) {
        self.served = true;
        self.requests = resumed.requests;
        self.replies = resumed.replies;
        self.answered = resumed.requests;
        self.framing.add(&resumed.input);
        connection.input = resumed.input;
        connection.output.clear();
        connection.partial_output = 0;
        if let Some((large, put)) = resumed.large {
            let rest = large.message.get(put..).unwrap_or_default();
            connection.output.extend_from_slice(rest);
            connection.partial_output = rest.len();
            self.large = Some((large, put));
        }
        for (end, message) in resumed.answers {
            connection.output.extend_from_slice(&message);
            self.unanswered.push_back(Unanswered { end, durable: true });
        }
    }

    /// Whether a request waits for its reply to be put into the ring, and would be executed again after a crash.
    pub(super) fn waits(&self) -> bool {
        self.unanswered.iter().any(|request| !request.durable)
    }

    /// Says in the slot which message comes next: the reply to the request that ends at `reply`, or an event.
    pub(super) fn write_progress(
        &mut self,
        id: ConnectionId,
        slots: &mut Slots,
        memory: &mut impl RecoveryBox,
        reply: Option<u64>,
    ) {
        let owner = Owner {
            connection: id,
            domid: self.domid,
        };
        let progress = Progress {
            begin: self.replies,
            reply: reply.is_some(),
            end: reply.unwrap_or(self.answered),
        };
        match &mut self.slot {
            Some(slot) => slots.write(memory, slot, owner, progress),
            None => self.slot = slots.take(memory, owner, progress),
        }
    }

    /// Writes what is in flight: all that a store after this one cannot find in the ring.
    pub(super) fn write_flight(&self, connection: &ConnectionState, items: &mut Items<'_>) {
        let id = connection.id;
        let mut output = connection.output.as_slice();
        let input = connection.input.len().saturating_sub(self.fed);
        if let Some(bytes) = connection.input.get(..input).filter(|bytes| !bytes.is_empty()) {
            items.input(id, self.requests, bytes);
        }
        if let Some((large, put)) = &self.large {
            items.large(id, large.begin, large.end, &large.message);
            output = output
                .get(large.message.len().saturating_sub(*put)..)
                .unwrap_or_default();
        }
        let mut unanswered = self.unanswered.iter();
        while let Some((header, message, rest)) = first_message(output) {
            if header.operation != Operation::WatchEvent as u32
                && let Some(request) = unanswered.next()
            {
                items.reply(id, request.end, message);
            }
            output = rest;
        }
    }
}

/// The first message of bytes, if all of it is there: its header, the whole of it, and what is behind.
pub(super) fn first_message(bytes: &[u8]) -> Option<(Header, &[u8], &[u8])> {
    let header = Header::decode(bytes.first_chunk()?);
    let length = HEADER_BYTES.checked_add(header.length as usize)?;
    let (message, rest) = bytes.split_at_checked(length)?;
    Some((header, message, rest))
}

/// The first reply among messages.
pub(super) fn first_reply(mut bytes: &[u8]) -> Option<&[u8]> {
    while let Some((header, message, rest)) = first_message(bytes) {
        if header.operation != Operation::WatchEvent as u32 {
            return Some(message);
        }
        bytes = rest;
    }
    None
}
