//! Writing into the memory of a domain that is being built, through a window that is moved along.

use alloc::vec::Vec;

use xen::{DomId, Hypervisor, Mapping, PAGE_SIZE};

use super::BuildError;
use super::frames::Frames;

/// Pages that are mapped at once while an image is copied.
const WINDOW: usize = 512;

/// The memory of a domain being built.
pub(crate) struct GuestMemory<'a, H: Hypervisor> {
    hypervisor: &'a mut H,
    domid: DomId,
    frames: &'a Frames,
    window: Option<H::Mapping>,
    /// Pages that the window has room for.
    room: usize,
}

impl<'a, H: Hypervisor> GuestMemory<'a, H> {
    pub(crate) fn new(hypervisor: &'a mut H, domid: DomId, frames: &'a Frames) -> Self {
        Self {
            hypervisor,
            domid,
            frames,
            window: None,
            room: 0,
        }
    }

    /// Copies `bytes` to a pseudo-physical address.
    ///
    /// # Errors
    /// [`BuildError::Address`] where the domain has no memory there; [`BuildError::Xen`].
    pub(crate) fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), BuildError> {
        self.each_part(address, bytes.len() as u64, |window, offset, done, count| {
            window.write(offset, bytes.get(done..done + count).unwrap_or_default())
        })
    }

    /// Copies `bytes` to a pseudo-physical address and clears the rest of the last page.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub(crate) fn write_whole_pages(&mut self, address: u64, bytes: &[u8]) -> Result<(), BuildError> {
        self.write(address, bytes)?;
        let end = address.saturating_add(bytes.len() as u64);
        let page = PAGE_SIZE as u64;
        self.zero(end, (page - end % page) % page)
    }

    /// Copies a segment of an executable and clears what it has in memory beyond its file.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub(crate) fn load(&mut self, address: u64, data: &[u8], memory_size: u64) -> Result<(), BuildError> {
        self.write(address, data)?;
        let copied = data.len() as u64;
        self.zero(address.saturating_add(copied), memory_size.saturating_sub(copied))
    }

    /// Clears `count` bytes at a pseudo-physical address.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub(crate) fn zero(&mut self, address: u64, count: u64) -> Result<(), BuildError> {
        self.each_part(address, count, |window, offset, _, count| window.zero(offset, count))
    }

    fn each_part(
        &mut self,
        address: u64,
        count: u64,
        mut action: impl FnMut(&mut H::Mapping, usize, usize, usize) -> xen::Result<()>,
    ) -> Result<(), BuildError> {
        let outside = BuildError::Address { address, count };
        let total = usize::try_from(count).map_err(|_| outside.clone())?;
        address.checked_add(count).ok_or(outside)?;
        let mut done = 0;
        while done < total {
            let at = address + done as u64;
            let offset = usize::try_from(at % PAGE_SIZE as u64).unwrap_or(0);
            let part = (total - done).min(WINDOW * PAGE_SIZE - offset);
            let pages = (offset + part).div_ceil(PAGE_SIZE);
            let window = self.show(at / PAGE_SIZE as u64, pages)?;
            action(window, offset, done, part)?;
            done += part;
        }
        Ok(())
    }

    fn show(&mut self, first: u64, pages: usize) -> Result<&mut H::Mapping, BuildError> {
        let frames: Vec<u64> = (first..first + pages as u64)
            .map(|page| {
                self.frames.frame(page).ok_or(BuildError::Address {
                    address: page * PAGE_SIZE as u64,
                    count: PAGE_SIZE as u64,
                })
            })
            .collect::<Result<_, _>>()?;
        if self.room < pages {
            self.window = None;
        }
        match &mut self.window {
            Some(window) => self.hypervisor.remap(window, self.domid, &frames)?,
            none => {
                *none = Some(self.hypervisor.map(self.domid, &frames)?);
                self.room = pages;
            }
        }
        self.window.as_mut().ok_or(BuildError::Address {
            address: first,
            count: 0,
        })
    }
}
