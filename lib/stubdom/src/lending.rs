//! Pages of this domain that others may map: rings, and memory that is to outlive a domain which uses it.

use alloc::alloc::{Layout, alloc_zeroed, dealloc};

use xen::grant_table::{self, CopyError, GrantedBytes, OwnTable};
use xen::ring::SharedPage;
use xen::vchan::SharedPages;
use xen::{DomId, Error, PAGE_SIZE, Result};

use crate::cell::Global;

/// References that this domain's table has room for.
pub const REFERENCES: u32 = 8192;

struct Lending {
    /// Machine frame of each of this domain's pages.
    frames: &'static [u64],
    table: Option<OwnTable>,
}

static LENDING: Global<Lending> = Global::new(Lending {
    frames: &[],
    table: None,
});

/// Remembers the machine frames of this domain's pages: Xen's list, which stays where it is.
pub(crate) fn keep_frames(frames: &'static [u64]) {
    LENDING.borrow().frames = frames;
}

impl Lending {
    fn table(&mut self) -> Result<&mut OwnTable> {
        match &mut self.table {
            Some(table) => Ok(table),
            none => Ok(none.insert(OwnTable::set_up(REFERENCES)?)),
        }
    }

    fn frame(&self, address: usize) -> Result<u64> {
        self.frames.get(address / PAGE_SIZE).copied().ok_or(Error::OutOfRange {
            what: "address of a page to lend",
            value: address as u64,
        })
    }
}

/// Pages of zeros that no Rust reference reaches, to be lent.
#[derive(Debug)]
pub struct LentPages {
    start: *mut u8,
    count: usize,
    /// First grant reference and whom it names; none before they were lent.
    lent: Option<(u32, DomId)>,
}

impl LentPages {
    /// Takes `count` pages of the heap; none when it has not so much.
    #[must_use]
    pub fn new(count: usize) -> Option<Self> {
        let layout = Self::layout(count)?;
        // SAFETY: the layout has a size, since `count` is not zero.
        let start = unsafe { alloc_zeroed(layout) };
        (!start.is_null()).then_some(Self {
            start,
            count,
            lent: None,
        })
    }

    fn layout(count: usize) -> Option<Layout> {
        let bytes = count.checked_mul(PAGE_SIZE).filter(|&bytes| bytes > 0)?;
        Layout::from_size_align(bytes, PAGE_SIZE).ok()
    }

    /// Pages.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// A page, by number.
    #[must_use]
    pub fn page(&self, number: usize) -> Option<SharedPage<'_>> {
        // SAFETY: of the allocation, aligned, and there for as long as `self` is borrowed; never reached in another way.
        (number < self.count).then(|| unsafe { SharedPage::new(self.start.add(number * PAGE_SIZE)) })
    }

    /// Lets `to` map the pages, writable, under the references from `first` on. Lending them again to someone else takes
    /// back what stood before only in the table: who maps them still, keeps them.
    ///
    /// # Errors
    /// Xen gives this domain no such table.
    pub fn lend(&mut self, first: u32, to: DomId) -> Result<()> {
        let mut lending = LENDING.borrow();
        for (reference, number) in (first..).zip(0..self.count) {
            let frame = lending.frame(self.start as usize + number * PAGE_SIZE)?;
            // SAFETY: pages of this allocation are reached through `SharedPage` only, and stay allocated until they are
            // taken back (see Drop).
            unsafe { lending.table()?.grant(reference, to, frame)? };
        }
        self.lent = Some((first, to));
        Ok(())
    }
}

impl Drop for LentPages {
    fn drop(&mut self) {
        if let Some((first, _)) = self.lent {
            let mut lending = LENDING.borrow();
            for (reference, _) in (first..).zip(0..self.count) {
                let back = lending.table().and_then(|table| table.take_back(reference));
                if back != Ok(true) {
                    // Someone maps it: the memory is never used for anything else.
                    return;
                }
            }
        }
        if let Some(layout) = Self::layout(self.count) {
            // SAFETY: allocated with this layout, and nobody maps it.
            unsafe { dealloc(self.start, layout) };
        }
    }
}

impl SharedPages for LentPages {
    fn page(&self, number: usize) -> Option<SharedPage<'_>> {
        Self::page(self, number)
    }
}

/// Copies the pieces that `domid` granted, one behind the other, into `to`, which they must fill.
///
/// # Errors
/// [`CopyError`] names the grant that Xen refused; what `to` holds then is undefined.
pub fn copy_granted(domid: DomId, pieces: &[GrantedBytes], to: &mut [u8]) -> core::result::Result<(), CopyError> {
    let lending = LENDING.borrow();
    // SAFETY: the list is Xen's of the frames behind this domain's addresses, which stay as they are.
    unsafe { grant_table::copy_granted(domid, pieces, to, |address| lending.frame(address)) }
}
