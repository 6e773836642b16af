//! domb's own connection to the store: its ring page, the port beside it, and the recovery box that it lends.

use alloc::boxed::Box;

use domb_core::store::{BuilderRing, RECOVERY_REFERENCE, RING_REFERENCE, RecoveryGrant, StoreLink};
use stubdom::events::Events;
use stubdom::lending::LentPages;
use stubdom::store::RingTransport;
use xen::domctl::Toolstack;
use xen::event_channel::Port;
use xen::store::{Client, StoreRing};
use xen::{DomId, Error, PAGE_SIZE};

/// How long the store may be silent before it counts as hanging.
const PATIENCE_NS: u64 = 10_000_000_000;

/// The connection, in whichever state it is.
#[derive(Default)]
pub(crate) struct Link {
    toolstack: Option<Toolstack>,
    /// For whom ring and box are.
    store: Option<DomId>,
    /// Ring and port while no client has them.
    idle: Option<(LentPages, Events)>,
    client: Option<Client<RingTransport>>,
    recovery: Option<LentPages>,
}

impl Link {
    /// No connection yet. `toolstack` tells whether the store's domain still runs.
    pub(crate) fn new(toolstack: Toolstack) -> Self {
        Self {
            toolstack: Some(toolstack),
            ..Self::default()
        }
    }

    /// The ring and the port: those of before if they were for the same domain, which keeps reference and port.
    fn ring(&mut self, store: DomId) -> xen::Result<(LentPages, Events)> {
        if let Some((page, events)) = self.idle.take()
            && self.store == Some(store)
        {
            return Ok((page, events));
        }
        let mut page = pages(1)?;
        page.lend(RING_REFERENCE, store)?;
        Ok((page, Events::listen(Port::offer(store)?)))
    }

    /// The recovery box, made once: as many pages as asked for, or what there is.
    fn recovery(&mut self, store: DomId, wanted: u32) -> xen::Result<u32> {
        if wanted == 0 {
            return Ok(0);
        }
        let mut lent = match self.recovery.take() {
            Some(lent) if self.store == Some(store) => {
                let count = lent.count();
                self.recovery = Some(lent);
                return Ok(u32::try_from(count).unwrap_or(0));
            }
            Some(lent) => lent,
            None => match LentPages::new(wanted as usize) {
                Some(lent) => lent,
                None => {
                    log::warn!(
                        "no memory for the store's recovery box of {wanted} pages: a crash of the store loses its state"
                    );
                    return Ok(0);
                }
            },
        };
        lent.lend(RECOVERY_REFERENCE, store)?;
        let count = lent.count();
        if let Some(first) = lent.page(0) {
            // A page has room for eight bytes.
            let _ = first.publish(0, count as u64);
        }
        self.recovery = Some(lent);
        Ok(u32::try_from(count).unwrap_or(0))
    }
}

fn pages(count: usize) -> xen::Result<LentPages> {
    LentPages::new(count).ok_or(Error::NoRoom {
        window: "heap",
        pages: count,
    })
}

impl StoreLink for Link {
    type Transport = RingTransport;

    fn prepare(&mut self, store: DomId, recovery_pages: u32) -> xen::Result<BuilderRing> {
        self.disconnect();
        let pages = self.recovery(store, recovery_pages)?;
        let (page, events) = self.ring(store)?;
        let port = events.port().number();
        if let Some(shared) = page.page(0) {
            // What the instance before left there is of no use to anybody: nothing of it is ever answered.
            let _ = shared.write_bytes(0, &[0; PAGE_SIZE]);
            StoreRing::new(shared).reset();
        }
        self.idle = Some((page, events));
        self.store = Some(store);
        Ok(BuilderRing {
            port,
            recovery: RecoveryGrant {
                first_reference: RECOVERY_REFERENCE,
                pages,
            },
        })
    }

    fn connect(&mut self) -> xen::Result<()> {
        let (page, events) = self.idle.take().ok_or(Error::NoRoom {
            window: "ring of the store (not prepared)",
            pages: 1,
        })?;
        let (toolstack, store) = (self.toolstack, self.store);
        let alive = move || match (toolstack, store) {
            // Not knowing is no reason to give up.
            (Some(toolstack), Some(store)) => toolstack.domain_info(store).map_or(true, |info| {
                info.is_some_and(|info| !info.dying && info.shutdown.is_none())
            }),
            _ => true,
        };
        let transport = RingTransport::new(page, events, PATIENCE_NS, Box::new(alive));
        self.client = Some(Client::new(transport));
        Ok(())
    }

    fn client(&mut self) -> Option<&mut Client<RingTransport>> {
        self.client.as_mut()
    }

    fn disconnect(&mut self) {
        if let Some(client) = self.client.take() {
            self.idle = client.into_transport().into_parts();
        }
    }
}
