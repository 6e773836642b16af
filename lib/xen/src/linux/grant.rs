//! Pages granted to this domain (Linux: include/uapi/xen/gntdev.h).

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;

use super::error::DeviceError;
use super::ioctl;
use super::page::MappedPage;
use crate::DomId;

pub(super) const PATH: &str = "/dev/xen/gntdev";
const GROUP: u8 = b'G';
const MAP_GRANT_REF: u8 = 0;
const UNMAP_GRANT_REF: u8 = 1;
const SET_UNMAP_NOTIFY: u8 = 7;
/// `UNMAP_NOTIFY_CLEAR_BYTE | UNMAP_NOTIFY_SEND_EVENT`.
const CLEAR_BYTE_AND_SEND_EVENT: u32 = 1 | 2;

/// `struct ioctl_gntdev_map_grant_ref`, for one page.
#[repr(C)]
#[derive(Default)]
struct Map {
    count: u32,
    padding: u32,
    /// Out: what to map at.
    index: u64,
    domid: u32,
    reference: u32,
}

/// `struct ioctl_gntdev_unmap_grant_ref`.
#[repr(C)]
struct Unmap {
    index: u64,
    count: u32,
    padding: u32,
}

/// `struct ioctl_gntdev_unmap_notify`, and `struct ioctl_gntalloc_unmap_notify`.
#[repr(C)]
struct UnmapNotify {
    index: u64,
    action: u32,
    port: u32,
}

/// The device.
#[derive(Debug)]
pub(super) struct Grants(Rc<OwnedFd>);

impl Grants {
    pub(super) fn open() -> Result<Self, DeviceError> {
        let device = File::options()
            .read(true)
            .write(true)
            .open(PATH)
            .map_err(DeviceError::new(PATH, "open"))?;
        Ok(Self(Rc::new(device.into())))
    }

    /// Maps one page, writable.
    pub(super) fn map(&self, domid: DomId, reference: u32) -> Result<MappedPage, DeviceError> {
        let mut request = Map {
            count: 1,
            domid: domid.0.into(),
            reference,
            ..Map::default()
        };
        // SAFETY: the argument of this request, for one page; no pointers.
        unsafe { ioctl::call(&*self.0, GROUP, MAP_GRANT_REF, &mut request) }
            .map_err(DeviceError::new(PATH, "IOCTL_GNTDEV_MAP_GRANT_REF"))?;
        match MappedPage::map(&*self.0, request.index, Path::new(PATH)) {
            Ok(page) => Ok(page.granted(Rc::clone(&self.0), request.index)),
            Err(error) => {
                unmap(&self.0, request.index);
                Err(error)
            }
        }
    }
}

/// Gives a page back that is not mapped any more.
pub(super) fn unmap(device: &OwnedFd, index: u64) {
    let mut request = Unmap {
        index,
        count: 1,
        padding: 0,
    };
    // SAFETY: the argument of this request; no pointers. A refusal leaves the page to the end of this process.
    let _ = unsafe { ioctl::call(device, GROUP, UNMAP_GRANT_REF, &mut request) };
}

/// Has the kernel clear a byte and send an event on `port` when a page is unmapped, also by the end of this process.
/// `device` is gntdev or gntalloc, which number this request alike; `index` names the byte.
pub(super) fn notify_when_unmapped(device: impl AsFd, index: u64, port: u32) -> io::Result<()> {
    let mut request = UnmapNotify {
        index,
        action: CLEAR_BYTE_AND_SEND_EVENT,
        port,
    };
    // SAFETY: the argument of this request; no pointers.
    unsafe { ioctl::call(device, GROUP, SET_UNMAP_NOTIFY, &mut request) }.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_have_the_sizes_of_the_header() {
        assert_eq!(size_of::<Map>(), 24);
        assert_eq!(size_of::<Unmap>(), 16);
        assert_eq!(size_of::<UnmapNotify>(), 16);
    }
}
