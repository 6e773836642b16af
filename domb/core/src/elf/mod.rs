//! Kernels: what an ELF file asks of the domain it is loaded into.
//!
//! [`Kernel::parse`] reads the file and its Xen notes once; [`Kernel::pvh`] and [`Kernel::pv`] then say how it is
//! loaded as a guest of that kind, with every address checked. The file is hostile: nothing here panics, and the work
//! is bounded by the file's size.
//!
//! Sources: ELF-64 Object File Format 1.5; Xen's public headers `elfnote.h`, `arch-x86/xen.h` and
//! `arch-x86/hvm/start_info.h`.

mod error;
mod features;
mod note;
mod pv;
mod pvh;
#[cfg(test)]
pub(crate) mod writer;

use alloc::vec;
use alloc::vec::Vec;

use object::LittleEndian;
use object::elf::{self, FileHeader64, ProgramHeader64};
use object::read::elf::{FileHeader, ProgramHeader};

pub use error::ElfError;
pub use features::{Feature, Features};
pub use note::Notes;
pub use pv::{PvKernel, PvSegment};
pub use pvh::{PvhKernel, PvhSegment};

/// The most program headers a kernel may have. Linux has five.
const MAX_PROGRAM_HEADERS: usize = 128;

/// One part of the file that is loaded into memory (a PT_LOAD program header).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Segment<'a> {
    /// The program header's number, for messages.
    pub index: usize,
    /// Physical address (`p_paddr`), bytes.
    pub physical: u64,
    /// Virtual address (`p_vaddr`), bytes. Linux links its per-CPU data at 0, whatever its place in memory is.
    pub virtual_address: u64,
    /// Bytes of memory, at least as many as `data` has; those beyond `data` are zero.
    pub memory_size: u64,
    /// The bytes that come from the file.
    pub data: &'a [u8],
}

impl core::fmt::Debug for Segment<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self {
            index,
            physical,
            virtual_address,
            memory_size,
            data,
        } = self;
        write!(
            f,
            "segment {index}: physical {physical:#x}, virtual {virtual_address:#x}, "
        )?;
        write!(f, "{memory_size:#x} bytes, {:#x} of them from the file", data.len())
    }
}

/// A parsed ELF file. Borrows the file's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel<'a> {
    entry: u64,
    segments: Vec<Segment<'a>>,
    notes: Notes,
}

impl<'a> Kernel<'a> {
    /// Reads an ELF64 x86-64 executable and its Xen notes.
    ///
    /// # Errors
    /// Any [`ElfError`] of its first group: the file is cut short or no such executable, a segment lies outside the file or
    /// the address space, two segments overlap in physical memory, a Xen note is malformed.
    pub fn parse(file: &'a [u8]) -> Result<Self, ElfError> {
        check_identity(file)?;
        let header = FileHeader64::<LittleEndian>::parse(file).map_err(ElfError::malformed)?;
        let machine = header.e_machine(LittleEndian).0;
        if machine != elf::EM_X86_64.0 {
            return Err(ElfError::Machine(machine));
        }
        let kind = header.e_type(LittleEndian).0;
        if kind != elf::ET_EXEC.0 {
            return Err(ElfError::NotExecutable(kind));
        }
        let headers = header
            .program_headers(LittleEndian, file)
            .map_err(ElfError::malformed)?;
        if headers.len() > MAX_PROGRAM_HEADERS {
            return Err(ElfError::ProgramHeaders {
                given: headers.len(),
                limit: MAX_PROGRAM_HEADERS,
            });
        }
        let segments = segments(headers, file)?;
        check_overlap(&segments)?;
        Ok(Self {
            entry: header.e_entry(LittleEndian),
            segments,
            notes: Notes::read(header, headers, file)?,
        })
    }

    /// The address in the ELF header where execution begins.
    #[must_use]
    pub fn entry(&self) -> u64 {
        self.entry
    }

    /// The segments in ascending order of physical address; none is empty, none overlaps another there.
    #[must_use]
    pub fn segments(&self) -> &[Segment<'a>] {
        &self.segments
    }

    /// The Xen notes.
    #[must_use]
    pub fn notes(&self) -> &Notes {
        &self.notes
    }

    /// How the kernel is loaded as a PVH guest.
    ///
    /// # Errors
    /// [`ElfError::MissingNote`] or an entry or a segment that a PVH guest cannot have.
    pub fn pvh(&self) -> Result<PvhKernel<'a>, ElfError> {
        PvhKernel::new(self)
    }

    /// How the kernel is loaded as a PV guest.
    ///
    /// # Errors
    /// [`ElfError::MissingNote`], [`ElfError::Note`] or addresses that do not fit together.
    pub fn pv(&self) -> Result<PvKernel<'a>, ElfError> {
        PvKernel::new(self)
    }

    /// The file as it lies in memory before it runs: from the lowest virtual address of a segment to the end of the
    /// highest one's file part, gaps zero. This is what a measurement of the builder's own image hashes.
    ///
    /// # Errors
    /// [`ElfError::ImageSize`] if it is larger than `limit` bytes.
    pub fn memory_image(&self, limit: usize) -> Result<Vec<u8>, ElfError> {
        let ends = |segment: &Segment<'_>| segment.virtual_address.checked_add(length(segment.data));
        let start = self
            .segments
            .iter()
            .map(|segment| segment.virtual_address)
            .min()
            .unwrap_or(0);
        let end = self.segments.iter().filter_map(ends).max().unwrap_or(start);
        let size = end.saturating_sub(start);
        let too_large = ElfError::ImageSize { size, limit };
        let size = usize::try_from(size)
            .ok()
            .filter(|size| *size <= limit)
            .ok_or_else(|| too_large.clone())?;
        let mut image = vec![0; size];
        for segment in &self.segments {
            let place = segment
                .virtual_address
                .checked_sub(start)
                .and_then(|offset| usize::try_from(offset).ok());
            let place = place.and_then(|offset| image.get_mut(offset..)?.get_mut(..segment.data.len()));
            place.ok_or_else(|| too_large.clone())?.copy_from_slice(segment.data);
        }
        Ok(image)
    }
}

/// Checks `e_ident`, so that another kind of ELF file is refused by its name.
fn check_identity(file: &[u8]) -> Result<(), ElfError> {
    if file.len() < size_of::<FileHeader64<LittleEndian>>() {
        return Err(ElfError::Truncated {
            what: "the ELF header",
            file_size: file.len(),
        });
    }
    let [b'\x7f', b'E', b'L', b'F', class, data, ..] = file else {
        return Err(ElfError::NotElf);
    };
    match (*class, *data) {
        (2, 1) => Ok(()),
        (1, _) => Err(ElfError::Class32),
        (2, 2) => Err(ElfError::BigEndian),
        _ => Err(ElfError::NotElf),
    }
}

/// The PT_LOAD program headers with a size in memory, sorted by physical address.
fn segments<'a>(headers: &[ProgramHeader64<LittleEndian>], file: &'a [u8]) -> Result<Vec<Segment<'a>>, ElfError> {
    let mut segments = Vec::new();
    for (index, header) in headers.iter().enumerate() {
        if header.p_type(LittleEndian) != elf::PT_LOAD {
            continue;
        }
        let (offset, size) = header.file_range(LittleEndian);
        let data = header.data(LittleEndian, file);
        let outside = |()| ElfError::OutsideFile {
            index,
            offset,
            size,
            file_size: file.len(),
        };
        let segment = Segment {
            index,
            physical: header.p_paddr(LittleEndian),
            virtual_address: header.p_vaddr(LittleEndian),
            memory_size: header.p_memsz(LittleEndian),
            data: data.map_err(outside)?,
        };
        if segment.memory_size < size {
            return Err(ElfError::MemorySize {
                index,
                memory_size: segment.memory_size,
                size,
            });
        }
        for address in [segment.physical, segment.virtual_address] {
            address.checked_add(segment.memory_size).ok_or(ElfError::Wraps {
                index,
                address,
                size: segment.memory_size,
            })?;
        }
        if segment.memory_size != 0 {
            segments.push(segment);
        }
    }
    if segments.is_empty() {
        return Err(ElfError::NoSegments);
    }
    segments.sort_by_key(|segment| segment.physical);
    Ok(segments)
}

/// Refuses segments, sorted by physical address, of which one begins inside the one before it.
fn check_overlap(segments: &[Segment<'_>]) -> Result<(), ElfError> {
    for pair in segments.windows(2) {
        if let [lower, upper] = pair
            && upper.physical.saturating_sub(lower.physical) < lower.memory_size
        {
            return Err(ElfError::Overlap {
                lower: lower.index,
                upper: upper.index,
                address: upper.physical,
            });
        }
    }
    Ok(())
}

/// A slice's length as the width that addresses have.
fn length(data: &[u8]) -> u64 {
    u64::try_from(data.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
