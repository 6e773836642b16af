//! A connection's slot: which message goes into the ring, or went there last, and which requests it answers.
//!
//! A slot is written before each message that is put into the ring. Two copies and a word that says which one counts make the
//! change a single store.

use alloc::vec;
use alloc::vec::Vec;

use xen::DomId;

use super::check::check;
use super::region::{Layout, RecoveryBox, read_u64};
use crate::state::ConnectionId;

/// Offset of the number of changes, whose lowest bit says which copy counts.
const COUNT: usize = 0;
/// Offset of the owner.
const OWNER: usize = 8;
/// Offset of the first copy.
const COPIES: usize = 16;
/// Bytes of a copy.
const COPY_BYTES: usize = 24;
/// Bit of a copy's position of the message: it is a reply.
const REPLY: u64 = 1 << 63;

/// What a slot says. Positions count all bytes since the connection began: the ring's indices are their lower halves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    /// Where the message begins among the replies.
    pub(super) begin: u64,
    /// It is the reply to the request that ends at `end`. Else it is an event, and the request that ends there is the last that was
    /// answered.
    pub(super) reply: bool,
    /// Where that request ends.
    pub(super) end: u64,
}

/// Whose a slot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) connection: ConnectionId,
    pub(super) domid: DomId,
}

impl Owner {
    fn encode(self) -> u64 {
        u64::from(self.connection.number()) << 32 | u64::from(self.domid.0) << 16 | 1
    }

    fn decode(word: u64) -> Option<Self> {
        let [used, zero, a, b, c, d, e, f] = word.to_le_bytes();
        let connection = u32::from_le_bytes([c, d, e, f]);
        (used == 1 && zero == 0 && connection != 0).then_some(Self {
            connection: ConnectionId::from_number(connection),
            domid: DomId(u16::from_le_bytes([a, b])),
        })
    }
}

/// A slot that is in use: where it is, and how often it was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    index: usize,
    count: u64,
}

/// What was found in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Nobody's.
    Free,
    /// Somebody's.
    Used(Slot, Owner, Progress),
    /// It makes no sense.
    Damaged,
}

impl Slot {
    /// Reads a slot.
    pub(super) fn read(memory: &impl RecoveryBox, layout: &Layout, index: usize) -> Found {
        let at = layout.slot(index);
        let word = read_u64(memory, at + OWNER);
        if word == 0 {
            return Found::Free;
        }
        let Some(owner) = Owner::decode(word) else {
            return Found::Damaged;
        };
        let count = read_u64(memory, at + COUNT);
        let copy = at + Self::copy(count);
        let mut bytes = [0; COPY_BYTES];
        memory.read(copy, &mut bytes);
        let [begin, end, check_value] = words(&bytes);
        if check_value != copy_check(word, copy, begin, end) {
            return Found::Damaged;
        }
        let progress = Progress {
            begin: begin & !REPLY,
            reply: begin & REPLY != 0,
            end,
        };
        Found::Used(Self { index, count }, owner, progress)
    }

    /// Takes a free slot. It is in use when this returns, not before.
    fn take(memory: &mut impl RecoveryBox, layout: &Layout, index: usize, owner: Owner, progress: Progress) -> Self {
        let mut slot = Self { index, count: 0 };
        slot.write(memory, layout, owner, progress);
        memory.publish(layout.slot(index) + OWNER, owner.encode());
        slot
    }

    /// Changes what it says, at once.
    fn write(&mut self, memory: &mut impl RecoveryBox, layout: &Layout, owner: Owner, progress: Progress) {
        self.count = self.count.wrapping_add(1);
        let at = layout.slot(self.index);
        let copy = at + Self::copy(self.count);
        let begin = progress.begin & !REPLY | if progress.reply { REPLY } else { 0 };
        let mut bytes = [0; COPY_BYTES];
        let check_value = copy_check(owner.encode(), copy, begin, progress.end);
        for (to, word) in bytes.chunks_exact_mut(8).zip([begin, progress.end, check_value]) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        memory.write(copy, &bytes);
        memory.publish(at + COUNT, self.count);
    }

    /// Gives it back.
    fn free(self, memory: &mut impl RecoveryBox, layout: &Layout) {
        memory.publish(layout.slot(self.index) + OWNER, 0);
    }

    /// Offset in the slot of the copy that counts.
    const fn copy(count: u64) -> usize {
        if count & 1 == 0 { COPIES } else { COPIES + COPY_BYTES }
    }
}

/// All slots of a box: which are in use.
#[derive(Debug)]
pub(super) struct Slots {
    layout: Layout,
    used: Vec<bool>,
}

impl Slots {
    /// None is in use.
    pub(super) fn new(layout: Layout) -> Self {
        Self {
            layout,
            used: vec![false; layout.slots],
        }
    }

    fn set(&mut self, slot: Slot, in_use: bool) {
        if let Some(used) = self.used.get_mut(slot.index) {
            *used = in_use;
        }
    }

    /// A slot that was found is in use.
    pub(super) fn use_again(&mut self, slot: Slot) {
        self.set(slot, true);
    }

    /// Takes a free slot, if there is one.
    pub(super) fn take(&mut self, memory: &mut impl RecoveryBox, owner: Owner, progress: Progress) -> Option<Slot> {
        let index = self.used.iter().position(|used| !used)?;
        let slot = Slot::take(memory, &self.layout, index, owner, progress);
        self.set(slot, true);
        Some(slot)
    }

    /// Changes what a slot says.
    pub(super) fn write(&self, memory: &mut impl RecoveryBox, slot: &mut Slot, owner: Owner, progress: Progress) {
        slot.write(memory, &self.layout, owner, progress);
    }

    /// Gives a slot back.
    pub(super) fn free(&mut self, memory: &mut impl RecoveryBox, slot: Slot) {
        slot.free(memory, &self.layout);
        self.set(slot, false);
    }
}

fn words(bytes: &[u8; COPY_BYTES]) -> [u64; 3] {
    let (chunks, _) = bytes.as_chunks::<8>();
    let mut words = [0; 3];
    for (word, chunk) in words.iter_mut().zip(chunks) {
        *word = u64::from_le_bytes(*chunk);
    }
    words
}

fn copy_check(owner: u64, offset: usize, begin: u64, end: u64) -> u64 {
    let mut bytes = [0; 16];
    for (to, word) in bytes.chunks_exact_mut(8).zip([begin, end]) {
        to.copy_from_slice(&word.to_le_bytes());
    }
    check(&[owner, offset as u64], &bytes).into()
}
