//! What a store left unfinished that is gone.

use super::flight::Flights;
use super::journal::Recovery;
use super::region::RecoveryBox;
use super::resume::{anew, highest, resume};
use super::ring::RingState;
use crate::state::{ConnectionId, Peer, State};

/// The in-flight requests and replies of a store that is gone.
#[derive(Debug)]
pub struct Unfinished(Flights);

impl Unfinished {
    pub(super) fn new(flights: Flights) -> Self {
        Self(flights)
    }

    /// Finds out how the ring of a connection goes on whose indices are `indices` (of requests taken out and of replies put in), and puts what
    /// belongs to it into the state. The indices to be set.
    pub fn resume<B: RecoveryBox>(
        &mut self,
        recovery: &mut Recovery<B>,
        state: &mut State,
        id: ConnectionId,
        indices: (u32, u32),
    ) -> Resume {
        let found = state.connections.iter_mut().find(|connection| connection.id == id);
        let Some((connection, Peer::Domain { domid, .. })) = found.map(|found| {
            let peer = found.peer;
            (found, peer)
        }) else {
            return Resume::untouched(indices);
        };
        let mut ring = RingState::new(domid);
        let Some((slot, progress, flight)) = self.0.take(id) else {
            recovery.rings.insert(id, ring);
            return Resume::untouched(indices);
        };
        recovery.slots.use_again(slot);
        ring.slot = Some(slot);
        let used = highest(progress, &flight);
        let resumed = resume(progress, flight, indices.0, indices.1);
        let doubtful = resumed.is_none();
        match resumed {
            Some(resumed) => ring.resume(resumed, connection),
            None => {
                ring.requests = anew(used, indices.0);
                ring.replies = anew(used, indices.1);
                ring.answered = ring.requests;
                ring.served = true;
                // Supersedes all that the slot and the journal said.
                ring.write_progress(id, &mut recovery.slots, &mut recovery.memory, None);
            }
        }
        let resume = Resume {
            requests: low(ring.requests),
            replies: indices.1,
            doubtful,
        };
        recovery.rings.insert(id, ring);
        resume
    }
}

/// The lower half: a ring's index.
pub(super) const fn low(position: u64) -> u32 {
    let [a, b, c, d, ..] = position.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// How a ring goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resume {
    /// Its index of requests that were taken out.
    pub requests: u32,
    /// Its index of replies that were put in.
    pub replies: u32,
    /// Slot, journal and ring did not fit together, since one of them is damaged. The ring is believed: a request in flight may have been
    /// executed before.
    pub doubtful: bool,
}

impl Resume {
    const fn untouched(indices: (u32, u32)) -> Self {
        Self {
            requests: indices.0,
            replies: indices.1,
            doubtful: false,
        }
    }
}
