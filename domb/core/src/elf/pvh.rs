//! A kernel as a PVH guest: loaded by physical address, entered in 32-bit protected mode without paging.

use alloc::format;
use alloc::vec::Vec;

use super::Kernel;
use super::error::ElfError;
use super::note::invalid;

/// The addresses that a CPU without paging reaches end here.
const FOUR_GIB: u64 = 1 << 32;

/// What is loaded where, and where a PVH guest begins (`arch-x86/hvm/start_info.h`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PvhKernel<'a> {
    /// The physical address of the first instruction.
    pub entry: u32,
    /// The lowest physical address of a segment.
    pub start: u64,
    /// The first physical address behind the highest segment, at most 4 GiB.
    pub end: u64,
    /// In ascending order, without overlap, at least one.
    pub segments: Vec<PvhSegment<'a>>,
}

/// A part of the file and its place in guest-physical memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PvhSegment<'a> {
    /// Guest-physical address, bytes. Need not be at a page's start.
    pub address: u64,
    /// Bytes of memory; those beyond `data` are zero.
    pub memory_size: u64,
    /// The bytes from the file.
    pub data: &'a [u8],
}

impl<'a> PvhKernel<'a> {
    pub(super) fn new(kernel: &Kernel<'a>) -> Result<Self, ElfError> {
        let note = kernel
            .notes
            .phys32_entry
            .ok_or(ElfError::MissingNote("PHYS32_ENTRY", "PVH"))?;
        let too_high = |_| invalid("PHYS32_ENTRY", format!("{note:#x} is no 32-bit address"));
        let entry = u32::try_from(note).map_err(too_high)?;
        let mut segments = Vec::with_capacity(kernel.segments.len());
        let mut end = 0;
        for segment in &kernel.segments {
            end = segment.physical.saturating_add(segment.memory_size);
            if end > FOUR_GIB {
                let reason = format!("it ends at physical address {end:#x}, a PVH kernel below 4 GiB");
                return Err(ElfError::Segment {
                    index: segment.index,
                    reason,
                });
            }
            segments.push(PvhSegment {
                address: segment.physical,
                memory_size: segment.memory_size,
                data: segment.data,
            });
        }
        let holds_entry = |segment: &PvhSegment<'_>| {
            note.checked_sub(segment.address)
                .is_some_and(|offset| offset < segment.memory_size)
        };
        if !segments.iter().any(holds_entry) {
            return Err(ElfError::Entry { entry: note });
        }
        let start = segments.first().map_or(0, |segment| segment.address);
        Ok(Self {
            entry,
            start,
            end,
            segments,
        })
    }
}
