//! From a domain of the manifest to one that runs.

use log::{error, info};
use manifest::{Console, Domain, Manifest};
use measure::{Digests, Record, record};
use xen::{DomId, Hypervisor};

use super::{Consoles, Host, RequestError, State, report};
use crate::build::{self, Built, Plan};
use crate::restart::End;
use crate::store::StoreLink;

impl<H: Hypervisor, C: Consoles, L: StoreLink> Host<'_, H, C, L> {
    /// Starts a domain. One whose store went down meanwhile, or is down at this moment, is left to wait for it.
    pub(super) fn start(&mut self, index: usize) -> Result<DomId, RequestError> {
        let began = (self.clock)();
        let result = self.try_start(index, began);
        if let Err(problem) = &result {
            error!("domain {} not started: {problem}", self.name(index));
            let waits = self.waits_for_store(index, problem);
            if let Some(entry) = self.entries.get_mut(index)
                && entry.state.domid().is_none()
                && !matches!(entry.state, State::Refused(_))
            {
                entry.state = match waits {
                    Some(when) => State::Waiting(when),
                    None => State::Failed(problem.clone()),
                };
            }
        }
        result
    }

    fn try_start(&mut self, index: usize, began: u64) -> Result<DomId, RequestError> {
        let domain = self.manifest.domains.get(index).ok_or(RequestError::Unknown)?.clone();
        let entry = self.entries.get(index).ok_or(RequestError::Unknown)?;
        match &entry.state {
            State::Refused(problem) => return Err(RequestError::Refused(problem.clone())),
            State::Running(domid) | State::Paused(domid) | State::Preserved(domid, _) | State::Ending(domid, _) => {
                return Err(RequestError::Running(*domid));
            }
            State::Off | State::Failed(_) | State::Waiting(_) => {}
        }
        // A guest without the disks that it was promised is another guest.
        let (disks, interfaces) = (domain.disks.len(), domain.interfaces.len());
        if disks + interfaces > 0 {
            return Err(RequestError::Devices { disks, interfaces });
        }
        self.store_is_up_for(index)?;
        for need in self.manifest.needs(index) {
            let up = self.by_name.get(need).and_then(|&index| self.running(index)).is_some();
            if !up {
                return Err(RequestError::Needs(need.into()));
            }
        }
        let before_hash = (self.clock)();
        let kernel = self.images.get(&domain.kernel)?;
        let ramdisk = match &domain.ramdisk {
            Some(ramdisk) => self.images.get(ramdisk)?,
            // The manifest is the store's policy. It is in the log already.
            None if self.is_store(index) => self.images.manifest_bytes(),
            None => &[],
        };
        let hash_ns = (self.clock)().saturating_sub(before_hash);
        self.measure_domain(index, &domain)?;
        let plan = Plan {
            domain: &domain,
            kernel,
            ramdisk,
            console_server: DomId::INITIAL,
            store: self.prepare_store(index)?,
            clock: self.clock,
        };
        let mut built = match build::build(&mut self.hypervisor, &plan) {
            Ok(built) => built,
            Err(failure) => {
                self.disconnect_store(index);
                return Err(failure.into());
            }
        };
        self.run(index, &domain, &mut built)?;
        let now = (self.clock)();
        let total = now.saturating_sub(began);
        if let Some(entry) = self.entries.get_mut(index) {
            entry.state = State::Running(built.domid);
            entry.supervisor.started(now);
            entry.times = Some((built.times, total));
            entry.starts += 1;
            entry.store_lost = false;
        }
        info!(
            "domain {} created {}",
            domain.name,
            report::created(&domain, &built, hash_ns, total)
        );
        Ok(built.domid)
    }

    /// Makes a domain known to the store, attaches its console and lets it run; destroys it when that fails.
    fn run(&mut self, index: usize, domain: &Domain, built: &mut Built) -> Result<(), RequestError> {
        if let Err(problem) = self.bring_up(index, domain, built) {
            if let Err(left) = self.remove(index, built.domid) {
                error!("domain {} cannot be destroyed: {left}", domain.name);
                self.keep(index, built.domid, End::Crash);
            }
            return Err(problem);
        }
        Ok(())
    }

    fn bring_up(&mut self, index: usize, domain: &Domain, built: &mut Built) -> Result<(), RequestError> {
        let began = (self.clock)();
        self.wire(index, domain, built)?;
        let wired = (self.clock)();
        if domain.console == Console::Log {
            let (_, port) = built.console;
            self.consoles.attach(&domain.name, built.domid, port)?;
        }
        self.hypervisor.unpause(built.domid)?;
        let unpaused = (self.clock)();
        self.connect_store(index, built.domid)?;
        let connected = (self.clock)();
        built.times.store_ns = wired.saturating_sub(began) + connected.saturating_sub(unpaused);
        Ok(())
    }

    /// Takes a domain down.
    pub(super) fn remove(&mut self, index: usize, domid: DomId) -> Result<(), RequestError> {
        self.consoles.detach(domid);
        self.disconnect_store(index);
        // The store maps its ring: before that goes, Xen cannot destroy it wholly.
        self.unwire(index);
        match self.hypervisor.destroy_domain(domid) {
            // Gone already: that is what was wanted.
            Ok(())
            | Err(xen::Error::Refused {
                errno: xen::Errno::ESRCH,
                ..
            }) => {}
            Err(problem) => return Err(problem.into()),
        }
        if let Some(entry) = self.entries.get_mut(index) {
            entry.state = State::Off;
        }
        Ok(())
    }

    /// Puts what a domain is started from into the event log, once a boot: from the bundle it is always the same.
    fn measure_domain(&mut self, index: usize, domain: &Domain) -> Result<(), RequestError> {
        if self.entries.get(index).is_none_or(|entry| entry.measured) {
            return Ok(());
        }
        let banks = self.log.banks().to_vec();
        self.measure(&record::configuration(
            &domain.name,
            &Digests::of(&banks, &domain.canonical()),
        ))?;
        self.measure(&record::command_line(
            &domain.name,
            &Digests::of(&banks, domain.command_line.as_bytes()),
        ))?;
        let digests = |manifest: &Manifest, image: &str| manifest.image(image).map(|image| image.digests.clone());
        if let Some(kernel) = digests(&self.manifest, &domain.kernel) {
            self.measure(&record::kernel(&domain.name, &kernel))?;
        }
        if let Some(ramdisk) = domain
            .ramdisk
            .as_deref()
            .and_then(|ramdisk| digests(&self.manifest, ramdisk))
        {
            self.measure(&record::ramdisk(&domain.name, &ramdisk))?;
        }
        if let Some(entry) = self.entries.get_mut(index) {
            entry.measured = true;
        }
        Ok(())
    }

    pub(super) fn measure(&mut self, record: &Record) -> Result<(), measure::AppendError> {
        self.log.record(record)?;
        info!("measured {}", report::measured(record));
        Ok(())
    }
}
