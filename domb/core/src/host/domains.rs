//! The domains that a host knows: those of its manifest, for good, and those that were asked for while it runs.

use alloc::collections::BTreeMap;
use alloc::string::String;
use core::mem;

use manifest::{Domain, Manifest};
use slab::Slab;
use xen::DomId;

use super::State;
use super::numbers::Number;
use crate::build::{Built, Times};
use crate::host::ImageData;
use crate::restart::Supervisor;

/// What is known of a domain.
pub(super) struct Entry<'b> {
    /// Its configuration.
    pub(super) domain: Domain,
    /// Whence its kernel and ramdisk come.
    pub(super) source: Source<'b>,
    pub(super) state: State,
    pub(super) number: Number,
    pub(super) supervisor: Supervisor,
    /// Its records are in the event log.
    pub(super) measured: bool,
    /// Of its last creation: where the time went, and the whole in nanoseconds.
    pub(super) times: Option<(Times, u64)>,
    /// How often it was started.
    pub(super) starts: u32,
    /// What the store was told of, while it may know of it.
    pub(super) wired: Option<Built>,
    /// The store went down during its last start.
    pub(super) store_lost: bool,
    /// The class of the policy that it is in; none for the manifest's.
    pub(super) class: Option<String>,
    /// It is not to run after its next start, until someone lets it.
    pub(super) start_paused: bool,
    /// Xen's system time at its last start, in nanoseconds.
    pub(super) started_ns: u64,
    /// How often it crashed.
    pub(super) crashes: u32,
}

/// Whence a domain's kernel and ramdisk come.
pub(super) enum Source<'b> {
    /// From the bundle, by the names in the configuration.
    Bundle,
    /// They were asked for by digest. They stay as long as the domain is known, so that it can be started again.
    Asked {
        kernel: ImageData<'b>,
        ramdisk: Option<ImageData<'b>>,
    },
}

impl<'b> Entry<'b> {
    fn new(domain: Domain, source: Source<'b>) -> Self {
        Self {
            source,
            state: State::Off,
            number: Number::default(),
            supervisor: Supervisor::new(&domain),
            domain,
            measured: false,
            times: None,
            starts: 0,
            wired: None,
            store_lost: false,
            class: None,
            start_paused: false,
            started_ns: 0,
            crashes: 0,
        }
    }
}

/// All domains, each under an index that it keeps.
pub(super) struct Domains<'b> {
    entries: Slab<Entry<'b>>,
    /// So many of the first are the manifest's, in its order.
    fixed: usize,
    by_name: BTreeMap<String, usize>,
}

impl<'b> Domains<'b> {
    /// Those of a manifest, all off.
    pub(super) fn new(manifest: &Manifest) -> Self {
        let mut domains = Self {
            entries: Slab::with_capacity(manifest.domains.len()),
            fixed: 0,
            by_name: BTreeMap::new(),
        };
        for domain in &manifest.domains {
            let index = domains.entries.insert(Entry::new(domain.clone(), Source::Bundle));
            // Of two with one name the first has it; the other is refused.
            domains.by_name.entry(domain.name.clone()).or_insert(index);
        }
        domains.fixed = domains.entries.len();
        domains
    }

    /// Whether a domain is one of the manifest's.
    pub(super) fn is_fixed(&self, index: usize) -> bool {
        index < self.fixed
    }

    /// Adds a domain. Its name must be free.
    pub(super) fn add(&mut self, domain: Domain, source: Source<'b>) -> usize {
        let name = domain.name.clone();
        let index = self.entries.insert(Entry::new(domain, source));
        self.by_name.insert(name, index);
        index
    }

    /// Forgets a domain that was added. Nothing is done for one of the manifest's.
    pub(super) fn remove(&mut self, index: usize) {
        if !self.is_fixed(index)
            && let Some(entry) = self.entries.try_remove(index)
        {
            self.by_name.remove(&entry.domain.name);
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<&Entry<'b>> {
        self.entries.get(index)
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut Entry<'b>> {
        self.entries.get_mut(index)
    }

    pub(super) fn state(&self, index: usize) -> Option<&State> {
        Some(&self.get(index)?.state)
    }

    pub(super) fn set_state(&mut self, index: usize, state: State) -> Option<State> {
        Some(mem::replace(&mut self.get_mut(index)?.state, state))
    }

    pub(super) fn index(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    pub(super) fn name(&self, index: usize) -> &str {
        self.get(index).map_or("?", |entry| &entry.domain.name)
    }

    /// A domain's number if it runs or is paused.
    pub(super) fn running(&self, index: usize) -> Option<DomId> {
        match self.state(index)? {
            State::Running(domid) | State::Paused(domid) => Some(*domid),
            _ => None,
        }
    }

    /// All of them, the manifest's first and in its order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry<'b>> {
        self.entries.iter().map(|(_, entry)| entry)
    }

    /// Their indices, likewise.
    pub(super) fn indices(&self) -> impl Iterator<Item = usize> {
        self.entries.iter().map(|(index, _)| index)
    }
}
