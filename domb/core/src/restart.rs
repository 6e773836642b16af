//! What happens when a domain ends: the manifest's policy, with a back-off where a domain ends again and again.
//!
//! A state machine without a clock: the caller gives the monotonic time. Three things are told apart:
//! - a domain that ran for a minute starts with a clean slate;
//! - an orderly end (reboot, poweroff) is followed at once, and with growing pauses where it repeats within the minute;
//! - a crash, or a rebuild that fails, is followed after pauses of 1, 2, 4 … 60 seconds, and after eight within
//!   their minutes the domain stays down.
//!
//! The store is needed by all others, so it is different: where its policy says destroy, it is restarted; after a crash at
//! once, and with pauses only where it crashes again; and it never stays down.

use core::fmt;

use manifest::{Action, Domain, Role};

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;
/// A domain that ran so long does not count as one that ends again and again.
pub const STABLE_AFTER_NS: u64 = 60 * SECOND;
/// The longest pause before a restart.
pub const LONGEST_PAUSE_NS: u64 = 60 * SECOND;
/// So many crashes, each within a minute of its start, and the domain stays down.
pub const MOST_CRASHES: u32 = 8;

/// How a domain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It powered off.
    Poweroff,
    /// It asked to be started again.
    Reboot,
    /// It crashed, its watchdog fired, or it ended with a reason that is unknown here.
    Crash,
}

impl End {
    /// The end that a shutdown code means (SHUTDOWN_* of Xen's public header `sched.h`). `None` for a suspend, which is
    /// no end.
    #[must_use]
    pub fn from_shutdown_code(code: u32) -> Option<Self> {
        match code {
            0 => Some(Self::Poweroff),
            1 => Some(Self::Reboot),
            2 => None,
            _ => Some(Self::Crash),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Poweroff => "poweroff",
            Self::Reboot => "reboot",
            Self::Crash => "crash",
        })
    }
}

/// What to do with a domain that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Destroy it.
    Destroy,
    /// Keep it as it is, for someone to look at. Its memory stays taken.
    Preserve,
    /// Destroy it and build it again.
    Restart {
        /// After so many nanoseconds.
        after_ns: u64,
    },
    /// Destroy it; its policy says restart, but it crashed too often.
    GiveUp {
        /// How often within a minute of its start.
        crashes: u32,
    },
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Destroy => f.write_str("destroyed"),
            Self::Preserve => f.write_str("preserved"),
            Self::Restart { after_ns: 0 } => f.write_str("restarted"),
            Self::Restart { after_ns } => write!(f, "restarted in {} s", after_ns.div_ceil(SECOND)),
            Self::GiveUp { crashes } => write!(f, "destroyed, not restarted: {crashes} crashes, each within a minute"),
        }
    }
}

/// The policy of one domain and how it fared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Supervisor {
    on_poweroff: Action,
    on_reboot: Action,
    on_crash: Action,
    /// All others need it.
    is_store: bool,
    /// When it last started, nanoseconds of the caller's clock.
    started_ns: u64,
    /// Ends in a row, each within the minute.
    ends: u32,
    /// Crashes among them.
    crashes: u32,
}

impl Supervisor {
    /// The supervisor of a domain that has never run.
    #[must_use]
    pub fn new(domain: &Domain) -> Self {
        let is_store = domain.has(Role::Store);
        let action = |action| match action {
            Action::Destroy if is_store => Action::Restart,
            other => other,
        };
        Self {
            on_poweroff: action(domain.on_poweroff),
            on_reboot: action(domain.on_reboot),
            on_crash: action(domain.on_crash),
            is_store,
            started_ns: 0,
            ends: 0,
            crashes: 0,
        }
    }

    /// The domain was unpaused.
    pub fn started(&mut self, now_ns: u64) {
        self.started_ns = now_ns;
    }

    /// The domain ended.
    pub fn ended(&mut self, end: End, now_ns: u64) -> Decision {
        if now_ns.saturating_sub(self.started_ns) >= STABLE_AFTER_NS {
            self.ends = 0;
            self.crashes = 0;
        }
        let action = match end {
            End::Poweroff => self.on_poweroff,
            End::Reboot => self.on_reboot,
            End::Crash => self.on_crash,
        };
        match action {
            Action::Destroy => Decision::Destroy,
            Action::Preserve => Decision::Preserve,
            Action::Restart if end == End::Crash => self.crashed(),
            Action::Restart => {
                let after_ns = pause(self.ends);
                self.ends = self.ends.saturating_add(1);
                Decision::Restart { after_ns }
            }
        }
    }

    /// The domain could not be built again after a [`Decision::Restart`]. Counts as a crash.
    pub fn rebuild_failed(&mut self) -> Decision {
        self.crashed()
    }

    fn crashed(&mut self) -> Decision {
        self.ends = self.ends.saturating_add(1);
        self.crashes = self.crashes.saturating_add(1);
        if self.is_store {
            return Decision::Restart {
                after_ns: pause(self.ends.saturating_sub(1)),
            };
        }
        if self.crashes >= MOST_CRASHES {
            let crashes = self.crashes;
            // Whoever starts it again by hand gives it a new chance.
            self.ends = 0;
            self.crashes = 0;
            return Decision::GiveUp { crashes };
        }
        Decision::Restart {
            after_ns: pause(self.ends),
        }
    }
}

/// The pause after the nth quick end: none, then 1, 2, 4 … 60 seconds.
fn pause(ends: u32) -> u64 {
    let Some(doublings) = ends.checked_sub(1) else { return 0 };
    let seconds = 1u64.checked_shl(doublings).unwrap_or(u64::MAX);
    seconds.saturating_mul(SECOND).min(LONGEST_PAUSE_NS)
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec::Vec;

    use super::*;

    fn supervisor(on_poweroff: Action, on_reboot: Action, on_crash: Action) -> Supervisor {
        Supervisor {
            on_poweroff,
            on_reboot,
            on_crash,
            is_store: false,
            started_ns: 0,
            ends: 0,
            crashes: 0,
        }
    }

    /// Ends of one kind, each a second after the start; the pauses in seconds until it stays down.
    fn pauses(end: End, times: usize) -> (Vec<u64>, Decision) {
        let mut supervisor = supervisor(Action::Restart, Action::Restart, Action::Restart);
        let mut now = 0;
        let mut pauses = Vec::new();
        for _ in 0..times {
            supervisor.started(now);
            now += SECOND;
            match supervisor.ended(end, now) {
                Decision::Restart { after_ns } => pauses.push(after_ns / SECOND),
                other => return (pauses, other),
            }
            now += pauses.last().unwrap() * SECOND;
        }
        (pauses, Decision::Destroy)
    }

    #[test]
    fn the_policy_decides() {
        let mut it = supervisor(Action::Destroy, Action::Restart, Action::Preserve);
        assert_eq!(it.ended(End::Poweroff, 1), Decision::Destroy);
        assert_eq!(it.ended(End::Reboot, 1), Decision::Restart { after_ns: 0 });
        assert_eq!(it.ended(End::Crash, 1), Decision::Preserve);
    }

    #[test]
    fn the_store_comes_back_at_once_and_always() {
        let mut it = Supervisor {
            is_store: true,
            ..supervisor(Action::Restart, Action::Restart, Action::Restart)
        };
        let pauses: Vec<_> = (0..10).map(|_| it.ended(End::Crash, SECOND)).collect();
        let expected = [0, 1, 2, 4, 8, 16, 32, 60, 60, 60].map(|seconds| Decision::Restart {
            after_ns: seconds * SECOND,
        });
        assert_eq!(pauses, expected);
        assert_eq!(it.rebuild_failed(), expected[9]);
        assert_eq!(it.ended(End::Crash, STABLE_AFTER_NS), expected[0]);
    }

    #[test]
    fn a_crash_loop_ends() {
        assert_eq!(
            pauses(End::Crash, 99),
            ([1, 2, 4, 8, 16, 32, 60].to_vec(), Decision::GiveUp { crashes: 8 })
        );
    }

    #[test]
    fn a_reboot_loop_slows_down() {
        let (seconds, _) = pauses(End::Reboot, 100);
        assert_eq!(seconds[..9], [0, 1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(seconds.len(), 100);
    }

    #[test]
    fn a_minute_of_running_clears_the_slate() {
        let mut it = supervisor(Action::Restart, Action::Restart, Action::Restart);
        for _ in 0..100 {
            it.started(SECOND);
            assert_eq!(
                it.ended(End::Crash, SECOND + STABLE_AFTER_NS),
                Decision::Restart { after_ns: SECOND }
            );
            it.started(0);
            assert_eq!(
                it.ended(End::Crash, STABLE_AFTER_NS - 1),
                Decision::Restart { after_ns: 2 * SECOND }
            );
        }
        // A clock that goes backwards is a short run.
        it.started(STABLE_AFTER_NS * 9);
        assert_eq!(it.ended(End::Crash, 0), Decision::Restart { after_ns: 4 * SECOND });
    }

    #[test]
    fn failed_rebuilds_count() {
        let mut it = supervisor(Action::Destroy, Action::Restart, Action::Destroy);
        assert_eq!(it.ended(End::Reboot, 1), Decision::Restart { after_ns: 0 });
        for crash in 1..MOST_CRASHES {
            assert!(
                matches!(it.rebuild_failed(), Decision::Restart { after_ns } if after_ns >= SECOND),
                "{crash}"
            );
        }
        let decision = it.rebuild_failed();
        assert_eq!(
            decision.to_string(),
            "destroyed, not restarted: 8 crashes, each within a minute"
        );
    }

    #[test]
    fn shutdown_codes() {
        let ends = [0, 1, 2, 3, 4, 5, 99].map(End::from_shutdown_code);
        let crash = Some(End::Crash);
        assert_eq!(
            ends,
            [Some(End::Poweroff), Some(End::Reboot), None, crash, crash, crash, crash]
        );
    }
}
