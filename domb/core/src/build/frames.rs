//! Where a domain's pages are: runs of frames, as they were allocated.

use alloc::vec::Vec;

use xen::{DomId, Hypervisor};

use super::BuildError;
use crate::memory_map::Extents;

/// The largest extent that is asked for: 1 GiB for PVH; machine memory of a PV domain gains nothing above 2 MiB.
pub(crate) const LARGEST_PVH: u32 = 18;
pub(crate) const LARGEST_PV: u32 = 9;
/// Runs for which memory is reserved at a time, and the most that are noted: 14 MiB of the builder's own memory, which
/// is a domain of 4.5 GiB in single pages on a machine that has nothing larger free.
const MORE_RUNS: usize = 128 << 10;
const MOST_RUNS: usize = 9 * MORE_RUNS;
/// Extents asked for at once.
const BATCH: u64 = 512;

/// A run of pages that follow each other in the domain and in the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    /// First page in the domain.
    page: u32,
    /// Pages.
    count: u32,
    /// Frame of the first page, as Xen names it for this domain.
    frame: u32,
}

impl Run {
    /// A run, if it lies within the 16 TiB that grant table entries can name, too.
    fn new(page: u64, count: u64, frame: u64) -> Result<Self, BuildError> {
        let narrow = |value: u64| {
            u32::try_from(value).map_err(|_| BuildError::Address {
                address: value.saturating_mul(4096),
                count: 4096,
            })
        };
        Ok(Self {
            page: narrow(page)?,
            count: narrow(count)?,
            frame: narrow(frame)?,
        })
    }
}

/// The pages of a domain and their frames: machine frames for PV, guest frames for PVH.
#[derive(Debug, Default)]
pub(crate) struct Frames(Vec<Run>);

impl Frames {
    /// Allocates pages in the extents given, or in smaller ones where Xen has no free memory that large.
    ///
    /// # Errors
    /// [`BuildError::Xen`] when memory runs out.
    pub(crate) fn populate<H: Hypervisor>(
        &mut self,
        hypervisor: &mut H,
        domid: DomId,
        runs: Vec<Extents>,
    ) -> Result<(), BuildError> {
        for run in runs {
            let mut rest = Some(run);
            while let Some(run) = rest {
                let wanted: Vec<u64> = (0..run.count.min(BATCH))
                    .map(|index| run.first_frame + (index << run.order))
                    .collect();
                let mut got = wanted.clone();
                let (done, failure) = match hypervisor.populate(domid, run.order, &mut got) {
                    Ok(()) => (wanted.len(), None),
                    Err(error @ xen::Error::Partly { done, .. }) => (done.min(wanted.len()), Some(error)),
                    Err(error) => return Err(error.into()),
                };
                for (&page, &frame) in wanted.iter().zip(&got).take(done) {
                    self.push(Run::new(page, run.pages_each(), frame)?)?;
                }
                rest = run.after(done as u64);
                if let Some(error) = failure {
                    // No extent of this size is left: smaller ones, until there are none either.
                    rest = Some(rest.and_then(|rest| rest.smaller()).ok_or(error)?);
                }
            }
        }
        Ok(())
    }

    /// Notes a run, in the order of pages, whatever the order in which memory was allocated.
    fn push(&mut self, run: Run) -> Result<(), BuildError> {
        let at = self.0.partition_point(|other| other.page < run.page);
        if let Some(before) = at.checked_sub(1).and_then(|before| self.0.get_mut(before))
            && before.page.checked_add(before.count) == Some(run.page)
            && before.frame.checked_add(before.count) == Some(run.frame)
        {
            before.count = before.count.saturating_add(run.count);
            return Ok(());
        }
        let runs = self.0.len();
        if runs == self.0.capacity() && runs > 0 {
            // By steps, not by doubling: the old list and the new one are both there for a moment.
            let more = if runs < MORE_RUNS { runs } else { MORE_RUNS };
            self.0
                .try_reserve_exact(more)
                .map_err(|_| BuildError::Fragmented { runs })?;
        }
        if runs >= MOST_RUNS {
            return Err(BuildError::Fragmented { runs });
        }
        self.0.insert(at, run);
        Ok(())
    }

    /// The frame of a page.
    pub(crate) fn frame(&self, page: u64) -> Option<u64> {
        let page = u32::try_from(page).ok()?;
        let index = self.0.partition_point(|run| run.page <= page).checked_sub(1)?;
        let run = self.0.get(index)?;
        let offset = page - run.page;
        (offset < run.count).then(|| u64::from(run.frame) + u64::from(offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_follow_each_other_become_one_and_pages_are_found() {
        let mut frames = Frames::default();
        frames
            .push(Run {
                page: 0,
                count: 512,
                frame: 1000,
            })
            .unwrap();
        frames
            .push(Run {
                page: 512,
                count: 512,
                frame: 1512,
            })
            .unwrap();
        frames
            .push(Run {
                page: 1024,
                count: 1,
                frame: 7,
            })
            .unwrap();
        assert_eq!(frames.0.len(), 2);
        assert_eq!(frames.frame(0), Some(1000));
        assert_eq!(frames.frame(1023), Some(2023));
        assert_eq!(frames.frame(1024), Some(7));
        assert_eq!(frames.frame(1025), None);
        frames
            .push(Run {
                page: 5000,
                count: 8,
                frame: 5000,
            })
            .unwrap();
        frames
            .push(Run {
                page: 3000,
                count: 8,
                frame: 3000,
            })
            .unwrap();
        assert_eq!(frames.frame(5001), Some(5001));
        assert_eq!(frames.frame(3007), Some(3007));
        assert_eq!(frames.frame(4999), None);
    }
}
