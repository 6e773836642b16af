//! Why a PV guest cannot be laid out.

use super::{COMMAND_LINE_MAX, MAX_PAGES};

/// Why there is no layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The kernel's own addresses make no sense.
    #[error("kernel at {start:#x}..{end:#x} with virtual base {virt_base:#x}: misaligned, empty or below its base")]
    KernelAddresses {
        /// First address.
        start: u64,
        /// First address behind it.
        end: u64,
        /// Virtual address of frame 0.
        virt_base: u64,
    },
    /// A region would lie where there are no addresses, or where they belong to Xen.
    #[error("{what} at {start:#x}, {bytes} bytes: addresses that do not exist or belong to Xen")]
    Addresses {
        /// Which region.
        what: &'static str,
        /// Its first virtual address.
        start: u64,
        /// Its length.
        bytes: u64,
    },
    /// The p2m list's own addresses run into the initial mapping.
    #[error("p2m list at {start:#x}, {bytes} bytes: overlaps the initial mapping from {virt_base:#x}")]
    Overlap {
        /// Where the kernel asks for its p2m list.
        start: u64,
        /// Length of the list.
        bytes: u64,
        /// Where the initial mapping begins.
        virt_base: u64,
    },
    /// A region does not fit.
    #[error("{what} takes {pages} pages, {free} of the guest's {nr_pages} are left for it")]
    Memory {
        /// Which region.
        what: &'static str,
        /// Pages that it takes.
        pages: u64,
        /// Pages left.
        free: u64,
        /// Pages of the guest.
        nr_pages: u64,
    },
    /// The guest is larger than any can be.
    #[error("{pages} pages: a PV guest has at most {MAX_PAGES}")]
    TooLarge {
        /// Pages asked for.
        pages: u64,
    },
    /// The command line is longer than the start info has room for.
    #[error("command line of {bytes} bytes: a PV guest's has at most {COMMAND_LINE_MAX}")]
    CommandLineLength {
        /// Its length.
        bytes: usize,
    },
    /// The command line has a zero byte in it.
    #[error("command line: zero byte at offset {offset}")]
    CommandLineZero {
        /// Where.
        offset: usize,
    },
}
