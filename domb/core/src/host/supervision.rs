//! What happens when a domain ends, and when its time to be started again has come.

use alloc::vec::Vec;

use log::{error, info, warn};
use xen::{DomId, Hypervisor, ShutdownReason};

use super::{Host, Services, State};
use crate::restart::{Decision, End};
use crate::store::StoreLink;

impl<H: Hypervisor, C: Services, L: StoreLink> Host<'_, H, C, L> {
    /// Looks for domains that ended, and does with each what its policy says.
    pub fn domain_exception(&mut self) {
        for index in self.store_first() {
            if let Some(State::Ending(domid, decision)) = self.domains.state(index).cloned() {
                self.take_down(index, domid, decision);
                continue;
            }
            let Some(domid) = self.domains.running(index) else {
                continue;
            };
            match self.end_of(domid) {
                Ok(Some(end)) => self.ended(index, domid, end),
                Ok(None) => {}
                Err(problem) => error!("domain {}: {problem}", self.name(index)),
            }
        }
    }

    /// How a domain ended; none when it did not.
    pub(super) fn end_of(&mut self, domid: DomId) -> xen::Result<Option<End>> {
        let Some(info) = self.hypervisor.domain_info(domid)? else {
            return Ok(Some(End::Crash));
        };
        Ok(match info.shutdown {
            Some(ShutdownReason::Poweroff) => Some(End::Poweroff),
            Some(ShutdownReason::Reboot) => Some(End::Reboot),
            // Nobody here asked it to suspend, and nobody would resume it.
            Some(ShutdownReason::Crash | ShutdownReason::Suspend) => Some(End::Crash),
            None => info.dying.then_some(End::Crash),
        })
    }

    /// When [`Host::run_due`] has something to do next, in nanoseconds of system time.
    #[must_use]
    pub fn next_due(&self) -> Option<u64> {
        self.domains
            .iter()
            .filter_map(|entry| match entry.state {
                State::Waiting(when) => Some(when),
                _ => None,
            })
            .min()
    }

    /// Starts the domains whose time to be started again has come, each after those that it needs. One whose need waits
    /// itself waits for it.
    pub fn run_due(&mut self) {
        let now = (self.clock)();
        let asked = self.domains.indices().filter(|index| !self.domains.is_fixed(*index));
        let order: Vec<usize> = self.manifest.start_order().0.into_iter().chain(asked).collect();
        for index in order {
            let due = matches!(self.domains.state(index), Some(State::Waiting(when)) if *when <= now);
            if !due {
                continue;
            }
            if let Some(when) = self.need_waits(index).or_else(|| self.old_instance_goes(index)) {
                self.domains.set_state(index, State::Waiting(when));
            } else if self.start(index).is_err() {
                if matches!(self.domains.state(index), Some(State::Waiting(_))) {
                    // For the store: that is no fault of its own.
                    continue;
                }
                let decision = self
                    .domains
                    .get_mut(index)
                    .map(|entry| entry.supervisor.rebuild_failed());
                self.after_end(index, decision.unwrap_or(Decision::Destroy));
            }
        }
    }

    /// Until when the domains that this one needs wait to be started again; none when none does.
    fn need_waits(&self, index: usize) -> Option<u64> {
        let waiting = self.needs(index).filter_map(|need| {
            let need = self.domains.index(need)?;
            match self.domains.state(need)? {
                State::Waiting(when) => Some(*when),
                _ => None,
            }
        });
        waiting.max()
    }

    pub(super) fn ended(&mut self, index: usize, domid: DomId, end: End) {
        let now = (self.clock)();
        let Some(entry) = self.domains.get_mut(index) else {
            return;
        };
        entry.crashes = entry.crashes.saturating_add(u32::from(end == End::Crash));
        let decision = entry.supervisor.ended(end, now);
        info!(
            "domain {} ended domid={domid} reason={end}: {decision}",
            self.name(index)
        );
        if decision == Decision::Preserve {
            self.disconnect_store(index);
            self.unwire(index);
            self.keep(index, domid, end);
            return;
        }
        self.take_down(index, domid, decision);
    }

    /// Destroys a domain that ended, and notes what is to become of it.
    fn take_down(&mut self, index: usize, domid: DomId, decision: Decision) {
        if let Err(problem) = self.remove(index, domid) {
            error!("domain {} cannot be destroyed: {problem}", self.name(index));
            self.domains.set_state(index, State::Ending(domid, decision));
            return;
        }
        self.after_end(index, decision);
    }

    /// Notes a domain that stays in Xen after its end: the operator can destroy it.
    pub(super) fn keep(&mut self, index: usize, domid: DomId, end: End) {
        self.domains.set_state(index, State::Preserved(domid, end));
    }

    /// Notes what is to become of a domain that is gone.
    pub(super) fn after_end(&mut self, index: usize, decision: Decision) {
        match decision {
            Decision::Restart { after_ns } => {
                let when = (self.clock)().saturating_add(after_ns);
                self.domains.set_state(index, State::Waiting(when));
            }
            Decision::GiveUp { crashes } => {
                warn!(
                    "domain {} crashed {crashes} times in a row: not started again",
                    self.name(index)
                );
                self.forget(index);
            }
            Decision::Destroy => self.forget(index),
            Decision::Preserve => {}
        }
    }
}
