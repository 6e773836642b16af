//! A store as the builder sees it: a tree in a map, domains that it serves, and a link to it whose every request can be
//! made to fail.

mod answers;

use std::cell::{RefCell, RefMut};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use domb_core::store::{BuilderRing, RECOVERY_REFERENCE, RecoveryGrant, StoreLink};
use xen::store::wire::{self, HEADER_BYTES};
use xen::store::{Client, Header, Operation, Permission, StoreError, Transport};
use xen::{DomId, Errno, Error, GRANT_RESERVED_XENSTORE};

use crate::bytes::{half, word};
use crate::fake_xen::FakeXen;
use crate::guest::Context;

/// The builder's port that is offered to the store.
pub(crate) const BUILDER_PORT: u32 = 99;

/// What happens to a request that the machine lets fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Fault {
    /// The store refuses it.
    #[default]
    Refused,
    /// The store hangs before it does anything.
    Silent,
    /// It does what it was asked, and hangs before the answer.
    Unanswered,
    /// It answers with bytes that make no sense.
    Garbled,
}

type Tree = BTreeMap<String, (Vec<u8>, Vec<Permission>)>;

/// A domain that the store serves.
struct Served {
    port: u32,
    /// None when the instance that mapped it is gone.
    mapping: Option<u64>,
}

/// The store's state. It survives the domain, as with a recovery box, unless it is told not to.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) tree: Tree,
    served: BTreeMap<DomId, Served>,
    assigned: BTreeMap<DomId, String>,
    transactions: BTreeMap<u32, Tree>,
    next_transaction: u32,
    /// Every request: the operation's name and what it is about.
    pub(crate) requests: Vec<String>,
    /// So many transactions are to be done again.
    pub(crate) conflicts: u32,
    pub(crate) fault: Fault,
    /// The store hangs at the next request of this name.
    pub(crate) hangs_at: Option<&'static str>,
    /// The domain that is the store.
    domid: Option<DomId>,
    /// What was asked of the link.
    pub(crate) link: Vec<String>,
}

/// The store and the builder's link to it; clones are the same one.
#[derive(Clone)]
pub(crate) struct FakeStore {
    xen: FakeXen,
    state: Rc<RefCell<State>>,
}

impl FakeStore {
    pub(crate) fn new(xen: &FakeXen) -> Self {
        Self {
            xen: xen.clone(),
            state: Rc::default(),
        }
    }

    pub(crate) fn state(&self) -> RefMut<'_, State> {
        self.state.borrow_mut()
    }

    pub(crate) fn link(&self) -> FakeLink {
        FakeLink {
            store: self.clone(),
            client: None,
        }
    }

    /// The domains that it serves, with the names that it was told.
    pub(crate) fn served(&self) -> Vec<(u16, String)> {
        let state = self.state.borrow();
        let name = |domid| state.assigned.get(domid).cloned().unwrap_or_default();
        state.served.keys().map(|domid| (domid.0, name(domid))).collect()
    }

    /// The names of the domains that have a home, but for the builder and the store.
    pub(crate) fn homes(&self) -> Vec<String> {
        let state = self.state.borrow();
        let value = |path: &String| String::from_utf8(state.tree[path].0.clone()).unwrap();
        let ours = |path: &&String| path.starts_with("/local/domain/") && path.ends_with("/vm");
        let homes = state.tree.keys().filter(ours);
        homes.map(|path| value(&path.replace("/vm", "/name"))).collect()
    }

    /// The value of a node.
    #[track_caller]
    pub(crate) fn value(&self, path: &str) -> String {
        String::from_utf8(self.state.borrow().tree[path].0.clone()).unwrap()
    }

    /// Writes a node as a guest would.
    pub(crate) fn set(&self, path: &str, value: &str) {
        let mut state = self.state.borrow_mut();
        state.tree.get_mut(path).unwrap().0 = value.as_bytes().to_vec();
    }

    /// Forgets everything: a recovery box that nobody can read any more.
    pub(crate) fn forget_all(&self) {
        let mut state = self.state.borrow_mut();
        state.tree.clear();
        state.served.clear();
        state.assigned.clear();
    }

    /// What was asked since the last time.
    pub(crate) fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut self.state.borrow_mut().requests)
    }
}

/// The builder's link.
pub(crate) struct FakeLink {
    store: FakeStore,
    client: Option<Client<FakeTransport>>,
}

impl StoreLink for FakeLink {
    type Transport = FakeTransport;

    fn prepare(&mut self, store: DomId, recovery_pages: u32) -> xen::Result<BuilderRing> {
        assert!(self.client.is_none(), "prepared while connected");
        self.store.xen.machine_mut().call("prepare the link")?;
        let mut state = self.store.state();
        state.link.push(format!("prepare {store}"));
        state.domid = Some(store);
        Ok(BuilderRing {
            port: BUILDER_PORT,
            recovery: RecoveryGrant {
                first_reference: RECOVERY_REFERENCE,
                pages: recovery_pages,
            },
        })
    }

    fn connect(&mut self) -> xen::Result<()> {
        assert!(self.client.is_none(), "connected twice");
        let mut machine = self.store.xen.machine_mut();
        machine.call("connect to the store")?;
        let mut state = self.store.state();
        state.link.push("connect".into());
        state.transactions.clear();
        let domid = state.domid.unwrap();
        let guest = &machine.domains[&domid];
        assert_eq!(guest.pauses, 0, "the store does not run");
        let Some(Context::Pv(context)) = guest.context else {
            panic!("{:?}", guest.context);
        };
        let info = machine.read_virtual(context.l4_frame, context.start_info, 72);
        assert_eq!((word(&info, 56), half(&info, 64)), (0, BUILDER_PORT));
        // What it knows of it takes up again.
        for (of, served) in &mut state.served {
            assert_eq!(served.mapping, None);
            if machine.domains.contains_key(of) {
                served.mapping = Some(machine.map_grant(domid, *of, GRANT_RESERVED_XENSTORE)?);
                machine.bind_by(domid, *of, served.port)?;
            }
        }
        self.client = Some(Client::new(FakeTransport {
            store: self.store.clone(),
            answers: VecDeque::new(),
        }));
        Ok(())
    }

    fn client(&mut self) -> Option<&mut Client<FakeTransport>> {
        self.client.as_mut()
    }

    fn disconnect(&mut self) {
        let mut state = self.store.state();
        if self.client.take().is_some() {
            state.link.push("disconnect".into());
        }
        // Xen takes the mappings back with the domain.
        for served in state.served.values_mut() {
            served.mapping = None;
        }
    }
}

/// Brings requests to the store, which answers at once.
pub(crate) struct FakeTransport {
    store: FakeStore,
    answers: VecDeque<u8>,
}

impl Transport for FakeTransport {
    type Error = Error;

    fn send(&mut self, bytes: &[u8]) -> xen::Result<()> {
        let (header, payload) = bytes.split_first_chunk::<HEADER_BYTES>().unwrap();
        let header = Header::decode(header);
        assert_eq!(header.length as usize, payload.len());
        let operation = Operation::from_number(header.operation).unwrap();
        let silent = Error::Refused {
            operation: "wait for the store",
            errno: Errno::EAGAIN,
        };
        let mut state = self.store.state();
        let domid = state.domid.unwrap();
        let runs = |guest: &crate::guest::Guest| guest.shutdown.is_none() && !guest.dying && guest.pauses == 0;
        if !self.store.xen.machine().domains.get(&domid).is_some_and(runs) {
            return Err(silent);
        }
        let subject = payload.split(|byte| *byte == 0).next().unwrap();
        state
            .requests
            .push(format!("{} {}", operation.name(), String::from_utf8_lossy(subject)));
        if state.hangs_at == Some(operation.name()) {
            state.hangs_at = None;
            return Err(silent);
        }
        let failed = self.store.xen.machine_mut().call(operation.name()).is_err();
        let fault = state.fault;
        let answer = match (failed, fault) {
            (true, Fault::Refused) => Err(StoreError::NoSpace),
            (true, Fault::Silent) => return Err(silent),
            _ => state.answer(&self.store.xen, operation, header.transaction, payload),
        };
        let (kind, answer) = match answer {
            Ok(answer) => (operation, answer),
            Err(error) => (Operation::Error, [error.name().as_bytes(), b"\0"].concat()),
        };
        match (failed, fault) {
            (true, Fault::Unanswered) => return Err(silent),
            (true, Fault::Garbled) => self
                .answers
                .extend(wire::message(kind, header.request ^ 1, 0, &[&answer])),
            _ => self.answers.extend(wire::message(kind, header.request, 0, &[&answer])),
        }
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8]) -> xen::Result<usize> {
        let count = self.answers.len().min(buffer.len());
        assert!(count > 0, "nothing to wait for");
        for (slot, byte) in buffer.iter_mut().zip(self.answers.drain(..count)) {
            *slot = byte;
        }
        Ok(count)
    }

    fn poll(&mut self, _: &mut [u8]) -> xen::Result<usize> {
        Ok(0)
    }
}
