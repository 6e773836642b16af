//! Signals that end the daemon, as something to poll.

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use signal_hook::consts::{SIGINT, SIGTERM};

use crate::Error;

/// Readable once SIGTERM or SIGINT came.
#[derive(Debug)]
pub(crate) struct Signals(UnixStream);

impl Signals {
    /// Catches them from now on.
    pub(crate) fn catch() -> Result<Self, Error> {
        let failed = |operation: &'static str| move |source| Error::System { operation, source };
        let (read, write) = UnixStream::pair().map_err(failed("socketpair"))?;
        for signal in [SIGTERM, SIGINT] {
            let write = write.try_clone().map_err(failed("dup"))?;
            signal_hook::low_level::pipe::register(signal, write).map_err(failed("sigaction"))?;
        }
        Ok(Self(read))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
