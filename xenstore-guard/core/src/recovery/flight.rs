//! What was on its way between clients and the store when it died.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use super::item::Item;
use super::slot::{Progress, Slot};
use crate::Change;
use crate::state::ConnectionId;

/// A message that did not fit into the ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Large {
    /// Where it begins among the replies.
    pub(super) begin: u64,
    /// Where the request ends that it answers; none for an event.
    pub(super) end: Option<u64>,
    pub(super) message: Vec<u8>,
}

/// What the journal says of a connection.
#[derive(Debug, Default)]
pub(super) struct Flight {
    /// Bytes of a request of which the end did not come, and where they end.
    pub(super) input: Option<(u64, Vec<u8>)>,
    /// Replies that may not be in the ring, and where their requests end.
    pub(super) replies: VecDeque<(u64, Vec<u8>)>,
    /// The last message that did not fit into the ring.
    pub(super) large: Option<Large>,
    /// Where the last request ends that was executed and whose reply is here, or was.
    pub(super) executed: Option<u64>,
}

impl Flight {
    /// A request is executed. Later ones may be too: a long reply is told again when it begins to go into the ring.
    fn executed(&mut self, end: u64) {
        self.executed = self.executed.max(Some(end));
        if self.input.as_ref().is_some_and(|&(of, _)| of <= end) {
            self.input = None;
        }
    }
}

/// All of them, with the slots that were found.
#[derive(Debug, Default)]
pub(super) struct Flights {
    slots: BTreeMap<ConnectionId, (Slot, Progress)>,
    flights: BTreeMap<ConnectionId, Flight>,
}

impl Flights {
    pub(super) fn new(slots: BTreeMap<ConnectionId, (Slot, Progress)>) -> Self {
        Self {
            slots,
            flights: BTreeMap::new(),
        }
    }

    /// What is known of a connection; it is forgotten here.
    pub(super) fn take(&mut self, id: ConnectionId) -> Option<(Slot, Progress, Flight)> {
        let flight = self.flights.remove(&id).unwrap_or_default();
        let (slot, progress) = self.slots.remove(&id)?;
        Some((slot, progress, flight))
    }

    /// Takes note of an item.
    pub(super) fn note(&mut self, item: &Item<'_>) {
        match *item {
            Item::Change(Change::Connect { connection, .. } | Change::Disconnect { connection }) => {
                self.flights.remove(&connection);
            }
            Item::Change(_) => {}
            Item::Reply {
                connection,
                end,
                message,
            } => {
                let Some(&(_, progress)) = self.slots.get(&connection) else {
                    return;
                };
                let flight = self.flights.entry(connection).or_default();
                flight.executed(end);
                flight.replies.push_back((end, message.to_vec()));
                // Those before the slot's are in the ring.
                while flight.replies.front().is_some_and(|&(end, _)| end < progress.end) {
                    flight.replies.pop_front();
                }
            }
            Item::Input { connection, end, bytes } => {
                let flight = self.flights.entry(connection).or_default();
                match &mut flight.input {
                    Some((known, input)) if known.checked_add(bytes.len() as u64) == Some(end) => {
                        *known = end;
                        input.extend_from_slice(bytes);
                    }
                    input => *input = Some((end, bytes.to_vec())),
                }
            }
            Item::Large {
                connection,
                begin,
                end,
                message,
            } => {
                let flight = self.flights.entry(connection).or_default();
                if let Some(end) = end {
                    flight.executed(end);
                    // It takes the place of its own reply, and those before it are in the ring.
                    while flight.replies.front().is_some_and(|&(of, _)| of <= end) {
                        flight.replies.pop_front();
                    }
                }
                flight.large = Some(Large {
                    begin,
                    end,
                    message: message.to_vec(),
                });
            }
        }
    }
}
