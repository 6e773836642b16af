//! What the core asks of this host.

use std::time::Instant;

use xen::DomId;
use xen::store::StoreError;
use xenstore_guard_core::{Change, Environment};

use crate::rings::Rings;

/// The host: rings where there are some, and a clock.
pub(crate) struct Host {
    pub(crate) rings: Option<Rings>,
    start: Instant,
}

impl Host {
    pub(crate) fn new(rings: Option<Rings>) -> Self {
        Self {
            rings,
            start: Instant::now(),
        }
    }
}

impl Environment for Host {
    fn introduce(&mut self, domid: DomId, _ring: u64, port: u32) -> Result<(), StoreError> {
        let Some(rings) = &mut self.rings else {
            log::warn!("domain {domid}: not introduced: this host has no /dev/xen, and there is no --rings");
            return Err(StoreError::Invalid);
        };
        rings.introduce(domid, port)
    }

    fn release(&mut self, domid: DomId) {
        if let Some(rings) = &mut self.rings {
            rings.release(domid);
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// The state goes to a file at the end, as a whole.
    fn journal(&mut self, _: &Change<'_>) {}

    fn keeps_journal(&self) -> bool {
        false
    }

    fn control(&mut self, _: &[&[u8]]) -> Option<Result<Vec<u8>, StoreError>> {
        None
    }
}
