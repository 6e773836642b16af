//! Hypercalls of a process (Linux: include/uapi/xen/privcmd.h).

use std::fs::File;
use std::os::fd::AsFd as _;
use std::sync::OnceLock;

use super::error::DeviceError;
use super::ioctl;
use crate::{Errno, hypercall};

const PATH: &str = "/dev/xen/privcmd";
const GROUP: u8 = b'P';
const HYPERCALL: u8 = 0;
/// A page of the argument that is not there when Xen looks, as the kernel is moving it, is there some time later.
const ATTEMPTS: u32 = 100;

/// `struct privcmd_hypercall`.
#[repr(C)]
struct Hypercall {
    op: u64,
    arguments: [u64; 5],
}

static DEVICE: OnceLock<File> = OnceLock::new();

/// Has the hypercalls of this process made through the device.
pub(super) fn install() -> Result<(), DeviceError> {
    let device = File::options()
        .read(true)
        .write(true)
        .open(PATH)
        .map_err(DeviceError::new(PATH, "open"))?;
    // A second device would do the same as the first.
    let _ = DEVICE.set(device);
    // SAFETY: `enter` makes the hypercall that it is asked for and gives Xen's answer.
    unsafe { hypercall::install(enter) };
    Ok(())
}

/// # Safety
/// As [`hypercall::call`]; `arguments` must be valid.
unsafe extern "C" fn enter(op: usize, arguments: *const [usize; 5]) -> isize {
    // SAFETY: the caller vouches for the pointer.
    let arguments = unsafe { *arguments };
    let failed = |errno: Errno| -isize::try_from(errno.0).unwrap_or(isize::MAX);
    let Some(device) = DEVICE.get() else {
        return failed(Errno::ENOSYS);
    };
    for _ in 0..ATTEMPTS {
        let mut request = Hypercall {
            op: op as u64,
            arguments: arguments.map(|argument| argument as u64),
        };
        // SAFETY: the argument of this request; the caller vouches for what it points to.
        match unsafe { ioctl::call(device.as_fd(), GROUP, HYPERCALL, &mut request) } {
            Ok(answer) => return isize::try_from(answer).unwrap_or(isize::MAX),
            Err(error) => {
                let errno = error.raw_os_error().and_then(|number| u16::try_from(number).ok());
                let errno = Errno(errno.unwrap_or(Errno::EINVAL.0));
                if errno != Errno::EFAULT {
                    return failed(errno);
                }
                std::thread::yield_now();
            }
        }
    }
    failed(Errno::EFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_argument_has_the_size_of_the_header() {
        assert_eq!(size_of::<Hypercall>(), 48);
    }
}
