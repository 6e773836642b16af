//! All clients, each in its slot, in turn.

use alloc::vec::Vec;

use super::{Answer, Channel, Request};

/// Whose request it is. Of a client that went it stays valid and means nobody, also when another has its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket {
    slot: usize,
    generation: u64,
    id: u32,
}

impl Ticket {
    /// The slot of the client.
    #[must_use]
    pub fn slot(self) -> usize {
        self.slot
    }

    /// The request's id.
    #[must_use]
    pub fn id(self) -> u32 {
        self.id
    }
}

/// A fixed number of slots, each with a client or free. One client's state never holds up another's.
#[derive(Debug)]
pub struct Server {
    slots: Vec<Slot>,
    /// Whose turn it is.
    next: usize,
}

#[derive(Debug, Default)]
struct Slot {
    client: Option<Channel>,
    /// How many clients it had.
    generation: u64,
}

impl Server {
    /// So many slots, all free.
    #[must_use]
    pub fn new(slots: usize) -> Self {
        Self {
            slots: core::iter::repeat_with(Slot::default).take(slots).collect(),
            next: 0,
        }
    }

    /// A client came to a slot.
    pub fn connect(&mut self, slot: usize) {
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.client = Some(Channel::default());
            slot.generation += 1;
        }
    }

    /// The client of a slot went, or was dropped. Its requests that were handed out, which are to be given up: nobody
    /// waits for them.
    pub fn disconnect(&mut self, slot: usize) -> Vec<Ticket> {
        let Some((client, generation)) = self
            .slots
            .get_mut(slot)
            .and_then(|slot| Some((slot.client.take()?, slot.generation)))
        else {
            return Vec::new();
        };
        client.running().map(|id| Ticket { slot, generation, id }).collect()
    }

    /// The connection of a slot, for its bytes.
    pub fn channel(&mut self, slot: usize) -> Option<&mut Channel> {
        self.slots.get_mut(slot)?.client.as_mut()
    }

    /// The next request: one of each client in turn.
    pub fn next_request(&mut self) -> Option<(Ticket, Request)> {
        let count = self.slots.len();
        for slot in (self.next..count).chain(0..self.next.min(count)) {
            let Some(entry) = self.slots.get_mut(slot) else {
                continue;
            };
            if let Some((id, request)) = entry.client.as_mut().and_then(Channel::next_request) {
                let generation = entry.generation;
                self.next = (slot + 1) % count;
                return Some((Ticket { slot, generation, id }, request));
            }
        }
        None
    }

    /// Answers a request; nothing happens when its client is gone.
    pub fn answer(&mut self, ticket: Ticket, answer: &Answer, now: u64) {
        if let Some(client) = self.client(ticket) {
            client.answer(ticket.id, answer, now);
        }
    }

    /// Whether a request is to be given up: its client said so, or is gone.
    #[must_use]
    pub fn is_cancelled(&mut self, ticket: Ticket) -> bool {
        self.client(ticket).is_none_or(|client| client.is_cancelled(ticket.id))
    }

    /// The slots whose clients are to be dropped now: they read nothing, or what they sent was no frame.
    pub fn overdue(&self, now: u64) -> impl Iterator<Item = usize> + '_ {
        let due = move |client: &Channel| client.is_finished() || client.deadline().is_some_and(|at| at <= now);
        self.clients()
            .filter(move |(_, client)| due(client))
            .map(|(slot, _)| slot)
    }

    /// When to ask [`Server::overdue`] again at the latest.
    #[must_use]
    pub fn deadline(&self) -> Option<u64> {
        self.clients().filter_map(|(_, client)| client.deadline()).min()
    }

    fn clients(&self) -> impl Iterator<Item = (usize, &Channel)> {
        let entries = self.slots.iter().enumerate();
        entries.filter_map(|(slot, entry)| Some((slot, entry.client.as_ref()?)))
    }

    fn client(&mut self, ticket: Ticket) -> Option<&mut Channel> {
        let slot = self.slots.get_mut(ticket.slot)?;
        (slot.generation == ticket.generation).then_some(slot.client.as_mut())?
    }
}
