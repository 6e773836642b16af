//! The memory behind a shared page: an address.

use core::marker::PhantomData;
use core::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

use crate::PAGE_SIZE;

pub(super) use core::sync::atomic::fence;

/// A mapped page. Only single fields of it are ever referred to, and those as atomics: whatever the other side does
/// meanwhile, an access is sound and happens once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memory<'a> {
    address: *mut u8,
    life: PhantomData<&'a ()>,
}

impl<'a> Memory<'a> {
    /// The page at an address.
    ///
    /// # Safety
    /// As for [`super::SharedPage::new`].
    pub(super) unsafe fn at(address: *mut u8) -> Self {
        Self {
            address,
            life: PhantomData,
        }
    }

    /// The 32-bit field at a multiple of four within the page.
    pub(super) fn word(self, offset: usize) -> &'a AtomicU32 {
        debug_assert!(offset.is_multiple_of(4) && offset + 4 <= PAGE_SIZE);
        // SAFETY: within the page and aligned, and mapped for the life of the result.
        unsafe { AtomicU32::from_ptr(self.address.add(offset).cast()) }
    }

    /// The 64-bit field at a multiple of eight within the page.
    pub(super) fn long(self, offset: usize) -> &'a AtomicU64 {
        debug_assert!(offset.is_multiple_of(8) && offset + 8 <= PAGE_SIZE);
        // SAFETY: as in `word`.
        unsafe { AtomicU64::from_ptr(self.address.add(offset).cast()) }
    }

    /// The 16-bit field at a multiple of two within the page.
    pub(super) fn half(self, offset: usize) -> &'a AtomicU16 {
        debug_assert!(offset.is_multiple_of(2) && offset + 2 <= PAGE_SIZE);
        // SAFETY: as in `word`.
        unsafe { AtomicU16::from_ptr(self.address.add(offset).cast()) }
    }

    /// The field of one byte within the page.
    pub(super) fn octet(self, offset: usize) -> &'a AtomicU8 {
        debug_assert!(offset < PAGE_SIZE);
        // SAFETY: as in `word`.
        unsafe { AtomicU8::from_ptr(self.address.add(offset)) }
    }

    /// Reads a byte within the page.
    pub(super) fn byte(self, offset: usize) -> u8 {
        self.octet(offset).load(Ordering::Relaxed)
    }

    /// Writes a byte within the page.
    pub(super) fn set_byte(self, offset: usize, value: u8) {
        self.octet(offset).store(value, Ordering::Relaxed);
    }
}
