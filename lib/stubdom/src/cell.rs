//! Global state of a domain with one vCPU whose code is never interrupted.

use core::cell::{RefCell, RefMut};

/// A `RefCell` that may be a static: there is no second thread and no interrupt handler that could race.
pub(crate) struct Global<T>(RefCell<T>);

// SAFETY: an image has one vCPU, and events are delivered to it only inside the block hypercall, whose handler touches
// no memory (see entry.s); so no two pieces of code ever run at once.
unsafe impl<T> Sync for Global<T> {}

impl<T> Global<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(RefCell::new(value))
    }

    /// Borrows the value. Never held across an await.
    pub(crate) fn borrow(&self) -> RefMut<'_, T> {
        self.0.borrow_mut()
    }

    /// Borrows the value unless it is borrowed: for the panic path, which may come at any time.
    pub(crate) fn try_borrow(&self) -> Option<RefMut<'_, T>> {
        self.0.try_borrow_mut().ok()
    }
}
