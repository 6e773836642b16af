//! Where things lie in the pages of a channel (`struct vchan_interface`).

use crate::PAGE_SIZE;

/// Offsets in the first page.
pub(super) const LEFT_CONSUMER: usize = 0;
pub(super) const LEFT_PRODUCER: usize = 4;
pub(super) const RIGHT_CONSUMER: usize = 8;
pub(super) const RIGHT_PRODUCER: usize = 12;
pub(super) const LEFT_ORDER: usize = 16;
pub(super) const RIGHT_ORDER: usize = 18;
/// Whether the client is there (`cli_live`).
pub(crate) const CLIENT_LIVE: usize = 20;
/// Whether the server is there (`srv_live`).
pub(crate) const SERVER_LIVE: usize = 21;
/// What the server wants to be told by the client (`cli_notify`).
pub(super) const CLIENT_NOTIFY: usize = 22;
/// What the client wants to be told by the server (`srv_notify`).
pub(super) const SERVER_NOTIFY: usize = 23;
const GRANTS: usize = 24;
const GRANT_BYTES: usize = 4;

/// Values of the two live bytes.
pub(super) const GONE: u8 = 0;
pub(super) const CONNECTED: u8 = 1;
pub(super) const AWAITED: u8 = 2;

/// Send an event when data was written (`VCHAN_NOTIFY_WRITE`).
pub(super) const NOTIFY_WRITE: u8 = 1;
/// Send an event when data was read (`VCHAN_NOTIFY_READ`).
pub(super) const NOTIFY_READ: u8 = 2;

/// The smallest ring: 1024 bytes, at offset 1024 of the first page.
const SMALL: u8 = 10;
/// The other one within the first page: 2048 bytes at offset 2048.
const LARGE: u8 = 11;
/// From here on a ring has pages of its own.
const PAGE_ORDER: u8 = 12;
/// The largest ring: 1 MiB (`MAX_RING_SHIFT` of libxenvchan).
pub const MAX_ORDER: u8 = 20;

/// Binary logarithms of the sizes of both rings, in a combination that has room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Orders {
    left: u8,
    right: u8,
}

/// Sizes of rings that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "vchan: ring orders {left} and {right}; accepted: 10 to {MAX_ORDER}, 10 and 11 once each, with room for the grants"
)]
pub struct BadOrders {
    /// Of the left ring.
    pub left: u16,
    /// Of the right ring.
    pub right: u16,
}

impl Orders {
    /// Rings of 2^`left` bytes (client to server) and 2^`right` bytes (server to client).
    ///
    /// # Errors
    /// [`BadOrders`]: one is below 10 or above [`MAX_ORDER`], both are 10 or both 11, or the grant list would reach into
    /// a ring of the first page.
    pub fn new(left: u16, right: u16) -> Result<Self, BadOrders> {
        let bad = || BadOrders { left, right };
        let order = |order: u16| {
            u8::try_from(order)
                .ok()
                .filter(|order| (SMALL..=MAX_ORDER).contains(order))
                .ok_or_else(bad)
        };
        let orders = Self {
            left: order(left)?,
            right: order(right)?,
        };
        let within = |order: u8| order < PAGE_ORDER;
        let list_end = GRANTS + orders.grants() * GRANT_BYTES;
        let first_byte = [orders.left, orders.right]
            .into_iter()
            .filter(|order| within(*order))
            .map(|order| 1usize << order)
            .min()
            .unwrap_or(PAGE_SIZE);
        if (orders.left == orders.right && within(orders.left)) || list_end > first_byte {
            return Err(bad());
        }
        Ok(orders)
    }

    /// Order of the left ring.
    #[must_use]
    pub fn left(self) -> u8 {
        self.left
    }

    /// Order of the right ring.
    #[must_use]
    pub fn right(self) -> u8 {
        self.right
    }

    /// Pages beside the first one: those of the left ring, then those of the right one, each with an entry in the grant
    /// list.
    #[must_use]
    pub fn grants(self) -> usize {
        pages(self.left) + pages(self.right)
    }

    /// All pages of the channel.
    #[must_use]
    pub fn pages(self) -> usize {
        1 + self.grants()
    }

    pub(super) fn left_ring(self) -> Place {
        Place::new(self.left, 1)
    }

    pub(super) fn right_ring(self) -> Place {
        Place::new(self.right, 1 + pages(self.left))
    }
}

/// Pages of its own that a ring has.
fn pages(order: u8) -> usize {
    if order < PAGE_ORDER {
        0
    } else {
        1 << (order - PAGE_ORDER)
    }
}

/// Offset in the first page of an entry of the grant list.
pub(super) fn grant(index: usize) -> usize {
    GRANTS + index * GRANT_BYTES
}

/// Where the bytes of a ring lie.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    first_page: usize,
    offset: usize,
    /// Bytes of the ring, a power of two.
    pub(super) size: u32,
}

impl Place {
    fn new(order: u8, own_page: usize) -> Self {
        let (first_page, offset) = match order {
            SMALL | LARGE => (0, 1 << order),
            _ => (own_page, 0),
        };
        Self {
            first_page,
            offset,
            size: 1 << order,
        }
    }

    /// Page, and offset in it, of the byte at a free-running index; how many bytes follow there in one piece.
    pub(super) fn at(self, index: u32) -> (usize, usize, usize) {
        let position = (index & (self.size - 1)) as usize;
        let byte = self.offset + position;
        let offset = byte % PAGE_SIZE;
        let left = (self.size as usize - position).min(PAGE_SIZE - offset);
        (self.first_page + byte / PAGE_SIZE, offset, left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_lies_where_the_header_says() {
        let orders = Orders::new(10, 11).unwrap();
        assert_eq!(orders.left_ring().at(0), (0, 1024, 1024));
        assert_eq!(orders.left_ring().at(1023 + 5 * 1024), (0, 2047, 1));
        assert_eq!(orders.right_ring().at(0), (0, 2048, 2048));
        assert_eq!(orders.pages(), 1);
        let orders = Orders::new(13, 12).unwrap();
        assert_eq!(orders.left_ring().at(4096), (2, 0, 4096));
        assert_eq!(orders.right_ring().at(u32::MAX), (3, 4095, 1));
        assert_eq!(orders.pages(), 4);
    }

    #[test]
    fn rings_that_overlap_are_refused() {
        for (left, right) in [(10, 10), (11, 11), (9, 11), (12, 21), (0xff0a, 11), (20, 10)] {
            assert_eq!(Orders::new(left, right), Err(BadOrders { left, right }));
        }
        for (left, right) in [(10, 11), (11, 10), (11, 12), (12, 12), (20, 20), (20, 11), (19, 10)] {
            assert!(Orders::new(left, right).is_ok(), "{left} {right}");
        }
    }
}
