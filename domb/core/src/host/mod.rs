//! The host: which domains there are, which run, and what happens when one ends.
//!
//! Driven from outside: [`Host::create`] for each of [`Host::autostart`], [`Host::domain_exception`] when Xen says that a domain changed state
//! (`VIRQ_DOM_EXC`), [`Host::run_due`] when the time of [`Host::next_due`] has come, and the operator's requests.

mod asked;
mod creation;
mod domains;
mod held;
mod images;
mod numbers;
mod report;
mod requests;
mod resources;
mod service;
mod store;
mod supervision;

use alloc::string::String;
use alloc::vec::Vec;

use log::error;
use manifest::Manifest;
use measure::{Digests, EventLog, record};
use xen::grant_table::{CopyError, GrantedBytes};
use xen::{DomId, Hypervisor};

use crate::build::{ChannelOffer, Failure};
use crate::bundle::Bundle;
use crate::management::LogLine;
use crate::restart::{Decision, End};
use crate::store::{self as store_client, StoreLink};
use domains::Domains;
use service::DenialLog;
use store::StoreSide;

pub use asked::Wish;
pub use held::{Arriving, HeldImage, HeldImages, HoldError};
pub use images::{ImageData, ImageError, Images};
pub use requests::{Asked, Shutdown};
pub use service::Conversation;

/// What the builder does for domains that run: it serves their consoles, and listens to those that may ask for something.
pub trait Services {
    /// Starts to relay the console of a domain that was just built: its ring is granted as `GNTTAB_RESERVED_CONSOLE`,
    /// `port` is the one in the domain.
    ///
    /// # Errors
    /// Xen refuses to map the page or bind the port.
    fn attach(&mut self, name: &str, domid: DomId, port: u32) -> xen::Result<()>;

    /// Ends that, and lets go of everything of the domain: before it is destroyed.
    fn detach(&mut self, domid: DomId);

    /// Offers channels (vchan) to a domain that was just built. They are the same for each instance with the number.
    ///
    /// # Errors
    /// There is no memory for them, or Xen refuses.
    fn offer_channels(&mut self, name: &str, domid: DomId, count: u16) -> xen::Result<Vec<ChannelOffer>>;

    /// Ends what goes on in them: before the domain is destroyed.
    fn withdraw_channels(&mut self, domid: DomId);

    /// Copies the pieces that a domain granted, one behind the other, into `to`, which they fill.
    ///
    /// # Errors
    /// [`CopyError`] names the grant; what `to` holds then is undefined.
    fn copy_granted(&mut self, from: DomId, pieces: &[GrantedBytes], to: &mut [u8]) -> Result<(), CopyError>;

    /// Lines of the builder's own log from a number on, of so many bytes at most, and the number that comes next.
    fn log_lines(&mut self, from: u64, bytes: usize) -> (Vec<LogLine>, u64);

    /// What follows Xen's version: `.5` in 4.17.5.
    fn xen_extra_version(&mut self) -> String;
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
    /// The store is being started again.
    #[error("the store {0} is being started again: to be created as soon as it runs")]
    StoreRestarts(String),
    /// The store was stopped by the operator.
    #[error("the store {0} is paused")]
    StorePaused(String),
    /// The number that the store must have is not free.
    #[error("number {0} is taken: Xen is not done with the instance that had it")]
    NumberTaken(DomId),
    /// The host has no store, or the domain is the store.
    #[error("no store serves it")]
    NoStore,
    /// The guest has it known that it does not do this when it is asked to.
    #[error("the guest does not obey {0}: its node control/feature-{0} is gone or 0")]
    Ignores(&'static str),
    /// The store refused, or does not answer.
    #[error("store: {0}")]
    Store(#[from] store_client::Error),
    /// One that is asked for at run time can have no such thing.
    #[error("a domain that the manifest does not have can have no {0}")]
    OnlyManifest(&'static str),
    /// So much of something it cannot have.
    #[error("{what} {wanted}; accepted: {least} to {most}")]
    Amount {
        /// Of what, with the unit.
        what: &'static str,
        /// How much was wanted.
        wanted: u64,
        /// The least.
        least: u64,
        /// The most.
        most: u64,
    },
    /// Its configuration has devices.
    #[error("{disks} disks and {interfaces} interfaces: domb cannot connect devices to a domain yet")]
    Devices {
        /// How many disks.
        disks: usize,
        /// How many interfaces.
        interfaces: usize,
    },
    /// Its kernel or ramdisk cannot be used.
    #[error("image: {0}")]
    Image(#[from] ImageError),
    /// What it was to be started from could not be put into the event log.
    #[error("event log: {0}")]
    Log(#[from] measure::AppendError),
    /// The event log has grown so large that it takes no more domains which the manifest does not have.
    #[error("event log: full with {0} bytes: restart the machine to start it anew")]
    LogFull(usize),
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

/// What is measured before the first domain.
#[derive(Debug, Clone)]
pub struct Identity<'a> {
    /// The builder's own image as it was loaded, in memory order.
    pub image: &'a [&'a [u8]],
    /// The builder's own command line.
    pub command_line: &'a str,
}

/// The host.
pub struct Host<'b, H: Hypervisor, C: Services, L: StoreLink> {
    hypervisor: H,
    services: C,
    store: StoreSide<L>,
    clock: fn() -> u64,
    denials: DenialLog,
    images: Images<'b>,
    manifest: Manifest,
    log: EventLog,
    domains: Domains<'b>,
}

impl<'b, H: Hypervisor, C: Services, L: StoreLink> Host<'b, H, C, L> {
    /// Reads a bundle and measures the builder, its command line and the manifest. `link` is not used where no domain of
    /// the manifest is the store.
    ///
    /// # Errors
    /// [`BootError`]: nothing can be started from it.
    pub fn new(
        hypervisor: H,
        services: C,
        link: L,
        clock: fn() -> u64,
        bundle: &'b [u8],
        identity: &Identity<'_>,
    ) -> Result<Self, BootError> {
        let bundle = Bundle::parse(bundle)?;
        let manifest = bundle.manifest().clone();
        let banks = manifest.host.banks.clone();
        let mut domains = Domains::new(&manifest);
        for (index, problem) in manifest.start_order().1 {
            error!("domain {} refused: manifest: {problem}", domains.name(index));
            domains.set_state(index, State::Refused(problem));
        }
        let mut host = Self {
            hypervisor,
            services,
            store: StoreSide::new(link, manifest.store()),
            clock,
            denials: DenialLog::default(),
            images: Images::new(bundle, 0),
            log: EventLog::new(&banks)?,
            manifest,
            domains,
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
        self.domains.state(self.domains.index(name)?)?.domid()
    }

    /// The images that were brought; at first there is room for none.
    pub fn held_images(&mut self) -> &mut HeldImages {
        &mut self.images.held
    }

    /// The hypervisor.
    pub fn hypervisor(&mut self) -> &mut H {
        &mut self.hypervisor
    }

    /// The domains to start at boot, in the order of their needs. One that fails does not stop another.
    #[must_use]
    pub fn autostart(&self) -> Vec<String> {
        let (order, _) = self.manifest.boot_order();
        order.iter().map(|&index| self.domains.name(index).into()).collect()
    }

    /// The domains whose name `matches`: those of the manifest in its order, then the others.
    #[must_use]
    pub fn names(&self, matches: impl Fn(&str) -> bool) -> Vec<String> {
        self.domains
            .iter()
            .map(|entry| entry.domain.name.clone())
            .filter(|name| matches(name))
            .collect()
    }

    /// Starts a domain of the manifest.
    ///
    /// # Errors
    /// [`RequestError`]; it is also logged, with the domain's name.
    pub fn create(&mut self, name: &str) -> Result<DomId, RequestError> {
        let index = self.index(name)?;
        let waiting = match self.domains.state(index) {
            Some(State::Waiting(when)) => Some(*when),
            _ => None,
        };
        let result = self.start(index);
        // A request in vain does not cancel the restart that is due anyway.
        if let (Err(_), Some(when)) = (&result, waiting) {
            self.domains.set_state(index, State::Waiting(when));
        }
        result
    }

    fn index(&self, name: &str) -> Result<usize, RequestError> {
        self.domains.index(name).ok_or(RequestError::Unknown)
    }

    fn name(&self, index: usize) -> &str {
        self.domains.name(index)
    }
}
