//! Keeps the daemon on the core of its client while there is only one.
//!
//! A client that sends a request and waits for the answer, as all libraries do, never runs while the daemon does. On two cores
//! each message wakes a core that just went idle; on one core it is a switch from one process to the other, which is several
//! times quicker. The scheduler of Linux prefers idle cores, so the daemon follows its client:
//! - after [`ENGAGE`] requests of one client with nobody between, it asks /proc on which core the client is, and pins itself there;
//! - it asks again when a request took long to come ([`SLOW`]): the client may have been moved to an idle core;
//! - it lets go when anybody else has something to be done, when nothing comes for [`PATIENCE`], and when the client is moved
//!   again and again ([`TOO_MANY`]).
//!
//! Nobody but the daemon's own thread is ever pinned.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use xenstore_guard_core::ConnectionId;

/// Requests of one client in a row, after which it is followed.
const ENGAGE: u32 = 16;
/// From an answer to the next request: a client on the same core needs less, unless it does something in between.
const SLOW: Duration = Duration::from_micros(10);
/// How long a client that is followed may think.
pub(crate) const PATIENCE: Duration = Duration::from_millis(2);
/// After so many requests it is judged whether following helps.
const JUDGE: u32 = 64;
/// So many moves within them are too many.
const TOO_MANY: u32 = 48;
/// Judgements that a client for which it did not help is left alone.
const REST: u32 = 256;
/// Index of the core among the words behind the name in /proc/PID/stat (proc(5): field 39; the name is field 2).
const CORE_FIELD: usize = 39 - 3;
/// More than a line of /proc/PID/stat.
const STAT_BYTES: usize = 1024;

/// Where the daemon runs.
#[derive(Debug)]
pub(crate) struct CoreAffinity {
    /// The cores that it was started on; none where there is nothing to choose.
    all: Option<CpuSet>,
    processes: BTreeMap<ConnectionId, Pid>,
    /// Who sent the last requests, and how many.
    last: Option<ConnectionId>,
    row: u32,
    /// How often the client was found on another core among them.
    moves: u32,
    /// Requests until a client for which it did not help is looked at again.
    rest: u32,
    followed: Option<Followed>,
}

/// A client that is followed.
#[derive(Debug)]
struct Followed {
    stat: File,
    core: usize,
}

impl CoreAffinity {
    /// Follows nobody yet.
    pub(crate) fn new() -> Self {
        Self {
            all: sched_getaffinity(None).ok().filter(|cores| cores.count() > 1),
            processes: BTreeMap::new(),
            last: None,
            row: 0,
            moves: 0,
            rest: 0,
            followed: None,
        }
    }

    /// A client connected; `process` is the one that did.
    pub(crate) fn add(&mut self, id: ConnectionId, process: Pid) {
        self.processes.insert(id, process);
    }

    /// A client is gone.
    pub(crate) fn remove(&mut self, id: ConnectionId) {
        self.processes.remove(&id);
        if self.last == Some(id) {
            self.let_go();
        }
    }

    /// How long to wait at most, where a client is followed: then [`CoreAffinity::let_go`] is due.
    pub(crate) fn patience(&self) -> Option<Duration> {
        self.followed.as_ref().map(|_| PATIENCE)
    }

    /// This client has a request, and nobody else has anything; `waited` for that long.
    pub(crate) fn note(&mut self, id: ConnectionId, waited: Duration) {
        if self.last != Some(id) {
            self.let_go();
            self.last = Some(id);
            self.rest = 0;
        }
        if self.rest > 0 {
            self.rest -= 1;
            return;
        }
        self.row += 1;
        if self.followed.is_none() {
            if self.row >= ENGAGE {
                self.engage(id);
            }
            return;
        }
        if waited > SLOW {
            self.follow();
        }
        if self.row >= JUDGE {
            if self.moves > TOO_MANY {
                self.let_go();
                self.last = Some(id);
                self.rest = JUDGE * REST;
            }
            (self.row, self.moves) = (0, 0);
        }
    }

    /// Runs anywhere again.
    pub(crate) fn let_go(&mut self) {
        if self.followed.take().is_some()
            && let Some(all) = &self.all
            && let Err(error) = sched_setaffinity(None, all)
        {
            log::warn!("this process stays on one core: {error}");
        }
        self.last = None;
        (self.row, self.moves) = (0, 0);
    }

    fn engage(&mut self, id: ConnectionId) {
        (self.row, self.moves) = (0, 0);
        let Some(process) = self.processes.get(&id).filter(|_| self.all.is_some()) else {
            return;
        };
        let Ok(stat) = File::open(format!("/proc/{process}/stat")) else {
            return;
        };
        self.followed = Some(Followed { stat, core: usize::MAX });
        self.follow();
    }

    /// Goes where the client is.
    fn follow(&mut self) {
        let Some(followed) = &mut self.followed else {
            return;
        };
        let Some(core) = core_of(&followed.stat) else {
            self.let_go();
            return;
        };
        if followed.core == core {
            return;
        }
        let allowed = self
            .all
            .as_ref()
            .is_some_and(|all| core < CpuSet::MAX_CPU && all.is_set(core));
        let mut only = CpuSet::new();
        if allowed {
            only.set(core);
        }
        if allowed && sched_setaffinity(None, &only).is_ok() {
            followed.core = core;
            self.moves += 1;
        } else {
            self.let_go();
        }
    }
}

/// The core that a process ran on last.
fn core_of(stat: &File) -> Option<usize> {
    let mut buffer = [0; STAT_BYTES];
    let count = stat.read_at(&mut buffer, 0).ok()?;
    let text = str::from_utf8(buffer.get(..count)?).ok()?;
    // The name may have anything in it, but nothing behind it has a bracket.
    let (_, words) = text.rsplit_once(')')?;
    words.split_ascii_whitespace().nth(CORE_FIELD)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection that is this process.
    fn following() -> (CoreAffinity, ConnectionId) {
        let id = ConnectionId::from_number(1);
        let mut affinity = CoreAffinity::new();
        affinity.add(id, rustix::process::getpid());
        (affinity, id)
    }

    #[test]
    fn a_process_is_on_a_core_that_it_may_use() {
        let stat = File::open("/proc/self/stat").unwrap();
        let core = core_of(&stat).unwrap();
        assert!(sched_getaffinity(None).unwrap().is_set(core));
    }

    #[test]
    fn one_client_is_followed_until_another_has_something() {
        let (mut affinity, id) = following();
        let before = sched_getaffinity(None).unwrap();
        for _ in 0..ENGAGE {
            assert!(affinity.patience().is_none());
            affinity.note(id, Duration::ZERO);
        }
        if before.count() == 1 {
            return;
        }
        assert!(affinity.patience().is_some());
        assert_eq!(sched_getaffinity(None).unwrap().count(), 1);
        affinity.note(ConnectionId::from_number(2), Duration::ZERO);
        assert!(affinity.patience().is_none());
        assert_eq!(sched_getaffinity(None).unwrap(), before);
    }

    #[test]
    fn who_is_moved_again_and_again_is_left_alone() {
        let (mut affinity, id) = following();
        let before = sched_getaffinity(None).unwrap();
        for _ in 0..ENGAGE + JUDGE {
            // As if it were somewhere else each time.
            if let Some(followed) = &mut affinity.followed {
                followed.core = usize::MAX;
            }
            affinity.note(id, SLOW * 2);
        }
        for _ in 0..JUDGE {
            affinity.note(id, SLOW * 2);
            assert_eq!(sched_getaffinity(None).unwrap(), before);
        }
    }

    #[test]
    fn who_thinks_between_its_requests_is_followed_on() {
        let (mut affinity, id) = following();
        for _ in 0..ENGAGE + 10 * JUDGE {
            affinity.note(id, SLOW * 20);
        }
        assert_eq!(affinity.patience().is_some(), affinity.all.is_some());
    }
}
