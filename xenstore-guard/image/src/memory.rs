//! The recovery box: pages that the builder owns and lends to whichever domain is the store.

use alloc::vec::Vec;

use log::warn;
use xen::grant_table::GrantedPage;
use xen::ring::SharedPage;
use xen::{DomId, PAGE_SIZE};
use xenstore_guard_core::recovery::RecoveryBox;

/// First grant reference of the box in the builder's table; the others follow (domb's `RECOVERY_REFERENCE`). The first page
/// begins with the number of pages and has nothing else in it.
const FIRST_REFERENCE: u32 = 8;
/// The most pages that are believed: 256 MiB.
const MOST_PAGES: u64 = 65_536;

/// The pages of the box, without the first; none where nothing is lent.
#[derive(Debug)]
pub(crate) struct Lent(Vec<GrantedPage>);

impl Lent {
    /// Maps what the builder lends.
    pub(crate) fn by(builder: DomId) -> Self {
        let Ok(first) = GrantedPage::map(builder, FIRST_REFERENCE) else {
            return Self(Vec::new());
        };
        let mut count = [0; 8];
        let read = first.shared_page().is_some_and(|page| page.read_bytes(0, &mut count));
        let count = u64::from_le_bytes(count);
        if !read || count > MOST_PAGES {
            warn!("recovery box: {count} pages, at most {MOST_PAGES} are accepted: nothing survives a crash");
            return Self(Vec::new());
        }
        let pages: xen::Result<Vec<GrantedPage>> = (FIRST_REFERENCE + 1..)
            .zip(1..count)
            .map(|(reference, _)| GrantedPage::map(builder, reference))
            .collect();
        match pages {
            Ok(pages) => Self(pages),
            Err(problem) => {
                warn!("recovery box: {problem}: nothing survives a crash");
                Self(Vec::new())
            }
        }
    }

    /// Calls `action` for each page that a range touches: with the page, the offset in it, and the part of the range.
    fn each(
        &self,
        offset: usize,
        count: usize,
        mut action: impl FnMut(SharedPage<'_>, usize, core::ops::Range<usize>),
    ) {
        let mut done = 0;
        while done < count {
            let at = offset.saturating_add(done);
            let within = at % PAGE_SIZE;
            let part = (PAGE_SIZE - within).min(count - done);
            if let Some(page) = self.0.get(at / PAGE_SIZE).and_then(GrantedPage::shared_page) {
                action(page, within, done..done + part);
            }
            done += part;
        }
    }
}

impl RecoveryBox for Lent {
    fn size(&self) -> usize {
        self.0.len() * PAGE_SIZE
    }

    fn read(&self, offset: usize, bytes: &mut [u8]) {
        bytes.fill(0);
        self.each(offset, bytes.len(), |page, within, part| {
            if let Some(part) = bytes.get_mut(part) {
                // Within the page, by construction.
                let _ = page.read_bytes(within, part);
            }
        });
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) {
        self.each(offset, bytes.len(), |page, within, part| {
            let _ = page.write_bytes(within, bytes.get(part).unwrap_or_default());
        });
    }

    fn publish(&mut self, offset: usize, number: u64) {
        // A multiple of eight does not cross pages.
        self.each(offset, 8, |page, within, _| {
            let _ = page.publish(within, number);
        });
    }
}
