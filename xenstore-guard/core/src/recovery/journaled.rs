//! An environment that keeps the journal.

use alloc::vec::Vec;

use xen::DomId;
use xen::store::StoreError;

use super::journal::{Recovery, RecoveryError};
use super::region::RecoveryBox;
use crate::{Change, Environment, Server};

/// An environment whose changes go into the recovery box.
pub(super) struct Journaled<'a, B> {
    pub(super) environment: &'a mut dyn Environment,
    pub(super) recovery: &'a mut Recovery<B>,
}

impl<B: RecoveryBox> Environment for Journaled<'_, B> {
    fn introduce(&mut self, domid: DomId, ring: u64, port: u32) -> Result<(), StoreError> {
        // The indices of a ring that is introduced again begin anew.
        self.recovery.forget_ring_of(domid);
        self.environment.introduce(domid, ring, port)
    }

    fn release(&mut self, domid: DomId) {
        self.environment.release(domid);
    }

    fn now(&self) -> u64 {
        self.environment.now()
    }

    fn journal(&mut self, change: &Change<'_>) {
        self.recovery.journal(change);
        self.environment.journal(change);
    }

    fn control(&mut self, words: &[&[u8]]) -> Option<Result<Vec<u8>, StoreError>> {
        self.environment.control(words)
    }
}

impl<B: RecoveryBox> Recovery<B> {
    /// Puts what was journaled into the box, with a snapshot where the journal is full.
    ///
    /// # Errors
    /// [`RecoveryError`]: what was journaled will not survive a crash.
    pub fn keep(&mut self, server: &Server) -> Result<(), RecoveryError> {
        match self.commit() {
            Ok(()) => Ok(()),
            Err(_) => self.compact(server.state()),
        }
    }
}

/// Has the server do something else than serve a ring (a domain died, a ring failed, a socket was closed), and keeps what that changed.
/// What `action` returned, and why the change will not survive a crash, if it will not.
pub fn perform<B: RecoveryBox, T>(
    server: &mut Server,
    recovery: &mut Recovery<B>,
    environment: &mut dyn Environment,
    action: impl FnOnce(&mut Server, &mut dyn Environment) -> T,
) -> (T, Option<RecoveryError>) {
    let mut journaled = Journaled { environment, recovery };
    let done = action(server, &mut journaled);
    (done, recovery.keep(server).err())
}
