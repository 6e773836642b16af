//! Why a domain may do something, or not.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use xen::DomId;
use xen::store::Operation;

use super::{Server, actor_of};
use crate::Path;
use crate::permissions::Rights;
use crate::policy::Explanation;

impl Server {
    /// What the policy says to an operation of a domain, and why.
    #[must_use]
    pub fn explain(&self, domid: DomId, operation: Operation, path: &Path<'_>) -> Explanation {
        self.policy.explain(domid, operation, path.as_str())
    }

    /// What the permissions of the nodes as they are say to it.
    pub(super) fn explain_permissions(&self, domid: DomId, operation: Operation, path: Path<'_>) -> String {
        let actor = actor_of(domid, &self.domains);
        let found = self.base.tree.find(path);
        let node = found.node.unwrap_or(found.above);
        let Rights { read, write, owner } = actor.rights(&node.permissions);
        let allowed = match operation {
            Operation::Write | Operation::Mkdir | Operation::Rm => write,
            Operation::SetPermissions => write && owner,
            _ => read,
        };
        let which = if found.node.is_some() {
            "the node"
        } else {
            "the nearest node above"
        };
        let word = if allowed { "allow" } else { "refuse" };
        let list: Vec<_> = node
            .permissions
            .iter()
            .map(|entry| entry.permission().to_string())
            .collect();
        format!("the permissions of {which} ({}) {word} it", list.join(" "))
    }
}
