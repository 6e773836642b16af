//! Why a file is not loaded.

use alloc::string::{String, ToString};

/// What is wrong with a kernel's ELF file. Addresses and sizes are bytes; a segment is named by the number of its
/// program header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ElfError {
    /// The file is shorter than its header.
    #[error("truncated: the file has {file_size} bytes and ends inside {what}")]
    Truncated {
        /// What is cut.
        what: &'static str,
        /// Bytes in the file.
        file_size: usize,
    },
    /// No ELF magic.
    #[error("not an ELF file")]
    NotElf,
    /// A 32-bit file.
    #[error("a 32-bit ELF file: only 64-bit x86-64 kernels are loaded")]
    Class32,
    /// A file for another byte order.
    #[error("a big-endian ELF file: only 64-bit x86-64 kernels are loaded")]
    BigEndian,
    /// A file for another machine.
    #[error("made for ELF machine {0}: only x86-64 (62) kernels are loaded")]
    Machine(u16),
    /// A relocatable file, a library, a core dump.
    #[error("ELF type {0} is no executable (2)")]
    NotExecutable(u16),
    /// A table of the file is not where the file says, or malformed.
    #[error("malformed ELF file: {0}")]
    Malformed(String),
    /// More program headers than any kernel has.
    #[error("{given} program headers: at most {limit} are accepted")]
    ProgramHeaders {
        /// How many there are.
        given: usize,
        /// How many there may be.
        limit: usize,
    },
    /// Nothing to load.
    #[error("no segment is loaded")]
    NoSegments,
    /// A segment's bytes are not all in the file: the file was cut or the header is wrong.
    #[error(
        "segment {index}: its {size:#x} bytes at file offset {offset:#x} end beyond the file's {file_size:#x} bytes"
    )]
    OutsideFile {
        /// The segment.
        index: usize,
        /// `p_offset`.
        offset: u64,
        /// `p_filesz`.
        size: u64,
        /// Bytes in the file.
        file_size: usize,
    },
    /// A segment with more bytes in the file than in memory.
    #[error("segment {index}: {size:#x} bytes in the file, only {memory_size:#x} in memory")]
    MemorySize {
        /// The segment.
        index: usize,
        /// `p_memsz`.
        memory_size: u64,
        /// `p_filesz`.
        size: u64,
    },
    /// A segment beyond the end of the address space.
    #[error("segment {index}: {size:#x} bytes at {address:#x} end beyond the address space")]
    Wraps {
        /// The segment.
        index: usize,
        /// Where it begins.
        address: u64,
        /// Its size in memory.
        size: u64,
    },
    /// Two segments share physical memory.
    #[error("segments {lower} and {upper} overlap at physical address {address:#x}")]
    Overlap {
        /// The segment that begins first.
        lower: usize,
        /// The one that begins inside it.
        upper: usize,
        /// Where the upper one begins.
        address: u64,
    },
    /// More notes than any kernel has.
    #[error("more than {limit} notes")]
    Notes {
        /// How many there may be.
        limit: usize,
    },
    /// No Xen note at all.
    #[error("no Xen note: not a kernel that runs on Xen")]
    NoXenNotes,
    /// A note that this kind of guest needs is absent.
    #[error("no Xen note {0}: a {1} guest needs it")]
    MissingNote(&'static str, &'static str),
    /// A note with a value that does not fit.
    #[error("Xen note {name}: {reason}")]
    Note {
        /// The note's name in `elfnote.h`, without its prefix.
        name: &'static str,
        /// What does not fit.
        reason: String,
    },
    /// Execution would begin outside of the kernel.
    #[error("entry {entry:#x} is in no segment")]
    Entry {
        /// The address.
        entry: u64,
    },
    /// A segment that this kind of guest cannot have there.
    #[error("segment {index}: {reason}")]
    Segment {
        /// The segment.
        index: usize,
        /// Why.
        reason: String,
    },
    /// The file as it lies in memory is larger than what the caller has room for.
    #[error("the image takes {size:#x} bytes in memory: at most {limit:#x} are accepted")]
    ImageSize {
        /// Bytes from its lowest to its highest address.
        size: u64,
        /// The caller's limit.
        limit: usize,
    },
}

impl ElfError {
    pub(super) fn malformed(error: object::read::Error) -> Self {
        Self::Malformed(error.to_string())
    }
}
