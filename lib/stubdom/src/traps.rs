//! Processor exceptions: each is a defect, reported like a panic.

use xen::hypercall;
use xen_sys as sys;

use crate::{layout, panic};

const FLAT_KERNEL_CS: u16 = 0xe033;

/// What Xen and the entry code leave on the stack.
#[repr(C)]
struct Frame {
    rcx: u64,
    r11: u64,
    error_code: u64,
    rip: u64,
    cs: u64,
    rflags: u64,
    rsp: u64,
    ss: u64,
}

macro_rules! traps {
    ($(($vector:literal, $entry:ident, $name:literal)),* $(,)?) => {
        unsafe extern "C" {
            $(fn $entry();)*
        }

        fn name(vector: u32) -> &'static str {
            match vector {
                $($vector => $name,)*
                _ => "unknown exception",
            }
        }

        fn table() -> [sys::trap_info; TRAPS + 1] {
            let mut table = [sys::trap_info::default(); TRAPS + 1];
            let entries = [$(sys::trap_info {
                vector: $vector,
                flags: 4,
                cs: FLAT_KERNEL_CS,
                address: ($entry as unsafe extern "C" fn()) as usize as u64,
            }),*];
            for (slot, entry) in table.iter_mut().zip(entries) {
                *slot = entry;
            }
            table
        }
    };
}

const TRAPS: usize = 14;
traps!(
    (0, stubdom_trap_0, "divide error"),
    (3, stubdom_trap_3, "breakpoint"),
    (4, stubdom_trap_4, "overflow"),
    (5, stubdom_trap_5, "bound range exceeded"),
    (6, stubdom_trap_6, "invalid opcode"),
    (7, stubdom_trap_7, "device not available"),
    (10, stubdom_trap_10, "invalid TSS"),
    (11, stubdom_trap_11, "segment not present"),
    (12, stubdom_trap_12, "stack fault"),
    (13, stubdom_trap_13, "general protection"),
    (14, stubdom_trap_14, "page fault"),
    (16, stubdom_trap_16, "x87 error"),
    (17, stubdom_trap_17, "alignment check"),
    (19, stubdom_trap_19, "SIMD error"),
);

/// Tells Xen where exceptions, events and failed segment loads go.
pub(crate) fn install() {
    unsafe extern "C" {
        fn stubdom_event_entry();
        fn stubdom_failsafe_entry();
    }
    let table = table();
    let event = (stubdom_event_entry as unsafe extern "C" fn()) as usize;
    let failsafe = (stubdom_failsafe_entry as unsafe extern "C" fn()) as usize;
    // SAFETY: a table that ends with a zero entry and outlives the call; Xen copies it.
    let traps = unsafe {
        hypercall::call(
            "set_trap_table",
            sys::__HYPERVISOR_set_trap_table,
            [table.as_ptr() as usize, 0, 0, 0, 0],
        )
    };
    // SAFETY: three addresses of code by value. No user code runs here, so no system call entry is needed.
    let callbacks = unsafe {
        hypercall::call(
            "set_callbacks",
            sys::__HYPERVISOR_set_callbacks,
            [event, failsafe, 0, 0, 0],
        )
    };
    if let Err(error) = traps.and(callbacks) {
        panic!("{error}");
    }
}

#[unsafe(no_mangle)]
extern "C" fn stubdom_trap(frame: *const Frame, vector: u32, frame_pointer: usize) -> ! {
    // SAFETY: the entry code passes the frame that Xen pushed.
    let frame = unsafe { frame.read() };
    // SAFETY: shared_info is mapped for good.
    let address = unsafe {
        ((layout::shared_info() + core::mem::offset_of!(sys::vcpu_info, arch)) as *const u64).read_volatile()
    };
    let registers = (frame.rcx, frame.r11, frame.rflags, frame.ss);
    panic::report(
        format_args!(
            "{} at {:#x} (error code {:#x}, fault address {address:#x}, rsp {:#x}, cs {:#x}, rcx/r11/rflags/ss {registers:x?})",
            name(vector),
            frame.rip,
            frame.error_code,
            frame.rsp,
            frame.cs,
        ),
        frame_pointer,
    )
}
