//! A vchan that a Linux process offers to another domain.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use super::error::DeviceError;
use super::event_channel::EventChannels;
use super::granted_memory::SharedMemory;
use super::vchan_client::Channel;
use crate::DomId;
use crate::ring::BadIndex;
use crate::vchan::{Change, Orders, Pipe, SERVER_LIVE, Server, Transfer};

/// The server's end of a channel, offered to one client after the other. Nothing here waits: [`VchanServer::as_fd`] is
/// readable when there is something to do, after which [`VchanServer::look`] comes first.
#[derive(Debug)]
pub struct VchanServer {
    // Dropped in this order: the kernel clears the live byte and sends the event while the port is there.
    memory: SharedMemory,
    server: Server,
    channel: Channel,
}

impl VchanServer {
    /// Allocates the pages, and offers them and an event channel to `client`.
    ///
    /// # Errors
    /// A device is not there, or refuses.
    pub fn offer(client: DomId, orders: Orders) -> Result<Self, DeviceError> {
        let channels = EventChannels::open()?;
        let port = channels.offer(client)?;
        let memory = SharedMemory::new(client, u32::try_from(orders.pages()).unwrap_or(u32::MAX))?;
        memory.notify_when_unmapped(SERVER_LIVE, port)?;
        let rings = memory.references().get(1..).unwrap_or_default();
        let server = Server::offer(&memory, orders, rings);
        Ok(Self {
            memory,
            server,
            channel: Channel { channels, port },
        })
    }

    /// The reference of the first page: the node `ring-ref`.
    #[must_use]
    pub fn ring_ref(&self) -> u32 {
        self.memory.references().first().copied().unwrap_or(0)
    }

    /// The port to bind to: the node `event-channel`.
    #[must_use]
    pub fn port(&self) -> u32 {
        self.channel.port
    }

    /// Takes the events that wait, and looks whether a client came or went.
    ///
    /// # Errors
    /// The device refuses.
    pub fn look(&mut self) -> Result<Change, DeviceError> {
        self.channel.take()?;
        let change = self.server.look(&self.memory);
        if change == Change::Went {
            self.channel.notify()?;
        }
        Ok(change)
    }

    /// Gives the client up.
    ///
    /// # Errors
    /// The device refuses.
    pub fn give_up(&mut self) -> io::Result<()> {
        self.server.give_up(&self.memory);
        self.channel.notify().map_err(io::Error::other)
    }

    fn done(&mut self, done: Result<Transfer, BadIndex>) -> io::Result<usize> {
        match done {
            Ok(transfer) => {
                if transfer.notify {
                    self.channel.notify().map_err(io::Error::other)?;
                }
                Ok(transfer.bytes)
            }
            Err(error) => {
                self.give_up()?;
                Err(io::Error::new(io::ErrorKind::InvalidData, error))
            }
        }
    }
}

/// `InvalidData`: the client wrote an index that cannot be, and was given up.
impl Pipe for VchanServer {
    type Error = io::Error;

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let done = self.server.read(&self.memory, buffer);
        self.done(done)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let done = self.server.write(&self.memory, bytes);
        self.done(done)
    }
}

impl AsFd for VchanServer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.channels.as_fd()
    }
}
