//! The pages of a channel.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::UnsafeCell;

use crate::PAGE_SIZE;
use crate::ring::SharedPage;

/// Whoever has the pages of a channel: first the one with the indices, then those of the left ring, then those of the
/// right one (the order of the grant list).
pub trait SharedPages {
    /// A page, by number.
    fn page(&self, number: usize) -> Option<SharedPage<'_>>;
}

/// An end of a channel with its pages and its events: bytes in and out, nothing waits.
pub trait Pipe {
    /// Why it failed.
    type Error;

    /// Reads what is there, up to the size of `buffer`; how many bytes. Where that is less, an event comes with more.
    ///
    /// # Errors
    /// The connection is of no more use.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Self::Error>;

    /// Writes what fits of `bytes`; how many. Where that is less than all, an event comes with room.
    ///
    /// # Errors
    /// As [`Pipe::read`].
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error>;
}

/// Pages of this process that stand in for shared ones: both ends in one process, for tests.
#[derive(Debug)]
pub struct LocalPages(Vec<Box<Page>>);

#[repr(align(4096))]
#[derive(Debug)]
struct Page(UnsafeCell<[u8; PAGE_SIZE]>);

// SAFETY: the bytes are reached through `SharedPage` only, which expects others to change them at any time.
unsafe impl Sync for Page {}

impl LocalPages {
    /// `count` pages of zeros.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self(
            (0..count)
                .map(|_| Box::new(Page(UnsafeCell::new([0; PAGE_SIZE]))))
                .collect(),
        )
    }
}

impl SharedPages for LocalPages {
    fn page(&self, number: usize) -> Option<SharedPage<'_>> {
        // SAFETY: aligned by its type, and there for as long as `self` is borrowed.
        self.0
            .get(number)
            .map(|page| unsafe { SharedPage::new(page.0.get().cast()) })
    }
}
