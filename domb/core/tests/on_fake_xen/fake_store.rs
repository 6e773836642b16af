//! A store as the builder sees it: a tree in a map, domains that it serves, and a link to it whose every request can be
//! made to fail.

use std::cell::{RefCell, RefMut};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use domb_core::store::{BuilderRing, RECOVERY_REFERENCE, RecoveryGrant, StoreLink};
use xen::store::wire::{self, HEADER_BYTES};
use xen::store::{Client, Header, Operation, Permission, StoreError, Transport};
use xen::{DomId, Errno, Error, GRANT_RESERVED_XENSTORE, PAGE_SIZE};

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

/// The paths above one, from the root on, and itself.
fn way(path: &str) -> impl Iterator<Item = &str> {
    assert!(path.starts_with('/') && !path.ends_with('/'), "{path}");
    let ends = path.match_indices('/').map(|(at, _)| at).skip(1);
    ends.chain([path.len()]).map(|end| &path[..end])
}

impl State {
    fn tree_of(&mut self, transaction: u32) -> &mut Tree {
        match transaction {
            0 => &mut self.tree,
            number => self.transactions.get_mut(&number).unwrap(),
        }
    }

    fn answer(
        &mut self,
        xen: &FakeXen,
        operation: Operation,
        transaction: u32,
        payload: &[u8],
    ) -> Result<Vec<u8>, StoreError> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let parts: Vec<&[u8]> = payload.split(|byte| *byte == 0).collect();
        let path = text(parts[0]);
        let domid = path.parse().map(DomId);
        match operation {
            Operation::TransactionStart => {
                self.next_transaction += 1;
                self.transactions.insert(self.next_transaction, self.tree.clone());
                return Ok(format!("{}\0", self.next_transaction).into_bytes());
            }
            Operation::TransactionEnd => {
                let tree = self.transactions.remove(&transaction).unwrap();
                if path == "T" {
                    if self.conflicts > 0 {
                        self.conflicts -= 1;
                        return Err(StoreError::Again);
                    }
                    self.tree = tree;
                }
            }
            Operation::Write => {
                let value = payload[path.len() + 1..].to_vec();
                let tree = self.tree_of(transaction);
                let mut permissions = vec![Permission::decode(b"n0").unwrap()];
                for path in way(&path) {
                    let node = tree.entry(path.into()).or_insert((Vec::new(), permissions));
                    permissions = node.1.clone();
                }
                tree.get_mut(&path).unwrap().0 = value;
            }
            Operation::SetPermissions => {
                let list = parts[1..parts.len() - 1].iter();
                let permissions = list.map(|text| Permission::decode(text).unwrap()).collect();
                let node = self.tree_of(transaction).get_mut(&path);
                node.ok_or(StoreError::NotFound)?.1 = permissions;
            }
            Operation::Rm => {
                let tree = self.tree_of(transaction);
                let (above, _) = path.rsplit_once('/').unwrap();
                if !tree.contains_key(&path) && !above.is_empty() && !tree.contains_key(above) {
                    return Err(StoreError::NotFound);
                }
                tree.retain(|other, _| *other != path && !other.starts_with(&format!("{path}/")));
            }
            Operation::Read => {
                let node = self.tree_of(transaction).get(&path);
                return Ok(node.ok_or(StoreError::NotFound)?.0.clone());
            }
            Operation::Introduce => {
                let [frame, port] = [1, 2].map(|index| text(parts[index]).parse::<u64>().unwrap());
                self.introduce(xen, domid.unwrap(), frame, u32::try_from(port).unwrap())?;
            }
            Operation::Release => self.release(xen, domid.unwrap())?,
            Operation::IsDomainIntroduced => {
                let known = self.served.contains_key(&domid.unwrap());
                return Ok(if known { b"T\0".to_vec() } else { b"F\0".to_vec() });
            }
            Operation::Control => match path.as_str() {
                "assign" => {
                    let domid = DomId(text(parts[1]).parse().unwrap());
                    self.assigned.insert(domid, text(parts[2]));
                }
                "print" => return Ok(b"nodes 7\nwatches 0\n\0".to_vec()),
                other => panic!("CONTROL {other}"),
            },
            other => panic!("a builder has no need of {}", other.name()),
        }
        Ok(b"OK\0".to_vec())
    }

    fn introduce(&mut self, xen: &FakeXen, domid: DomId, frame: u64, port: u32) -> Result<(), StoreError> {
        let mut machine = xen.machine_mut();
        let home = format!("/local/domain/{domid}/vm");
        let known = self.served.contains_key(&domid);
        if known || !self.assigned.contains_key(&domid) || !self.tree.contains_key(&home) {
            machine.violation(
                "INTRODUCE",
                Errno::EINVAL,
                format!("{domid}: known {known}, or neither assigned nor written"),
            );
            return Err(StoreError::Invalid);
        }
        let by = self.domid.unwrap();
        let mapping = machine
            .map_grant(by, domid, GRANT_RESERVED_XENSTORE)
            .map_err(|_| StoreError::Invalid)?;
        let ring = machine.frame_of(domid, frame).unwrap();
        assert_eq!(machine.mapping(mapping).1, [ring], "the frame that is granted is told");
        if machine.domains[&domid].pauses > 0 {
            assert_eq!(machine.page(ring), &[0; PAGE_SIZE], "an empty ring");
        }
        machine.bind_by(by, domid, port).map_err(|_| StoreError::Invalid)?;
        self.served.insert(
            domid,
            Served {
                port,
                mapping: Some(mapping),
            },
        );
        Ok(())
    }

    fn release(&mut self, xen: &FakeXen, domid: DomId) -> Result<(), StoreError> {
        let served = self.served.remove(&domid).ok_or(StoreError::NotFound)?;
        self.assigned.remove(&domid);
        self.tree.retain(|_, (_, permissions)| permissions[0].domid != domid);
        let mut machine = xen.machine_mut();
        if let Some(mapping) = served.mapping {
            machine.remove_mapping(mapping);
        }
        machine.unbind(domid, served.port);
        Ok(())
    }
}
