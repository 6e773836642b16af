//! Requests to Xen's devices. Their numbers are made without direction (`_IOC_NONE`) of a letter, a number and a size.

use core::ffi::c_void;
use std::io;
use std::os::fd::AsFd;

use rustix::ioctl::{Direction, Ioctl, IoctlOutput, Opcode, opcode};

/// A request with an argument that the kernel may read and write; its answer is the call's result.
struct Request<'a, T> {
    opcode: Opcode,
    argument: &'a mut T,
}

// SAFETY: `as_ptr` gives a `T` that lives through the call, and may be written; the result is a plain number. That `T` is
// what the device expects is the promise of `call`'s callers.
unsafe impl<T> Ioctl for Request<'_, T> {
    type Output = IoctlOutput;
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        self.opcode
    }

    fn as_ptr(&mut self) -> *mut c_void {
        (&raw mut *self.argument).cast()
    }

    unsafe fn output_from_ptr(out: IoctlOutput, _: *mut c_void) -> rustix::io::Result<Self::Output> {
        Ok(out)
    }
}

/// Asks a device; its answer, which is not negative.
///
/// # Safety
/// `T` must be the argument of request `number` of the devices of `group`, and pointers in it valid for what the kernel
/// or Xen does with them.
pub(super) unsafe fn call<T>(device: impl AsFd, group: u8, number: u8, argument: &mut T) -> io::Result<u32> {
    let opcode = opcode::from_components(Direction::None, group, number, size_of::<T>());
    // SAFETY: the caller vouches for the argument.
    let answer = unsafe { rustix::ioctl::ioctl(device, Request { opcode, argument })? };
    u32::try_from(answer).map_err(|_| io::ErrorKind::InvalidData.into())
}
