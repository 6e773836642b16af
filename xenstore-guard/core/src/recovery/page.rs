//! What serving a ring needs of its page.

use xen::ring::BadIndex;
use xen::store::ring::StoreRing;

/// The store's end of a ring.
pub trait Ring {
    /// Copies requests that wait, from `skip` bytes behind the first on, and leaves them there; how many bytes.
    ///
    /// # Errors
    /// [`BadIndex`]: the domain's index cannot be.
    fn peek_requests(&self, skip: usize, buffer: &mut [u8]) -> Result<usize, BadIndex>;

    /// Takes `count` bytes of requests out.
    ///
    /// # Errors
    /// [`BadIndex`]: nothing was taken.
    fn consume_requests(&self, count: usize) -> Result<(), BadIndex>;

    /// Bytes of replies that fit now.
    ///
    /// # Errors
    /// [`BadIndex`]: the domain's index cannot be.
    fn reply_room(&self) -> Result<usize, BadIndex>;

    /// Puts in what fits of a reply, all of that at once; how many bytes.
    ///
    /// # Errors
    /// [`BadIndex`]: nothing was put in.
    fn write_replies(&self, bytes: &[u8]) -> Result<usize, BadIndex>;

    /// The ring's indices of requests taken out and replies put in.
    fn positions(&self) -> (u32, u32);
}

impl Ring for StoreRing<'_> {
    fn peek_requests(&self, skip: usize, buffer: &mut [u8]) -> Result<usize, BadIndex> {
        StoreRing::peek_requests(self, skip, buffer)
    }

    fn consume_requests(&self, count: usize) -> Result<(), BadIndex> {
        StoreRing::consume_requests(self, count)
    }

    fn reply_room(&self) -> Result<usize, BadIndex> {
        StoreRing::reply_room(self)
    }

    fn write_replies(&self, bytes: &[u8]) -> Result<usize, BadIndex> {
        StoreRing::write_replies(self, bytes)
    }

    fn positions(&self) -> (u32, u32) {
        StoreRing::positions(self)
    }
}
