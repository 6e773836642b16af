//! Why a PVH guest cannot be laid out.

use super::{ACPI_MAX_BYTES, MAX_PAGES};

/// Why there is no layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The kernel's own addresses make no sense.
    #[error("kernel at {start:#x}..{end:#x}, entry {entry:#x}: empty, below 1 MiB or not around its entry")]
    KernelAddresses {
        /// First address.
        start: u64,
        /// First address behind it.
        end: u64,
        /// Where it starts.
        entry: u32,
    },
    /// Something does not fit below the guest's end of low memory.
    #[error("{what}: {bytes} bytes from {start:#x} on, but the guest's low memory ends at {end:#x}")]
    Memory {
        /// What it is.
        what: &'static str,
        /// Where it would begin.
        start: u64,
        /// Its length.
        bytes: u64,
        /// Where low memory ends.
        end: u64,
    },
    /// The guest is larger than any can be.
    #[error("{pages} pages: a PVH guest has at most {MAX_PAGES}")]
    TooLarge {
        /// Pages asked for.
        pages: u64,
    },
    /// More ACPI tables than there is room for.
    #[error("{bytes} bytes of ACPI tables: there is room for {ACPI_MAX_BYTES}")]
    Acpi {
        /// Their length.
        bytes: u64,
    },
    /// The command line has a zero byte in it.
    #[error("command line: zero byte at offset {offset}")]
    CommandLineZero {
        /// Where.
        offset: usize,
    },
}
