//! From a domain of the manifest to one that runs.

use core::mem;

use log::{error, info};
use manifest::{Console, Domain};
use measure::{Digests, Record, record};
use xen::{DomId, Hypervisor};

use super::domains::Source;
use super::{Host, ImageData, RequestError, Services, State, report};
use crate::build::{self, Built, Plan};
use crate::restart::End;
use crate::store::StoreLink;

/// From so many bytes on the event log takes nothing for domains that are asked for at run time, each of which adds some hundreds.
const MAX_LOG_BYTES: usize = 4 << 20;

impl<'b, H: Hypervisor, C: Services, L: StoreLink> Host<'b, H, C, L> {
    /// Starts a domain. One whose store went down meanwhile, or is down at this moment, is left to wait for it.
    pub(super) fn start(&mut self, index: usize) -> Result<DomId, RequestError> {
        let began = (self.clock)();
        let result = self.try_start(index, began);
        if let Err(problem) = &result {
            error!("domain {} not started: {problem}", self.name(index));
            let waits = self.waits_for_store(index, problem);
            if let Some(entry) = self.domains.get_mut(index)
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
        let domain = self.domains.get(index).ok_or(RequestError::Unknown)?.domain.clone();
        let entry = self.domains.get(index).ok_or(RequestError::Unknown)?;
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
            let up = self
                .domains
                .index(need)
                .and_then(|index| self.domains.running(index))
                .is_some();
            if !up {
                return Err(RequestError::Needs(need.into()));
            }
        }
        let before_hash = (self.clock)();
        let (kernel, ramdisk) = self.images_of(index, &domain)?;
        let hash_ns = (self.clock)().saturating_sub(before_hash);
        self.measure_domain(index, &domain, &kernel, ramdisk.as_ref())?;
        let number = self.number_for(index)?;
        let plan = Plan {
            domain: &domain,
            number,
            kernel: &kernel,
            ramdisk: match &ramdisk {
                Some(ramdisk) => ramdisk,
                // The manifest is the store's policy. It is in the log already.
                None if self.is_store(index) => self.images.manifest_bytes(),
                None => &[],
            },
            console_server: DomId::INITIAL,
            store: self.prepare_store(index, number)?,
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
        self.keep_number(index, built.domid);
        let now = (self.clock)();
        let total = now.saturating_sub(began);
        if let Some(entry) = self.domains.get_mut(index) {
            entry.state = if mem::take(&mut entry.start_paused) {
                State::Paused(built.domid)
            } else {
                State::Running(built.domid)
            };
            entry.started_ns = now;
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
        if domain.management.channels > 0 {
            built.channels = self
                .services
                .offer_channels(&domain.name, built.domid, domain.management.channels)?;
        }
        self.wire(index, domain, built)?;
        let wired = (self.clock)();
        if domain.console == Console::Log {
            let (_, port) = built.console;
            self.services.attach(&domain.name, built.domid, port)?;
        }
        if self.domains.get(index).is_none_or(|entry| !entry.start_paused) {
            self.hypervisor.unpause(built.domid)?;
        }
        let unpaused = (self.clock)();
        self.connect_store(index, built.domid)?;
        let connected = (self.clock)();
        built.times.store_ns = wired.saturating_sub(began) + connected.saturating_sub(unpaused);
        Ok(())
    }

    /// Takes a domain down.
    pub(super) fn remove(&mut self, index: usize, domid: DomId) -> Result<(), RequestError> {
        self.services.detach(domid);
        self.services.withdraw_channels(domid);
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
        self.domains.set_state(index, State::Off);
        Ok(())
    }

    /// What a domain is started from.
    fn images_of(
        &mut self,
        index: usize,
        domain: &Domain,
    ) -> Result<(ImageData<'b>, Option<ImageData<'b>>), RequestError> {
        if let Some(Source::Asked { kernel, ramdisk }) = self.domains.get(index).map(|entry| &entry.source) {
            return Ok((kernel.clone(), ramdisk.clone()));
        }
        let kernel = self.images.get(&domain.kernel)?;
        let ramdisk = domain.ramdisk.as_deref().map(|ramdisk| self.images.get(ramdisk));
        Ok((kernel, ramdisk.transpose()?))
    }

    /// Puts what a domain is started from into the event log, once: it is always the same.
    fn measure_domain(
        &mut self,
        index: usize,
        domain: &Domain,
        kernel: &ImageData<'_>,
        ramdisk: Option<&ImageData<'_>>,
    ) -> Result<(), RequestError> {
        if self.domains.get(index).is_none_or(|entry| entry.measured) {
            return Ok(());
        }
        if !self.domains.is_fixed(index) && self.log.bytes().len() >= MAX_LOG_BYTES {
            return Err(RequestError::LogFull(MAX_LOG_BYTES));
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
        self.measure(&record::kernel(&domain.name, kernel.digests()))?;
        if let Some(ramdisk) = ramdisk {
            self.measure(&record::ramdisk(&domain.name, ramdisk.digests()))?;
        }
        if let Some(entry) = self.domains.get_mut(index) {
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
