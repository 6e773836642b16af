//! What the core asks of whoever runs it.

use alloc::vec::Vec;

use xen::DomId;
use xen::store::StoreError;

use crate::Change;

/// What the server needs of whoever runs it. All calls come from within [`Server::process`](crate::Server::process) and the
/// few other functions that take an environment.
pub trait Environment {
    /// Maps the ring of a domain and binds its event channel. A domain that is served already has them renewed, and its ring's
    /// indices set to zero.
    ///
    /// # Errors
    /// What the client that asked is told.
    fn introduce(&mut self, domid: DomId, ring: u64, port: u32) -> Result<(), StoreError>;

    /// Unmaps a domain's ring and closes its event channel; its connection is gone.
    fn release(&mut self, domid: DomId);

    /// Nanoseconds of a clock that never goes back.
    fn now(&self) -> u64;

    /// Takes a durable change, in order, before the client is answered.
    fn journal(&mut self, change: &Change<'_>);

    /// Whether anybody keeps what [`Environment::journal`] tells. Where not, it is not told of most changes.
    fn keeps_journal(&self) -> bool {
        true
    }

    /// A CONTROL command that the core does not know; none where the environment does not know it either.
    fn control(&mut self, words: &[&[u8]]) -> Option<Result<Vec<u8>, StoreError>>;
}
