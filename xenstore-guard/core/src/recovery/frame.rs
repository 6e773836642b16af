//! Frames, of which an area consists: a length, a check value, bytes, zeros up to a multiple of eight.

use alloc::vec::Vec;

use super::check::check;
use super::region::{Area, Layout, RecoveryBox};

/// Bytes before a frame's own.
pub(super) const FRAME_HEADER_BYTES: usize = 8;

/// What a frame holds, by its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The area begins: its generation (8 bytes).
    Start = 1,
    /// Bytes of the snapshot's stream.
    Snapshot = 2,
    /// The snapshot ends.
    SnapshotEnd = 3,
    /// Items that hold together or not at all.
    Journal = 4,
}

impl Kind {
    pub(super) const fn of(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Start,
            2 => Self::Snapshot,
            3 => Self::SnapshotEnd,
            4 => Self::Journal,
            _ => return None,
        })
    }
}

/// Where the next frame of an area goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Writer {
    pub(super) area: Area,
    pub(super) generation: u64,
    /// Bytes of the area that are used.
    pub(super) used: usize,
}

impl Writer {
    /// Writes a frame behind what is there, and does not publish it; false where there is no room. `frame` begins with room for the
    /// header ([`begin`]).
    pub(super) fn append(&mut self, memory: &mut impl RecoveryBox, layout: &Layout, frame: &mut Vec<u8>) -> bool {
        let length = frame.len() - FRAME_HEADER_BYTES;
        frame.resize(frame.len().next_multiple_of(8), 0);
        let free = layout.area_bytes - self.used;
        let (Ok(short), true) = (u32::try_from(length), frame.len() <= free) else {
            return false;
        };
        let Some((header, body)) = frame.split_first_chunk_mut::<FRAME_HEADER_BYTES>() else {
            return false;
        };
        let value = check_value(self.generation, self.used, short, body);
        *header = (u64::from(value) << 32 | u64::from(short)).to_le_bytes();
        memory.write(layout.area(self.area) + self.used, frame);
        self.used += frame.len();
        true
    }

    /// Publishes what was written.
    pub(super) fn publish(&self, memory: &mut impl RecoveryBox) {
        memory.publish(self.area.length(), self.used as u64);
    }
}

/// The check value of a frame's bytes with their padding.
fn check_value(generation: u64, offset: usize, length: u32, body: &[u8]) -> u32 {
    check(&[generation, offset as u64, length.into()], body)
}

/// Begins a frame.
pub(super) fn begin(frame: &mut Vec<u8>, kind: Kind) {
    frame.clear();
    frame.extend_from_slice(&[0; FRAME_HEADER_BYTES]);
    frame.push(kind as u8);
}

/// Why a frame is not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameProblem {
    /// It reaches beyond what is published, or beyond the area.
    #[error("a frame of {length} bytes where {left} are left")]
    Length {
        /// What it says.
        length: u32,
        /// What is there.
        left: usize,
    },
    /// It is not as it was written.
    #[error("check value {found:#010x}, the bytes have {computed:#010x}")]
    Check {
        /// What it says.
        found: u32,
        /// What follows from its bytes.
        computed: u32,
    },
    /// Of no kind that there is, or not in its place.
    #[error("a frame of kind {0}, which cannot be here")]
    Kind(u8),
}

/// Reads the frame at `offset` of an area into `body`; the kind, and the offset of the next. `end` is where the frames end.
pub(super) fn read(
    memory: &impl RecoveryBox,
    layout: &Layout,
    (area, generation): (Area, u64),
    offset: usize,
    end: usize,
    body: &mut Vec<u8>,
) -> Result<(Kind, usize), FrameProblem> {
    body.clear();
    let start = layout.area(area) + offset;
    let left = end.min(layout.area_bytes).saturating_sub(offset);
    if left < FRAME_HEADER_BYTES {
        return Err(FrameProblem::Length { length: 0, left });
    }
    let mut header = [0; FRAME_HEADER_BYTES];
    memory.read(start, &mut header);
    let [a, b, c, d, e, f, g, h] = header;
    let (short, found) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
    let length = short as usize;
    if length.next_multiple_of(8) > left - FRAME_HEADER_BYTES {
        return Err(FrameProblem::Length { length: short, left });
    }
    body.resize(length.next_multiple_of(8), 0);
    memory.read(start + FRAME_HEADER_BYTES, body);
    let computed = check_value(generation, offset, short, body);
    body.truncate(length);
    if computed != found {
        return Err(FrameProblem::Check { found, computed });
    }
    let byte = body.first().copied().unwrap_or_default();
    let kind = Kind::of(byte).ok_or(FrameProblem::Kind(byte))?;
    Ok((kind, offset + FRAME_HEADER_BYTES + length.next_multiple_of(8)))
}
