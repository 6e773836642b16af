//! The state that a PVH guest's first vCPU starts in, and the two pages that Intel processors need before paging is on.

use super::SpecialPage;
use crate::pv::WORDS;

/// Length of the real-mode task state segment: 104 bytes of segment, 32 of interrupt bitmap, 128 of I/O bitmap for the ISA
/// ports, one that ends it (`HVM_VM86_TSS_SIZE` in xen/arch/x86/hvm/dom0_build.c).
pub const VM86_TSS_BYTES: u64 = 265;

/// MTRRs on, write-back where no range says otherwise: `msr_mtrr_def_type` of every vCPU's MTRR record, so that the guest's
/// RAM is cached (docs/misc/pvh.pandoc, "MTRR"; vcpu_hvm() in tools/libs/guest/xg_dom_x86.c).
pub const MTRR_DEFAULT_TYPE: u64 = 1 << 11 | 6;

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

/// A segment register with its hidden part. Selectors may be anything; 0 will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// First linear address.
    pub base: u64,
    /// Last offset.
    pub limit: u32,
    /// Access rights as Xen's `struct segment_register` packs them: bits 0 to 7 type, S, DPL and P, bits 8 to 11 AVL, L, D/B
    /// and G.
    pub access_rights: u32,
}

/// Registers of the first vCPU as docs/misc/pvh.pandoc prescribes them. All that is not here is 0 in
/// `struct hvm_hw_cpu`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InitialCpu {
    /// Instruction pointer: the kernel's entry.
    pub rip: u64,
    /// Guest-physical address of the start info.
    pub rbx: u64,
    /// Protection enabled; the extension type bit is set in every processor, and Xen insists on it.
    pub cr0: u64,
    /// Reset value of DR6.
    pub dr6: u64,
    /// Reset value of DR7.
    pub dr7: u64,
    /// CS: flat, 32 bits, executable and readable.
    pub code: Segment,
    /// DS, ES and SS: flat, 32 bits, writable.
    pub data: Segment,
    /// TR: an active 32-bit task state segment.
    pub task: Segment,
}

impl InitialCpu {
    pub(super) fn new(entry: u32, start_info_gpa: u32) -> Self {
        Self {
            rip: entry.into(),
            rbx: start_info_gpa.into(),
            cr0: 1 << 4 | 1,
            dr6: 0xffff_0ff0,
            dr7: 0x400,
            code: Segment {
                base: 0,
                limit: u32::MAX,
                access_rights: 0xc9b,
            },
            data: Segment {
                base: 0,
                limit: u32::MAX,
                access_rights: 0xc93,
            },
            task: Segment {
                base: 0,
                limit: 0x67,
                access_rights: 0x8b,
            },
        }
    }
}
