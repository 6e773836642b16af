//! What happens when an image's code panics: a report with the return addresses on the stack, then the domain crashes.

use core::arch::asm;
use core::fmt::Write;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use xen::sched::{Shutdown, shutdown};

use crate::console::Writer;
use crate::layout;

static PANICKING: AtomicBool = AtomicBool::new(false);

/// Return addresses that a report lists at most.
const FRAMES: usize = 32;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let frame: usize;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, rbp", out(reg) frame, options(nomem, nostack, preserves_flags)) };
    report(format_args!("{info}"), frame)
}

/// Prints a report and ends the domain.
pub(crate) fn report(what: core::fmt::Arguments<'_>, frame: usize) -> ! {
    if !PANICKING.swap(true, Ordering::Relaxed) {
        let _ = writeln!(Writer, "PANIC: {what}");
        backtrace(frame);
    }
    loop {
        shutdown(Shutdown::Crash);
    }
}

/// Follows the chain of frame pointers as long as it stays on the stack.
fn backtrace(mut frame: usize) {
    for _ in 0..FRAMES {
        if !frame.is_multiple_of(8) || frame < layout::stack_bottom() || frame + 16 > layout::stack_top() {
            return;
        }
        // SAFETY: checked to lie on the stack, which is mapped.
        let (next, address) = unsafe { ((frame as *const usize).read(), (frame as *const usize).add(1).read()) };
        if address < layout::image_start() || address >= layout::text_end() {
            return;
        }
        let _ = writeln!(Writer, "  at {address:#x}");
        if next <= frame {
            return;
        }
        frame = next;
    }
}

/// The precompiled `alloc` names these; without unwinding nothing calls them.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    panic!("unwinding without an unwinder")
}

#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
