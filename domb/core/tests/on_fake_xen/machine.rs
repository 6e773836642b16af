//! The machine under the fake hypervisor: its frames and who owns them, its domains, what is mapped of them.
//!
//! What a real Xen would refuse is refused, and noted as a violation: a builder that is right does no such thing.

mod connections;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use xen::{DomId, DomainKind, Errno, Error, PAGE_SIZE, ShutdownReason};

use crate::guest::Guest;

/// What a page holds that nobody has written to since it was allocated: as a debug build of Xen scrubs.
pub(crate) const SCRUBBED: u8 = 0xc2;

pub(crate) type Page = [u8; PAGE_SIZE];

/// Who a machine frame belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Nobody,
    /// It is part of the domain's memory.
    Domain(DomId),
    /// Xen's own, shared with the domain: its shared info and its grant table.
    Shared(DomId),
}

/// A call that is to fail.
struct Fault {
    /// How many calls from now; 1 is the next.
    after: usize,
    error: fn(&'static str) -> Error,
}

/// The machine.
pub(crate) struct Machine {
    owners: Vec<Owner>,
    /// Frames of nobody.
    unowned: u64,
    /// No frame from here on is free.
    top: usize,
    contents: HashMap<u64, Box<Page>>,
    pub(crate) domains: BTreeMap<DomId, Guest>,
    next_domid: u16,
    /// Machine frames of each foreign mapping and the domain they are of.
    mappings: BTreeMap<u64, (DomId, Vec<u64>)>,
    next_mapping: u64,
    /// Mappings that are not the initial domain's, and whose they are.
    mapped_by: BTreeMap<u64, DomId>,
    /// Ports of the initial domain: where each leads.
    pub(crate) own_ports: BTreeMap<u32, (DomId, u32)>,
    next_port: u32,
    /// Ports that others than the initial domain bound to, and who did.
    bound: BTreeMap<(DomId, u32), DomId>,
    /// Domains that take their time to go, once they are destroyed.
    pub(crate) lingering: BTreeSet<DomId>,
    /// Extents of more than one page that are left.
    pub(crate) large_extents: u64,
    /// Pages that go to someone else as soon as the free ones were counted.
    pub(crate) vanishing_pages: u64,
    taken: u64,
    pub(crate) hvm: bool,
    /// What was called, if that is to be known.
    pub(crate) calls: Option<Vec<&'static str>>,
    fault: Option<Fault>,
    failed: Option<&'static str>,
    violations: Vec<String>,
}

impl Machine {
    pub(crate) fn new(mib: u64) -> Self {
        let frames = usize::try_from(mib * 256).unwrap();
        Self {
            owners: vec![Owner::Nobody; frames],
            unowned: frames as u64,
            top: frames,
            contents: HashMap::new(),
            domains: BTreeMap::new(),
            next_domid: 1,
            mappings: BTreeMap::new(),
            next_mapping: 0,
            mapped_by: BTreeMap::new(),
            own_ports: BTreeMap::new(),
            next_port: 1,
            bound: BTreeMap::new(),
            lingering: BTreeSet::new(),
            large_extents: u64::MAX,
            vanishing_pages: 0,
            taken: 0,
            hvm: true,
            calls: None,
            fault: None,
            failed: None,
            violations: Vec::new(),
        }
    }

    /// Lets a call fail: the next one when `after` is 1.
    pub(crate) fn fail(&mut self, after: usize, error: fn(&'static str) -> Error) {
        self.fault = Some(Fault { after, error });
        self.failed = None;
    }

    /// Lets no call fail any more; which one failed.
    pub(crate) fn stop_failing(&mut self) -> Option<&'static str> {
        self.fault = None;
        self.failed.take()
    }

    /// Every call begins here.
    pub(crate) fn call(&mut self, operation: &'static str) -> xen::Result<()> {
        if let Some(calls) = &mut self.calls {
            calls.push(operation);
        }
        if let Some(fault) = &mut self.fault {
            fault.after -= 1;
            if fault.after == 0 {
                let error = (fault.error)(operation);
                self.fault = None;
                self.failed = Some(operation);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Notes something that no right builder does; what Xen answers.
    pub(crate) fn violation(&mut self, operation: &'static str, errno: Errno, what: impl Into<String>) -> Error {
        self.violations.push(format!("{operation}: {}", what.into()));
        Error::Refused { operation, errno }
    }

    /// A domain that is not being destroyed.
    pub(crate) fn alive(&mut self, operation: &'static str, domid: DomId) -> xen::Result<&mut Guest> {
        if self.domains.get(&domid).is_none_or(|guest| guest.dying) {
            return Err(self.violation(operation, Errno::ESRCH, format!("domain {domid} is not there")));
        }
        Ok(self.domains.get_mut(&domid).unwrap())
    }

    /// A domain of this kind that is not being destroyed.
    pub(crate) fn of_kind(&mut self, op: &'static str, domid: DomId, kind: DomainKind) -> xen::Result<&mut Guest> {
        if self.alive(op, domid)?.kind != kind {
            return Err(self.violation(op, Errno::EINVAL, format!("domain {domid} is no {kind:?} domain")));
        }
        self.alive(op, domid)
    }

    pub(crate) fn total_pages(&self) -> u64 {
        self.owners.len() as u64
    }

    pub(crate) fn free_pages(&self) -> u64 {
        self.unowned - self.taken - self.domains.values().map(|guest| guest.mempool_pages).sum::<u64>()
    }

    /// Takes pages away for someone else, until [`Self::give_back`].
    pub(crate) fn take(&mut self, pages: u64) {
        self.taken += pages.min(self.free_pages());
    }

    pub(crate) fn give_back(&mut self) {
        self.taken = 0;
    }

    /// Frames for a domain's memory: single ones from the top down, so that no two pages adjoin as the domain counts.
    pub(crate) fn allocate(&mut self, domid: DomId, order: u32) -> Option<u64> {
        let pages = 1u64 << order;
        if pages > self.free_pages() || (order > 0 && self.large_extents == 0) {
            return None;
        }
        let first = if order == 0 {
            self.top = self.owners[..self.top]
                .iter()
                .rposition(|&owner| owner == Owner::Nobody)?;
            self.top as u64
        } else {
            self.large_extents -= 1;
            let size = usize::try_from(pages).unwrap();
            let index = self
                .owners
                .chunks_exact(size)
                .position(|chunk| chunk.iter().all(|&owner| owner == Owner::Nobody))?;
            index as u64 * pages
        };
        self.set_owner(first, pages, Owner::Domain(domid));
        Some(first)
    }

    fn set_owner(&mut self, first: u64, pages: u64, owner: Owner) {
        for frame in first..first + pages {
            let index = usize::try_from(frame).unwrap();
            let before = std::mem::replace(&mut self.owners[index], owner);
            if before == Owner::Nobody {
                self.unowned -= 1;
            } else {
                self.contents.remove(&frame);
            }
            if owner == Owner::Nobody {
                self.unowned += 1;
                self.top = self.owners.len();
            }
        }
    }

    /// Makes a domain without memory.
    pub(crate) fn create(&mut self, request: &xen::CreateDomain) -> Option<DomId> {
        if self.free_pages() < 2 {
            return None;
        }
        let domid = request.domid.unwrap_or_else(|| {
            // As Xen does: the next free one behind the last that nobody chose.
            while self.domains.contains_key(&DomId(self.next_domid)) {
                self.next_domid += 1;
            }
            self.next_domid += 1;
            DomId(self.next_domid - 1)
        });
        // The other is the grant table's.
        let [shared_info, _] = [0, 1].map(|_| {
            let frame = self.allocate(domid, 0).unwrap();
            self.set_owner(frame, 1, Owner::Shared(domid));
            frame
        });
        let guest = Guest {
            kind: request.kind,
            uuid: request.uuid,
            max_vcpus: request.max_vcpus,
            max_ports: request.max_event_channels,
            pauses: 1,
            pages: BTreeMap::new(),
            max_pages: 0,
            mempool_pages: 0,
            shared_info,
            grants: BTreeMap::new(),
            ports: Vec::new(),
            params: BTreeMap::new(),
            memory_map: Vec::new(),
            cpu_policy: None,
            hypercall_page: None,
            tables: BTreeSet::new(),
            pinned: None,
            context: None,
            shutdown: None,
            dying: false,
        };
        assert!(self.domains.insert(domid, guest).is_none());
        Some(domid)
    }

    /// Destroys a domain; it stays, dying, while others map its pages.
    pub(crate) fn destroy(&mut self, domid: DomId) {
        self.vanish(domid);
        if self.domains.contains_key(&domid) && !self.lingering.contains(&domid) {
            self.violations
                .push(format!("domain {domid} destroyed while its pages are mapped"));
        }
    }

    /// A domain goes without anyone here having asked for it.
    pub(crate) fn vanish(&mut self, domid: DomId) {
        self.domains.get_mut(&domid).unwrap().dying = true;
        // What it has of others goes first.
        self.bound.retain(|_, by| *by != domid);
        let mapped: Vec<u64> = self
            .mapped_by
            .iter()
            .filter(|(_, by)| **by == domid)
            .map(|(id, _)| *id)
            .collect();
        for id in mapped {
            self.remove_mapping(id);
        }
        self.reap(domid);
    }

    /// A domain that took its time is gone.
    pub(crate) fn let_go(&mut self, domid: DomId) {
        assert!(self.lingering.remove(&domid));
        self.reap(domid);
    }

    fn reap(&mut self, domid: DomId) {
        let dying = self.domains.get(&domid).is_some_and(|guest| guest.dying);
        if !dying || self.lingering.contains(&domid) || self.mappings.values().any(|(of, _)| *of == domid) {
            return;
        }
        self.domains.remove(&domid);
        self.bound.retain(|(of, _), _| *of != domid);
        for frame in 0..self.total_pages() {
            let owner = self.owners[usize::try_from(frame).unwrap()];
            if owner == Owner::Domain(domid) || owner == Owner::Shared(domid) {
                self.set_owner(frame, 1, Owner::Nobody);
            }
        }
    }

    /// The machine frame behind what Xen calls a frame of this domain; none where it has no page.
    pub(crate) fn frame_of(&self, domid: DomId, frame: u64) -> Option<u64> {
        let guest = self.domains.get(&domid)?;
        match guest.kind {
            DomainKind::Pvh => guest.pages.get(&frame).copied(),
            DomainKind::Pv => {
                let owner = self.owners.get(usize::try_from(frame).ok()?)?;
                (*owner == Owner::Domain(domid) || frame == guest.shared_info).then_some(frame)
            }
        }
    }

    /// Whether a machine frame is part of a domain's memory.
    pub(crate) fn owns(&self, domid: DomId, frame: u64) -> bool {
        usize::try_from(frame).is_ok_and(|index| self.owners.get(index) == Some(&Owner::Domain(domid)))
    }

    pub(crate) fn is_mapped(&self, frame: u64) -> bool {
        self.mappings.values().any(|(_, frames)| frames.contains(&frame))
    }

    /// Machine frames to map, all checked.
    pub(crate) fn mappable(&mut self, op: &'static str, domid: DomId, frames: &[u64]) -> xen::Result<Vec<u64>> {
        self.alive(op, domid)?;
        let mut machine = Vec::new();
        for &frame in frames {
            let Some(found) = self.frame_of(domid, frame) else {
                return Err(self.violation(op, Errno::EINVAL, format!("domain {domid} has no frame {frame:#x}")));
            };
            if self.alive(op, domid)?.tables.contains(&found) {
                return Err(self.violation(op, Errno::EINVAL, format!("frame {frame:#x} is a page table now")));
            }
            machine.push(found);
        }
        Ok(machine)
    }

    pub(crate) fn add_mapping(&mut self, domid: DomId, frames: Vec<u64>) -> u64 {
        self.next_mapping += 1;
        self.mappings.insert(self.next_mapping, (domid, frames));
        self.next_mapping
    }

    pub(crate) fn mapping(&mut self, id: u64) -> &mut (DomId, Vec<u64>) {
        self.mappings.get_mut(&id).unwrap()
    }

    pub(crate) fn remove_mapping(&mut self, id: u64) {
        let (domid, _) = self.mappings.remove(&id).unwrap();
        self.mapped_by.remove(&id);
        self.reap(domid);
    }

    pub(crate) fn page(&self, frame: u64) -> &Page {
        const UNTOUCHED: &Page = &[SCRUBBED; PAGE_SIZE];
        self.contents.get(&frame).map_or(UNTOUCHED, |page| page)
    }

    pub(crate) fn page_mut(&mut self, frame: u64) -> &mut Page {
        self.contents
            .entry(frame)
            .or_insert_with(|| Box::new([SCRUBBED; PAGE_SIZE]))
    }

    /// The domain's guest ends it.
    pub(crate) fn shut_down(&mut self, domid: DomId, reason: ShutdownReason) {
        let guest = self.domains.get_mut(&domid).unwrap();
        assert_eq!((guest.pauses, guest.shutdown), (0, None), "it does not run");
        guest.shutdown = Some(reason);
    }

    /// Asserts that nothing was done that a real Xen refuses.
    #[track_caller]
    pub(crate) fn assert_obeyed(&self) {
        assert_eq!(self.violations, [] as [String; 0]);
    }

    /// Asserts that nothing is left of any domain.
    #[track_caller]
    pub(crate) fn assert_empty(&self) {
        self.assert_obeyed();
        assert_eq!(self.domains.keys().collect::<Vec<_>>(), [] as [&DomId; 0]);
        assert_eq!(self.mappings, BTreeMap::new());
        assert_eq!(self.own_ports, BTreeMap::new());
        assert_eq!(self.bound, BTreeMap::new());
        assert_eq!(self.free_pages() + self.taken, self.total_pages());
    }

    /// What the builder was refused.
    pub(crate) fn violations(&self) -> &[String] {
        &self.violations
    }
}
