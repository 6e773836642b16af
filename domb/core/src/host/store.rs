//! The domain that is the store: it is there before all others, and comes back under its number.
//!
//! Its clients grant their rings and offer their ports to a number. So the first number is kept, and an instance that dies
//! is followed by one of the same number, as soon as Xen is done with the one before. What domb could not tell the store
//! in between, it tells the new instance; whom the new instance does not know, it is told of again.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::{fmt, mem};

use log::{error, info, warn};
use manifest::Domain;
use xen::store::{Client, Transport};
use xen::{DomId, Hypervisor};

use super::{Host, RequestError, Services, State};
use crate::build::{BuildError, Built, Failure, Step, Store};
use crate::restart::End;
use crate::store::{Error, StoreLink, session, tree};

/// Pages of a MiB.
const PAGES_PER_MIB: u32 = 256;

/// What the host knows of its store.
pub(super) struct StoreSide<L> {
    link: L,
    /// The domain that is the store; none where the manifest has none.
    index: Option<usize>,
    /// Its number, from its first start on.
    domid: Option<DomId>,
    /// The instance that runs knows of everything.
    connected: bool,
    /// Domains that went while the store could not be told: number, and path of the nodes by UUID.
    untold: Vec<(DomId, String)>,
}

impl<L> StoreSide<L> {
    pub(super) fn new(link: L, index: Option<usize>) -> Self {
        Self {
            link,
            index,
            domid: None,
            connected: false,
            untold: Vec::new(),
        }
    }
}

fn at_store(problem: impl Into<BuildError>) -> RequestError {
    RequestError::Build(Failure {
        step: Step::Store,
        error: problem.into(),
    })
}

impl<H: Hypervisor, C: Services, L: StoreLink> Host<'_, H, C, L> {
    /// Whether a domain is the store.
    pub(super) fn is_store(&self, index: usize) -> bool {
        self.store.index == Some(index)
    }

    /// All domains, the store before the others: its end explains much of theirs.
    pub(super) fn store_first(&self) -> Vec<usize> {
        let others = self.domains.indices().filter(|index| !self.is_store(*index));
        self.store.index.into_iter().chain(others).collect()
    }

    fn store_state(&self) -> Option<&State> {
        self.domains.state(self.store.index?)
    }

    /// Whether the store can be asked for something now.
    fn is_store_ready(&self) -> bool {
        self.store.connected && matches!(self.store_state(), Some(State::Running(_)))
    }

    /// When the store is to be started again; none when it runs, and when it stays down.
    fn store_due(&self) -> Option<u64> {
        match self.store_state()? {
            State::Waiting(when) => Some(*when),
            _ => None,
        }
    }

    /// Refuses the start of a domain that the store could not serve now. That there is a store that stays down is left to
    /// the check of what the domain needs.
    ///
    /// # Errors
    /// It is being started again, or paused.
    pub(super) fn store_is_up_for(&self, index: usize) -> Result<(), RequestError> {
        let Some(store) = self.store.index.filter(|store| *store != index) else {
            return Ok(());
        };
        match self.store_state() {
            Some(State::Waiting(_)) => Err(RequestError::StoreRestarts(self.name(store).into())),
            Some(State::Paused(_)) => Err(RequestError::StorePaused(self.name(store).into())),
            _ => Ok(()),
        }
    }

    /// Until when a domain that could not be started waits for the store; none where the store is not the reason. One
    /// during whose start the store went down is tried once more.
    pub(super) fn waits_for_store(&mut self, index: usize, problem: &RequestError) -> Option<u64> {
        let when = self.store_due().filter(|_| !self.is_store(index))?;
        let entry = self.domains.get_mut(index)?;
        match problem {
            RequestError::StoreRestarts(_) => Some(when),
            RequestError::Build(Failure {
                error: BuildError::Store(problem),
                ..
            }) if problem.is_connection() && !mem::replace(&mut entry.store_lost, true) => Some(when),
            _ => None,
        }
    }

    /// What a domain that is about to be built has to do with the store. For the store itself, ring and port are made ready.
    ///
    /// # Errors
    /// For the store: Xen refuses.
    pub(super) fn prepare_store(&mut self, index: usize, number: Option<DomId>) -> Result<Store, RequestError> {
        let Some(store) = self.store.index else {
            return Ok(Store::None);
        };
        if store != index {
            let domid = self
                .store
                .domid
                .ok_or_else(|| RequestError::Needs(self.name(store).into()))?;
            return Ok(Store::ServedBy(domid));
        }
        let domid = number.ok_or(RequestError::Unknown)?;
        let pages = u32::from(self.manifest.host.store.recovery_mib).saturating_mul(PAGES_PER_MIB);
        let ring = self.store.link.prepare(domid, pages).map_err(at_store)?;
        info!(
            "store {} prepared domid={domid} port={} recovery_pages={}",
            self.name(index),
            ring.port,
            ring.recovery.pages
        );
        Ok(Store::Server { port: ring.port })
    }

    /// Connects to the store, which was unpaused just now, and tells it everything. Nothing is done for other domains.
    ///
    /// # Errors
    /// It does not answer, or refuses what concerns the host as a whole.
    pub(super) fn connect_store(&mut self, index: usize, domid: DomId) -> Result<(), RequestError> {
        if !self.is_store(index) {
            return Ok(());
        }
        self.store.link.connect().map_err(at_store)?;
        self.settle(index, domid).map_err(at_store)?;
        self.store.domid = Some(domid);
        self.store.connected = true;
        Ok(())
    }

    /// Lets go of the store, which is going or was never built. Nothing is done for other domains.
    pub(super) fn disconnect_store(&mut self, index: usize) {
        if self.is_store(index) {
            self.store.connected = false;
            self.store.link.disconnect();
        }
    }

    /// What could not be told while the store was paused, is told now. Nothing is done for other domains.
    pub(super) fn store_unpaused(&mut self, index: usize) {
        let Some(domid) = self
            .store
            .domid
            .filter(|_| self.is_store(index) && self.store.connected)
        else {
            return;
        };
        match self.settle(index, domid) {
            Err(problem) if problem.is_connection() => self.store_is_lost(&problem),
            Err(problem) => error!("store {}: {problem}", self.name(index)),
            Ok(()) => {}
        }
    }

    /// Brings what the store knows and what is into line: the host's own nodes, domains that are gone, domains that run.
    fn settle(&mut self, index: usize, store: DomId) -> session::Result<()> {
        let client = client(&mut self.store.link)?;
        let name = self.domains.name(index);
        session::write_tree(client, &[], &tree::of_host(name, store))?;
        let (mut released, mut known, mut introduced) = (0, 0, 0);
        while let Some((domid, vm)) = self.store.untold.last() {
            report(session::forget(client, *domid, vm), |problem| {
                error!("store {name}: domain {domid} is gone, but: {problem}");
            })?;
            self.store.untold.pop();
            released += 1;
        }
        for entry in self.domains.iter() {
            let domain = &entry.domain;
            let Some(built) = &entry.wired else { continue };
            let knows = knows(client, domain, built);
            if report(knows, |problem| {
                error!("store {name}: domain {}: {problem}", domain.name);
            })? == Some(true)
            {
                known += 1;
                continue;
            }
            warn!(
                "store {name} does not know domain {} any more: it is introduced again, without its watches",
                domain.name
            );
            let again = session::forget(client, built.domid, &tree::vm(domain))
                .and_then(|()| make_known(client, domain, built));
            report(again, |problem| {
                error!("store {name}: domain {}: {problem}", domain.name);
            })?;
            introduced += 1;
        }
        info!("store {name} serves domid={store} known={known} introduced={introduced} released={released}");
        Ok(())
    }

    /// Makes a domain that was just built known to the store. Nothing is done for one that no store serves.
    ///
    /// # Errors
    /// The store refuses, or is gone.
    pub(super) fn wire(&mut self, index: usize, domain: &Domain, built: &Built) -> Result<(), RequestError> {
        if built.store.is_none() {
            return Ok(());
        }
        if let Some(entry) = self.domains.get_mut(index) {
            // From here on there may be something to be taken back.
            entry.wired = Some(built.clone());
        }
        self.ask(|client| make_known(client, domain, built)).map_err(at_store)
    }

    /// Has the store forget a domain that is going; when it cannot be told now, its next instance is.
    pub(super) fn unwire(&mut self, index: usize) {
        let Some(entry) = self.domains.get_mut(index) else {
            return;
        };
        let Some(built) = entry.wired.take() else { return };
        let (domid, vm) = (built.domid, tree::vm(&entry.domain));
        match self.ask(|client| session::forget(client, domid, &vm)) {
            Ok(()) => {}
            Err(problem) if problem.is_connection() => self.store.untold.push((domid, vm)),
            Err(problem) => error!("domain {}: the store does not forget it: {problem}", self.name(index)),
        }
    }

    /// Asks the store for something. When it does not answer, it is destroyed and built again.
    ///
    /// # Errors
    /// It is down or does not answer ([`Error::Connection`]), or refuses.
    pub(super) fn ask<R>(
        &mut self,
        action: impl FnOnce(&mut Client<L::Transport>) -> session::Result<R>,
    ) -> session::Result<R> {
        if !self.is_store_ready() {
            return Err(Error::Connection("the store does not run".into()));
        }
        let result = client(&mut self.store.link).and_then(action);
        if let Err(problem) = &result
            && problem.is_connection()
        {
            self.store_is_lost(problem);
        }
        result
    }

    /// The store does not answer: whatever it is doing, it is of no use any more.
    fn store_is_lost(&mut self, problem: &Error) {
        let Some(index) = self.store.index else { return };
        error!("store {}: {problem}", self.name(index));
        self.disconnect_store(index);
        if let Some(domid) = self.domains.running(index) {
            // It may have ended in a way of its own, which Xen was about to tell.
            let end = self.end_of(domid).ok().flatten().unwrap_or(End::Crash);
            self.ended(index, domid, end);
        }
    }

    /// For the operator: where the store runs, and what it says of itself.
    pub fn store_report(&mut self) -> Vec<String> {
        let Some(index) = self.store.index else {
            return Vec::from(["no domain of the manifest has the role store".into()]);
        };
        let (starts, state) = match self.domains.get(index) {
            Some(entry) => (entry.starts, entry.state.to_string()),
            None => (0, String::new()),
        };
        let domid = self.store.domid.map_or("none".into(), |domid| domid.to_string());
        let served = self.domains.iter().filter(|entry| entry.wired.is_some()).count();
        let mut lines = Vec::from([format!(
            "store={} domid={domid} starts={starts} domains={served} untold={} state={state}",
            self.name(index),
            self.store.untold.len(),
        )]);
        match self.ask(|client| session::control(client, &["print"])) {
            // Nothing in it can move a terminal's cursor.
            Ok(text) => lines.extend(
                text.lines()
                    .map(|line| format!("store: {}", line.replace(char::is_control, "?"))),
            ),
            Err(problem) => lines.push(format!("store: {problem}")),
        }
        lines
    }
}

fn client<L: StoreLink>(link: &mut L) -> session::Result<&mut Client<L::Transport>> {
    link.client()
        .ok_or_else(|| Error::Connection("the store does not run".into()))
}

/// Lets a failed connection through; hands on what else went wrong.
fn report<T>(result: session::Result<T>, say: impl FnOnce(Error)) -> session::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(problem) if problem.is_connection() => Err(problem),
        Err(problem) => {
            say(problem);
            Ok(None)
        }
    }
}

/// Whether the store serves a domain, and has the nodes of that very domain.
fn knows<T>(client: &mut Client<T>, domain: &Domain, built: &Built) -> session::Result<bool>
where
    T: Transport<Error: fmt::Display>,
{
    if !session::is_introduced(client, built.domid)? {
        return Ok(false);
    }
    let vm = session::read(client, &format!("{}/vm", tree::home(built.domid)))?;
    Ok(vm.is_some_and(|vm| vm == tree::vm(domain).as_bytes()))
}

/// Writes the nodes of a domain and has the store serve it.
fn make_known<T>(client: &mut Client<T>, domain: &Domain, built: &Built) -> session::Result<()>
where
    T: Transport<Error: fmt::Display>,
{
    let (home, vm) = (tree::home(built.domid), tree::vm(domain));
    session::write_tree(client, &[&home, &vm], &tree::of_domain(domain, built))?;
    match built.store {
        Some(ring) => session::introduce(client, built.domid, &domain.name, ring),
        None => Ok(()),
    }
}
