//! Transactions: a copy of the tree to work on, and a log of what was asked and answered.
//!
//! A commit succeeds if everything that was asked in the transaction would be answered the same now. Where nothing else
//! changed in the meantime, that needs no look; else the log is replayed on the tree as it is. So adding children commutes,
//! and transactions about different nodes never meet.

use alloc::string::String;
use alloc::vec::Vec;

use xen::DomId;
use xen::store::{Operation, StoreError};

use crate::Path;
use crate::domains::{Charges, Domains};
use crate::effects::Effects;
use crate::operations::{Operations, Refusal};
use crate::permissions::Actor;
use crate::policy::Policy;
use crate::request::first_string;
use crate::tree::Tree;

/// Old nodes that open transactions keep are at most about this many bytes, for all transactions together. A transaction
/// whose copy is older than so many bytes of changes loses it; when it goes on, its log is replayed on a new one.
pub(crate) const RETAINED: usize = 4 * 1024 * 1024;

/// What a record of the log takes beside its bytes.
const RECORD_BYTES: usize = size_of::<Record>();

/// Room for the records, and for the bytes, of most transactions.
const FIRST_RECORDS: usize = 32;
const FIRST_BYTES: usize = 2048;

/// A transaction.
#[derive(Debug)]
pub(crate) struct Transaction {
    work: Option<Work>,
    log: Log,
    /// It cannot be committed any more, and why.
    spoiled: Option<Conflict>,
    /// What its owner is charged with.
    pub(crate) bytes: usize,
}

/// The copy that a transaction works on.
#[derive(Debug)]
struct Work {
    tree: Tree,
    charges: Charges,
    effects: Effects,
    /// [`Base::version`] of the tree that it is a copy of.
    version: u64,
    /// [`Base::retained`] at that time.
    retained: usize,
}

/// The tree that transactions begin with and end in.
#[derive(Debug)]
pub(crate) struct Base {
    pub(crate) tree: Tree,
    /// Grows with each change of the tree, and when a domain comes or goes.
    pub(crate) version: u64,
    /// Of the last change of any tree.
    pub(crate) generation: u64,
    /// Bytes of old nodes that copies may keep, from the beginning of time.
    pub(crate) retained: usize,
}

/// Why a commit is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Conflict {
    pub(crate) error: StoreError,
    /// Who wrote what was in the way.
    pub(crate) writer: Option<DomId>,
}

/// A committed transaction.
#[derive(Debug)]
pub(crate) struct Committed {
    pub(crate) tree: Tree,
    pub(crate) charges: Charges,
    pub(crate) effects: Effects,
    pub(crate) copied: usize,
}

/// Who works in a transaction, and under which rules.
#[derive(Debug)]
pub(crate) struct Terms<'a> {
    pub(crate) domains: &'a mut Domains,
    pub(crate) policy: &'a Policy,
    pub(crate) actor: Actor,
    pub(crate) home: &'a str,
    /// Domains that became known.
    pub(crate) known: &'a mut Vec<DomId>,
}

impl Transaction {
    pub(crate) fn new(base: &Base) -> Self {
        Self {
            work: Some(Work::new(base)),
            log: Log::default(),
            spoiled: None,
            bytes: 0,
        }
    }

    /// One of which nothing but its number is known (after a restart): it ends with EAGAIN.
    pub(crate) fn lost() -> Self {
        Self {
            work: None,
            log: Log::default(),
            spoiled: Some(Conflict {
                error: StoreError::Again,
                writer: None,
            }),
            bytes: 0,
        }
    }

    /// Operations done in it.
    pub(crate) fn operations(&self) -> usize {
        self.log.records.len()
    }

    /// No commit any more.
    pub(crate) fn spoil(&mut self, error: StoreError) {
        self.spoiled = Some(Conflict { error, writer: None });
    }

    /// Gives up the copy if it is so old that it keeps too much.
    pub(crate) fn give_up_old_copy(&mut self, base: &Base) {
        if let Some(work) = &self.work
            && base.retained.wrapping_sub(work.retained) > RETAINED
        {
            self.work = None;
        }
    }

    /// Does an operation in it.
    pub(crate) fn execute(
        &mut self,
        base: &mut Base,
        terms: &mut Terms<'_>,
        operation: Operation,
        payload: &[u8],
        answer: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        let mut work = match self.work.take() {
            Some(work) => work,
            None => self.begin_again(base, terms),
        };
        let (outcome, witness, copied) = work.execute(&mut base.generation, terms, operation, payload, answer);
        self.log.push(operation, payload, outcome, witness, answer);
        self.bytes += RECORD_BYTES + payload.len() + answer.len() + copied;
        self.work = Some(work);
        outcome
    }

    /// A new copy with everything done on it that was done so far.
    fn begin_again(&mut self, base: &mut Base, terms: &mut Terms<'_>) -> Work {
        let mut work = Work::new(base);
        if let Err(conflict) = self.log.replay(&mut work, base, terms) {
            self.spoiled.get_or_insert(conflict);
            // What comes now is answered by the tree as it is.
            work = Work::new(base);
        }
        work
    }

    /// Ends it. The base's tree stays as it is; the caller takes what is committed over.
    pub(crate) fn commit(mut self, base: &mut Base, terms: &mut Terms<'_>) -> Result<Committed, Conflict> {
        if let Some(conflict) = self.spoiled {
            return Err(conflict);
        }
        // What the copy shares with older ones is no more than what was copied for it.
        let mut copied = self.bytes;
        let work = match self.work.take() {
            Some(work) if work.version == base.version => work,
            // What was only read held together when it was read.
            Some(work) if work.effects.is_empty() => work,
            _ => {
                let mut work = Work::new(base);
                copied = self.log.replay(&mut work, base, terms)?;
                work
            }
        };
        Ok(Committed {
            tree: work.tree,
            charges: work.charges,
            effects: work.effects,
            copied,
        })
    }
}

impl Work {
    fn new(base: &Base) -> Self {
        Self {
            tree: base.tree.clone(),
            charges: Charges::default(),
            effects: Effects::default(),
            version: base.version,
            retained: base.retained,
        }
    }

    /// Also tells the witness, and how many bytes of nodes were copied.
    fn execute(
        &mut self,
        generation: &mut u64,
        terms: &mut Terms<'_>,
        operation: Operation,
        payload: &[u8],
        answer: &mut Vec<u8>,
    ) -> (Result<(), Refusal>, u64, usize) {
        let before = self.effects.bytes();
        let mut operations = Operations {
            tree: &mut self.tree,
            domains: terms.domains,
            policy: terms.policy,
            actor: terms.actor,
            home: terms.home,
            generation,
            charges: &mut self.charges,
            effects: &mut self.effects,
            copied: 0,
            witness: 0,
            known: Vec::new(),
            buffer: String::new(),
        };
        let outcome = operations.execute(operation, payload, answer);
        let (witness, copied) = (operations.witness, operations.copied);
        terms.known.append(&mut operations.known);
        (outcome, witness, copied + self.effects.bytes() - before)
    }
}

/// What was asked and answered in a transaction.
#[derive(Debug, Default)]
struct Log {
    records: Vec<Record>,
    bytes: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Record {
    operation: Operation,
    refused: Option<StoreError>,
    payload: u16,
    answer: u16,
    witness: u64,
}

impl Log {
    fn push(
        &mut self,
        operation: Operation,
        payload: &[u8],
        outcome: Result<(), Refusal>,
        witness: u64,
        answer: &[u8],
    ) {
        let answer = comparable(operation, answer);
        // Neither is longer than a message may be.
        let (Ok(payload_length), Ok(answer_length)) = (u16::try_from(payload.len()), u16::try_from(answer.len()))
        else {
            return;
        };
        if self.records.is_empty() {
            self.records.reserve(FIRST_RECORDS);
            self.bytes.reserve(FIRST_BYTES);
        }
        self.records.push(Record {
            operation,
            refused: outcome.err().map(Refusal::error),
            payload: payload_length,
            answer: answer_length,
            witness,
        });
        self.bytes.extend_from_slice(payload);
        self.bytes.extend_from_slice(answer);
    }

    /// Does all of it again on a copy of the base. Stops where an answer is another than before.
    fn replay(&self, work: &mut Work, base: &mut Base, terms: &mut Terms<'_>) -> Result<usize, Conflict> {
        let mut rest = self.bytes.as_slice();
        let mut answer = Vec::new();
        let mut copied = 0;
        for record in &self.records {
            let (payload, behind) = rest.split_at_checked(usize::from(record.payload)).unwrap_or_default();
            let (answered, behind) = behind.split_at_checked(usize::from(record.answer)).unwrap_or_default();
            rest = behind;
            answer.clear();
            let (outcome, witness, bytes) =
                work.execute(&mut base.generation, terms, record.operation, payload, &mut answer);
            copied += bytes;
            if outcome.err().map(Refusal::error) != record.refused
                || witness != record.witness
                || comparable(record.operation, &answer) != answered
            {
                return Err(Conflict {
                    error: StoreError::Again,
                    writer: writer_of(&base.tree, payload, terms.home),
                });
            }
        }
        Ok(copied)
    }
}

/// The part of an answer that has to be the same again: a listing's generation has not.
fn comparable(operation: Operation, answer: &[u8]) -> &[u8] {
    match operation {
        Operation::DirectoryPart => first_string(answer).map_or(&[], |(_, names)| names),
        _ => answer,
    }
}

/// Who changed a path last, or what is there of it.
fn writer_of(tree: &Tree, payload: &[u8], home: &str) -> Option<DomId> {
    let (text, _) = first_string(payload).ok()?;
    let mut buffer = String::new();
    let found = tree.find(Path::resolve(text, home, &mut buffer)?);
    Some(found.node.unwrap_or(found.above).stamp().writer())
}
