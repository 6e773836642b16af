//! The two pages that Intel processors need before paging is on.

use super::SpecialPage;
use crate::pv::WORDS;

/// Length of the real-mode task state segment: 104 bytes of segment, 32 of interrupt bitmap, 128 of I/O bitmap for the ISA
/// ports, one that ends it (`HVM_VM86_TSS_SIZE` in xen/arch/x86/hvm/dom0_build.c).
pub const VM86_TSS_BYTES: u64 = 265;

/// Value of `HVM_PARAM_VM86_TSS_SIZED`: the segment's length above its guest-physical address. The page is all zero.
#[must_use]
pub const fn vm86_tss_param() -> u64 {
    VM86_TSS_BYTES << 32 | SpecialPage::Vm86Tss.gpa()
}

/// Contents of [`SpecialPage::IdentityPageTable`] in little-endian words: a 32-bit page directory of 1024 entries, each of
/// which maps 4 MiB onto themselves.
#[must_use]
pub fn identity_page_table() -> [u64; WORDS] {
    /// Present, writable, user, accessed, dirty, 4 MiB.
    const FLAGS: u32 = 1 | 1 << 1 | 1 << 2 | 1 << 5 | 1 << 6 | 1 << 7;
    let mut words = [0; WORDS];
    for (word, pair) in words.iter_mut().zip(0u32..) {
        let even = pair << 23 | FLAGS;
        let odd = even | 1 << 22;
        *word = u64::from(odd) << 32 | u64::from(even);
    }
    words
}
