//! The ring of the domain that this process runs in. The kernel made it before there was a store.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::error::DeviceError;
use super::ioctl;
use super::page::MappedPage;

/// Linux: include/xen/xenbus_dev.h.
const BACKEND: &str = "/dev/xen/xenbus_backend";
const GROUP: u8 = b'B';
const EVENT_CHANNEL: u8 = 0;
/// The same of older kernels, where xenfs is mounted.
const OLD_PAGE: &str = "/proc/xen/xsd_kva";
const OLD_PORT: &str = "/proc/xen/xsd_port";

/// Maps the ring; the port that is the domain's end of it.
pub(super) fn map() -> Result<(MappedPage, u32), DeviceError> {
    match open(BACKEND) {
        Ok(device) => {
            // SAFETY: this request has no argument.
            let port = unsafe { ioctl::call(&device, GROUP, EVENT_CHANNEL, &mut ()) }
                .map_err(DeviceError::new(BACKEND, "IOCTL_XENBUS_BACKEND_EVTCHN"))?;
            Ok((MappedPage::map(&device, 0, Path::new(BACKEND))?, port))
        }
        Err(error) if error.source.kind() == io::ErrorKind::NotFound => {
            let text = fs::read_to_string(OLD_PORT).map_err(DeviceError::new(OLD_PORT, "read"))?;
            let port = text
                .trim()
                .parse()
                .map_err(|_| DeviceError::new(OLD_PORT, "read")(io::Error::from(io::ErrorKind::InvalidData)))?;
            Ok((MappedPage::map(open(OLD_PAGE)?, 0, Path::new(OLD_PAGE))?, port))
        }
        Err(error) => Err(error),
    }
}

fn open(path: &'static str) -> Result<File, DeviceError> {
    File::options()
        .read(true)
        .write(true)
        .open(path)
        .map_err(DeviceError::new(path, "open"))
}
