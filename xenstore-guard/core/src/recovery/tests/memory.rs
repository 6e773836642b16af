//! A box in memory whose owner can die at any write.

use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use crate::recovery::RecoveryBox;

/// Counts writes, and lets none through after the last one that is allowed: what a dead store does not write.
#[derive(Debug, Clone)]
pub(super) struct Life {
    writes: Rc<Cell<u64>>,
    last: Rc<Cell<u64>>,
}

impl Life {
    pub(super) fn endless() -> Self {
        Self::of(u64::MAX)
    }

    /// Dies after that many writes.
    pub(super) fn of(writes: u64) -> Self {
        Self {
            writes: Rc::default(),
            last: Rc::new(Cell::new(writes)),
        }
    }

    /// Whether the next write is let through.
    pub(super) fn write(&self) -> bool {
        let number = self.writes.get();
        self.writes.set(number + 1);
        number < self.last.get()
    }

    /// Whether all writes were let through.
    pub(super) fn is_alive(&self) -> bool {
        self.writes.get() <= self.last.get()
    }
}

/// A box in memory. Clones share their bytes.
#[derive(Debug, Clone)]
pub(super) struct Memory {
    pub(super) bytes: Rc<RefCell<Vec<u8>>>,
    pub(super) life: Life,
}

impl Memory {
    pub(super) fn new(size: usize) -> Self {
        Self {
            bytes: Rc::new(RefCell::new(vec![0; size])),
            life: Life::endless(),
        }
    }

    /// The same bytes, with another life.
    pub(super) fn with(&self, life: &Life) -> Self {
        Self {
            bytes: Rc::clone(&self.bytes),
            life: life.clone(),
        }
    }

    /// A copy of the bytes, with an endless life.
    pub(super) fn copy(&self) -> Self {
        Self {
            bytes: Rc::new(RefCell::new(self.bytes.borrow().clone())),
            life: Life::endless(),
        }
    }
}

impl RecoveryBox for Memory {
    fn size(&self) -> usize {
        self.bytes.borrow().len()
    }

    fn read(&self, offset: usize, bytes: &mut [u8]) {
        bytes.fill(0);
        if let Some(from) = self.bytes.borrow().get(offset..) {
            let count = from.len().min(bytes.len());
            bytes[..count].copy_from_slice(&from[..count]);
        }
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) {
        // Two steps, so that a write can be torn.
        let (first, second) = bytes.split_at(bytes.len() / 2);
        for (at, part) in [(offset, first), (offset + first.len(), second)] {
            if self.life.write() {
                self.bytes.borrow_mut()[at..at + part.len()].copy_from_slice(part);
            }
        }
    }

    fn publish(&mut self, offset: usize, number: u64) {
        assert!(offset.is_multiple_of(8));
        if self.life.write() {
            self.bytes.borrow_mut()[offset..offset + 8].copy_from_slice(&number.to_le_bytes());
        }
    }
}
