//! Channels to the domains that may ask for something: bytes in, requests to the host, answers out.
//!
//! One task for each channel. A client that stops reading, sends nonsense or dies concerns its own channel alone: it is given
//! up, and what it had begun is dropped with its conversation.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, OnceCell, RefCell};

use domb_core::build::ChannelOffer;
use domb_core::host::Conversation;
use domb_core::management;
use log::{info, warn};
use stubdom::lending::REFERENCES;
use stubdom::vchan::Channel;
use stubdom::{executor, time};
use xen::vchan::{Change, Orders};
use xen::{DomId, Error};

use crate::{Armed, TheHost, arm};

/// Rings of 16 KiB for what clients send and of 64 KiB for answers.
const RINGS: (u16, u16) = (14, 16);

/// All channels that are offered.
#[derive(Default)]
pub(crate) struct Channels {
    active: BTreeMap<DomId, Vec<Rc<Slot>>>,
    /// References from the end of the table on are theirs; those from its start on are the store's.
    taken: u32,
    /// References that were given back: the first of each channel.
    free: Rc<RefCell<Vec<u32>>>,
    host: Rc<OnceCell<(TheHost, Armed)>>,
}

/// One channel.
struct Slot {
    asker: String,
    number: usize,
    channel: RefCell<Channel>,
    closed: Cell<bool>,
    host: Rc<OnceCell<(TheHost, Armed)>>,
    /// Where its references go when it is gone.
    free: Rc<RefCell<Vec<u32>>>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        // The channel goes right after this, before anything else can run: nobody has its references meanwhile.
        self.free.borrow_mut().push(self.channel.borrow().ring_ref());
    }
}

impl Channels {
    /// Where the host is put as soon as there is one: nothing is answered before.
    pub(crate) fn host(&self) -> Rc<OnceCell<(TheHost, Armed)>> {
        Rc::clone(&self.host)
    }

    /// Offers so many to a domain.
    pub(crate) fn offer(&mut self, asker: &str, domid: DomId, count: u16) -> xen::Result<Vec<ChannelOffer>> {
        self.withdraw(domid);
        let (left, right) = RINGS;
        let orders = Orders::new(left, right).map_err(|_| Error::OutOfRange {
            what: "ring orders",
            value: left.into(),
        })?;
        let mut slots = Vec::new();
        for number in 0..count.into() {
            let reference = self.reference(orders)?;
            let channel = Channel::offer(domid, orders, reference)?;
            slots.push(Rc::new(Slot {
                asker: asker.into(),
                number,
                channel: RefCell::new(channel),
                closed: Cell::new(false),
                host: Rc::clone(&self.host),
                free: Rc::clone(&self.free),
            }));
        }
        let offers = slots.iter().map(|slot| {
            let channel = slot.channel.borrow();
            ChannelOffer {
                reference: channel.ring_ref(),
                port: channel.port(),
            }
        });
        let offers = offers.collect();
        for slot in &slots {
            executor::spawn(Rc::clone(slot).run());
        }
        self.active.insert(domid, slots);
        Ok(offers)
    }

    /// Ends all of a domain.
    pub(crate) fn withdraw(&mut self, domid: DomId) {
        for slot in self.active.remove(&domid).unwrap_or_default() {
            slot.closed.set(true);
            slot.channel.borrow().events().wake();
        }
    }

    /// The first of as many references as a channel takes.
    fn reference(&mut self, orders: Orders) -> xen::Result<u32> {
        if let Some(reference) = self.free.borrow_mut().pop() {
            return Ok(reference);
        }
        let pages = u32::try_from(orders.pages()).unwrap_or(u32::MAX);
        let taken = self.taken.saturating_add(pages);
        let reference = (REFERENCES / 2).checked_sub(taken).ok_or(Error::NoRoom {
            window: "grant table",
            pages: orders.pages(),
        })?;
        self.taken = taken;
        Ok(REFERENCES / 2 + reference)
    }
}

impl Slot {
    async fn run(self: Rc<Self>) {
        let mut client: Option<Client> = None;
        while !self.closed.get() {
            if !self.turn(&mut client) {
                self.wait(client.as_ref()).await;
            }
            executor::yield_now().await;
        }
        // The pages are given back with the last reference to this. Its domain, which mapped them, is destroyed by then.
    }

    /// Waits for an event, or until the client has to be given up.
    async fn wait(&self, client: Option<&Client>) {
        let deadline = client.and_then(|client| client.connection.deadline());
        let event = self.channel.borrow().events().next();
        match deadline {
            None => event.await,
            Some(deadline) => {
                let _ = time::before(deadline, event).await;
            }
        }
    }

    /// Does what can be done now; false when that was nothing.
    fn turn(&self, client: &mut Option<Client>) -> bool {
        let mut channel = self.channel.borrow_mut();
        match channel.look() {
            Change::Nothing => {}
            Change::Came => *client = Some(Client::default()),
            Change::Went => *client = None,
        }
        let Some(current) = client else { return false };
        let moved = current.connection.exchange(&mut *channel, time::now());
        drop(channel);
        let mut busy = match moved {
            Ok(more) => more,
            Err(problem) => {
                warn!("channel {} of {}: {problem}", self.number, self.asker);
                *client = None;
                return true;
            }
        };
        if let (Some((id, request)), Some((host, armed))) = (current.connection.next_request(), self.host.get()) {
            let answer = host
                .borrow_mut()
                .answer(&self.asker, &mut current.conversation, &request);
            current.connection.answer(id, &answer, time::now());
            arm(host, armed);
            busy = true;
        }
        let now = time::now();
        let mut channel = self.channel.borrow_mut();
        let late = current.connection.deadline().is_some_and(|deadline| deadline <= now);
        if late || current.connection.is_finished() {
            let why = if late {
                "it reads nothing"
            } else {
                "what it sent is no frame"
            };
            info!("channel {} of {}: client given up: {why}", self.number, self.asker);
            channel.give_up();
            *client = None;
            return true;
        }
        busy
    }
}

/// A client, and what goes with it.
#[derive(Default)]
struct Client {
    connection: management::Channel,
    conversation: Conversation,
}
