//! The store's client over a ring page of this domain.

use alloc::boxed::Box;

use xen::event_channel::Port;
use xen::ring::{BadIndex, SharedPage};
use xen::store::{StoreRing, Transport};

use crate::boot::StoreConnection;
use crate::events::Events;
use crate::lending::LentPages;
use crate::time;

/// Why bytes did not get through.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RingError {
    /// The store did not take or give anything for that long.
    #[error("the store is silent for {0} ms")]
    Silent(u64),
    /// The store's indices cannot be.
    #[error("{0}")]
    Index(#[from] BadIndex),
    /// The store gave the ring up, for the reason with this number (`XENSTORE_ERROR_*`).
    #[error("the store gave the ring up: error {0}")]
    GivenUp(u32),
    /// The domain that is the store ended.
    #[error("the store has ended")]
    Ended,
    /// The event channel is gone.
    #[error("{0}")]
    Event(#[from] xen::Error),
}

/// Where the ring is.
#[derive(Debug)]
enum Page {
    /// In a page that this domain lends.
    Lent(LentPages),
    /// In the page that its builder made for it.
    Own(SharedPage<'static>),
}

/// A ring page of this domain that the store maps, and the channel beside it. While it waits, nothing else of the domain
/// runs: for a caller that cannot go on without the answer.
pub struct RingTransport {
    page: Page,
    events: Events,
    patience_ns: u64,
    /// Whether the store's domain runs; none where this domain cannot know.
    alive: Option<Alive>,
}

/// Tells whether the store's domain runs.
pub type Alive = Box<dyn Fn() -> bool>;

/// How often it is asked while an answer is waited for, in nanoseconds: Xen tells nobody that a peer is gone.
const LOOK_EVERY_NS: u64 = 20_000_000;

impl RingTransport {
    /// A transport over a page that is lent to the store and a port that is offered to it. It gives up when the store does
    /// nothing for `patience_ns` nanoseconds, and soon after `alive` says that its domain does not run.
    #[must_use]
    pub fn new(page: LentPages, events: Events, patience_ns: u64, alive: Alive) -> Self {
        Self {
            page: Page::Lent(page),
            events,
            patience_ns,
            alive: Some(alive),
        }
    }

    /// A transport over the ring that this domain was built with; none where no store serves it.
    #[must_use]
    pub fn of_domain(connection: &StoreConnection, patience_ns: u64) -> Option<Self> {
        Some(Self {
            page: Page::Own(connection.ring?),
            events: Events::listen(Port::adopt(connection.port)),
            patience_ns,
            alive: None,
        })
    }

    /// The channel's events, for who wants to wait for what comes unasked.
    #[must_use]
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// Gives a lent page and the port back; none where the page is the builder's.
    #[must_use]
    pub fn into_parts(self) -> Option<(LentPages, Events)> {
        match self.page {
            Page::Lent(page) => Some((page, self.events)),
            Page::Own(_) => None,
        }
    }

    fn ring(&self) -> Result<StoreRing<'_>, RingError> {
        let page = match &self.page {
            // There is a first page in any case: none makes no LentPages.
            Page::Lent(pages) => pages.page(0).ok_or(RingError::Silent(0))?,
            Page::Own(page) => *page,
        };
        Ok(StoreRing::new(page))
    }

    fn wait(&self) -> Result<(), RingError> {
        let until = time::now().saturating_add(self.patience_ns);
        loop {
            let now = time::now();
            let slice = now.saturating_add(LOOK_EVERY_NS).min(until);
            if self.events.wait_alone(slice) {
                return Ok(());
            }
            if self.alive.as_ref().is_some_and(|alive| !alive()) {
                return Err(RingError::Ended);
            }
            if now >= until {
                break;
            }
        }
        match self.ring()?.error() {
            0 => Err(RingError::Silent(self.patience_ns / 1_000_000)),
            error => Err(RingError::GivenUp(error)),
        }
    }

    fn notify(&self) -> Result<(), RingError> {
        self.events.port().notify().map_err(RingError::from)
    }
}

impl Transport for RingTransport {
    type Error = RingError;

    fn send(&mut self, bytes: &[u8]) -> Result<(), RingError> {
        let mut rest = bytes;
        loop {
            let count = self.ring()?.write_requests(rest)?;
            rest = rest.get(count..).unwrap_or_default();
            if count > 0 {
                self.notify()?;
            }
            if rest.is_empty() {
                return Ok(());
            }
            self.wait()?;
        }
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, RingError> {
        loop {
            let count = self.poll(buffer)?;
            if count > 0 {
                return Ok(count);
            }
            self.wait()?;
        }
    }

    fn poll(&mut self, buffer: &mut [u8]) -> Result<usize, RingError> {
        let count = self.ring()?.read_replies(buffer)?;
        if count > 0 {
            // The store may wait for room.
            self.notify()?;
        }
        Ok(count)
    }
}
