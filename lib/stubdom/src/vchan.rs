//! A vchan that this domain offers to another: its pages are lent, nothing of the other domain is mapped.

use alloc::vec::Vec;

use xen::event_channel::Port;
use xen::ring::BadIndex;
use xen::vchan::{Change, Orders, Pipe, Server, Transfer};
use xen::{DomId, Error, Result};

use crate::events::Events;
use crate::lending::LentPages;

/// The server's end of a channel, offered to one client after the other. Nothing here waits: after each event of
/// [`Channel::events`] comes [`Channel::look`], then reads and writes as long as they do something.
#[derive(Debug)]
pub struct Channel {
    pages: LentPages,
    server: Server,
    events: Events,
    first_reference: u32,
}

impl Channel {
    /// Lends `orders.pages()` pages to `client` under the references from `first_reference` on, which must be free, and
    /// offers it a port.
    ///
    /// # Errors
    /// No memory, no such references, or no port left.
    pub fn offer(client: DomId, orders: Orders, first_reference: u32) -> Result<Self> {
        let count = orders.pages();
        let mut pages = LentPages::new(count).ok_or(Error::NoRoom {
            window: "heap",
            pages: count,
        })?;
        let events = Events::listen(Port::offer(client)?);
        let rings: Vec<u32> = (first_reference.saturating_add(1)..).take(orders.grants()).collect();
        let server = Server::offer(&pages, orders, &rings);
        pages.lend(first_reference, client)?;
        Ok(Self {
            pages,
            server,
            events,
            first_reference,
        })
    }

    /// The reference of the first page: the node `ring-ref`.
    #[must_use]
    pub fn ring_ref(&self) -> u32 {
        self.first_reference
    }

    /// The port to bind to: the node `event-channel`.
    #[must_use]
    pub fn port(&self) -> u32 {
        self.events.port().number()
    }

    /// Where events of the client come.
    #[must_use]
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// Looks whether a client came or went.
    pub fn look(&mut self) -> Change {
        let change = self.server.look(&self.pages);
        if change == Change::Went {
            self.notify();
        }
        change
    }

    /// Gives the client up: it sees the server gone, and [`Channel::look`] tells when it is away.
    pub fn give_up(&mut self) {
        self.server.give_up(&self.pages);
        self.notify();
    }

    fn done(&mut self, done: core::result::Result<Transfer, BadIndex>) -> core::result::Result<usize, BadIndex> {
        match done {
            Ok(transfer) => {
                if transfer.notify {
                    self.notify();
                }
                Ok(transfer.bytes)
            }
            Err(error) => {
                self.give_up();
                Err(error)
            }
        }
    }

    fn notify(&self) {
        // A client that is gone needs none, and there is nobody else to tell.
        let _ = self.events.port().notify();
    }
}

/// [`BadIndex`]: the client wrote an index that cannot be, and was given up.
impl Pipe for Channel {
    type Error = BadIndex;

    fn read(&mut self, buffer: &mut [u8]) -> core::result::Result<usize, BadIndex> {
        let done = self.server.read(&self.pages, buffer);
        self.done(done)
    }

    fn write(&mut self, bytes: &[u8]) -> core::result::Result<usize, BadIndex> {
        let done = self.server.write(&self.pages, bytes);
        self.done(done)
    }
}
