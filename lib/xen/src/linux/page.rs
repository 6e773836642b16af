//! Pages of other domains in this process.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::error::DeviceError;
use super::grant;
use crate::PAGE_SIZE;
use crate::ring::SharedPage;

/// A page that another domain can change at any time. Dropping it unmaps it.
#[derive(Debug)]
pub struct MappedPage {
    address: *mut u8,
    grant: Option<(Rc<OwnedFd>, u64)>,
}

impl MappedPage {
    /// Maps a page of a file or a device, shared and writable.
    pub(super) fn map(file: impl AsFd, offset: u64, path: &Path) -> Result<Self, DeviceError> {
        // SAFETY: a new mapping where the kernel likes it; nothing of Rust is there. It is only reached through
        // `SharedPage`, which expects others to change it.
        let address = unsafe {
            mmap(
                core::ptr::null_mut(),
                PAGE_SIZE,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                file,
                offset,
            )
        }
        .map_err(DeviceError::new(path, "mmap"))?;
        Ok(Self {
            address: address.cast(),
            grant: None,
        })
    }

    /// The same page, with what gives the grant back behind it.
    pub(super) fn granted(mut self, device: Rc<OwnedFd>, index: u64) -> Self {
        self.grant = Some((device, index));
        self
    }

    /// Has the kernel clear the byte at `offset` and send an event on `port` when a granted page is unmapped, also by the end
    /// of this process.
    pub(super) fn notify_when_unmapped(&self, offset: usize, port: u32) -> Result<(), DeviceError> {
        match &self.grant {
            None => Ok(()),
            Some((device, index)) => grant::notify_when_unmapped(&**device, index + offset as u64, port)
                .map_err(DeviceError::new(grant::PATH, "IOCTL_GNTDEV_SET_UNMAP_NOTIFY")),
        }
    }

    /// The page.
    #[must_use]
    pub fn shared_page(&self) -> SharedPage<'_> {
        // SAFETY: page-aligned, and mapped readable and writable for as long as `self` is borrowed.
        unsafe { SharedPage::new(self.address) }
    }
}

impl Drop for MappedPage {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and no `SharedPage` of it is left. A refusal leaves it mapped, which harms nobody.
        let _ = unsafe { munmap(self.address.cast(), PAGE_SIZE) };
        if let Some((device, index)) = self.grant.take() {
            grant::unmap(&device, index);
        }
    }
}
