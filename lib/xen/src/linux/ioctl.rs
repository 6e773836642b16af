//! Requests to Xen's devices. Their numbers are made without direction (`_IOC_NONE`) of a letter, a number and a size.

use core::ffi::c_void;
use std::io;
use std::os::fd::AsFd;

use rustix::ioctl::{Direction, Ioctl, IoctlOutput, Opcode, opcode};

/// A request with an argument that the kernel may read and write; its answer is the call's result.
struct Request {
    opcode: Opcode,
    argument: *mut c_void,
}

// SAFETY: `as_ptr` gives what lives through the call, and may be written; the result is a plain number. That it is what
// the device expects is the promise of the callers of `call` and `call_long`.
unsafe impl Ioctl for Request {
    type Output = IoctlOutput;
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        self.opcode
    }

    fn as_ptr(&mut self) -> *mut c_void {
        self.argument
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
    let argument = (&raw mut *argument).cast();
    // SAFETY: the caller vouches for the argument, which is borrowed for the call.
    let answer = unsafe { rustix::ioctl::ioctl(device, Request { opcode, argument })? };
    u32::try_from(answer).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Asks a device with an argument that is longer than its type in the header, which ends with the first of many
/// elements: `size` is that type's.
///
/// # Safety
/// As [`call`]; `argument` must hold as many elements as it says.
pub(super) unsafe fn call_long(
    device: impl AsFd,
    group: u8,
    number: u8,
    size: usize,
    argument: &mut [u64],
) -> io::Result<u32> {
    if size_of_val(argument) < size {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let opcode = opcode::from_components(Direction::None, group, number, size);
    let argument = argument.as_mut_ptr().cast();
    // SAFETY: the caller vouches for the argument, which is borrowed for the call.
    let answer = unsafe { rustix::ioctl::ioctl(device, Request { opcode, argument })? };
    u32::try_from(answer).map_err(|_| io::ErrorKind::InvalidData.into())
}
