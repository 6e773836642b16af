//! The operations on nodes. The same code serves requests by themselves, requests of a transaction, and the replay of a
//! transaction: it changes a tree that it is given, tells what owners are charged with, and what happened to which node.
//!
//! Each one either does all of what it was asked, or nothing.

mod admission;
mod changes;
mod listing;
mod ownership;

use alloc::string::String;
use alloc::vec::Vec;

use xen::DomId;
use xen::store::wire::MAX_PAYLOAD;
use xen::store::{Operation, StoreError};

use crate::Path;
use crate::domains::{Charges, Domains};
use crate::effects::Effects;
use crate::permissions::Actor;
use crate::policy::Policy;
use crate::quota::Quota;
use crate::request::{append, exactly, first_string, number, only_string};
use crate::tree::Tree;
use listing::{list, list_part};

/// Why an operation was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// As the protocol has it.
    Plain(StoreError),
    /// A quota of a domain is used up.
    Quota {
        domid: DomId,
        quota: Quota,
        used: usize,
        limit: usize,
    },
    /// The policy, by the rule of this name.
    Denied(&'static str),
}

impl Refusal {
    /// What the client is told.
    pub(crate) const fn error(self) -> StoreError {
        match self {
            Self::Plain(error) => error,
            Self::Quota {
                quota: Quota::Watches, ..
            } => StoreError::TooBig,
            Self::Quota {
                quota: Quota::PathLength,
                ..
            } => StoreError::Invalid,
            Self::Quota { .. } => StoreError::NoSpace,
            Self::Denied(_) => StoreError::Access,
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Plain(error)
    }
}

/// Whether an operation is one of those on nodes.
pub(crate) const fn is_on_nodes(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::Directory
            | Operation::DirectoryPart
            | Operation::Read
            | Operation::GetPermissions
            | Operation::Write
            | Operation::Mkdir
            | Operation::Rm
            | Operation::SetPermissions
    )
}

/// What an operation works on.
#[derive(Debug)]
pub(crate) struct Operations<'a> {
    pub(crate) tree: &'a mut Tree,
    pub(crate) domains: &'a mut Domains,
    pub(crate) policy: &'a Policy,
    pub(crate) actor: Actor,
    /// Where relative paths begin.
    pub(crate) home: &'a str,
    /// Of the last change.
    pub(crate) generation: &'a mut u64,
    /// What was done and is not yet in the domains' use.
    pub(crate) charges: &'a mut Charges,
    pub(crate) effects: &'a mut Effects,
    /// Bytes of old nodes that other trees keep because of the changes.
    pub(crate) copied: usize,
    /// What the answer rests on beside the tree: which domains the named numbers stand for.
    pub(crate) witness: u64,
    /// Domains that became known.
    pub(crate) known: Vec<DomId>,
    /// For paths; what is in it is of no interest.
    pub(crate) buffer: String,
}

type Outcome = Result<(), Refusal>;

impl Operations<'_> {
    /// Does what a request asks. `answer`, empty at first, is what the client gets. It is empty after a refusal, too.
    pub(crate) fn execute(&mut self, operation: Operation, payload: &[u8], answer: &mut Vec<u8>) -> Outcome {
        let mut buffer = core::mem::take(&mut self.buffer);
        let outcome = self.dispatch(operation, payload, answer, &mut buffer);
        self.buffer = buffer;
        let outcome = match outcome {
            Ok(()) if answer.len() > MAX_PAYLOAD => Err(StoreError::TooBig.into()),
            outcome => outcome,
        };
        if outcome.is_err() {
            answer.clear();
        }
        outcome
    }

    fn dispatch(&mut self, operation: Operation, payload: &[u8], answer: &mut Vec<u8>, buffer: &mut String) -> Outcome {
        match operation {
            Operation::Read => {
                let path = self.path(only_string(payload)?, buffer)?;
                let node = self.readable(path)?;
                answer.extend_from_slice(node.value());
            }
            Operation::Directory => {
                let path = self.path(only_string(payload)?, buffer)?;
                let node = self.readable(path)?;
                list(node, answer);
            }
            Operation::DirectoryPart => {
                let [text, offset] = exactly(payload)?;
                let path = self.path(text, buffer)?;
                let node = self.readable(path)?;
                list_part(node, number(offset)?, answer);
            }
            Operation::GetPermissions => {
                let path = self.path_or_special(only_string(payload)?, buffer)?;
                let node = self.readable(path)?;
                for entry in node.permissions.iter() {
                    append(answer, format_args!("{}\0", entry.permission()));
                }
            }
            Operation::Write => {
                let (text, value) = first_string(payload)?;
                let path = self.path(text, buffer)?;
                self.write(path, value)?;
                answer.extend_from_slice(b"OK\0");
            }
            Operation::Mkdir => {
                let path = self.path(only_string(payload)?, buffer)?;
                self.make_directory(path)?;
                answer.extend_from_slice(b"OK\0");
            }
            Operation::Rm => {
                let path = self.path(only_string(payload)?, buffer)?;
                self.remove(path)?;
                answer.extend_from_slice(b"OK\0");
            }
            Operation::SetPermissions => {
                let (text, rest) = first_string(payload)?;
                let entries = self.parse_permissions(rest)?;
                let path = self.path_or_special(text, buffer)?;
                self.set_permissions(path, &entries)?;
                answer.extend_from_slice(b"OK\0");
            }
            _ => return Err(StoreError::NotImplemented.into()),
        }
        Ok(())
    }

    /// A path as a client wrote it; special names are none.
    fn path<'b>(&self, text: &'b [u8], buffer: &'b mut String) -> Result<Path<'b>, Refusal> {
        let path = self.path_or_special(text, buffer)?;
        if path.is_special() {
            return Err(StoreError::Invalid.into());
        }
        Ok(path)
    }

    /// A path or a special name.
    pub(crate) fn path_or_special<'b>(&self, text: &'b [u8], buffer: &'b mut String) -> Result<Path<'b>, Refusal> {
        let path = Path::resolve(text, self.home, buffer).ok_or(StoreError::Invalid)?;
        if !self.actor.privileged {
            self.limit(Quota::PathLength, path.counted_length())?;
        }
        Ok(path)
    }

    /// Checks a quota of the actor itself.
    fn limit(&self, quota: Quota, used: usize) -> Outcome {
        self.limit_of(self.actor.domid, quota, used)
    }

    fn limit_of(&self, domid: DomId, quota: Quota, used: usize) -> Outcome {
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
}
