//! The recovery box: bytes that somebody else owns and lends to the store, and what stands where in them.

/// Bytes that outlive the store. On bare metal these are pages that domb lends, on Linux a mapped file.
///
/// Writes must reach the memory in the order in which they are made, as far as whoever reads after the store's death is
/// concerned: a plain copy for [`RecoveryBox::write`] and a release store for [`RecoveryBox::publish`] are enough, since the reader
/// starts after the writer's end.
///
/// Offsets beyond the end do nothing, and read as zeros.
pub trait RecoveryBox {
    /// Bytes; does not change.
    fn size(&self) -> usize;

    /// Copies bytes out.
    fn read(&self, offset: usize, bytes: &mut [u8]);

    /// Copies bytes in.
    fn write(&mut self, offset: usize, bytes: &[u8]);

    /// Writes a little-endian number at a multiple of eight, at once and after everything written before.
    fn publish(&mut self, offset: usize, number: u64);
}

impl<B: RecoveryBox + ?Sized> RecoveryBox for &mut B {
    fn size(&self) -> usize {
        (**self).size()
    }

    fn read(&self, offset: usize, bytes: &mut [u8]) {
        (**self).read(offset, bytes);
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) {
        (**self).write(offset, bytes);
    }

    fn publish(&mut self, offset: usize, number: u64) {
        (**self).publish(offset, number);
    }
}

/// No box: for a store whose state need not survive it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NoBox;

impl RecoveryBox for NoBox {
    fn size(&self) -> usize {
        0
    }

    fn read(&self, _: usize, bytes: &mut [u8]) {
        bytes.fill(0);
    }

    fn write(&mut self, _: usize, _: &[u8]) {}

    fn publish(&mut self, _: usize, _: u64) {}
}

/// What a box begins with.
pub(super) const MAGIC: [u8; 8] = *b"XSGUARD\x01";
/// Offset of the size that the box was made with.
pub(super) const SIZE: usize = 8;
/// Offset of the word that says which area is live: its generation twice, plus the number of the area. 0: none.
pub(super) const LIVE: usize = 16;
/// Offset of the two words that say how much of each area is published.
const LENGTHS: usize = 24;
/// Offset of the number of changes that found no room.
pub(super) const LOST: usize = 40;
/// Bytes before the slots.
const HEADER_BYTES: usize = 64;

/// Bytes of a connection's slot: a cache line.
pub(super) const SLOT_BYTES: usize = 64;
/// Bytes of the box for which there is one slot.
const BYTES_PER_SLOT: usize = 2048;
/// The smallest box: an empty store fits into it.
pub const MIN_BOX_BYTES: usize = 64 * 1024;

/// What stands where; follows from the size alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// Slots.
    pub(super) slots: usize,
    /// Offset of the first area.
    areas: usize,
    /// Bytes of each.
    pub(super) area_bytes: usize,
}

/// One of the two areas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Area {
    First,
    Second,
}

impl Area {
    pub(super) const fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }

    /// 0 or 1.
    pub(super) const fn number(self) -> usize {
        match self {
            Self::First => 0,
            Self::Second => 1,
        }
    }

    /// The area and its generation, of the word at [`LIVE`].
    pub(super) const fn of_live(word: u64) -> (Self, u64) {
        let area = if word & 1 == 0 { Self::First } else { Self::Second };
        (area, word >> 1)
    }

    /// The word at [`LIVE`].
    pub(super) const fn live(self, generation: u64) -> u64 {
        (generation << 1) | self.number() as u64
    }

    /// Offset of the word that says how much of it is published.
    pub(super) const fn length(self) -> usize {
        LENGTHS + 8 * self.number()
    }
}

impl Layout {
    /// Of no box.
    pub(super) const NONE: Self = Self {
        slots: 0,
        areas: 0,
        area_bytes: 0,
    };

    /// Of a box of this size; none where it is smaller than [`MIN_BOX_BYTES`].
    pub(super) const fn of(size: usize) -> Option<Self> {
        if size < MIN_BOX_BYTES {
            return None;
        }
        let slots = size / BYTES_PER_SLOT;
        let areas = HEADER_BYTES + slots * SLOT_BYTES;
        let area_bytes = (size - areas) / 2 / SLOT_BYTES * SLOT_BYTES;
        Some(Self {
            slots,
            areas,
            area_bytes,
        })
    }

    /// Offset of a slot.
    pub(super) const fn slot(&self, index: usize) -> usize {
        HEADER_BYTES + index * SLOT_BYTES
    }

    /// Offset of an area.
    pub(super) const fn area(&self, area: Area) -> usize {
        self.areas + area.number() * self.area_bytes
    }
}

/// Reads a little-endian number.
pub(super) fn read_u64(memory: &impl RecoveryBox, offset: usize) -> u64 {
    let mut bytes = [0; 8];
    memory.read(offset, &mut bytes);
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_box_do_not_overlap_and_fit() {
        for size in [MIN_BOX_BYTES, 65_537, 100_000, 1 << 20, 3_333_333, 64 << 20] {
            let layout = Layout::of(size).unwrap();
            assert!(layout.slot(layout.slots) <= layout.area(Area::First));
            assert_eq!(layout.area(Area::Second), layout.area(Area::First) + layout.area_bytes);
            assert!(layout.area(Area::Second) + layout.area_bytes <= size);
            assert!(layout.area(Area::First).is_multiple_of(SLOT_BYTES));
            assert!(layout.area_bytes * 2 > size * 9 / 10, "{size}: {layout:?}");
        }
        assert_eq!(Layout::of(MIN_BOX_BYTES - 1), None);
    }

    #[test]
    fn the_live_word_names_area_and_generation() {
        for area in [Area::First, Area::Second] {
            assert_eq!(Area::of_live(area.live(77)), (area, 77));
        }
    }
}
