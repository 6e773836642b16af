//! Serves the rings: a task for each, a request at a time, so that no domain keeps the others waiting.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;

use log::warn;
use stubdom::{Exit, executor, time};
use xen::store::ring::{ConnectionState, RingError};
use xenstore_guard_core::recovery::{self, Recovery, RecoveryError, ServeError};
use xenstore_guard_core::{ConnectionId, Server};

use crate::memory::Lent;
use crate::rings::{Ring, Rings};

/// How long nothing is said after it was said that the recovery box is too small, in nanoseconds.
const QUIET_NS: u64 = 60_000_000_000;

/// The store while it runs.
pub(crate) struct Store {
    shared: Rc<RefCell<Shared>>,
}

struct Shared {
    server: Server,
    recovery: Recovery<Lent>,
    rings: Rings,
    /// A task that sleeps until then is under way.
    armed: Option<u64>,
    /// Nothing is said of the recovery box before then.
    quiet_until: u64,
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
    /// A store that is ready to serve.
    pub(crate) fn new(server: Server, recovery: Recovery<Lent>, rings: Rings) -> Self {
        Self {
            shared: Rc::new(RefCell::new(Shared {
                server,
                recovery,
                rings,
                armed: None,
                quiet_until: 0,
            })),
        }
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
        page.begin(shared.borrow().server.features(ring.domid));
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
    /// Sends what there is, takes in what came, processes one request.
    fn turn(&mut self, ring: &Ring) -> Turn {
        let Some(page) = ring.ring() else { return Turn::Over };
        if ring.is_failed() {
            return Turn::Idle;
        }
        let Some(id) = self.server.connection_of(ring.domid) else {
            return Turn::Idle;
        };
        if page.connection() == ConnectionState::Reconnect {
            self.recovery.forget_ring(id);
            let ((), unkept) =
                recovery::perform(&mut self.server, &mut self.recovery, &mut self.rings, |server, env| {
                    server.reset(id, env);
                });
            self.say(unkept);
            page.reset();
            ring.notify();
            return Turn::Again;
        }
        let served = recovery::serve(&mut self.server, &mut self.recovery, &mut self.rings, id, &page);
        let turn = match served {
            Ok(served) => {
                if served.notify {
                    ring.notify();
                }
                self.say(served.unkept);
                if served.processed || served.notify {
                    Turn::Again
                } else {
                    Turn::Idle
                }
            }
            Err(problem) => {
                self.give_up(ring, id, problem);
                Turn::Idle
            }
        };
        let others: Vec<ConnectionId> = self.server.outputs().collect();
        for other in others.into_iter().filter(|other| *other != id) {
            if let Some(ring) = self.server.domain_of(other).and_then(|domid| self.rings.get(domid)) {
                // Its own task sends.
                ring.wake();
            }
        }
        turn
    }

    /// Gives a ring up until its domain is released: XSA-325.
    fn give_up(&mut self, ring: &Ring, id: ConnectionId, problem: ServeError) {
        warn!("ring of domain {}: {problem}: ignored from now on", ring.domid);
        ring.fail();
        let ((), unkept) = recovery::perform(&mut self.server, &mut self.recovery, &mut self.rings, |server, _| {
            server.ring_failed(id);
        });
        self.say(unkept);
        if let Some(page) = ring.ring() {
            page.set_error(match problem {
                ServeError::Protocol(_) => RingError::Protocol,
                ServeError::Index(_) | ServeError::LessRoom { .. } => RingError::Index,
            });
            ring.notify();
        }
    }

    /// Says that a change will not survive a crash; not again and again.
    fn say(&mut self, problem: Option<RecoveryError>) {
        let now = time::now();
        if let Some(problem) = problem
            && now >= self.quiet_until
        {
            self.quiet_until = now.saturating_add(QUIET_NS);
            warn!("recovery: {problem}: what is changed now does not survive a crash");
        }
    }
}
