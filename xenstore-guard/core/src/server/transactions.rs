//! Requests that begin and end transactions, and those within.

use alloc::vec::Vec;

use log::info;
use xen::DomId;
use xen::store::{Operation, StoreError};

use super::requests::{Done, Outcome};
use super::{Server, actor_of};
use crate::guard::PATIENCE;
use crate::operations::Refusal;
use crate::quota::Quota;
use crate::request::{append, only_string};
use crate::state::ConnectionId;
use crate::transaction::{Committed, Conflict, Terms, Transaction};
use crate::{Change, Environment};

impl Server {
    pub(super) fn start_transaction(
        &mut self,
        id: ConnectionId,
        within: u32,
        answer: &mut Vec<u8>,
        env: &mut dyn Environment,
    ) -> Outcome {
        if within != 0 {
            return Err(StoreError::Busy.into());
        }
        let connection = self.connections.get(id).ok_or(StoreError::InputOutput)?;
        let domid = connection.domid();
        if !connection.is_privileged() {
            self.limit(domid, Quota::Transactions, connection.transactions.len() + 1)?;
        }
        let connection = self.connections.get_mut(id).ok_or(StoreError::InputOutput)?;
        let number = connection.new_transaction();
        connection.transactions.insert(number, Transaction::new(&self.base));
        if connection.failures >= PATIENCE && !connection.in_the_way.is_empty() {
            self.guard.begin(id, number, &connection.in_the_way, env.now());
        }
        env.journal(&Change::TransactionOpen {
            connection: id,
            id: number,
        });
        append(answer, format_args!("{number}\0"));
        Ok(Done::All)
    }

    /// An operation on nodes within a transaction.
    pub(super) fn execute_in_transaction(
        &mut self,
        id: ConnectionId,
        number: u32,
        operation: Operation,
        payload: &[u8],
        answer: &mut Vec<u8>,
        env: &mut dyn Environment,
    ) -> Outcome {
        let connection = self.connections.get_mut(id).ok_or(StoreError::InputOutput)?;
        let (domid, privileged) = (connection.domid(), connection.is_privileged());
        let transaction = connection.transactions.get_mut(&number).ok_or(StoreError::NotFound)?;
        if !privileged && let Some(domain) = self.domains.get(domid) {
            let checks = [
                (Quota::TransactionOperations, transaction.operations() + 1),
                (Quota::Memory, domain.usage.memory()),
            ];
            for (quota, used) in checks {
                let limit = domain.limit(quota);
                if used > limit {
                    // As C xenstored: what is not known as a whole is not committed.
                    transaction.spoil(StoreError::NoSpace);
                    return Err(Refusal::Quota {
                        domid,
                        quota,
                        used,
                        limit,
                    });
                }
            }
        }
        let before = transaction.bytes;
        let mut known = Vec::new();
        let mut terms = Terms {
            actor: actor_of(domid, &self.domains),
            domains: &mut self.domains,
            policy: &self.policy,
            home: &connection.home,
            known: &mut known,
        };
        let outcome = transaction.execute(&mut self.base, &mut terms, operation, payload, answer);
        let more = transaction.bytes - before;
        if let Some(domain) = self.domains.get_mut(domid) {
            domain.usage.transaction_bytes += more;
        }
        self.note_known(&known, env);
        outcome.map(|()| Done::All)
    }

    pub(super) fn end_transaction(
        &mut self,
        id: ConnectionId,
        number: u32,
        payload: &[u8],
        env: &mut dyn Environment,
    ) -> Result<(), Refusal> {
        let commit = match only_string(payload)? {
            b"T" => true,
            b"F" => false,
            _ => return Err(StoreError::Invalid.into()),
        };
        let connection = self.connections.get_mut(id).ok_or(StoreError::InputOutput)?;
        let domid = connection.domid();
        let transaction = connection.transactions.remove(&number).ok_or(StoreError::NotFound)?;
        let home = connection.home.clone();
        if let Some(domain) = self.domains.get_mut(domid) {
            let usage = &mut domain.usage;
            usage.transaction_bytes = usage.transaction_bytes.saturating_sub(transaction.bytes);
        }
        self.guard.end(id, Some(number));
        let mut known = Vec::new();
        let outcome = if commit {
            let mut terms = Terms {
                actor: actor_of(domid, &self.domains),
                domains: &mut self.domains,
                policy: &self.policy,
                home: &home,
                known: &mut known,
            };
            transaction.commit(&mut self.base, &mut terms).map(Some)
        } else {
            Ok(None)
        };
        self.note_known(&known, env);
        let closed = Change::TransactionClosed {
            connection: id,
            id: number,
        };
        match outcome {
            Ok(Some(committed)) => {
                self.count_success(id);
                self.take_over(committed, &closed, env);
                Ok(())
            }
            Ok(None) => {
                env.journal(&closed);
                Ok(())
            }
            Err(conflict) => {
                self.count_failure(id, conflict);
                env.journal(&closed);
                Err(conflict.error.into())
            }
        }
    }

    /// Makes a transaction's tree the tree of all.
    fn take_over(&mut self, committed: Committed, closed: &Change<'_>, env: &mut dyn Environment) {
        let Committed {
            tree,
            charges,
            effects,
            copied,
        } = committed;
        if effects.is_empty() {
            env.journal(closed);
            return;
        }
        self.base.tree = tree;
        self.base.version += 1;
        self.base.retained = self.base.retained.saturating_add(copied);
        charges.apply(&mut self.domains);
        env.journal(&Change::Begin);
        self.journal_each(&effects, env);
        env.journal(closed);
        env.journal(&Change::End);
        self.fire(&effects, env);
    }

    fn count_success(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.failures = 0;
            connection.in_the_way.clear();
        }
    }

    /// Notes who was in the way of a privileged connection's commit.
    fn count_failure(&mut self, id: ConnectionId, conflict: Conflict) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        if !connection.is_privileged() || conflict.error != StoreError::Again {
            return;
        }
        connection.failures = connection.failures.saturating_add(1);
        if let Some(writer) = conflict.writer
            && writer != DomId::INITIAL
            && !connection.in_the_way.contains(&writer)
        {
            connection.in_the_way.push(writer);
        }
        if connection.failures == PATIENCE && !connection.in_the_way.is_empty() {
            info!(
                "{PATIENCE} transactions in a row failed because of writes of {}: these wait during the next one",
                Names(&connection.in_the_way)
            );
        }
    }
}

/// Domains, for a log.
struct Names<'a>(&'a [DomId]);

impl core::fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        for (index, domid) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}domain {domid}")?;
        }
        Ok(())
    }
}
