//! Drives a ring, in the order that lets a successor go on.

use xen::ring::BadIndex;
use xen::store::ring::RING_BYTES;
use xen::store::wire::Operation;

use super::flight::Large;
use super::journal::{Recovery, RecoveryError};
use super::journaled::Journaled;
use super::page::Ring;
use super::region::RecoveryBox;
use super::ring::{RingState, Unanswered, first_message, first_reply};
use crate::state::ConnectionId;
use crate::{Environment, ProtocolError, Server};

/// Why a ring is not served any more. The server is to be told with [`Server::ring_failed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ServeError {
    /// An index of the domain cannot be.
    #[error(transparent)]
    Index(#[from] BadIndex),
    /// The domain broke the protocol.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// An index of the domain went back while it was being used.
    #[error("the domain took back room that it had given: {put} of {length} bytes fit")]
    LessRoom {
        /// What fit.
        put: usize,
        /// What had to.
        length: usize,
    },
}

/// What serving did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Served {
    /// Bytes were put in or taken out: the domain is to be notified, and the ring to be served once more. Linux has no
    /// barrier between its index and its look at ours, which tells it whether to send an event
    /// (drivers/xen/xenbus/xenbus_comms.c); by the time Xen has notified it, its index is there to be seen.
    pub notify: bool,
    /// A request was processed: there may be more.
    pub processed: bool,
    /// The box has no room for the state: a change that was just answered will not survive a crash. For the log.
    pub unkept: Option<RecoveryError>,
}

/// Serves a ring: sends what waits and fits, takes in what came, and processes one request at most. Connections other than this one
/// may have output afterwards ([`Server::outputs`]).
///
/// # Errors
/// [`ServeError`]: the domain broke the protocol of the ring.
pub fn serve<B: RecoveryBox>(
    server: &mut Server,
    recovery: &mut Recovery<B>,
    environment: &mut dyn Environment,
    id: ConnectionId,
    ring: &impl Ring,
) -> Result<Served, ServeError> {
    let mut service = Service {
        server,
        recovery,
        id,
        ring,
        served: Served::default(),
    };
    service.start();
    service.send()?;
    service.take_in()?;
    if service.server.has_request(id) {
        service.process(environment)?;
        service.send()?;
    }
    Ok(service.served)
}

struct Service<'a, B, R> {
    server: &'a mut Server,
    recovery: &'a mut Recovery<B>,
    id: ConnectionId,
    ring: &'a R,
    served: Served,
}

impl<B: RecoveryBox, R: Ring> Service<'_, B, R> {
    /// Learns of the ring's indices when it is served for the first time.
    fn start(&mut self) {
        if !self.recovery.rings.contains_key(&self.id) {
            // Its connection began before the journal did.
            self.keep_snapshot();
        }
        let Recovery {
            memory, slots, rings, ..
        } = &mut *self.recovery;
        if let Some(state) = rings.get_mut(&self.id)
            && !state.served
        {
            state.start(self.ring.positions());
            state.write_progress(self.id, slots, memory, None);
        }
    }

    /// Sends what waits, message by message, as far as there is room.
    fn send(&mut self) -> Result<(), ServeError> {
        loop {
            let Some(state) = self.recovery.rings.get(&self.id) else {
                return Ok(());
            };
            let sent = if state.large.is_some() {
                self.send_large()?
            } else {
                self.send_message()?
            };
            if !sent {
                return Ok(());
            }
            self.served.notify = true;
        }
    }

    /// Sends the next message, if there is one and it fits; whether it was sent, or begun.
    fn send_message(&mut self) -> Result<bool, ServeError> {
        let Some((header, message, _)) = first_message(self.server.output(self.id)) else {
            return Ok(false);
        };
        // A domain that reads from a ring that is not full tells nobody (Linux, drivers/xen/xenbus/xenbus_comms.c), so that
        // room for the whole message must not be waited for.
        let room = self.ring.reply_room()?;
        if room == 0 {
            return Ok(false);
        }
        let Recovery {
            memory, slots, rings, ..
        } = &mut *self.recovery;
        let Some(state) = rings.get_mut(&self.id) else {
            return Ok(false);
        };
        let request = if header.operation == Operation::WatchEvent as u32 {
            None
        } else {
            state.unanswered.pop_front()
        };
        let end = request.map(|request| request.end);
        if message.len() > room {
            let large = Large {
                begin: state.replies,
                end,
                message: message.to_vec(),
            };
            self.begin_large(large)?;
            return Ok(true);
        }
        state.write_progress(self.id, slots, memory, end);
        let put = self.ring.write_replies(message)?;
        let length = message.len();
        if put != length {
            return Err(ServeError::LessRoom { put, length });
        }
        state.replies = state.replies.wrapping_add(length as u64);
        self.server.sent(self.id, length);
        if let Some(request) = request {
            self.answered(request)?;
        }
        Ok(true)
    }

    /// A request's reply is in the ring: the request is taken out, if that was not done before.
    fn answered(&mut self, request: Unanswered) -> Result<(), ServeError> {
        let Some(state) = self.recovery.rings.get_mut(&self.id) else {
            return Ok(());
        };
        state.answered = request.end;
        if !request.durable {
            self.take_out(request.end)?;
        }
        Ok(())
    }

    /// Takes requests out of the ring, up to `end`.
    fn take_out(&mut self, end: u64) -> Result<(), ServeError> {
        let Some(state) = self.recovery.rings.get_mut(&self.id) else {
            return Ok(());
        };
        let Some(count) = end
            .checked_sub(state.requests)
            .and_then(|count| usize::try_from(count).ok())
        else {
            return Ok(());
        };
        self.ring.consume_requests(count)?;
        state.requests = end;
        state.fed = state.fed.saturating_sub(count);
        self.served.notify |= count > 0;
        Ok(())
    }

    /// Begins a message that does not fit: the whole of it goes into the box first.
    fn begin_large(&mut self, large: Large) -> Result<(), ServeError> {
        let (id, end) = (self.id, large.end);
        self.recovery.items().large(id, large.begin, end, &large.message);
        if let Some(state) = self.recovery.rings.get_mut(&id) {
            state.large = Some((large, 0));
        }
        self.keep();
        if let Some(end) = end {
            self.take_out(end)?;
        }
        Ok(())
    }

    /// Sends more of a message that did not fit; whether anything was sent.
    fn send_large(&mut self) -> Result<bool, ServeError> {
        if self.ring.reply_room()? == 0 {
            return Ok(false);
        }
        let Recovery {
            memory, slots, rings, ..
        } = &mut *self.recovery;
        let Some(state) = rings.get_mut(&self.id) else {
            return Ok(false);
        };
        if let Some((large, 0)) = &state.large {
            let end = large.end;
            state.write_progress(self.id, slots, memory, end);
        }
        let Some((large, before)) = &mut state.large else {
            return Ok(false);
        };
        let rest = large.message.get(*before..).unwrap_or_default();
        let put = self.ring.write_replies(rest)?;
        *before += put;
        state.replies = state.replies.wrapping_add(put as u64);
        if put == rest.len() {
            state.answered = large.end.unwrap_or(state.answered);
            state.large = None;
        }
        self.server.sent(self.id, put);
        Ok(put > 0)
    }

    /// Puts what was journaled into the box.
    fn keep(&mut self) {
        if let Err(problem) = self.recovery.keep(self.server) {
            self.served.unkept = Some(problem);
        }
    }

    /// Takes in what came of the next request.
    fn take_in(&mut self) -> Result<(), ServeError> {
        let mut buffer = [0; RING_BYTES];
        while !self.server.has_request(self.id) {
            let Some(state) = self.recovery.rings.get(&self.id) else {
                return Ok(());
            };
            let wanted = state
                .framing
                .missing()
                .min(self.server.input_room(self.id))
                .min(RING_BYTES);
            let buffer = buffer.get_mut(..wanted).unwrap_or_default();
            if buffer.is_empty() {
                return Ok(());
            }
            let came = self.ring.peek_requests(state.fed, buffer)?;
            let bytes = buffer.get(..came).unwrap_or_default();
            if bytes.is_empty() {
                if state.fed == 0 || !state.framing.began() {
                    return Ok(());
                }
                // A domain that writes into a ring that is not empty tells nobody, either: what came of a request is taken
                // out, and then looked at again.
                self.take_part()?;
                continue;
            }
            if state.waits() {
                // Its reply has no room, and the domain goes on nevertheless.
                self.make_durable()?;
                continue;
            }
            self.server.receive(self.id, bytes)?;
            if let Some(state) = self.recovery.rings.get_mut(&self.id) {
                state.framing.add(bytes);
                state.fed += bytes.len();
                if state.fed >= RING_BYTES && state.framing.missing() > 0 {
                    self.take_part()?;
                }
            }
        }
        Ok(())
    }

    /// Takes out the part of a request that is there, into the box.
    fn take_part(&mut self) -> Result<(), ServeError> {
        let Some(state) = self.recovery.rings.get_mut(&self.id) else {
            return Ok(());
        };
        let count = core::mem::take(&mut state.fed);
        state.requests = state.requests.wrapping_add(count as u64);
        let end = state.requests;
        // What the server has, not what is in the ring now: the domain may have written there again, and a successor does not
        // go on with what this one would have refused.
        let pending = self.server.pending_requests(self.id);
        let part = pending.get(pending.len().saturating_sub(count)..).unwrap_or_default();
        self.recovery.items().input(self.id, end, part);
        self.keep();
        self.ring.consume_requests(count)?;
        self.served.notify = true;
        Ok(())
    }

    fn keep_snapshot(&mut self) {
        if let Err(problem) = self.recovery.compact(self.server.state()) {
            self.served.unkept = Some(problem);
        }
    }

    /// Puts the reply that waits into the box, so that its request can leave the ring.
    fn make_durable(&mut self) -> Result<(), ServeError> {
        let Some(state) = self.recovery.rings.get_mut(&self.id) else {
            return Ok(());
        };
        let Some(request) = state.unanswered.back_mut() else {
            return Ok(());
        };
        request.durable = true;
        let end = request.end;
        let mut output = self.server.output(self.id);
        let mut last = None;
        while let Some((header, message, rest)) = first_message(output) {
            if header.operation != Operation::WatchEvent as u32 {
                last = Some(message);
            }
            output = rest;
        }
        if let Some(message) = last {
            self.recovery.items().reply(self.id, end, message);
        }
        self.keep();
        self.take_out(end)
    }

    /// Processes a request.
    fn process(&mut self, environment: &mut dyn Environment) -> Result<(), ServeError> {
        if self.recovery.rings.get(&self.id).is_some_and(RingState::waits) {
            self.make_durable()?;
        }
        let before = self.server.output(self.id).len();
        let mut journaled = Journaled {
            environment,
            recovery: self.recovery,
        };
        self.served.processed = self.server.process(self.id, &mut journaled);
        let Some(state) = self.recovery.rings.get_mut(&self.id) else {
            // It was the connection's end.
            self.keep();
            return Ok(());
        };
        if !self.served.processed {
            return Ok(());
        }
        state.framing.restart();
        let ahead = state.framing.ahead();
        // All of it was handed over by another store, in one piece with what is ahead. A snapshot has what is left of that.
        let inherited = state.fed == 0 || ahead > 0;
        let end = state.requests.wrapping_add(state.fed as u64).wrapping_sub(ahead as u64);
        let output = self.server.output(self.id).get(before..).unwrap_or_default();
        let Some(reply) = first_reply(output) else {
            // None to come: the connection is dead.
            self.keep();
            return self.take_out(end);
        };
        let durable = before > 0 || inherited || !self.recovery.is_clean();
        if let Some(state) = self.recovery.rings.get_mut(&self.id) {
            state.unanswered.push_back(Unanswered { end, durable });
        }
        if durable {
            if inherited {
                self.keep_snapshot();
            } else {
                self.recovery.items().reply(self.id, end, reply);
                self.keep();
            }
            self.take_out(end)?;
        }
        Ok(())
    }
}
