//! Event channels of a process (Linux: include/uapi/xen/evtchn.h). They are closed with the device.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt as _;

use rustix::fs::OFlags;

use super::error::DeviceError;
use super::ioctl;
use crate::DomId;

pub(super) const PATH: &str = "/dev/xen/evtchn";
const GROUP: u8 = b'E';
const BIND_VIRQ: u8 = 0;
const BIND_INTERDOMAIN: u8 = 1;
const BIND_UNBOUND_PORT: u8 = 2;
const UNBIND: u8 = 3;
const NOTIFY: u8 = 4;

/// `struct ioctl_evtchn_bind_virq`, `_bind_unbound_port`, `_unbind`, `_notify`: one number each.
#[repr(C)]
struct Number(u32);

/// `struct ioctl_evtchn_bind_interdomain`.
#[repr(C)]
struct BindInterdomain {
    domid: u32,
    port: u32,
}

/// The device.
#[derive(Debug)]
pub(super) struct EventChannels(File);

impl AsFd for EventChannels {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl EventChannels {
    pub(super) fn open() -> Result<Self, DeviceError> {
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
        File::options()
            .read(true)
            .write(true)
            .custom_flags(flags)
            .open(PATH)
            .map(Self)
            .map_err(DeviceError::new(PATH, "open"))
    }

    pub(super) fn bind_virq(&self, virq: u32) -> Result<u32, DeviceError> {
        // SAFETY: the argument of this request; no pointers.
        unsafe { ioctl::call(&self.0, GROUP, BIND_VIRQ, &mut Number(virq)) }
            .map_err(DeviceError::new(PATH, "IOCTL_EVTCHN_BIND_VIRQ"))
    }

    pub(super) fn bind_interdomain(&self, domid: DomId, port: u32) -> Result<u32, DeviceError> {
        let mut request = BindInterdomain {
            domid: domid.0.into(),
            port,
        };
        // SAFETY: the argument of this request; no pointers.
        unsafe { ioctl::call(&self.0, GROUP, BIND_INTERDOMAIN, &mut request) }
            .map_err(DeviceError::new(PATH, "IOCTL_EVTCHN_BIND_INTERDOMAIN"))
    }

    /// Makes a port to which `remote` may bind.
    pub(super) fn offer(&self, remote: DomId) -> Result<u32, DeviceError> {
        // SAFETY: the argument of this request; no pointers.
        unsafe { ioctl::call(&self.0, GROUP, BIND_UNBOUND_PORT, &mut Number(remote.0.into())) }
            .map_err(DeviceError::new(PATH, "IOCTL_EVTCHN_BIND_UNBOUND_PORT"))
    }

    pub(super) fn unbind(&self, port: u32) {
        // SAFETY: the argument of this request; no pointers. It is refused only where the port is not ours.
        let _ = unsafe { ioctl::call(&self.0, GROUP, UNBIND, &mut Number(port)) };
    }

    pub(super) fn notify(&self, port: u32) -> Result<(), DeviceError> {
        // SAFETY: the argument of this request; no pointers.
        unsafe { ioctl::call(&self.0, GROUP, NOTIFY, &mut Number(port)) }
            .map(|_| ())
            .map_err(DeviceError::new(PATH, "IOCTL_EVTCHN_NOTIFY"))
    }

    /// The next port that fired, which the kernel masks.
    pub(super) fn next(&self) -> Result<Option<u32>, DeviceError> {
        let mut port = [0; 4];
        match (&self.0).read(&mut port) {
            Ok(4) => Ok(Some(u32::from_ne_bytes(port))),
            Ok(_) => Ok(None),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(None),
            Err(error) => Err(DeviceError::new(PATH, "read")(error)),
        }
    }

    pub(super) fn unmask(&self, port: u32) -> Result<(), DeviceError> {
        (&self.0)
            .write_all(&port.to_ne_bytes())
            .map_err(DeviceError::new(PATH, "write"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_have_the_sizes_of_the_header() {
        assert_eq!(size_of::<Number>(), 4);
        assert_eq!(size_of::<BindInterdomain>(), 8);
    }
}
