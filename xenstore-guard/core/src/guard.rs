//! Lets a privileged connection finish whose transactions others keep failing (XSA-206 was a guest that did so on purpose).
//!
//! After three failures in a row, the writes of the unprivileged domains that were in the way wait while the connection's
//! next transaction is open, for 200 ms at most. Nothing else ever makes one client wait for another.

use alloc::vec::Vec;

use xen::DomId;
use xen::store::Operation;

use crate::state::ConnectionId;

/// Failures in a row before others wait.
pub(crate) const PATIENCE: u32 = 3;
/// How long they wait at most, in nanoseconds.
const WAIT: u64 = 200_000_000;

/// Who waits for whom.
#[derive(Debug, Default)]
pub(crate) struct Guard {
    stays: Vec<Stay>,
    /// The last time that was told, while somebody waits.
    now: u64,
}

#[derive(Debug)]
struct Stay {
    connection: ConnectionId,
    transaction: u32,
    waiting: Vec<DomId>,
    until: u64,
}

impl Guard {
    /// Has domains wait for a transaction.
    pub(crate) fn begin(&mut self, connection: ConnectionId, transaction: u32, waiting: &[DomId], now: u64) {
        self.advance(now);
        self.stays.push(Stay {
            connection,
            transaction,
            waiting: waiting.to_vec(),
            until: now.saturating_add(WAIT),
        });
    }

    /// A connection's transaction ended; none for all of them.
    pub(crate) fn end(&mut self, connection: ConnectionId, transaction: Option<u32>) {
        self.stays.retain(|stay| {
            stay.connection != connection || transaction.is_some_and(|transaction| transaction != stay.transaction)
        });
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.stays.is_empty()
    }

    /// Tells the time.
    pub(crate) fn advance(&mut self, now: u64) {
        self.now = now;
        self.stays.retain(|stay| now < stay.until);
    }

    /// When the first wait ends by itself.
    pub(crate) fn ends_at(&self) -> Option<u64> {
        self.stays.iter().map(|stay| stay.until).min()
    }

    /// Whether a request of an unprivileged domain has to wait.
    pub(crate) fn holds(&self, domid: DomId, operation: u32) -> bool {
        !self.stays.is_empty()
            && matches!(
                Operation::from_number(operation),
                Some(
                    Operation::Write
                        | Operation::Mkdir
                        | Operation::Rm
                        | Operation::SetPermissions
                        | Operation::TransactionEnd
                )
            )
            && self
                .stays
                .iter()
                .any(|stay| self.now < stay.until && stay.waiting.contains(&domid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_wait_for_200_ms_at_most() {
        let connection = ConnectionId::from_number(1);
        let mut guard = Guard::default();
        guard.begin(connection, 5, &[DomId(7)], 1000);
        assert!(guard.holds(DomId(7), Operation::Write as u32));
        assert!(!guard.holds(DomId(7), Operation::Read as u32));
        assert!(!guard.holds(DomId(8), Operation::Write as u32));
        assert_eq!(guard.ends_at(), Some(1000 + WAIT));
        guard.advance(1000 + WAIT);
        assert!(guard.is_idle());
        assert!(!guard.holds(DomId(7), Operation::Write as u32));
    }

    #[test]
    fn the_wait_ends_with_the_transaction() {
        let connection = ConnectionId::from_number(1);
        let mut guard = Guard::default();
        guard.begin(connection, 5, &[DomId(7)], 0);
        guard.begin(connection, 6, &[DomId(7)], 0);
        guard.end(connection, Some(5));
        assert!(guard.holds(DomId(7), Operation::Rm as u32));
        guard.end(connection, None);
        assert!(!guard.holds(DomId(7), Operation::Rm as u32));
    }
}
