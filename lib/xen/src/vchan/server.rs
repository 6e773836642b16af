//! The server's side of a channel over time: one client after the other on the same pages.

use alloc::vec::Vec;

use super::layout::{
    self, AWAITED, CLIENT_LIVE, CLIENT_NOTIFY, CONNECTED, GONE, LEFT_CONSUMER, LEFT_ORDER, LEFT_PRODUCER, NOTIFY_WRITE,
    RIGHT_CONSUMER, RIGHT_ORDER, RIGHT_PRODUCER, SERVER_LIVE, SERVER_NOTIFY,
};
use super::{End, Orders, SharedPages, Transfer};
use crate::ring::{BadIndex, SharedPage};

/// What happened to the client since the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    Nothing,
    /// One came.
    Came,
    /// It went, or was given up and is away now. The channel is offered again: an event is to be sent, for one that
    /// waits.
    Went,
}

/// A channel that is offered for as long as this exists, whatever clients do.
///
/// A client shows by its live byte that it came (1) and went (0; Linux writes it for a process that dies). In between
/// it is the client's. After it went all indices begin at zero again, and only then does the byte say that a client is
/// awaited: a client that waits for this finds an empty channel. libxenvchan's does not wait. One that comes before the
/// server saw the one before it go takes up that one's stream, as it would with libxenvchan's server.
#[derive(Debug)]
pub struct Server {
    orders: Orders,
    grants: Vec<u32>,
    end: End,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Offered,
    Connected,
    /// The server gave the client up, and the client is not away yet.
    GivenUp,
}

impl Server {
    /// Writes the first page, before or after it was granted. `grants` are the references of the other pages, in their
    /// order.
    #[must_use]
    pub fn offer(pages: &impl SharedPages, orders: Orders, grants: &[u32]) -> Self {
        let server = Self {
            orders,
            grants: grants.iter().copied().take(orders.grants()).collect(),
            end: End::server(orders),
            state: State::Offered,
        };
        if let Some(first) = pages.page(0) {
            server.write_page(first);
            first.store_u8(CLIENT_LIVE, AWAITED);
        }
        server
    }

    /// Looks whether a client came or went.
    pub fn look(&mut self, pages: &impl SharedPages) -> Change {
        let Some(first) = pages.page(0) else {
            return Change::Nothing;
        };
        let live = first.load_u8(CLIENT_LIVE);
        match (self.state, live) {
            (State::Offered, CONNECTED) => {
                self.state = State::Connected;
                Change::Came
            }
            (State::Offered, AWAITED) | (State::Connected | State::GivenUp, CONNECTED) => Change::Nothing,
            (State::Offered, _) => {
                self.offer_again(first, live);
                Change::Nothing
            }
            (State::Connected | State::GivenUp, _) => {
                self.offer_again(first, live);
                Change::Went
            }
        }
    }

    /// Whether a client is there that was not given up. Without one nothing is read or written.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.state == State::Connected
    }

    /// Reads as [`End::read`].
    ///
    /// # Errors
    /// [`BadIndex`]: the client is to be given up.
    pub fn read(&mut self, pages: &impl SharedPages, buffer: &mut [u8]) -> Result<Transfer, BadIndex> {
        if !self.is_connected() {
            return Ok(Transfer::NOTHING);
        }
        self.end.read(pages, buffer)
    }

    /// Writes as [`End::write`].
    ///
    /// # Errors
    /// [`BadIndex`]: the client is to be given up.
    pub fn write(&mut self, pages: &impl SharedPages, bytes: &[u8]) -> Result<Transfer, BadIndex> {
        if !self.is_connected() {
            return Ok(Transfer::NOTHING);
        }
        self.end.write(pages, bytes)
    }

    /// Gives the client up: the page says that the server is gone, until the client is. An event is to be sent.
    pub fn give_up(&mut self, pages: &impl SharedPages) {
        if self.state == State::Connected {
            self.state = State::GivenUp;
            if let Some(first) = pages.page(0) {
                first.store_u8(SERVER_LIVE, GONE);
            }
        }
    }

    /// Begins anew. What a client may have written into fields of the server's is written again.
    fn offer_again(&mut self, first: SharedPage<'_>, live: u8) {
        self.end = End::server(self.orders);
        self.state = State::Offered;
        self.write_page(first);
        // A client that came meanwhile keeps its mark, and is seen at the next look.
        let _ = first.replace_u8(CLIENT_LIVE, live, AWAITED);
    }

    /// Everything but the client's live byte.
    fn write_page(&self, first: SharedPage<'_>) {
        for (index, reference) in self.grants.iter().enumerate() {
            first.store(layout::grant(index), *reference);
        }
        first.store_u16(LEFT_ORDER, self.orders.left().into());
        first.store_u16(RIGHT_ORDER, self.orders.right().into());
        for index in [LEFT_CONSUMER, LEFT_PRODUCER, RIGHT_CONSUMER, RIGHT_PRODUCER] {
            first.store(index, 0);
        }
        first.store_u8(CLIENT_NOTIFY, NOTIFY_WRITE);
        first.store_u8(SERVER_NOTIFY, 0);
        first.store_u8(SERVER_LIVE, CONNECTED);
    }
}
