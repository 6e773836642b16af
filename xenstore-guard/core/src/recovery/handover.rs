//! Rings in a planned update, whose state goes through a stream ([`crate::stream`]).

use alloc::vec::Vec;

use xen::store::wire::Operation;

use super::flight::Large;
use super::journal::Recovery;
use super::region::RecoveryBox;
use super::ring::{RingState, Unanswered, first_message};
use crate::state::{ConnectionId, ConnectionState, Peer, State};

impl<B: RecoveryBox> Recovery<B> {
    /// Takes out of a state what a successor finds in the rings: requests that were not taken out of them. To be called before the state is
    /// written as a stream for a successor that serves the same rings.
    pub fn hand_over(&self, state: &mut State) {
        for connection in &mut state.connections {
            if let Some(ring) = self.rings.get(&connection.id) {
                let input = connection.input.len().saturating_sub(ring.fed);
                connection.input.truncate(input);
                if ring.waits() {
                    take_out_last_reply(connection);
                }
            }
        }
    }

    /// Goes on with a ring of a state that another store handed over. `indices` are those of the ring: requests taken out, replies put in.
    /// To be called for each ring, before the first snapshot.
    pub fn adopt(&mut self, state: &State, id: ConnectionId, indices: (u32, u32)) {
        let found = state.connections.iter().find(|connection| connection.id == id);
        if let Some(connection) = found
            && let Peer::Domain { domid, .. } = connection.peer
        {
            let mut ring = RingState::new(domid);
            ring.start(indices);
            ring.adopt(connection);
            ring.write_progress(id, &mut self.slots, &mut self.memory, None);
            self.rings.insert(id, ring);
        }
    }
}

impl RingState {
    /// Takes over what another store left in a connection.
    fn adopt(&mut self, connection: &ConnectionState) {
        // What the requests were is not told: each gets a position of its own, before what is in the ring.
        let mut end = self.requests.wrapping_sub(connection.input.len() as u64);
        self.framing.inherit(&connection.input);
        let (rest, mut output) = connection
            .output
            .split_at_checked(connection.partial_output)
            .unwrap_or_default();
        let mut replies = Vec::new();
        while let Some((header, _, behind)) = first_message(output) {
            if header.operation != Operation::WatchEvent as u32 {
                replies.push(());
            }
            output = behind;
        }
        end = end.wrapping_sub(replies.len() as u64);
        if !rest.is_empty() {
            let large = Large {
                begin: self.replies,
                end: Some(end),
                message: rest.to_vec(),
            };
            self.large = Some((large, 0));
        }
        self.answered = end;
        for () in replies {
            end = end.wrapping_add(1);
            self.unanswered.push_back(Unanswered { end, durable: true });
        }
    }
}

/// Takes the last reply out of what waits: its request is in the ring, and is executed again.
fn take_out_last_reply(connection: &mut ConnectionState) {
    let mut start = connection.partial_output;
    let mut last = None;
    while let Some((header, message, _)) = first_message(connection.output.get(start..).unwrap_or_default()) {
        let end = start + message.len();
        if header.operation != Operation::WatchEvent as u32 {
            last = Some(start..end);
        }
        start = end;
    }
    if let Some(range) = last {
        connection.output.drain(range);
    }
}
