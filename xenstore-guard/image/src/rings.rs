//! The rings of domains: pages mapped by grant, and the event channels beside them.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::Cell;

use log::warn;
use stubdom::events::Events;
use stubdom::time;
use xen::event_channel::Port;
use xen::grant_table::GrantedPage;
use xen::store::{StoreError, StoreRing};
use xen::{DomId, GRANT_RESERVED_XENSTORE};
use xenstore_guard_core::{Change, Environment};

/// A domain's ring, mapped.
pub(crate) struct Ring {
    pub(crate) domid: DomId,
    page: GrantedPage,
    events: Events,
    /// Nobody serves it any more.
    closed: Cell<bool>,
    /// Its domain broke the protocol: it is ignored.
    failed: Cell<bool>,
}

impl Ring {
    fn open(domid: DomId, port: u32) -> xen::Result<Self> {
        let page = GrantedPage::map(domid, GRANT_RESERVED_XENSTORE)?;
        let events = Events::listen(Port::bind_interdomain(domid, port)?);
        Ok(Self {
            domid,
            page,
            events,
            closed: Cell::new(false),
            failed: Cell::new(false),
        })
    }

    /// The ring; none once it is closed.
    pub(crate) fn ring(&self) -> Option<StoreRing<'_>> {
        if self.closed.get() {
            return None;
        }
        self.page.shared_page().map(StoreRing::new)
    }

    /// Whether it is ignored.
    pub(crate) fn is_failed(&self) -> bool {
        self.failed.get()
    }

    /// Ignores it from now on.
    pub(crate) fn fail(&self) {
        self.failed.set(true);
    }

    /// Tells the domain that something changed in the ring.
    pub(crate) fn notify(&self) {
        // It fails only for a domain that is gone, which nobody needs to tell anything.
        let _ = self.events.port().notify();
    }

    /// Waits until the domain says that something changed.
    pub(crate) async fn changed(&self) {
        self.events.next().await;
    }

    /// Wakes whoever waits in [`Self::changed`].
    pub(crate) fn wake(&self) {
        self.events.wake();
    }
}

/// All rings, and what the core asks of its environment.
#[derive(Default)]
pub(crate) struct Rings {
    open: BTreeMap<DomId, Rc<Ring>>,
    /// Opened since the last [`Self::take_new`].
    new: Vec<Rc<Ring>>,
}

impl Rings {
    /// Opens a domain's ring.
    pub(crate) fn open(&mut self, domid: DomId, port: u32) -> xen::Result<()> {
        self.close(domid);
        let ring = Rc::new(Ring::open(domid, port)?);
        self.new.push(Rc::clone(&ring));
        self.open.insert(domid, ring);
        Ok(())
    }

    fn close(&mut self, domid: DomId) {
        if let Some(ring) = self.open.remove(&domid) {
            // Its task holds it until it is woken, and then lets it go: page and port with it.
            ring.closed.set(true);
            ring.wake();
        }
    }

    /// A domain's ring.
    pub(crate) fn get(&self, domid: DomId) -> Option<Rc<Ring>> {
        self.open.get(&domid).cloned()
    }

    /// Wakes the tasks of all.
    pub(crate) fn wake_all(&self) {
        for ring in self.open.values() {
            ring.wake();
        }
    }

    /// Those that nobody serves yet.
    pub(crate) fn take_new(&mut self) -> Vec<Rc<Ring>> {
        core::mem::take(&mut self.new)
    }
}

impl Environment for Rings {
    fn introduce(&mut self, domid: DomId, _ring: u64, port: u32) -> Result<(), StoreError> {
        self.open(domid, port).map_err(|problem| {
            warn!("domain {domid} cannot be served: {problem}");
            StoreError::Invalid
        })
    }

    fn release(&mut self, domid: DomId) {
        self.close(domid);
    }

    fn now(&self) -> u64 {
        time::now()
    }

    fn journal(&mut self, _change: &Change<'_>) {}

    fn control(&mut self, _words: &[&[u8]]) -> Option<Result<Vec<u8>, StoreError>> {
        None
    }
}
