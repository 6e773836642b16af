//! The grant table of this (paravirtual) domain, version 1: which of its pages others may map.

use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};

use xen_sys as sys;

use super::{check, operation};
use crate::mmu::{self, WindowPage, pte};
use crate::{DomId, Error, PAGE_SIZE, Result};

/// Bytes of an entry (`grant_entry_v1_t`): flags and domain in the first word, the frame in the second.
const ENTRY: usize = size_of::<sys::grant_entry_v1>();
const ENTRIES_PER_FRAME: usize = PAGE_SIZE / ENTRY;
/// Someone maps the page at this moment.
const IN_USE: u32 = sys::GTF_reading | sys::GTF_writing;

/// This domain's table, mapped. There is one; who has it decides about every grant.
#[derive(Debug)]
pub struct OwnTable {
    pages: Vec<WindowPage>,
}

impl OwnTable {
    /// Sets the table up with room for `entries` references, and maps it. A larger one than Xen allows this domain is
    /// refused.
    ///
    /// # Errors
    /// Xen refuses, or there is no room in the window.
    pub fn set_up(entries: u32) -> Result<Self> {
        let frames = (entries as usize).div_ceil(ENTRIES_PER_FRAME).max(1);
        let mut list = vec![0u64; frames];
        let mut argument = sys::gnttab_setup_table {
            dom: DomId::SELF.0,
            nr_frames: u32::try_from(frames).unwrap_or(u32::MAX),
            status: 0,
            frame_list: sys::__guest_handle_xen_pfn_t { p: list.as_mut_ptr() },
        };
        // SAFETY: one gnttab_setup_table; Xen writes nr_frames frame numbers into the list, which outlives the call.
        unsafe { operation("GNTTABOP_setup_table", sys::GNTTABOP_setup_table, &mut argument)? };
        check("GNTTABOP_setup_table", argument.status)?;
        let mut pages = Vec::with_capacity(frames);
        for frame in list {
            let page = WindowPage::take()?;
            let entry = (frame << 12) | pte::PRESENT | pte::WRITE | pte::ACCESSED | pte::DIRTY | pte::NO_EXECUTE;
            // SAFETY: the page of the window is free; the frame is Xen's for this domain's table and holds nothing of Rust.
            unsafe { mmu::update_va_mapping(page.address(), entry)? };
            pages.push(page);
        }
        Ok(Self { pages })
    }

    /// References there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pages.len() * ENTRIES_PER_FRAME
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// Lets `to` map the page of machine frame `frame`, writable, under `reference`. An entry that is there already is
    /// replaced: nobody may use it any more.
    ///
    /// # Errors
    /// [`Error::OutOfRange`]: no such reference, or a frame that an entry of version 1 cannot name.
    ///
    /// # Safety
    /// The frame must be of memory of this domain that Rust reaches only through [`crate::ring::SharedPage`], for as long as
    /// the grant stands.
    pub unsafe fn grant(&mut self, reference: u32, to: DomId, frame: u64) -> Result<()> {
        let frame = u32::try_from(frame).map_err(|_| Error::OutOfRange {
            what: "granted frame",
            value: frame,
        })?;
        let [head, body] = self.words(reference)?;
        // The order of public/grant_table.h: nothing is valid until domain and frame stand there.
        head.store(0, Ordering::Release);
        body.store(frame, Ordering::Release);
        head.store(u32::from(to.0) << 16 | sys::GTF_permit_access, Ordering::Release);
        Ok(())
    }

    /// Takes a grant back; false while the other domain still maps the page: it stands then.
    ///
    /// # Errors
    /// [`Error::OutOfRange`]: no such reference.
    pub fn take_back(&mut self, reference: u32) -> Result<bool> {
        let [head, _] = self.words(reference)?;
        loop {
            let word = head.load(Ordering::Acquire);
            if word & IN_USE != 0 {
                return Ok(false);
            }
            if head
                .compare_exchange(word, 0, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
            {
                return Ok(true);
            }
        }
    }

    /// The two words of an entry.
    fn words(&self, reference: u32) -> Result<[&AtomicU32; 2]> {
        let index = reference as usize;
        let page = self
            .pages
            .get(index / ENTRIES_PER_FRAME)
            .ok_or(Error::OutOfRange {
                what: "grant reference",
                value: u64::from(reference),
            })?
            .address();
        let address = page + index % ENTRIES_PER_FRAME * ENTRY;
        // SAFETY: within a page of the table, which stays mapped for the life of `self`; aligned to eight; Xen changes the
        // flags at any time, hence atomic.
        Ok(unsafe {
            [
                AtomicU32::from_ptr(address as *mut u32),
                AtomicU32::from_ptr((address + 4) as *mut u32),
            ]
        })
    }
}
