//! Memory of this process that another domain may reach (Linux: include/uapi/xen/gntalloc.h).
//!
//! The kernel's module has a limit for the whole domain (its parameter `limit`, 1024 pages by default), and keeps a
//! page that the other domain still uses until it does not.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::vec;
use std::vec::Vec;

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::error::DeviceError;
use super::{grant, ioctl};
use crate::ring::SharedPage;
use crate::vchan::SharedPages;
use crate::{DomId, PAGE_SIZE};

const PATH: &str = "/dev/xen/gntalloc";
const GROUP: u8 = b'G';
const ALLOC_GREF: u8 = 5;
const DEALLOC_GREF: u8 = 6;
/// `GNTALLOC_FLAG_WRITABLE`.
const WRITABLE: u64 = 1;
/// Bytes of `struct ioctl_gntalloc_alloc_gref`, which ends with the first of its references.
const ALLOC_BYTES: usize = 24;
/// 64-bit words of it before the references: domain, flags and count; index.
const ALLOC_HEAD: usize = 2;

/// `struct ioctl_gntalloc_dealloc_gref`.
#[repr(C)]
struct Dealloc {
    index: u64,
    count: u32,
}

/// Whole pages, granted to one domain. Dropping it takes the grants back.
#[derive(Debug)]
pub struct GrantedMemory {
    memory: Pages,
    references: Vec<u32>,
}

impl GrantedMemory {
    /// Allocates `pages` pages of zeros that `to` may read, and nobody else may write.
    ///
    /// # Errors
    /// The device is not there; `ENOSPC`: the limit of the kernel's module is reached.
    pub fn readable(to: DomId, pages: u32) -> Result<Self, DeviceError> {
        let (memory, references) = Pages::allocate(to, pages, 0)?;
        Ok(Self { memory, references })
    }

    /// As [`GrantedMemory::readable`], with as much of `most` pages as halving it makes the kernel's limit allow.
    ///
    /// # Errors
    /// The device is not there, or not a single page is left.
    pub fn readable_up_to(to: DomId, most: u32) -> Result<Self, DeviceError> {
        let mut pages = most.max(1);
        loop {
            match Self::readable(to, pages) {
                Err(error) if error.source.kind() == io::ErrorKind::StorageFull && pages > 1 => pages /= 2,
                other => return other,
            }
        }
    }

    /// The grant reference of each page.
    #[must_use]
    pub fn references(&self) -> &[u32] {
        &self.references
    }

    /// The bytes, to be written. The other domain may read them at any time.
    #[must_use]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let bytes = self.memory.references as usize * PAGE_SIZE;
        // SAFETY: mapped readable and writable for as long as `self` is borrowed, initialised by the kernel; the grants
        // are read-only, so that nobody but this process writes there.
        unsafe { core::slice::from_raw_parts_mut(self.memory.address, bytes) }
    }
}

/// Pages of a vchan, which the other domain may write.
#[derive(Debug)]
pub(super) struct SharedMemory {
    memory: Pages,
    references: Vec<u32>,
}

impl SharedMemory {
    /// Allocates `pages` pages of zeros that `with` may read and write.
    pub(super) fn new(with: DomId, pages: u32) -> Result<Self, DeviceError> {
        let (memory, references) = Pages::allocate(with, pages, WRITABLE)?;
        Ok(Self { memory, references })
    }

    pub(super) fn references(&self) -> &[u32] {
        &self.references
    }

    /// As [`grant::notify_when_unmapped`], for a byte of the first page.
    pub(super) fn notify_when_unmapped(&self, offset: usize, port: u32) -> Result<(), DeviceError> {
        grant::notify_when_unmapped(&self.memory.device, self.memory.index + offset as u64, port)
            .map_err(DeviceError::new(PATH, "IOCTL_GNTALLOC_SET_UNMAP_NOTIFY"))
    }
}

impl SharedPages for SharedMemory {
    fn page(&self, number: usize) -> Option<SharedPage<'_>> {
        (number < self.memory.references as usize).then(|| {
            // SAFETY: page-aligned, and mapped readable and writable for as long as `self` is borrowed.
            unsafe { SharedPage::new(self.memory.address.add(number * PAGE_SIZE)) }
        })
    }
}

/// An allocation of the device, mapped.
#[derive(Debug)]
struct Pages {
    device: OwnedFd,
    index: u64,
    /// Pages, each with a reference.
    references: u32,
    address: *mut u8,
}

impl Pages {
    fn allocate(domain: DomId, count: u32, flags: u64) -> Result<(Self, Vec<u32>), DeviceError> {
        let device: OwnedFd = File::options()
            .read(true)
            .write(true)
            .open(PATH)
            .map_err(DeviceError::new(PATH, "open"))?
            .into();
        let mut request = vec![0u64; ALLOC_HEAD + (count as usize).div_ceil(2).max(1)];
        if let Some(head) = request.first_mut() {
            *head = u64::from(domain.0) | flags << 16 | u64::from(count) << 32;
        }
        // SAFETY: the argument of this request, with room for as many references as it asks for; no pointers.
        unsafe { ioctl::call_long(&device, GROUP, ALLOC_GREF, ALLOC_BYTES, &mut request) }
            .map_err(DeviceError::new(PATH, "IOCTL_GNTALLOC_ALLOC_GREF"))?;
        let index = request.get(1).copied().unwrap_or(0);
        let halves = request.iter().skip(ALLOC_HEAD).flat_map(|word| {
            let bytes = word.to_ne_bytes();
            let [a, b, c, d, e, f, g, h] = bytes;
            [u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h])]
        });
        let references = halves.take(count as usize).collect();
        // SAFETY: a new mapping where the kernel likes it; nothing of Rust is there.
        let address = unsafe {
            mmap(
                core::ptr::null_mut(),
                count as usize * PAGE_SIZE,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                &device,
                index,
            )
        }
        // The references go with the device, which is closed here.
        .map_err(DeviceError::new(PATH, "mmap"))?;
        let pages = Self {
            device,
            index,
            references: count,
            address: address.cast(),
        };
        Ok((pages, references))
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nothing borrows it any more. A refusal leaves it mapped, which harms nobody.
        let _ = unsafe { munmap(self.address.cast(), self.references as usize * PAGE_SIZE) };
        let mut request = Dealloc {
            index: self.index,
            count: self.references,
        };
        // SAFETY: the argument of this request; no pointers. A refusal leaves the pages to the device's end.
        let _ = unsafe { ioctl::call(&self.device, GROUP, DEALLOC_GREF, &mut request) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_have_the_sizes_of_the_header() {
        assert_eq!(size_of::<Dealloc>(), 16);
        // u16, u16, u32, u64, u32, and padding.
        assert_eq!(ALLOC_BYTES, 24);
        assert_eq!(ALLOC_HEAD * size_of::<u64>(), 16);
    }
}
