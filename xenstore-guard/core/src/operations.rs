//! The operations on nodes. The same code serves requests by themselves, requests of a transaction, and the replay of a
//! transaction: it changes a tree that it is given, tells what owners are charged with, and what happened to which node.
//!
//! Each one either does all of what it was asked, or nothing.

use alloc::string::String;
use alloc::vec::Vec;

use xen::DomId;
use xen::store::wire::MAX_PAYLOAD;
use xen::store::{Operation, Permission, StoreError};

use crate::Path;
use crate::domains::{Charges, Domains, FEATURE_ANY};
use crate::effects::{Effect, Effects};
use crate::permissions::{self, ANY, Actor, Entry, List, Rights};
use crate::policy::{Decision, Kind, Policy};
use crate::quota::Quota;
use crate::request::{append, exactly, first_string, number, only_string, strings};
use crate::tree::{Found, Node, Stamp, Tree, Walk, charge, size};

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

    /// The policy's word, before permissions are looked at.
    fn admit(&self, kind: Kind, path: Path<'_>) -> Result<Admitted, Refusal> {
        self.admitted(self.policy.decide(self.actor.domid, kind, path.as_str()))
    }

    fn admitted(&self, decision: Decision) -> Result<Admitted, Refusal> {
        if !decision.allowed {
            return Err(Refusal::Denied(decision.rule));
        }
        Ok(Admitted {
            actor: self.actor,
            granted: decision.granted,
        })
    }

    fn readable(&self, path: Path<'_>) -> Result<&Node, Refusal> {
        let admitted = self.admit(Kind::Read, path)?;
        let found = self.tree.find(path);
        permitted(&admitted, &found, |rights| rights.read, |rights| rights.read)?;
        found.node.ok_or(Refusal::Plain(StoreError::NotFound))
    }

    fn stamp(&mut self) -> Stamp {
        *self.generation += 1;
        Stamp::new(*self.generation, self.actor.domid)
    }

    fn write(&mut self, path: Path<'_>, value: &[u8]) -> Outcome {
        let admitted = self.admit(Kind::Write, path)?;
        let found = self.tree.find(path);
        match permitted(&admitted, &found, |rights| rights.write, |rights| rights.write) {
            Err(StoreError::NotFound) => {
                let (missing, above) = (found.missing, List::clone(&found.above.permissions));
                return self.create(path, missing, &above, value);
            }
            outcome => outcome?,
        }
        let Some(node) = found.node else {
            return Ok(());
        };
        let owner = permissions::owner(&node.permissions);
        let entries = node.permissions.len();
        let more = difference(value.len(), node.value().len());
        self.check_size(value.len(), entries)?;
        self.check_charge(owner, 0, more)?;
        let stamp = self.stamp();
        self.tree.set_value(path, value, stamp, &mut self.copied);
        self.charges.add(owner, 0, more);
        self.effects.push(path, Effect::Written);
        Ok(())
    }

    fn make_directory(&mut self, path: Path<'_>) -> Outcome {
        let admitted = self.admit(Kind::Write, path)?;
        let found = self.tree.find(path);
        match permitted(&admitted, &found, |rights| rights.write, |rights| rights.write) {
            Err(StoreError::NotFound) => {
                let (missing, above) = (found.missing, List::clone(&found.above.permissions));
                self.create(path, missing, &above, b"")
            }
            outcome => Ok(outcome?),
        }
    }

    /// Makes a node, and what is missing of the way to it, below one with the permissions `above`. That the actor may was
    /// checked.
    fn create(&mut self, path: Path<'_>, missing: usize, above: &List, value: &[u8]) -> Outcome {
        // What is made on the way is written, too.
        let mut made = path;
        for _ in 1..missing {
            let Some(parent) = made.parent() else { break };
            self.admit(Kind::Write, parent)?;
            made = parent;
        }
        let permissions = permissions::inherited(above, &self.actor);
        let owner = permissions::owner(&permissions);
        let names = path.last_names(missing);
        let bytes: usize = names.map(|name| charge(name.text.len(), 0, permissions.len())).sum();
        let (nodes, bytes) = (difference(missing, 0), difference(bytes + value.len(), 0));
        self.check_size(value.len(), permissions.len())?;
        self.check_charge(owner, nodes, bytes)?;
        let stamp = self.stamp();
        self.tree
            .create(path, missing, value, &permissions, stamp, &mut self.copied);
        self.charges.add(owner, nodes, bytes);
        let mut parents = Vec::new();
        let mut parent = path;
        for _ in 1..missing {
            let Some(above) = parent.parent() else { break };
            parents.push(above);
            parent = above;
        }
        for &parent in parents.iter().rev() {
            self.effects.push(parent, Effect::Parent);
        }
        self.effects.push(path, Effect::Created);
        Ok(())
    }

    fn remove(&mut self, path: Path<'_>) -> Outcome {
        let admitted = self.admit(Kind::Remove, path)?;
        let found = self.tree.find(path);
        match permitted(&admitted, &found, |rights| rights.write, |rights| rights.write) {
            Err(StoreError::NotFound) if found.missing == 1 => return Ok(()),
            outcome => outcome?,
        }
        if path == Path::ROOT {
            return Err(StoreError::Invalid.into());
        }
        self.remove_unchecked(path);
        Ok(())
    }

    /// Removes a node, whoever may; true when there was one.
    pub(crate) fn remove_unchecked(&mut self, path: Path<'_>) -> bool {
        let stamp = self.stamp();
        let Some(removed) = self.tree.remove(path, stamp, &mut self.copied) else {
            return false;
        };
        let mut walk = Walk::new(&removed, "");
        while let Some((_, node)) = walk.next() {
            let bytes = node.charge();
            self.copied += bytes;
            self.charges
                .add(permissions::owner(&node.permissions), -1, difference(0, bytes));
        }
        self.effects.push(path, Effect::Removed(removed));
        true
    }

    /// Entries as they travel, resolved: which of them are about nobody.
    fn parse_permissions(&mut self, payload: &[u8]) -> Result<Vec<Entry>, Refusal> {
        let texts = strings(payload);
        let count = texts.clone().count();
        if count == 0 {
            return Err(StoreError::Invalid.into());
        }
        if !self.actor.privileged {
            self.limit(Quota::NodePermissions, count)?;
        }
        let mut entries = Vec::with_capacity(count);
        for text in texts {
            entries.push(Permission::decode(text).ok_or(StoreError::Invalid)?);
        }
        Ok(entries.into_iter().map(|entry| self.resolve(entry)).collect())
    }

    /// An entry is about the domain that has the number now. The privileged speak of domains before they introduce them.
    fn resolve(&mut self, permission: Permission) -> Entry {
        let domid = permission.domid;
        if domid == ANY {
            let features = self.domains.get(self.actor.domid).map_or(0, |domain| domain.features);
            return Entry::new(permission, features & FEATURE_ANY == 0);
        }
        if self.actor.privileged {
            let (_, new) = self.domains.know(domid, *self.generation);
            if new {
                self.known.push(domid);
            }
        }
        let since = self.domains.get(domid).map(|domain| domain.since);
        let witness = since.map_or(0, |since| since.wrapping_add(1));
        self.witness = self.witness.wrapping_mul(0x0100_0000_01b3).wrapping_add(witness);
        Entry::new(permission, since.is_none())
    }

    fn set_permissions(&mut self, path: Path<'_>, entries: &[Entry]) -> Outcome {
        let plain: Vec<Permission> = entries.iter().map(|entry| entry.permission()).collect();
        let admitted = self.admitted(self.policy.decide_permissions(self.actor.domid, path.as_str(), &plain))?;
        let found = self.tree.find(path);
        let need = |rights: Rights| rights.write && rights.owner;
        permitted(&admitted, &found, need, |rights| rights.write || rights.owner)?;
        let Some(node) = found.node else {
            return Ok(());
        };
        let (old_owner, new_owner) = (permissions::owner(&node.permissions), permissions::owner(entries));
        // XSA-352.
        if !self.actor.privileged && old_owner != new_owner {
            return Err(StoreError::NotPermitted.into());
        }
        let (name, value, old_count) = (node.name().len(), node.value().len(), node.permissions.len());
        let old = List::clone(&node.permissions);
        // Most nodes have their parents' permissions: one list serves both.
        let list: List = if *found.above.permissions == *entries {
            List::clone(&found.above.permissions)
        } else {
            entries.iter().copied().collect()
        };
        self.check_size(value, entries.len())?;
        let more = difference(entries.len(), old_count) * 8;
        self.check_charge(new_owner, 0, more)?;
        let stamp = self.stamp();
        self.tree.set_permissions(path, list, stamp, &mut self.copied);
        // Special names are nobody's nodes.
        if !path.is_special() {
            self.charges
                .add(old_owner, -1, difference(0, charge(name, value, old_count)));
            self.charges
                .add(new_owner, 1, difference(charge(name, value, entries.len()), 0));
        }
        self.effects.push(path, Effect::Permissions(old));
        Ok(())
    }

    /// Takes entries about a domain that is gone out of a list.
    pub(crate) fn purge_permissions(&mut self, path: Path<'_>, gone: DomId) {
        let Some(node) = self.tree.get(path) else {
            return;
        };
        let owner = permissions::owner(&node.permissions);
        let old = List::clone(&node.permissions);
        let list: List = match old.split_first() {
            Some((&first, others)) => core::iter::once(first)
                .chain(others.iter().copied().filter(|entry| entry.domid != gone))
                .collect(),
            None => return,
        };
        let less = difference(list.len(), old.len()) * 8;
        let stamp = self.stamp();
        self.tree.set_permissions(path, list, stamp, &mut self.copied);
        if !path.is_special() {
            self.charges.add(owner, 0, less);
        }
        self.effects.push(path, Effect::Permissions(old));
    }

    fn check_size(&self, value: usize, entries: usize) -> Outcome {
        if self.actor.privileged {
            return Ok(());
        }
        self.limit(Quota::NodeSize, size(value, entries))
    }

    /// Whether an owner may have so many nodes and bytes more. What the privileged do is not limited; what they make a guest
    /// own counts once the guest itself wants more.
    fn check_charge(&self, owner: DomId, nodes: isize, bytes: isize) -> Outcome {
        if self.actor.privileged || owner == DomId::INITIAL {
            return Ok(());
        }
        let Some(domain) = self.domains.get(owner) else {
            return Ok(());
        };
        let pending = self.charges.of(owner);
        if nodes > 0 {
            let used = domain
                .usage
                .nodes
                .saturating_add_signed(pending.0.saturating_add(nodes));
            self.limit_of(owner, Quota::Nodes, used)?;
        }
        if bytes > 0 {
            let used = domain
                .usage
                .memory()
                .saturating_add_signed(pending.1.saturating_add(bytes));
            self.limit_of(owner, Quota::Memory, used)?;
        }
        Ok(())
    }
}

/// Who acts, with what the policy said to it.
#[derive(Debug, Clone, Copy)]
struct Admitted {
    actor: Actor,
    /// The permissions have no say.
    granted: bool,
}

impl Admitted {
    fn rights(&self, list: &[Entry]) -> Rights {
        let rights = self.actor.rights(list);
        Rights {
            read: rights.read || self.granted,
            write: rights.write || self.granted,
            owner: rights.owner,
        }
    }
}

/// Whether the actor may do something with a node: what it `need`s of the node itself. Of a node that is not there it is told
/// so only if the nearest one above would let it: `above`.
fn permitted(
    actor: &Admitted,
    found: &Found<'_>,
    need: impl Fn(Rights) -> bool,
    above: impl Fn(Rights) -> bool,
) -> Result<(), StoreError> {
    match found.node {
        Some(node) if need(actor.rights(&node.permissions)) => Ok(()),
        Some(_) => Err(StoreError::Access),
        None if above(actor.rights(&found.above.permissions)) => Err(StoreError::NotFound),
        None => Err(StoreError::Access),
    }
}

/// The names of all children.
fn list(node: &Node, answer: &mut Vec<u8>) {
    for child in node.children() {
        answer.extend_from_slice(child.name().as_bytes());
        answer.push(0);
        if answer.len() > MAX_PAYLOAD {
            return;
        }
    }
}

/// The generation, and names from an offset on as far as they fit. An empty name says that there are no more.
fn list_part(node: &Node, offset: usize, answer: &mut Vec<u8>) {
    append(answer, format_args!("{}\0", node.stamp().generation()));
    let mut position = 0_usize;
    for child in node.children() {
        let name = child.name().as_bytes();
        let end = position + name.len() + 1;
        if end > offset {
            // The last byte is for the empty name.
            let rest = name.get(offset.saturating_sub(position)..).unwrap_or_default();
            if answer.len() + rest.len() + 1 >= MAX_PAYLOAD {
                return;
            }
            answer.extend_from_slice(rest);
            answer.push(0);
        }
        position = end;
    }
    answer.push(0);
}

/// How many more bytes or nodes there are now; no tree has so many that it does not fit.
fn difference(now: usize, before: usize) -> isize {
    let signed = |count| isize::try_from(count).unwrap_or(isize::MAX);
    signed(now).saturating_sub(signed(before))
}
