//! Who may do what: the policy's word, then the permissions'.

use xen::store::StoreError;

use super::{Operations, Refusal};
use crate::Path;
use crate::permissions::{Actor, Entry, Rights};
use crate::policy::{Decision, Kind};
use crate::tree::{Found, Node};

/// Who acts, with what the policy said to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Admitted {
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
pub(super) fn permitted(
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

impl Operations<'_> {
    /// The policy's word, before permissions are looked at.
    pub(super) fn admit(&self, kind: Kind, path: Path<'_>) -> Result<Admitted, Refusal> {
        self.admitted(self.policy.decide(self.actor.domid, kind, path.as_str()))
    }

    pub(super) fn admitted(&self, decision: Decision) -> Result<Admitted, Refusal> {
        if !decision.allowed {
            return Err(Refusal::Denied(decision.rule));
        }
        Ok(Admitted {
            actor: self.actor,
            granted: decision.granted,
        })
    }

    pub(super) fn readable(&self, path: Path<'_>) -> Result<&Node, Refusal> {
        let admitted = self.admit(Kind::Read, path)?;
        let found = self.tree.find(path);
        permitted(&admitted, &found, |rights| rights.read, |rights| rights.read)?;
        found.node.ok_or(Refusal::Plain(StoreError::NotFound))
    }
}
