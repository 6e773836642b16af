//! A vchan to a server in another domain, as a blocking stream of bytes.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};
use std::vec::Vec;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::MappedPage;
use super::error::DeviceError;
use super::event_channel::EventChannels;
use super::grant::Grants;
use crate::DomId;
use crate::ring::SharedPage;
use crate::vchan::{BadOrders, CLIENT_LIVE, End, SharedPages, Transfer};

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A device refused: most often the server is gone, or does not offer the channel to this domain.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// What the server wrote cannot be.
    #[error(transparent)]
    Orders(#[from] BadOrders),
    /// The server did not offer the channel in time: another client has it, or the server is not done with the last
    /// one.
    #[error("vchan of domain {server}: not free after {waited:?}")]
    NotFree {
        /// The server's domain.
        server: DomId,
        /// How long it was waited for.
        waited: Duration,
    },
}

/// The client's end of a channel. Dropping it disconnects, and so does the end of the process, however it comes: the
/// kernel clears the live byte when the page is unmapped, and sends the event. Written here as well, the byte could be
/// cleared a second time after the server offered the channel again.
///
/// `read` gives 0 when the server is gone and all that it wrote was read. A `write` then fails with `BrokenPipe`. Both
/// wait as long as [`VchanClient::set_timeout`] says, then fail with `TimedOut`; a signal makes them fail with
/// `Interrupted`.
#[derive(Debug)]
pub struct VchanClient {
    // Unmapped before the port is closed.
    pages: Mapped,
    end: End,
    channel: Channel,
    timeout: Option<Duration>,
}

#[derive(Debug)]
struct Mapped(Vec<MappedPage>);

impl SharedPages for Mapped {
    fn page(&self, number: usize) -> Option<SharedPage<'_>> {
        self.0.get(number).map(MappedPage::shared_page)
    }
}

impl VchanClient {
    /// Connects to the channel that `server` offers with these two numbers (its nodes `ring-ref` and `event-channel`).
    /// Waits at most `patience` for the server to be done with the client before.
    ///
    /// Two processes must not use one channel at once: the caller sees to that, with a lock file.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub fn connect(server: DomId, ring_ref: u32, port: u32, patience: Duration) -> Result<Self, ConnectError> {
        let channel = Channel::bind(server, port)?;
        let grants = Grants::open()?;
        let first = grants.map(server, ring_ref)?;
        let until = Instant::now() + patience;
        while !End::is_offered(first.shared_page()) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ConnectError::NotFree {
                    server,
                    waited: patience,
                });
            }
            // The server sends an event, but perhaps before this end was bound.
            match channel.wait(Some(left.min(LOOK_AGAIN))) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    return Err(DeviceError::new(super::event_channel::PATH, "poll")(error).into());
                }
                _ => {}
            }
        }
        let orders = End::orders(first.shared_page())?;
        // The kernel undoes the connection if this process ends, from before there is one.
        first.notify_when_unmapped(CLIENT_LIVE, channel.port)?;
        let mut pages = Vec::with_capacity(orders.pages());
        pages.push(first);
        for index in 0..orders.grants() {
            let reference = pages
                .first()
                .and_then(|first| End::grant(first.shared_page(), index))
                .unwrap_or(0);
            pages.push(grants.map(server, reference)?);
        }
        let pages = Mapped(pages);
        let end = match pages.page(0) {
            Some(first) => End::connect(first, orders),
            None => return Err(BadOrders { left: 0, right: 0 }.into()),
        };
        channel.notify()?;
        Ok(Self {
            pages,
            end,
            channel,
            timeout: None,
        })
    }

    /// How long a read or a write waits; none for as long as it takes, the default.
    pub fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.timeout = timeout;
    }

    /// Whether the server is there.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.end.is_peer_connected(&self.pages)
    }

    fn sent(&self, transfer: Transfer) -> io::Result<usize> {
        if transfer.notify {
            self.channel.notify().map_err(io::Error::other)?;
        }
        Ok(transfer.bytes)
    }
}

/// How often a client that waits for a channel looks without an event.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

impl Read for VchanClient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            // Looked at before the ring: what a server wrote before it went is still delivered.
            let open = self.is_open();
            let transfer = self.end.read(&self.pages, buffer).map_err(invalid)?;
            let bytes = self.sent(transfer)?;
            if bytes > 0 || buffer.is_empty() || !open {
                return Ok(bytes);
            }
            self.channel.wait(self.timeout)?;
        }
    }
}

impl Write for VchanClient {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            if !self.is_open() {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            let transfer = self.end.write(&self.pages, bytes).map_err(invalid)?;
            let done = self.sent(transfer)?;
            if done > 0 || bytes.is_empty() {
                return Ok(done);
            }
            self.channel.wait(self.timeout)?;
        }
    }

    /// Does nothing: what was written is in the ring.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for VchanClient {
    /// Readable while an event waits.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.channels.as_fd()
    }
}

fn invalid(error: crate::ring::BadIndex) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// One event channel, with a device of its own.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) channels: EventChannels,
    pub(super) port: u32,
}

impl Channel {
    fn bind(domid: DomId, remote_port: u32) -> Result<Self, DeviceError> {
        let channels = EventChannels::open()?;
        let port = channels.bind_interdomain(domid, remote_port)?;
        Ok(Self { channels, port })
    }

    pub(super) fn notify(&self) -> Result<(), DeviceError> {
        self.channels.notify(self.port)
    }

    /// Waits for an event and takes it.
    pub(super) fn wait(&self, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        });
        let mut wait = [PollFd::new(&self.channels, PollFlags::IN)];
        if poll(&mut wait, timeout.as_ref())? == 0 {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.take().map_err(io::Error::other)
    }

    /// Takes the events that wait, and lets further ones come.
    pub(super) fn take(&self) -> Result<(), DeviceError> {
        while let Some(port) = self.channels.next()? {
            self.channels.unmask(port)?;
        }
        Ok(())
    }
}
