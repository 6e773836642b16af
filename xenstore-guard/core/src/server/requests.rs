//! Requests: which operation does what, and who may ask for it.

use alloc::vec::Vec;

use xen::DomId;
use xen::store::wire::Header;
use xen::store::{Operation, StoreError};

use super::Server;
use crate::domains::FEATURE_WATCH_DEPTH;
use crate::operations::{Operations, Refusal, is_on_nodes};
use crate::path::Path;
use crate::quota::Quota;
use crate::request::{exactly, number, strings};
use crate::state::ConnectionId;
use crate::watch::{self, WatchId};
use crate::{Change, Environment};

/// What is left to do after the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    All,
    /// A new watch fires once.
    Watching(WatchId),
}

pub(super) type Outcome = Result<Done, Refusal>;

/// Whether only the privileged may ask for an operation.
const fn is_privileged(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::Control
            | Operation::Introduce
            | Operation::Release
            | Operation::IsDomainIntroduced
            | Operation::Resume
            | Operation::SetTarget
            | Operation::SetFeature
            | Operation::GetQuota
            | Operation::SetQuota
    )
}

impl Server {
    pub(super) fn dispatch(
        &mut self,
        id: ConnectionId,
        header: Header,
        payload: &[u8],
        answer: &mut Vec<u8>,
        env: &mut dyn Environment,
    ) -> Outcome {
        let operation = Operation::from_number(header.operation)
            .filter(|operation| !matches!(operation, Operation::WatchEvent | Operation::Error))
            .ok_or(StoreError::NotImplemented)?;
        let connection = self.connections.get(id).ok_or(StoreError::InputOutput)?;
        if is_privileged(operation) && !connection.is_privileged() {
            return Err(StoreError::Access.into());
        }
        let transaction = header.transaction;
        let ignores_transaction = matches!(operation, Operation::Watch | Operation::Unwatch);
        if transaction != 0 && !ignores_transaction && !connection.transactions.contains_key(&transaction) {
            return Err(StoreError::NotFound.into());
        }
        if is_on_nodes(operation) {
            return match transaction {
                0 => self.execute(id, operation, payload, answer, env),
                _ => self.execute_in_transaction(id, transaction, operation, payload, answer, env),
            };
        }
        match operation {
            Operation::Watch => return self.watch(id, payload, answer, env),
            Operation::Unwatch => self.unwatch(id, payload, env)?,
            Operation::ResetWatches => {
                self.clear_watches_and_transactions(id);
                env.journal(&Change::Reset { connection: id });
            }
            Operation::TransactionStart => return self.start_transaction(id, transaction, answer, env),
            Operation::TransactionEnd => self.end_transaction(id, transaction, payload, env)?,
            Operation::Introduce => self.introduce(payload, env)?,
            Operation::Release => self.release(payload, env)?,
            Operation::Resume => self.resume(payload, env)?,
            Operation::SetTarget => self.set_target(payload, env)?,
            Operation::SetFeature => self.set_features(payload, env)?,
            Operation::SetQuota => self.set_quota(payload, env)?,
            Operation::GetDomainPath => return domain_path(payload, answer),
            Operation::IsDomainIntroduced => return self.is_introduced(payload, answer),
            Operation::GetFeature => return self.get_features(id, payload, answer),
            Operation::GetQuota => return self.get_quota(payload, answer),
            Operation::Control => return self.control(payload, answer, env),
            _ => return Err(StoreError::NotImplemented.into()),
        }
        answer.extend_from_slice(b"OK\0");
        Ok(Done::All)
    }

    /// An operation on nodes, by itself.
    fn execute(
        &mut self,
        id: ConnectionId,
        operation: Operation,
        payload: &[u8],
        answer: &mut Vec<u8>,
        env: &mut dyn Environment,
    ) -> Outcome {
        let (Some(connection), Some(actor)) = (self.connections.get(id), self.actor(id)) else {
            return Err(StoreError::InputOutput.into());
        };
        let mut charges = core::mem::take(&mut self.scratch.charges);
        let mut effects = core::mem::take(&mut self.scratch.effects);
        charges.clear();
        effects.clear();
        let mut operations = Operations {
            tree: &mut self.base.tree,
            domains: &mut self.domains,
            policy: &self.policy,
            actor,
            home: &connection.home,
            generation: &mut self.base.generation,
            charges: &mut charges,
            effects: &mut effects,
            copied: 0,
            witness: 0,
            known: Vec::new(),
            buffer: core::mem::take(&mut self.scratch.path),
        };
        let outcome = operations.execute(operation, payload, answer);
        let (copied, known) = (operations.copied, core::mem::take(&mut operations.known));
        self.scratch.path = core::mem::take(&mut operations.buffer);
        self.base.retained = self.base.retained.saturating_add(copied);
        self.note_known(&known, env);
        if !effects.is_empty() {
            charges.apply(&mut self.domains);
            self.base.version += 1;
            self.journal_effects(&effects, env);
            self.fire(&effects, env);
            effects.clear();
        }
        self.scratch.charges = charges;
        self.scratch.effects = effects;
        outcome.map(|()| Done::All)
    }

    /// The path of a watch as a client wrote it, and how many bytes of it the client did not write.
    fn watched_path<'b>(
        &self,
        id: ConnectionId,
        text: &'b [u8],
        buffer: &'b mut alloc::string::String,
    ) -> Result<(Path<'b>, usize), Refusal> {
        let connection = self.connections.get(id).ok_or(StoreError::InputOutput)?;
        let path = Path::resolve(text, &connection.home, buffer).ok_or(StoreError::Invalid)?;
        if !connection.is_privileged() {
            self.limit(connection.domid(), Quota::PathLength, path.counted_length())?;
        }
        Ok((path, path.as_str().len() - text.len()))
    }

    /// Checks a quota of a domain.
    pub(super) fn limit(&self, domid: DomId, quota: Quota, used: usize) -> Result<(), Refusal> {
        match self.domains.get(domid) {
            Some(domain) if used > domain.limit(quota) => Err(Refusal::Quota {
                domid,
                quota,
                used,
                limit: domain.limit(quota),
            }),
            _ => Ok(()),
        }
    }

    fn watch(&mut self, id: ConnectionId, payload: &[u8], answer: &mut Vec<u8>, env: &mut dyn Environment) -> Outcome {
        let connection = self.connections.get(id).ok_or(StoreError::InputOutput)?;
        let (domid, privileged) = (connection.domid(), connection.is_privileged());
        let mut texts = strings(payload);
        let (Some(text), Some(token)) = (texts.next(), texts.next()) else {
            return Err(StoreError::Invalid.into());
        };
        let depth = match (texts.next(), texts.next()) {
            (None, _) => None,
            (Some(depth), None) if self.features(domid) & FEATURE_WATCH_DEPTH != 0 => Some(number(depth)?),
            _ => return Err(StoreError::Invalid.into()),
        };
        let mut buffer = core::mem::take(&mut self.scratch.path);
        let (path, implied) = self.watched_path(id, text, &mut buffer)?;
        if self.watches.find(id, path, token).is_some() {
            return Err(StoreError::Exists.into());
        }
        let charge = watch::charge(path, token);
        if !privileged && let Some(domain) = self.domains.get(domid) {
            self.limit(domid, Quota::Watches, domain.usage.watches + 1)?;
            self.limit(domid, Quota::Memory, domain.usage.memory() + charge)?;
        }
        let watch = self.watches.add(id, path, implied, token, depth);
        env.journal(&Change::Watch {
            connection: id,
            path: path.as_str().get(implied..).unwrap_or_default(),
            token,
            depth,
        });
        self.scratch.path = buffer;
        if let Some(connection) = self.connections.get_mut(id) {
            connection.watches.insert(watch);
        }
        if let Some(domain) = self.domains.get_mut(domid) {
            domain.usage.watches += 1;
            domain.usage.watch_bytes += charge;
        }
        answer.extend_from_slice(b"OK\0");
        Ok(Done::Watching(watch))
    }

    fn unwatch(&mut self, id: ConnectionId, payload: &[u8], env: &mut dyn Environment) -> Result<(), Refusal> {
        let [text, token] = exactly(payload)?;
        let mut buffer = alloc::string::String::new();
        let (path, _) = self.watched_path(id, text, &mut buffer)?;
        let watch = self.watches.find(id, path, token).ok_or(StoreError::NotFound)?;
        let removed = self.watches.remove(watch).ok_or(StoreError::NotFound)?;
        if let Some(connection) = self.connections.get_mut(id) {
            connection.watches.remove(&watch);
            let domid = connection.domid();
            if let Some(domain) = self.domains.get_mut(domid) {
                domain.usage.watches = domain.usage.watches.saturating_sub(1);
                domain.usage.watch_bytes = domain.usage.watch_bytes.saturating_sub(removed.charge());
            }
        }
        env.journal(&Change::Unwatch {
            connection: id,
            path: removed.as_told(removed.path()),
            token,
        });
        Ok(())
    }
}

fn domain_path(payload: &[u8], answer: &mut Vec<u8>) -> Outcome {
    let domid = crate::request::domid(crate::request::only_string(payload)?)?;
    crate::request::append(answer, format_args!("/local/domain/{domid}\0"));
    Ok(Done::All)
}
