//! Operations that make, change and remove nodes.

use alloc::vec::Vec;

use xen::DomId;
use xen::store::StoreError;

use super::admission::permitted;
use super::{Operations, Outcome};
use crate::Path;
use crate::effects::Effect;
use crate::permissions::{self, List};
use crate::policy::Kind;
use crate::quota::Quota;
use crate::tree::{Stamp, charge, size};

impl Operations<'_> {
    pub(super) fn stamp(&mut self) -> Stamp {
        *self.generation += 1;
        Stamp::new(*self.generation, self.actor.domid)
    }

    pub(super) fn write(&mut self, path: Path<'_>, value: &[u8]) -> Outcome {
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

    pub(super) fn make_directory(&mut self, path: Path<'_>) -> Outcome {
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

    pub(super) fn remove(&mut self, path: Path<'_>) -> Outcome {
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

    /// Removes a node, whoever may, if it is there.
    pub(crate) fn remove_unchecked(&mut self, path: Path<'_>) {
        let stamp = self.stamp();
        let Some(removed) = self.tree.remove(path, stamp, &mut self.copied) else {
            return;
        };
        for node in removed.walk() {
            let bytes = node.charge();
            self.copied += bytes;
            self.charges
                .add(permissions::owner(&node.permissions), -1, difference(0, bytes));
        }
        self.effects.push(path, Effect::Removed(removed));
    }

    pub(super) fn check_size(&self, value: usize, entries: usize) -> Outcome {
        if self.actor.privileged {
            return Ok(());
        }
        self.limit(Quota::NodeSize, size(value, entries))
    }

    /// Whether an owner may have so many nodes and bytes more. What the privileged do is not limited; what they make a guest
    /// own counts once the guest itself wants more.
    pub(super) fn check_charge(&self, owner: DomId, nodes: isize, bytes: isize) -> Outcome {
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
/// How many more bytes or nodes there are now; no tree has so many that it does not fit.
pub(super) fn difference(now: usize, before: usize) -> isize {
    let signed = |count| isize::try_from(count).unwrap_or(isize::MAX);
    signed(now).saturating_sub(signed(before))
}
