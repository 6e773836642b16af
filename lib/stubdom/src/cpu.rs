//! Turns on the processor's vector state, so that code which asks CPUID finds AVX usable.

use core::arch::asm;
use core::arch::x86_64::{__cpuid, __cpuid_count};

const XSAVE: u32 = 1 << 26;
const OSXSAVE: u32 = 1 << 27;
const CR4_OSFXSR_OSXMMEXCPT: u64 = 0x600;
const CR4_OSXSAVE: u64 = 1 << 18;
/// x87, SSE and AVX state.
const XCR0_AVX: u32 = 7;

/// Sets CR4.OSXSAVE and XCR0, where the processor and Xen have XSAVE.
pub(crate) fn enable_vector_state() {
    let features = __cpuid(1);
    if features.ecx & (XSAVE | OSXSAVE) != XSAVE | OSXSAVE {
        return;
    }
    let wanted = __cpuid_count(0xd, 0).eax & XCR0_AVX;
    // SAFETY: a PV domain's access to CR4 and XCR0 traps into Xen, which emulates it for this domain alone; the bits
    // set only let it use registers that Xen saves with the rest.
    unsafe {
        asm!(
            "mov {cr4}, cr4",
            "or {cr4}, {bits}",
            "mov cr4, {cr4}",
            "xsetbv",
            cr4 = out(reg) _,
            bits = in(reg) CR4_OSFXSR_OSXMMEXCPT | CR4_OSXSAVE,
            in("eax") wanted,
            in("edx") 0,
            in("ecx") 0,
        );
    }
}
