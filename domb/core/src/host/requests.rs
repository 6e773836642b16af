//! What may be asked of a domain that runs.

use alloc::format;

use log::info;
use xen::Hypervisor;

use super::{Host, RequestError, Services, State};
use crate::restart::End;
use crate::store::{StoreLink, session, tree};

/// How a guest is to end itself, when it is asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// Switch itself off.
    Poweroff,
    /// Be started again.
    Reboot,
}

impl Shutdown {
    /// The word in `control/shutdown` (docs/misc/xenstore-paths.pandoc).
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Poweroff => "poweroff",
            Self::Reboot => "reboot",
        }
    }
}

/// What is known of a guest that was asked to end itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// It said that it obeys.
    Announced,
    /// It said nothing about it: it is still starting, or has no driver that looks.
    Unannounced,
}

impl<H: Hypervisor, C: Services, L: StoreLink> Host<'_, H, C, L> {
    /// Ends a domain at once.
    ///
    /// # Errors
    /// It is unknown or does not run, or Xen refuses.
    pub fn destroy(&mut self, name: &str) -> Result<(), RequestError> {
        let index = self.index(name)?;
        let entry = self.domains.get_mut(index).ok_or(RequestError::Unknown)?;
        if matches!(entry.state, State::Waiting(_)) {
            entry.state = State::Off;
            self.forget(index);
            return Ok(());
        }
        let domid = entry.state.domid().ok_or(RequestError::NotRunning)?;
        let began = (self.clock)();
        self.remove(index, domid)?;
        info!(
            "domain {name} destroyed domid={domid} total_us={}",
            (self.clock)().saturating_sub(began) / 1000
        );
        self.forget(index);
        Ok(())
    }

    /// Ends a domain at once as if it had crashed: its policy for crashes says what becomes of it.
    ///
    /// # Errors
    /// It is unknown or does not run.
    pub fn crash(&mut self, name: &str) -> Result<(), RequestError> {
        let index = self.index(name)?;
        let domid = self.domains.running(index).ok_or(RequestError::NotRunning)?;
        self.ended(index, domid, End::Crash);
        Ok(())
    }

    /// Stops a domain for the time being.
    ///
    /// # Errors
    /// It is unknown or does not run, or Xen refuses.
    pub fn pause(&mut self, name: &str) -> Result<(), RequestError> {
        let index = self.index(name)?;
        match self.domains.get_mut(index).map(|entry| &mut entry.state) {
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
        match self.domains.get_mut(index).map(|entry| &mut entry.state) {
            Some(state @ State::Paused(_)) => {
                let domid = state.domid().ok_or(RequestError::NotRunning)?;
                self.hypervisor.unpause(domid)?;
                *state = State::Running(domid);
                self.store_unpaused(index);
                Ok(())
            }
            _ => Err(RequestError::NotRunning),
        }
    }

    /// Asks a guest, through the store, to end itself. What becomes of it then is the manifest's policy.
    ///
    /// # Errors
    /// It is unknown or does not run; no store serves it, or the store does not do it; the guest took the node away by
    /// which it says that it obeys, or says that it does not.
    pub fn shutdown(&mut self, name: &str, how: Shutdown) -> Result<Asked, RequestError> {
        let index = self.index(name)?;
        let Some(State::Running(domid)) = self.domains.state(index).cloned() else {
            return Err(RequestError::NotRunning);
        };
        if self.domains.get(index).is_none_or(|entry| entry.wired.is_none()) {
            return Err(RequestError::NoStore);
        }
        let home = tree::home(domid);
        let feature = format!("{home}/control/feature-{}", how.word());
        let announced = self.ask(|client| session::read(client, &feature))?;
        let asked = match announced.as_deref() {
            Some(b"") => Asked::Unannounced,
            None | Some(b"0") => return Err(RequestError::Ignores(how.word())),
            Some(_) => Asked::Announced,
        };
        let path = format!("{home}/control/shutdown");
        self.ask(|client| session::write(client, &path, how.word()))?;
        info!("domain {name} asked to {} domid={domid}", how.word());
        Ok(asked)
    }
}
