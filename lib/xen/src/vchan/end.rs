//! One end of a connection.

use super::SharedPages;
use super::layout::{
    self, AWAITED, CLIENT_LIVE, CLIENT_NOTIFY, CONNECTED, LEFT_CONSUMER, LEFT_ORDER, LEFT_PRODUCER, NOTIFY_READ,
    NOTIFY_WRITE, Place, RIGHT_CONSUMER, RIGHT_ORDER, RIGHT_PRODUCER, SERVER_LIVE, SERVER_NOTIFY,
};
use super::{BadOrders, Orders};
use crate::ring::{BadIndex, SharedPage};

/// What a read or a write did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Transfer {
    /// Bytes that were read or written.
    pub bytes: usize,
    /// The other end asked to be told: an event is to be sent.
    pub notify: bool,
}

/// One end: its own two indices, which it never reads back from the page, and where things are.
///
/// The pages are given with each call; they must be those of the channel. A page that is not there reads and writes
/// nothing.
#[derive(Debug)]
pub struct End {
    incoming: Direction,
    outgoing: Direction,
    /// Offset of what this end wants to be told, and of what the other one does.
    wanted: usize,
    asked: usize,
    /// Offset of whether the other end is there.
    peer_live: usize,
}

/// One ring, from one end.
#[derive(Debug)]
struct Direction {
    place: Place,
    /// This end's free-running index.
    own_index: u32,
    /// Offsets of this end's index and of the other end's.
    own: usize,
    other: usize,
}

impl End {
    /// The server's end of a channel whose indices are all zero.
    pub(super) fn server(orders: Orders) -> Self {
        Self {
            incoming: Direction {
                place: orders.left_ring(),
                own_index: 0,
                own: LEFT_CONSUMER,
                other: LEFT_PRODUCER,
            },
            outgoing: Direction {
                place: orders.right_ring(),
                own_index: 0,
                own: RIGHT_PRODUCER,
                other: RIGHT_CONSUMER,
            },
            wanted: CLIENT_NOTIFY,
            asked: SERVER_NOTIFY,
            peer_live: CLIENT_LIVE,
        }
    }

    /// The sizes that the server chose, as the channel's first page says them.
    ///
    /// # Errors
    /// [`BadOrders`].
    pub fn orders(first: SharedPage<'_>) -> Result<Orders, BadOrders> {
        Orders::new(first.load_u16(LEFT_ORDER), first.load_u16(RIGHT_ORDER))
    }

    /// An entry of the grant list in the channel's first page: the reference of the page with the number `index + 1`.
    #[must_use]
    pub fn grant(first: SharedPage<'_>, index: usize) -> Option<u32> {
        let offset = layout::grant(index);
        (offset + 4 <= crate::PAGE_SIZE).then(|| first.load(offset))
    }

    /// Whether the server waits for a client: it is there, and done with the one before.
    #[must_use]
    pub fn is_offered(first: SharedPage<'_>) -> bool {
        first.load_u8(SERVER_LIVE) == CONNECTED && first.load_u8(CLIENT_LIVE) == AWAITED
    }

    /// The client's end, which takes the connection up where the page has it and says so. An event is to be sent after
    /// this.
    #[must_use]
    pub fn connect(first: SharedPage<'_>, orders: Orders) -> Self {
        let end = Self {
            incoming: Direction {
                place: orders.right_ring(),
                own_index: first.load(RIGHT_CONSUMER),
                own: RIGHT_CONSUMER,
                other: RIGHT_PRODUCER,
            },
            outgoing: Direction {
                place: orders.left_ring(),
                own_index: first.load(LEFT_PRODUCER),
                own: LEFT_PRODUCER,
                other: LEFT_CONSUMER,
            },
            wanted: SERVER_NOTIFY,
            asked: CLIENT_NOTIFY,
            peer_live: SERVER_LIVE,
        };
        first.store_u8(CLIENT_LIVE, CONNECTED);
        first.store_u8(SERVER_NOTIFY, NOTIFY_WRITE);
        end
    }

    /// Client: says that it goes. An event is to be sent after this.
    pub fn disconnect(&self, first: SharedPage<'_>) {
        first.store_u8(CLIENT_LIVE, layout::GONE);
    }

    /// Whether the other end is there, as the page says it.
    #[must_use]
    pub fn is_peer_connected(&self, pages: &impl SharedPages) -> bool {
        pages
            .page(0)
            .is_some_and(|first| first.load_u8(self.peer_live) == CONNECTED)
    }

    /// Reads what is there, up to the size of `buffer`. Where that is less, an event will come when there is more.
    ///
    /// # Errors
    /// [`BadIndex`]: nothing was read, and nothing will be: the connection is to be given up.
    pub fn read(&mut self, pages: &impl SharedPages, buffer: &mut [u8]) -> Result<Transfer, BadIndex> {
        let Some(first) = pages.page(0) else {
            return Ok(Transfer::NOTHING);
        };
        let mut ready = self.incoming.used_by_other(first)?;
        if ready < buffer.len() {
            // The other end may have written between the look and the wish: look again.
            first.set_bits(self.wanted, NOTIFY_WRITE);
            ready = self.incoming.used_by_other(first)?;
        }
        let count = ready.min(buffer.len());
        let mut done = 0;
        while done < count {
            let (number, offset, run) = self.incoming.place.at(self.incoming.own_index);
            let piece = buffer.get_mut(done..count.min(done + run)).unwrap_or_default();
            if !pages.page(number).is_some_and(|page| page.read_bytes(offset, piece)) {
                break;
            }
            done += piece.len();
            self.incoming.advance(piece.len());
        }
        Ok(self.finish(first, Side::Incoming, done))
    }

    /// Writes what fits of `bytes`. Where that is less than all, an event will come when there is room.
    ///
    /// # Errors
    /// [`BadIndex`]: nothing was written, and nothing will be: the connection is to be given up.
    pub fn write(&mut self, pages: &impl SharedPages, bytes: &[u8]) -> Result<Transfer, BadIndex> {
        let Some(first) = pages.page(0) else {
            return Ok(Transfer::NOTHING);
        };
        let mut room = self.outgoing.left_by_other(first)?;
        if room < bytes.len() {
            first.set_bits(self.wanted, NOTIFY_READ);
            room = self.outgoing.left_by_other(first)?;
        }
        let count = room.min(bytes.len());
        let mut done = 0;
        while done < count {
            let (number, offset, run) = self.outgoing.place.at(self.outgoing.own_index);
            let piece = bytes.get(done..count.min(done + run)).unwrap_or_default();
            if !pages.page(number).is_some_and(|page| page.write_bytes(offset, piece)) {
                break;
            }
            done += piece.len();
            self.outgoing.advance(piece.len());
        }
        Ok(self.finish(first, Side::Outgoing, done))
    }

    /// Publishes this end's index; whether the other end asked to be told.
    fn finish(&self, first: SharedPage<'_>, side: Side, bytes: usize) -> Transfer {
        if bytes == 0 {
            return Transfer::NOTHING;
        }
        let (direction, bit) = match side {
            Side::Incoming => (&self.incoming, NOTIFY_READ),
            Side::Outgoing => (&self.outgoing, NOTIFY_WRITE),
        };
        first.store(direction.own, direction.own_index);
        Transfer {
            bytes,
            notify: first.take_bits(self.asked, bit) != 0,
        }
    }
}

#[derive(Clone, Copy)]
enum Side {
    Incoming,
    Outgoing,
}

impl Transfer {
    pub(super) const NOTHING: Self = Self {
        bytes: 0,
        notify: false,
    };
}

impl Direction {
    /// Reader: bytes that the other end wrote and this one did not read yet.
    fn used_by_other(&self, first: SharedPage<'_>) -> Result<usize, BadIndex> {
        let producer = first.load(self.other);
        self.checked(producer, self.own_index)
    }

    /// Writer: bytes for which the other end left room.
    fn left_by_other(&self, first: SharedPage<'_>) -> Result<usize, BadIndex> {
        let consumer = first.load(self.other);
        let used = self.checked(self.own_index, consumer)?;
        Ok(self.place.size as usize - used)
    }

    fn checked(&self, producer: u32, consumer: u32) -> Result<usize, BadIndex> {
        let used = producer.wrapping_sub(consumer);
        if used > self.place.size {
            return Err(BadIndex {
                producer,
                consumer,
                size: self.place.size,
            });
        }
        Ok(used as usize)
    }

    /// Moves this end's index by a piece, which lies within a page.
    fn advance(&mut self, piece: usize) {
        self.own_index = self.own_index.wrapping_add(u32::try_from(piece).unwrap_or(0));
    }
}
