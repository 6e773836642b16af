//! The host: which domains there are, which run, and what happens when one ends.
//!
//! Driven from outside: [`Host::create`] for each of [`Host::autostart`], [`Host::domain_exception`] when Xen says that a domain changed state
//! (`VIRQ_DOM_EXC`), [`Host::run_due`] when the time of [`Host::next_due`] has come, and the operator's requests.

mod images;
mod report;
mod supervision;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use log::{error, info};
use manifest::{Console, Domain, Manifest};
use measure::{Digests, EventLog, Record, record};
use xen::{DomId, Hypervisor};

use crate::build::{self, Built, Failure, Plan, Times};
use crate::bundle::Bundle;
use crate::restart::{Decision, End, Supervisor};

pub use images::{ImageError, Images};

/// Serves the consoles of domains.
pub trait Consoles {
    /// Starts to relay the console of a domain that was just built: its ring is granted as `GNTTAB_RESERVED_CONSOLE`,
    /// `port` is the one in the domain.
    ///
    /// # Errors
    /// Xen refuses to map the page or bind the port.
    fn attach(&mut self, name: &str, domid: DomId, port: u32) -> xen::Result<()>;

    /// Ends that, and lets go of everything of the domain: before it is destroyed.
    fn detach(&mut self, domid: DomId);
}

/// Why something asked for was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// No domain of the manifest has the name.
    #[error("no domain of this name")]
    Unknown,
    /// The manifest has something against it.
    #[error("refused: {0}")]
    Refused(manifest::Error),
    /// It runs already.
    #[error("runs already, as domain {0}")]
    Running(DomId),
    /// It does not run.
    #[error("does not run")]
    NotRunning,
    /// A domain that it needs does not run.
    #[error("needs {0}, which does not run")]
    Needs(String),
    /// Its kernel or ramdisk cannot be used.
    #[error("image: {0}")]
    Image(#[from] ImageError),
    /// What it was to be started from could not be put into the event log.
    #[error("event log: {0}")]
    Log(#[from] measure::AppendError),
    /// It could not be built.
    #[error(transparent)]
    Build(#[from] Failure),
    /// Xen refused.
    #[error("xen: {0}")]
    Xen(#[from] xen::Error),
}

/// Why the host cannot start at all.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// The bundle is not one.
    #[error("bundle: {0}")]
    Bundle(#[from] crate::bundle::BundleError),
    /// The event log cannot be started.
    #[error("event log: {0}")]
    Log(#[from] measure::AppendError),
}

/// State of a domain of the manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Not started, or ended.
    Off,
    /// Not to be started: the manifest has something against it.
    Refused(manifest::Error),
    /// Could not be started.
    Failed(RequestError),
    /// Runs.
    Running(DomId),
    /// Stopped for the time being by the operator.
    Paused(DomId),
    /// Ended and kept for someone to look at.
    Preserved(DomId, End),
    /// Ended, but Xen did not destroy it: tried again when Xen next says that something happened.
    Ending(DomId, Decision),
    /// To be started again at a system time, in nanoseconds.
    Waiting(u64),
}

impl State {
    /// The domain's number, where it has one.
    #[must_use]
    pub fn domid(&self) -> Option<DomId> {
        match self {
            Self::Running(domid) | Self::Paused(domid) | Self::Preserved(domid, _) | Self::Ending(domid, _) => {
                Some(*domid)
            }
            _ => None,
        }
    }
}

struct Entry {
    state: State,
    supervisor: Supervisor,
    /// Its records are in the event log.
    measured: bool,
    /// Of its last creation: where the time went, and the whole in nanoseconds.
    times: Option<(Times, u64)>,
    /// How often it was started.
    starts: u32,
}

/// What is measured before the first domain.
#[derive(Debug, Clone)]
pub struct Identity<'a> {
    /// The builder's own image as it was loaded, in memory order.
    pub image: &'a [&'a [u8]],
    /// The builder's own command line.
    pub command_line: &'a str,
}

/// The host.
pub struct Host<'b, H: Hypervisor, C: Consoles> {
    hypervisor: H,
    consoles: C,
    clock: fn() -> u64,
    images: Images<'b>,
    manifest: Manifest,
    log: EventLog,
    entries: Vec<Entry>,
    /// Index of a domain by name.
    by_name: BTreeMap<String, usize>,
}

impl<'b, H: Hypervisor, C: Consoles> Host<'b, H, C> {
    /// Reads a bundle and measures the builder, its command line and the manifest.
    ///
    /// # Errors
    /// [`BootError`]: nothing can be started from it.
    pub fn new(
        hypervisor: H,
        consoles: C,
        clock: fn() -> u64,
        bundle: &'b [u8],
        identity: &Identity<'_>,
    ) -> Result<Self, BootError> {
        let bundle = Bundle::parse(bundle)?;
        let manifest = bundle.manifest().clone();
        let banks = manifest.host.banks.clone();
        let mut entries: Vec<Entry> = manifest
            .domains
            .iter()
            .map(|domain| Entry {
                state: State::Off,
                supervisor: Supervisor::new(domain),
                measured: false,
                times: None,
                starts: 0,
            })
            .collect();
        for (index, problem) in manifest.start_order().1 {
            if let (Some(entry), Some(domain)) = (entries.get_mut(index), manifest.domains.get(index)) {
                error!("domain {} refused: manifest: {problem}", domain.name);
                entry.state = State::Refused(problem);
            }
        }
        let by_name = manifest
            .domains
            .iter()
            .enumerate()
            .rev()
            .map(|(index, domain)| (domain.name.clone(), index))
            .collect();
        let mut host = Self {
            hypervisor,
            consoles,
            clock,
            images: Images::new(bundle),
            log: EventLog::new(&banks)?,
            manifest,
            entries,
            by_name,
        };
        let mut image = measure::Hasher::new(&banks);
        for part in identity.image {
            image.update(part);
        }
        host.measure(&record::domb(&image.finish()))?;
        host.measure(&record::domb_command_line(&Digests::of(
            &banks,
            identity.command_line.as_bytes(),
        )))?;
        let encoded = host.images.manifest_bytes();
        host.measure(&record::manifest(&Digests::of(&banks, encoded)))?;
        Ok(host)
    }

    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The event log, as a verifier reads it.
    #[must_use]
    pub fn event_log(&self) -> &[u8] {
        self.log.bytes()
    }

    /// The number of a domain that runs, is paused or was kept.
    #[must_use]
    pub fn domid(&self, name: &str) -> Option<DomId> {
        self.entries.get(*self.by_name.get(name)?)?.state.domid()
    }

    /// The hypervisor.
    pub fn hypervisor(&mut self) -> &mut H {
        &mut self.hypervisor
    }

    /// The domains to start at boot, in the order of their needs. One that fails does not stop another.
    #[must_use]
    pub fn autostart(&self) -> Vec<String> {
        let (order, _) = self.manifest.boot_order();
        order.iter().map(|&index| self.name(index).into()).collect()
    }

    /// The domains whose name `matches`, in the manifest's order.
    #[must_use]
    pub fn names(&self, matches: impl Fn(&str) -> bool) -> Vec<String> {
        self.manifest
            .domains
            .iter()
            .map(|domain| domain.name.clone())
            .filter(|name| matches(name))
            .collect()
    }

    /// Starts a domain of the manifest.
    ///
    /// # Errors
    /// [`RequestError`]; it is also logged, with the domain's name.
    pub fn create(&mut self, name: &str) -> Result<DomId, RequestError> {
        let index = self.index(name)?;
        let waiting = match self.entries.get(index).map(|entry| &entry.state) {
            Some(State::Waiting(when)) => Some(*when),
            _ => None,
        };
        let result = self.start(index);
        // A request in vain does not cancel the restart that is due anyway.
        if let (Err(_), Some(when), Some(entry)) = (&result, waiting, self.entries.get_mut(index)) {
            entry.state = State::Waiting(when);
        }
        result
    }

    /// Ends a domain at once.
    ///
    /// # Errors
    /// It is unknown or does not run, or Xen refuses.
    pub fn destroy(&mut self, name: &str) -> Result<(), RequestError> {
        let index = self.index(name)?;
        let entry = self.entries.get_mut(index).ok_or(RequestError::Unknown)?;
        if matches!(entry.state, State::Waiting(_)) {
            entry.state = State::Off;
            return Ok(());
        }
        let domid = entry.state.domid().ok_or(RequestError::NotRunning)?;
        let began = (self.clock)();
        self.remove(index, domid)?;
        info!(
            "domain {name} destroyed domid={domid} total_us={}",
            (self.clock)().saturating_sub(began) / 1000
        );
        Ok(())
    }

    /// Stops a domain for the time being.
    ///
    /// # Errors
    /// It is unknown or does not run, or Xen refuses.
    pub fn pause(&mut self, name: &str) -> Result<(), RequestError> {
        let index = self.index(name)?;
        match self.entries.get_mut(index).map(|entry| &mut entry.state) {
            Some(state @ State::Running(_)) => {
                let domid = state.domid().ok_or(RequestError::NotRunning)?;
                self.hypervisor.pause(domid)?;
                *state = State::Paused(domid);
                Ok(())
            }
            _ => Err(RequestError::NotRunning),
        }
    }

    /// Lets a paused domain go on.
    ///
    /// # Errors
    /// It is unknown or not paused, or Xen refuses.
    pub fn unpause(&mut self, name: &str) -> Result<(), RequestError> {
        let index = self.index(name)?;
        match self.entries.get_mut(index).map(|entry| &mut entry.state) {
            Some(state @ State::Paused(_)) => {
                let domid = state.domid().ok_or(RequestError::NotRunning)?;
                self.hypervisor.unpause(domid)?;
                *state = State::Running(domid);
                Ok(())
            }
            _ => Err(RequestError::NotRunning),
        }
    }

    fn index(&self, name: &str) -> Result<usize, RequestError> {
        self.by_name.get(name).copied().ok_or(RequestError::Unknown)
    }

    fn name(&self, index: usize) -> &str {
        self.manifest.domains.get(index).map_or("?", |domain| &domain.name)
    }

    /// The domain's number if it runs or is paused.
    fn running(&self, index: usize) -> Option<DomId> {
        match self.entries.get(index)?.state {
            State::Running(domid) | State::Paused(domid) => Some(domid),
            _ => None,
        }
    }

    fn start(&mut self, index: usize) -> Result<DomId, RequestError> {
        let began = (self.clock)();
        let result = self.try_start(index, began);
        if let Err(problem) = &result {
            error!("domain {} not started: {problem}", self.name(index));
            if let Some(entry) = self.entries.get_mut(index)
                && entry.state.domid().is_none()
                && !matches!(entry.state, State::Refused(_))
            {
                entry.state = State::Failed(problem.clone());
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
            None => &[],
        };
        let hash_ns = (self.clock)().saturating_sub(before_hash);
        self.measure_domain(index, &domain)?;
        let plan = Plan {
            domain: &domain,
            kernel,
            ramdisk,
            console_server: DomId::INITIAL,
            clock: self.clock,
        };
        let built = build::build(&mut self.hypervisor, &plan)?;
        self.run(index, &domain, &built)?;
        let now = (self.clock)();
        let total = now.saturating_sub(began);
        if let Some(entry) = self.entries.get_mut(index) {
            entry.state = State::Running(built.domid);
            entry.supervisor.started(now);
            entry.times = Some((built.times, total));
            entry.starts += 1;
        }
        info!(
            "domain {} created {}",
            domain.name,
            report::created(&domain, &built, hash_ns, total)
        );
        Ok(built.domid)
    }

    /// Attaches the console and lets the domain run; destroys it when that fails.
    fn run(&mut self, index: usize, domain: &Domain, built: &Built) -> Result<(), RequestError> {
        let (_, port) = built.console;
        let attached = match domain.console {
            Console::Log => self.consoles.attach(&domain.name, built.domid, port),
            Console::None => Ok(()),
        };
        if let Err(problem) = attached.and_then(|()| self.hypervisor.unpause(built.domid)) {
            if let Err(left) = self.remove(index, built.domid) {
                error!("domain {} cannot be destroyed: {left}", domain.name);
                self.keep(index, built.domid, End::Crash);
            }
            return Err(problem.into());
        }
        Ok(())
    }

    /// Takes a domain down.
    fn remove(&mut self, index: usize, domid: DomId) -> Result<(), RequestError> {
        self.consoles.detach(domid);
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

    fn measure(&mut self, record: &Record) -> Result<(), measure::AppendError> {
        self.log.record(record)?;
        info!("measured {}", report::measured(record));
        Ok(())
    }
}
