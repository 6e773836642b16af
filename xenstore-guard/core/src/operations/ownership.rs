//! Operations that change whose a node is and who may do what with it.

use alloc::vec::Vec;

use xen::DomId;
use xen::store::{Permission, StoreError};

use super::admission::permitted;
use super::changes::difference;
use super::{Operations, Outcome, Refusal};
use crate::Path;
use crate::domains::FEATURE_ANY;
use crate::effects::Effect;
use crate::permissions::{self, ANY, Entry, List, Rights};
use crate::quota::Quota;
use crate::request::strings;
use crate::tree::charge;

impl Operations<'_> {
    /// Entries as they travel, resolved: which of them are about nobody.
    pub(super) fn parse_permissions(&mut self, payload: &[u8]) -> Result<Vec<Entry>, Refusal> {
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

    pub(super) fn set_permissions(&mut self, path: Path<'_>, entries: &[Entry]) -> Outcome {
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
        let (value, old_count) = (node.value().len(), node.permissions.len());
        // Most nodes have their parents' permissions: one list serves both.
        let list: List = if *found.above.permissions == *entries {
            List::clone(&found.above.permissions)
        } else {
            entries.iter().copied().collect()
        };
        self.check_size(value, entries.len())?;
        let more = difference(entries.len(), old_count) * 8;
        self.check_charge(new_owner, 0, more)?;
        self.replace_permissions(path, list);
        Ok(())
    }

    /// Takes entries about a domain that is gone out of a list. Where it owned what cannot be removed (the root, a special
    /// name), domain 0 owns it alone.
    pub(crate) fn purge_permissions(&mut self, path: Path<'_>, gone: DomId) {
        let Some(node) = self.tree.get(path) else {
            return;
        };
        let old = List::clone(&node.permissions);
        let list: List = match old.split_first() {
            Some((first, others)) if first.domid != gone => core::iter::once(*first)
                .chain(others.iter().copied().filter(|entry| entry.domid != gone))
                .collect(),
            _ => permissions::private(),
        };
        self.replace_permissions(path, list);
    }

    /// Gives a node another list, and whoever it says the charge.
    fn replace_permissions(&mut self, path: Path<'_>, list: List) {
        let Some(node) = self.tree.get(path) else {
            return;
        };
        let old = List::clone(&node.permissions);
        let charge_of = |list: &List| charge(node.name().len(), node.value().len(), list.len());
        let (less, more) = (charge_of(&old), charge_of(&list));
        // Special names are nobody's nodes.
        if !path.is_special() {
            self.charges.add(permissions::owner(&old), -1, difference(0, less));
            self.charges.add(permissions::owner(&list), 1, difference(more, 0));
        }
        let stamp = self.stamp();
        self.tree.set_permissions(path, list, stamp, &mut self.copied);
        self.effects.push(path, Effect::Permissions(old));
    }
}
