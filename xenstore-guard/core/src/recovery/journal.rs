//! The recovery of a running store: changes and what is in flight go into the box before an answer leaves.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use xen::DomId;

use super::frame::{self, Kind, Writer};
use super::item::{self, Items};
use super::open;
use super::region::{Area, LIVE, LOST, Layout, MAGIC, MIN_BOX_BYTES, NoBox, RecoveryBox, SIZE};
use super::report::Report;
use super::ring::RingState;
use super::slot::Slots;
use super::unfinished::Unfinished;
use crate::Change;
use crate::state::{ConnectionId, Peer, State};
use crate::stream::{self, Handover, TooLarge, WriteError};

/// Bytes of the snapshot in one frame.
const CHUNK: usize = 4000;

/// Why a box cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecoveryError {
    /// It is smaller than an empty store needs.
    #[error("a recovery box of {size} bytes, expected at least {MIN_BOX_BYTES}")]
    TooSmall {
        /// Its size.
        size: usize,
    },
    /// The state does not fit into it. What was there before stays, and every change that is not kept is counted in the box.
    #[error("the state does not fit into {area} bytes, half of the recovery box")]
    NoRoom {
        /// Bytes that there are for a state.
        area: usize,
    },
    /// Something in the state does not fit into a snapshot's fields.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

/// The live area has no room for what was to be written: a snapshot ([`Recovery::compact`]) makes room, and covers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the journal is full")]
pub struct Full;

/// What opening a box gives.
#[derive(Debug)]
pub struct Opened<B> {
    /// To go on with.
    pub recovery: Recovery<B>,
    /// The state of the store that was here before; none in a fresh box, and where nothing of it can be read. Connections of sockets
    /// are gone from it. Rings are those that [`Unfinished::resume`] is to be called for.
    pub state: Option<State>,
    /// What that store left unfinished.
    pub unfinished: Unfinished,
    /// What was found on the way.
    pub report: Report,
}

/// A recovery box in use.
#[derive(Debug)]
pub struct Recovery<B> {
    pub(super) memory: B,
    layout: Layout,
    pub(super) slots: Slots,
    /// Where the journal goes on; none before the first snapshot.
    writer: Option<Writer>,
    /// Area and generation of the next snapshot.
    next: (Area, u64),
    /// The journal frame that is being made.
    frame: Vec<u8>,
    pub(super) rings: BTreeMap<ConnectionId, RingState>,
    /// Connections of which nothing is kept.
    sockets: BTreeSet<ConnectionId>,
    /// Connections that ended in the frame that is being made.
    ended: Vec<ConnectionId>,
    /// Changes that found no room since the last snapshot.
    lost: u64,
    /// How many of them make the next attempt at a snapshot worthwhile.
    patience: u64,
}

impl Recovery<NoBox> {
    /// Keeps nothing.
    #[must_use]
    pub fn without_box() -> Self {
        Self::unused(NoBox)
    }
}

impl<B: RecoveryBox> Recovery<B> {
    /// Keeps nothing, whatever the box: for one that is too small.
    #[must_use]
    pub fn unused(memory: B) -> Self {
        Self::new(memory, Layout::NONE, (Area::First, 1))
    }

    fn new(memory: B, layout: Layout, next: (Area, u64)) -> Self {
        let mut frame = Vec::new();
        frame::begin(&mut frame, Kind::Journal);
        Self {
            memory,
            layout,
            slots: Slots::new(layout),
            writer: None,
            next,
            frame,
            rings: BTreeMap::new(),
            sockets: BTreeSet::new(),
            ended: Vec::new(),
            lost: 0,
            patience: 0,
        }
    }

    /// Opens a box. The first snapshot ([`Recovery::compact`]) is to be made before requests are served, after rings were resumed; until then
    /// the box stays as it is.
    ///
    /// # Errors
    /// [`RecoveryError::TooSmall`].
    pub fn open(memory: B) -> Result<Opened<B>, RecoveryError> {
        let size = memory.size();
        let layout = Layout::of(size).ok_or(RecoveryError::TooSmall { size })?;
        let contents = open::contents(&memory, &layout);
        let next = (contents.area.other(), contents.next_generation);
        Ok(Opened {
            recovery: Self::new(memory, layout, next),
            state: contents.state,
            unfinished: Unfinished::new(contents.flights),
            report: contents.report,
        })
    }

    /// The box.
    pub fn memory(&self) -> &B {
        &self.memory
    }

    /// Bytes that the journal can take before a snapshot has to make room.
    #[must_use]
    pub fn room(&self) -> usize {
        self.writer
            .map_or(0, |writer| self.layout.area_bytes.saturating_sub(writer.used))
    }

    /// Rings that have no slot, since all are taken: requests of theirs that are in flight at a crash may be executed again.
    #[must_use]
    pub fn rings_without_slot(&self) -> usize {
        self.rings
            .values()
            .filter(|ring| ring.served && ring.slot.is_none())
            .count()
    }

    /// Takes a change. It is in the box after the next [`Recovery::commit`].
    pub fn journal(&mut self, change: &Change<'_>) {
        if let Change::Connect { connection, .. } = change
            && (self.sockets.contains(connection) || self.rings.contains_key(connection))
        {
            let before = self.ended.len();
            self.ended.retain(|ended| ended != connection);
            if self.ended.len() == before {
                // A snapshot told it earlier.
                return;
            }
            self.forget_ring(*connection);
        }
        if let Some(connection) = item::connection_of(change) {
            match *change {
                Change::Connect {
                    peer: Peer::Domain { domid, .. },
                    ..
                } => {
                    self.rings.insert(connection, RingState::new(domid));
                }
                Change::Connect { .. } => {
                    self.sockets.insert(connection);
                }
                Change::Disconnect { .. } => {
                    if self.sockets.remove(&connection) {
                        return;
                    }
                    self.ended.push(connection);
                }
                _ => {}
            }
            if self.sockets.contains(&connection) {
                return;
            }
        }
        Items(&mut self.frame).change(change);
    }

    /// The items of the frame that is being made.
    pub(super) fn items(&mut self) -> Items<'_> {
        Items(&mut self.frame)
    }

    /// Whether anything was journaled since the last [`Recovery::commit`].
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.frame.len() <= frame::FRAME_HEADER_BYTES + 1
    }

    /// Puts what was journaled into the box, all at once.
    ///
    /// # Errors
    /// [`Full`]: nothing was put in.
    pub fn commit(&mut self) -> Result<(), Full> {
        if self.is_clean() {
            return Ok(());
        }
        if self.layout == Layout::NONE {
            frame::begin(&mut self.frame, Kind::Journal);
            self.forget_ended();
            return Ok(());
        }
        let fits = match &mut self.writer {
            None => false,
            Some(writer) => writer.append(&mut self.memory, &self.layout, &mut self.frame),
        };
        frame::begin(&mut self.frame, Kind::Journal);
        let (true, Some(writer)) = (fits, &self.writer) else {
            return Err(Full);
        };
        writer.publish(&mut self.memory);
        self.forget_ended();
        Ok(())
    }

    /// Gives the slots of connections back that ended.
    fn forget_ended(&mut self) {
        for id in core::mem::take(&mut self.ended) {
            if let Some(slot) = self.rings.remove(&id).and_then(|ring| ring.slot) {
                self.slots.free(&mut self.memory, slot);
            }
        }
    }

    /// Forgets what is in flight in a ring. To be called before the ring's indices are set to something else, as in a fresh start that the
    /// domain asked for.
    pub fn forget_ring(&mut self, id: ConnectionId) {
        if let Some(ring) = self.rings.get_mut(&id) {
            let slot = ring.slot.take();
            ring.start_anew();
            if let Some(slot) = slot {
                self.slots.free(&mut self.memory, slot);
            }
        }
    }

    /// [`Recovery::forget_ring`], by domain.
    pub fn forget_ring_of(&mut self, domid: DomId) {
        let found = self.rings.iter().find(|(_, ring)| ring.domid == domid);
        if let Some((&id, _)) = found {
            self.forget_ring(id);
        }
    }

    /// Writes a snapshot of the state into the area that is not live, and makes that the live one.
    ///
    /// # Errors
    /// [`RecoveryError::NoRoom`] or [`RecoveryError::TooLarge`]: the live area stays as it is, and what it misses is counted.
    pub fn compact(&mut self, state: State) -> Result<(), RecoveryError> {
        frame::begin(&mut self.frame, Kind::Journal);
        self.know_connections(&state);
        if self.layout == Layout::NONE {
            self.forget_ended();
            return Ok(());
        }
        if self.lost < self.patience {
            self.lose();
            return Err(self.no_room());
        }
        let written = self.write_snapshot(state);
        frame::begin(&mut self.frame, Kind::Journal);
        let writer = match written {
            Ok(writer) => writer,
            Err(problem) => {
                self.lose();
                self.patience = self.lost.saturating_mul(2);
                return Err(problem);
            }
        };
        writer.publish(&mut self.memory);
        self.memory.publish(LIVE, writer.area.live(writer.generation));
        self.memory.publish(LOST, 0);
        (self.lost, self.patience) = (0, 0);
        self.writer = Some(writer);
        self.next = (writer.area.other(), writer.generation + 1);
        self.forget_ended();
        Ok(())
    }

    fn no_room(&self) -> RecoveryError {
        RecoveryError::NoRoom {
            area: self.layout.area_bytes,
        }
    }

    /// Counts a change that is not in the box.
    fn lose(&mut self) {
        // A journal with a gap is of no use.
        self.writer = None;
        self.lost = self.lost.saturating_add(1);
        self.memory.publish(LOST, self.lost);
    }

    fn write_snapshot(&mut self, mut state: State) -> Result<Writer, RecoveryError> {
        // Nothing remains of sockets; what is in flight in rings comes behind the snapshot.
        state.connections.retain(|connection| connection.peer != Peer::Socket);
        let mut flights = Vec::new();
        for connection in &mut state.connections {
            if let Some(ring) = self.rings.get(&connection.id) {
                frame::begin(&mut self.frame, Kind::Journal);
                ring.write_flight(connection, &mut Items(&mut self.frame));
                if !self.is_clean() {
                    flights.push(core::mem::take(&mut self.frame));
                }
            }
            connection.input.clear();
            connection.output.clear();
            connection.partial_output = 0;
        }
        let (area, generation) = self.next;
        let mut writer = Writer {
            area,
            generation,
            used: 0,
        };
        self.memory.publish(SIZE, self.memory.size() as u64);
        self.memory.publish(0, u64::from_le_bytes(MAGIC));
        frame::begin(&mut self.frame, Kind::Start);
        self.frame.extend_from_slice(&generation.to_le_bytes());
        self.append(&mut writer)?;
        frame::begin(&mut self.frame, Kind::Snapshot);
        let full = self.no_room();
        let (memory, layout, frame) = (&mut self.memory, &self.layout, &mut self.frame);
        stream::write_to(&state, &Handover::default(), |mut bytes| {
            while !bytes.is_empty() {
                let room = (frame::FRAME_HEADER_BYTES + 1 + CHUNK).saturating_sub(frame.len());
                let (now, later) = bytes.split_at(room.min(bytes.len()));
                frame.extend_from_slice(now);
                bytes = later;
                if now.len() == room {
                    if !writer.append(memory, layout, frame) {
                        return Err(());
                    }
                    frame::begin(frame, Kind::Snapshot);
                }
            }
            Ok(())
        })
        .map_err(|problem| match problem {
            WriteError::TooLarge(problem) => RecoveryError::TooLarge(problem),
            WriteError::Refused(()) => full,
        })?;
        self.append(&mut writer)?;
        frame::begin(&mut self.frame, Kind::SnapshotEnd);
        self.append(&mut writer)?;
        for flight in flights {
            self.frame = flight;
            self.append(&mut writer)?;
        }
        Ok(writer)
    }

    fn append(&mut self, writer: &mut Writer) -> Result<(), RecoveryError> {
        if writer.append(&mut self.memory, &self.layout, &mut self.frame) {
            return Ok(());
        }
        Err(self.no_room())
    }

    /// Learns of connections that came before the journal did.
    fn know_connections(&mut self, state: &State) {
        for connection in &state.connections {
            match connection.peer {
                Peer::Socket => {
                    self.sockets.insert(connection.id);
                }
                Peer::Domain { domid, .. } => {
                    self.rings.entry(connection.id).or_insert_with(|| RingState::new(domid));
                }
            }
        }
    }
}

#[cfg(test)]
impl<B: RecoveryBox> Recovery<B> {
    /// Where the published bytes of the live area are in the box.
    pub(super) fn layout_of_live(&self) -> core::ops::Range<usize> {
        let writer = self.writer.expect("a snapshot was made");
        let start = self.layout.area(writer.area);
        start..start + writer.used
    }
}
