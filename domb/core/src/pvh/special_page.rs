//! The pages outside of RAM.

use crate::memory_map::PAGE_SIZE;

/// Pages outside of RAM that the guest shares with others.
///
/// Where one has the same role under Xen's toolstack, it is at the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpecialPage {
    /// Task state segment for real mode on Intel processors without unrestricted guest mode: `HVM_PARAM_VM86_TSS_SIZED`.
    Vm86Tss,
    /// Buffered requests to a device model: `HVM_PARAM_BUFIOREQ_PFN`.
    BufferedIoreq,
    /// Xenstore ring: `HVM_PARAM_STORE_PFN`.
    Xenstore,
    /// Requests to a device model: `HVM_PARAM_IOREQ_PFN`.
    Ioreq,
    /// Page directory in use while the guest has paging off, on Intel processors: `HVM_PARAM_IDENT_PT`.
    IdentityPageTable,
    /// Console ring: `HVM_PARAM_CONSOLE_PFN`.
    Console,
}

impl SpecialPage {
    /// Guest frame number of the first special page.
    pub const FIRST_GFN: u64 = 0xFEFFA;

    /// Number of special pages; they adjoin.
    pub const COUNT: u64 = 6;

    /// Guest frame number: what an HVM parameter that ends in `_PFN` holds.
    #[must_use]
    pub const fn gfn(self) -> u64 {
        Self::FIRST_GFN
            + match self {
                Self::Vm86Tss => 0,
                Self::BufferedIoreq => 1,
                Self::Xenstore => 2,
                Self::Ioreq => 3,
                Self::IdentityPageTable => 4,
                Self::Console => 5,
            }
    }

    /// Guest-physical address: what `HVM_PARAM_IDENT_PT` holds.
    #[must_use]
    pub const fn gpa(self) -> u64 {
        self.gfn() * PAGE_SIZE
    }
}
