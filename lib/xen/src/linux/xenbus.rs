//! The store, as a program of an ordinary domain asks it: through the kernel's device, which multiplexes the domain's
//! ring.

use std::fs::File;
use std::io::{self, Read as _, Write as _};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::error::DeviceError;
use crate::store::Transport;

const PATH: &str = "/dev/xen/xenbus";
/// The same where only xenfs is mounted.
const OLD_PATH: &str = "/proc/xen/xenbus";

/// A connection of this process. Watches and transactions of it go with it.
#[derive(Debug)]
pub struct Xenbus(File);

impl Xenbus {
    /// Opens it.
    ///
    /// # Errors
    /// This is no domain of Xen's, or the process may not.
    pub fn open() -> Result<Self, DeviceError> {
        let open = |path| File::options().read(true).write(true).open(path);
        match open(PATH) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => open(OLD_PATH),
            other => other,
        }
        .map(Self)
        .map_err(DeviceError::new(PATH, "open"))
    }
}

impl Transport for Xenbus {
    type Error = io::Error;

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    fn poll(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut wait = [PollFd::new(&self.0, PollFlags::IN)];
        match poll(&mut wait, Some(&at_once))? {
            0 => Ok(0),
            _ => self.receive(buffer),
        }
    }
}
