//! Serves the rings: a task for each, a request at a time, so that no domain keeps the others waiting.

use alloc::rc::Rc;
use core::cell::RefCell;

use log::warn;
use stubdom::{Exit, executor, time};
use xen::DomId;
use xen::store::ring::{ConnectionState, RING_BYTES, RingError};
use xenstore_guard_core::{ConnectionId, Peer, Server};

use crate::rings::{Ring, Rings};

/// The store while it runs.
pub(crate) struct Store {
    shared: Rc<RefCell<Shared>>,
}

struct Shared {
    server: Server,
    rings: Rings,
    /// A task that sleeps until then is under way.
    armed: Option<u64>,
}

/// What a look at a ring came to.
enum Turn {
    /// There may be more to do at once.
    Again,
    /// Nothing to do until the domain says so.
    Idle,
    /// It is closed.
    Over,
}

impl Store {
    /// A store whose first client is its builder.
    pub(crate) fn open(mut server: Server, builder: Peer) -> xen::Result<Self> {
        let mut rings = Rings::default();
        if let Peer::Domain { domid, port, .. } = builder {
            rings.open(domid, port)?;
        }
        if let Err(problem) = server.connect(builder) {
            warn!("the builder cannot be served: {problem}");
        }
        Ok(Self {
            shared: Rc::new(RefCell::new(Shared {
                server,
                rings,
                armed: None,
            })),
        })
    }

    /// Serves for good.
    pub(crate) async fn serve(self) -> Exit {
        start_new(&self.shared);
        core::future::pending().await
    }
}

/// Starts a task for each ring that was just opened.
fn start_new(shared: &Rc<RefCell<Shared>>) {
    let new = shared.borrow_mut().rings.take_new();
    for ring in new {
        let shared = Rc::clone(shared);
        executor::spawn(async move { serve_ring(&shared, &ring).await });
    }
}

async fn serve_ring(shared: &Rc<RefCell<Shared>>, ring: &Rc<Ring>) {
    if let Some(page) = ring.ring() {
        page.set_features(shared.borrow().server.features(ring.domid));
        page.set_connected();
        ring.notify();
    }
    loop {
        let turn = shared.borrow_mut().turn(ring);
        start_new(shared);
        arm(shared);
        match turn {
            Turn::Again => executor::yield_now().await,
            Turn::Idle => ring.changed().await,
            Turn::Over => return,
        }
    }
}

/// Sees to it that requests which wait for another domain's transaction go on in time.
fn arm(shared: &Rc<RefCell<Shared>>) {
    let mut borrowed = shared.borrow_mut();
    let Some(when) = borrowed.server.wake_at() else { return };
    if borrowed.armed.is_some_and(|earlier| earlier <= when) {
        return;
    }
    borrowed.armed = Some(when);
    drop(borrowed);
    let shared = Rc::clone(shared);
    executor::spawn(async move {
        time::sleep_until(when).await;
        let mut shared = shared.borrow_mut();
        shared.armed = None;
        shared.server.advance(time::now());
        shared.rings.wake_all();
    });
}

impl Shared {
    /// Takes what came, processes one request, gives out what there is.
    fn turn(&mut self, ring: &Ring) -> Turn {
        if ring.is_closed() {
            return Turn::Over;
        }
        let Some(id) = self.server.connection_of(ring.domid) else {
            return Turn::Idle;
        };
        let Some(page) = ring.ring() else { return Turn::Over };
        if page.connection() == ConnectionState::Reconnect {
            self.server.reset(id, &mut self.rings);
            page.reset();
            ring.notify();
            return Turn::Again;
        }
        let Ok(taken) = self.take_requests(ring, id) else {
            return Turn::Idle;
        };
        let worked = self.server.process(id, &mut self.rings);
        self.give_out(id, ring);
        let others: alloc::vec::Vec<ConnectionId> = self.server.outputs().collect();
        for other in others {
            if let Some(domid) = self.server.domain_of(other)
                && let Some(ring) = self.rings.get(domid)
            {
                self.give_out(other, &ring);
            }
        }
        if worked || taken > 0 { Turn::Again } else { Turn::Idle }
    }

    /// Moves requests from the ring to the server, as many as it takes.
    fn take_requests(&mut self, ring: &Ring, id: ConnectionId) -> Result<usize, ()> {
        let room = self.server.input_room(id).min(RING_BYTES);
        let Some(page) = ring.ring() else { return Ok(0) };
        let mut buffer = [0; RING_BYTES];
        let Some(buffer) = buffer.get_mut(..room).filter(|_| room > 0) else {
            return Ok(0);
        };
        let count = match page.read_requests(buffer) {
            Ok(count) => count,
            Err(problem) => {
                self.fail(ring, id, RingError::Index, &problem);
                return Err(());
            }
        };
        if count == 0 {
            return Ok(0);
        }
        // The domain may wait for room.
        ring.notify();
        if let Err(problem) = self.server.receive(id, buffer.get(..count).unwrap_or_default()) {
            self.fail(ring, id, RingError::Protocol, &problem);
            return Err(());
        }
        Ok(count)
    }

    /// Puts into the ring what the server has for its domain and what fits.
    fn give_out(&mut self, id: ConnectionId, ring: &Ring) {
        let Some(page) = ring.ring() else { return };
        let mut written = 0;
        loop {
            let bytes = self.server.output(id);
            if bytes.is_empty() {
                break;
            }
            match page.write_replies(bytes) {
                Ok(0) => break,
                Ok(count) => {
                    self.server.sent(id, count);
                    written += count;
                }
                Err(problem) => {
                    self.fail(ring, id, RingError::Index, &problem);
                    return;
                }
            }
        }
        if written > 0 {
            ring.notify();
        }
    }

    /// Gives a ring up until its domain is released: XSA-325.
    fn fail(&mut self, ring: &Ring, id: ConnectionId, error: RingError, problem: &dyn core::fmt::Display) {
        warn!("ring of domain {}: {problem}: ignored from now on", ring.domid);
        self.server.ring_failed(id, &mut self.rings);
        if let Some(page) = ring.ring() {
            page.set_error(error);
            ring.notify();
        }
    }
}
