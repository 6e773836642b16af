//! A server of consoles: maps each ring and binds its port, as the real one does. It offers channels and remembers to whom.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use domb_core::build::ChannelOffer;
use domb_core::host::Services;
use domb_core::management::LogLine;
use xen::grant_table::{CopyError, GrantStatus, GrantedBytes};
use xen::{DomId, Errno, GRANT_RESERVED_CONSOLE, Hypervisor, PAGE_SIZE};

use crate::fake_xen::{FakeMapping, FakeXen};

struct Attached {
    name: String,
    _page: FakeMapping,
    port: u32,
}

/// Pages by who granted them and under which reference.
type GrantedPages = BTreeMap<(DomId, u32), Vec<u8>>;

/// The server; clones are the same one.
#[derive(Clone)]
pub(crate) struct FakeConsoles {
    xen: FakeXen,
    attached: Rc<RefCell<BTreeMap<DomId, Attached>>>,
    offered: Rc<RefCell<BTreeMap<DomId, u16>>>,
    /// Pages that domains granted, by reference.
    pub(crate) granted: Rc<RefCell<GrantedPages>>,
}

impl FakeConsoles {
    pub(crate) fn new(xen: &FakeXen) -> Self {
        Self {
            xen: xen.clone(),
            attached: Rc::default(),
            offered: Rc::default(),
            granted: Rc::default(),
        }
    }

    /// How many channels whom was offered.
    pub(crate) fn offered(&self) -> Vec<(DomId, u16)> {
        self.offered
            .borrow()
            .iter()
            .map(|(domid, count)| (*domid, *count))
            .collect()
    }

    /// The names of those whose console is served, by domain number.
    pub(crate) fn names(&self) -> Vec<String> {
        self.attached.borrow().values().map(|it| it.name.clone()).collect()
    }
}

impl Services for FakeConsoles {
    fn attach(&mut self, name: &str, domid: DomId, port: u32) -> xen::Result<()> {
        const OP: &str = "attach a console";
        self.xen.machine_mut().call(OP)?;
        let grant = self.xen.machine().domains[&domid]
            .grants
            .get(&GRANT_RESERVED_CONSOLE)
            .copied();
        let Some(grant) = grant.filter(|grant| grant.to == DomId::INITIAL) else {
            return Err(self
                .xen
                .machine_mut()
                .violation(OP, Errno::EINVAL, format!("{name}: not granted")));
        };
        let page = self.xen.map(domid, &[grant.frame])?;
        let mut machine = self.xen.machine_mut();
        let ring = machine.frame_of(domid, grant.frame).map(|frame| *machine.page(frame));
        if ring != Some([0; PAGE_SIZE]) {
            return Err(machine.violation(OP, Errno::EINVAL, format!("{name}: not empty")));
        }
        let port = machine.bind(domid, port);
        drop(machine);
        let attached = Attached {
            name: name.into(),
            _page: page,
            port: port?,
        };
        assert!(self.attached.borrow_mut().insert(domid, attached).is_none());
        Ok(())
    }

    fn detach(&mut self, domid: DomId) {
        if let Some(attached) = self.attached.borrow_mut().remove(&domid) {
            self.xen.machine_mut().own_ports.remove(&attached.port);
        }
    }

    fn offer_channels(&mut self, _: &str, domid: DomId, count: u16) -> xen::Result<Vec<ChannelOffer>> {
        self.xen.machine_mut().call("offer channels")?;
        self.offered.borrow_mut().insert(domid, count);
        Ok((0..u32::from(count))
            .map(|number| ChannelOffer {
                reference: 100 + number,
                port: 200 + number,
            })
            .collect())
    }

    fn withdraw_channels(&mut self, domid: DomId) {
        self.offered.borrow_mut().remove(&domid);
    }

    fn copy_granted(&mut self, from: DomId, pieces: &[GrantedBytes], to: &mut [u8]) -> Result<(), CopyError> {
        let granted = self.granted.borrow();
        let mut at = 0;
        for piece in pieces {
            let (offset, length) = (usize::from(piece.offset), usize::from(piece.length));
            let page = granted.get(&(from, piece.reference)).ok_or(CopyError::Grant {
                domid: from,
                reference: piece.reference,
                offset: piece.offset,
                length: piece.length,
                status: GrantStatus(-3),
            })?;
            to[at..at + length].copy_from_slice(&page[offset..offset + length]);
            at += length;
        }
        Ok(())
    }

    fn log_lines(&mut self, from: u64, _: usize) -> (Vec<LogLine>, u64) {
        let line = |sequence| LogLine {
            sequence,
            system_time_ns: sequence * 1000,
            level: 3,
            text: format!("line {sequence}"),
        };
        ((from..3).map(line).collect(), 3)
    }

    fn xen_extra_version(&mut self) -> String {
        ".5".into()
    }
}
