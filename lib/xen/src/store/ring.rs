//! The page that a domain and the store share (`struct xenstore_domain_interface`): requests one way, replies the other.
//!
//! Both ends treat what the other wrote as hostile: each index is read once and checked.

use crate::ring::{BadIndex, ByteRing, SharedPage};

/// Requests, from the domain to the store.
const REQUESTS: ByteRing = ByteRing {
    data: 0,
    size: 1024,
    consumer: 2048,
    producer: 2052,
};
/// Replies and events, from the store to the domain.
const REPLIES: ByteRing = ByteRing {
    data: 1024,
    size: 1024,
    consumer: 2056,
    producer: 2060,
};
const FEATURES: usize = 2064;
const CONNECTION: usize = 2068;
const ERROR: usize = 2072;
const EVENT_CHANNEL: usize = 2076;

/// Bytes of each direction (`XENSTORE_RING_SIZE`).
pub const RING_BYTES: usize = 1024;

/// The server can take a ring up again (`XENSTORE_SERVER_FEATURE_RECONNECTION`).
pub const FEATURE_RECONNECT: u32 = 1 << 0;
/// The page has the error field (`XENSTORE_SERVER_FEATURE_ERROR`).
pub const FEATURE_ERROR: u32 = 1 << 1;
/// Watches may be limited in depth (docs/misc/xenstore-ring.txt).
pub const FEATURE_WATCH_DEPTH: u32 = 1 << 2;

/// State of the connection, as the page says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionState {
    /// In use (`XENSTORE_CONNECTED`).
    Connected,
    /// The domain asked for a fresh start, or the server is not done with it (`XENSTORE_RECONNECT`).
    Reconnect,
    /// None of the protocol's.
    Other(u32),
}

/// Why the server gave a ring up, as it tells the domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RingError {
    /// Communication problem (`XENSTORE_ERROR_COMM`).
    Communication = 1,
    /// An index that cannot be (`XENSTORE_ERROR_RINGIDX`).
    Index = 2,
    /// A message that is longer than allowed (`XENSTORE_ERROR_PROTO`).
    Protocol = 3,
}

/// A ring page, from either end.
#[derive(Debug, Clone, Copy)]
pub struct StoreRing<'a>(SharedPage<'a>);

impl<'a> StoreRing<'a> {
    /// A ring in a page.
    #[must_use]
    pub fn new(page: SharedPage<'a>) -> Self {
        Self(page)
    }

    /// Server: copies requests that wait, from `skip` bytes behind the first on, and leaves them there; how many bytes.
    ///
    /// # Errors
    /// [`BadIndex`]: the domain's index cannot be.
    pub fn peek_requests(&self, skip: usize, buffer: &mut [u8]) -> Result<usize, BadIndex> {
        REQUESTS.peek(self.0, skip, buffer)
    }

    /// Server: takes `count` bytes of requests out, all of which were seen.
    ///
    /// # Errors
    /// [`BadIndex`]: nothing was taken.
    pub fn consume_requests(&self, count: usize) -> Result<(), BadIndex> {
        REQUESTS.consume(self.0, count)
    }

    /// Server: takes requests out; how many bytes.
    ///
    /// # Errors
    /// [`BadIndex`]: nothing was taken.
    pub fn read_requests(&self, buffer: &mut [u8]) -> Result<usize, BadIndex> {
        REQUESTS.read(self.0, buffer)
    }

    /// Server: puts in what fits of a reply; how many bytes.
    ///
    /// # Errors
    /// [`BadIndex`]: nothing was put in.
    pub fn write_replies(&self, bytes: &[u8]) -> Result<usize, BadIndex> {
        REPLIES.write(self.0, bytes)
    }

    /// Server: bytes of replies that fit now.
    ///
    /// # Errors
    /// [`BadIndex`]: the domain's index cannot be.
    pub fn reply_room(&self) -> Result<usize, BadIndex> {
        REPLIES.room(self.0)
    }

    /// Position of the next request byte to be taken, and of the next reply byte to be put in: free-running indices.
    #[must_use]
    pub fn positions(&self) -> (u32, u32) {
        (REQUESTS.consumer_index(self.0), REPLIES.producer_index(self.0))
    }

    /// Server: sets both positions of its own, when it takes a ring over from an instance before it.
    pub fn set_positions(&self, requests: u32, replies: u32) {
        REQUESTS.set_consumer_index(self.0, requests);
        REPLIES.set_producer_index(self.0, replies);
    }

    /// Server: says what it can.
    pub fn set_features(&self, features: u32) {
        self.0.store(FEATURES, features);
    }

    /// Domain: what the server can.
    #[must_use]
    pub fn features(&self) -> u32 {
        self.0.load(FEATURES)
    }

    /// State of the connection.
    #[must_use]
    pub fn connection(&self) -> ConnectionState {
        match self.0.load(CONNECTION) {
            0 => ConnectionState::Connected,
            1 => ConnectionState::Reconnect,
            other => ConnectionState::Other(other),
        }
    }

    /// Server: begins to serve the ring, and says what it can. A domain that wants a fresh start may have asked for it
    /// before, or ask as soon as it knows that it may: that is left as it is.
    pub fn begin(&self, features: u32) {
        if let ConnectionState::Other(_) = self.connection() {
            self.set_connected();
        }
        self.set_features(features);
    }

    /// Server: the connection is in use.
    pub fn set_connected(&self) {
        self.0.store(CONNECTION, 0);
    }

    /// Domain: asks for a fresh start; the server is to be notified.
    pub fn ask_to_reconnect(&self) {
        self.0.store(CONNECTION, 1);
    }

    /// Server: tells the domain why its ring is served no more.
    pub fn set_error(&self, error: RingError) {
        self.0.store(ERROR, error as u32);
    }

    /// Domain: what the server complains of; 0 for nothing.
    #[must_use]
    pub fn error(&self) -> u32 {
        self.0.load(ERROR)
    }

    /// Server: empties both directions, takes the error back and says that the connection is in use, in the order that
    /// docs/misc/xenstore-ring.txt asks for.
    pub fn reset(&self) {
        REQUESTS.clear(self.0);
        REPLIES.clear(self.0);
        self.0.store(ERROR, 0);
        self.set_connected();
    }

    /// Builder: names the domain's own port in the page, for those who look there (`evtchn_port`).
    pub fn set_event_channel(&self, port: u32) {
        self.0.store(EVENT_CHANNEL, port);
    }

    /// Domain: puts in what fits of a request; how many bytes.
    ///
    /// # Errors
    /// [`BadIndex`]: nothing was put in.
    pub fn write_requests(&self, bytes: &[u8]) -> Result<usize, BadIndex> {
        REQUESTS.write(self.0, bytes)
    }

    /// Domain: takes replies out; how many bytes.
    ///
    /// # Errors
    /// [`BadIndex`]: nothing was taken.
    pub fn read_replies(&self, buffer: &mut [u8]) -> Result<usize, BadIndex> {
        REPLIES.read(self.0, buffer)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::PAGE_SIZE;

    #[repr(align(4096))]
    struct Page([u8; PAGE_SIZE]);

    fn ring(bytes: &mut Page) -> StoreRing<'_> {
        // SAFETY: aligned, and borrowed for the life of the result.
        StoreRing::new(unsafe { SharedPage::new(bytes.0.as_mut_ptr()) })
    }

    #[test]
    fn the_offsets_are_those_of_the_header() {
        use core::mem::offset_of;
        use xen_sys::xenstore_domain_interface as page;
        assert_eq!(REQUESTS.data, offset_of!(page, req));
        assert_eq!(REQUESTS.consumer, offset_of!(page, req_cons));
        assert_eq!(REQUESTS.producer, offset_of!(page, req_prod));
        assert_eq!(REPLIES.data, offset_of!(page, rsp));
        assert_eq!(REPLIES.consumer, offset_of!(page, rsp_cons));
        assert_eq!(REPLIES.producer, offset_of!(page, rsp_prod));
        assert_eq!(FEATURES, offset_of!(page, server_features));
        assert_eq!(CONNECTION, offset_of!(page, connection));
        assert_eq!(ERROR, offset_of!(page, error));
        assert_eq!(EVENT_CHANNEL, size_of::<page>());
    }

    #[test]
    fn requests_stay_until_they_are_consumed() {
        let mut page = Page([0; PAGE_SIZE]);
        let ring = ring(&mut page);
        assert_eq!(ring.write_requests(b"first second"), Ok(12));
        let mut seen = [0; 6];
        assert_eq!(ring.peek_requests(6, &mut seen), Ok(6));
        assert_eq!(&seen, b"second");
        assert_eq!(ring.peek_requests(12, &mut seen), Ok(0));
        assert_eq!(ring.consume_requests(6), Ok(()));
        assert_eq!(ring.peek_requests(0, &mut seen), Ok(6));
        assert_eq!(&seen, b"second");
        assert!(ring.consume_requests(7).is_err());
        assert_eq!(ring.positions(), (6, 0));
    }

    #[test]
    fn a_ring_that_cannot_be_is_refused_until_it_is_reset() {
        let mut page = Page([0; PAGE_SIZE]);
        let ring = ring(&mut page);
        ring.0.store(REQUESTS.producer, 1025);
        ring.0.store(REPLIES.consumer, 1);
        let mut buffer = [0; 4];
        assert!(ring.peek_requests(0, &mut buffer).is_err());
        assert!(ring.consume_requests(0).is_err());
        assert!(ring.write_replies(b"x").is_err());
        assert!(ring.reply_room().is_err());
        ring.set_error(RingError::Index);
        assert_eq!(ring.error(), 2);
        ring.reset();
        assert_eq!(ring.error(), 0);
        assert_eq!(ring.reply_room(), Ok(1024));
        assert_eq!(ring.connection(), ConnectionState::Connected);
    }
}
