//! The heap: all memory that nothing else needs.

use core::alloc::{GlobalAlloc, Layout};
use core::sync::atomic::{AtomicUsize, Ordering};

use talc::locking::AssumeUnlockable;
use talc::{ErrOnOom, Span, Talc, Talck};

struct Counting {
    // One vCPU and no interrupt handler: nobody can come in while an allocation is under way.
    talc: Talck<AssumeUnlockable, ErrOnOom>,
    used: AtomicUsize,
    size: AtomicUsize,
}

#[global_allocator]
static HEAP: Counting = Counting {
    talc: Talc::new(ErrOnOom).lock(),
    used: AtomicUsize::new(0),
    size: AtomicUsize::new(0),
};

// SAFETY: allocation is talc's; the counter changes nothing about it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: passed on.
        let address = unsafe { self.talc.alloc(layout) };
        if !address.is_null() {
            self.used.fetch_add(layout.size(), Ordering::Relaxed);
        }
        address
    }

    unsafe fn dealloc(&self, address: *mut u8, layout: Layout) {
        self.used.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: passed on.
        unsafe { self.talc.dealloc(address, layout) };
    }

    unsafe fn realloc(&self, address: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: passed on.
        let new = unsafe { self.talc.realloc(address, layout, size) };
        if !new.is_null() {
            self.used.fetch_add(size, Ordering::Relaxed);
            self.used.fetch_sub(layout.size(), Ordering::Relaxed);
        }
        new
    }
}

/// Bytes of the heap in use.
#[must_use]
pub fn used() -> usize {
    HEAP.used.load(Ordering::Relaxed)
}

/// Bytes of the heap, used or not.
#[must_use]
pub fn size() -> usize {
    HEAP.size.load(Ordering::Relaxed)
}

/// Gives the heap a stretch of memory.
///
/// # Safety
/// The range must be mapped, writable and used by nothing else, for good.
pub(crate) unsafe fn add(start: usize, end: usize) {
    let span = Span::new(start as *mut u8, end as *mut u8);
    // SAFETY: the caller vouches for the range. A range too small to hold the heap's own books is left unused.
    if unsafe { HEAP.talc.lock().claim(span) }.is_ok() {
        HEAP.size.fetch_add(end - start, Ordering::Relaxed);
    }
}
