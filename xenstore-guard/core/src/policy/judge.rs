//! The decision.

use xen::DomId;
use xen::store::Operation;

use super::place::{Node, Place};
use super::rule::{Outcome, Rule, Trace};
use super::{Decision, Kind, Policy, Rights, wiring};

use Outcome::{Denied, Granted, Permitted};

impl Policy {
    #[inline]
    pub(super) fn judge(&self, domid: DomId, kind: Kind, path: &str, trace: &mut impl Trace) -> Decision {
        if self.rules.is_none() {
            return trace.decided(Rule::Stock, Permitted);
        }
        if domid == DomId::INITIAL {
            return trace.decided(Rule::Privileged, Permitted);
        }
        trace.passed(&[Rule::Privileged]);
        match Place::of(path) {
            Place::Home { owner, rest } if owner == domid => self.in_own_home(domid, kind, Rule::Home, rest, trace),
            Place::Home { owner, rest } => self.in_foreign_home(domid, kind, owner, path, rest, trace),
            Place::Special => self.special(domid, kind, path, trace),
            Place::Outside => self.outside(domid, kind, path, trace),
        }
    }

    /// Operations that name no node. What stock xenstored does for domid 0 only, no manifest gives away.
    pub(super) fn judge_operation(&self, domid: DomId, operation: Operation, trace: &mut impl Trace) -> Decision {
        let privileged = matches!(
            operation,
            Operation::Control
                | Operation::Introduce
                | Operation::Release
                | Operation::Resume
                | Operation::SetTarget
                | Operation::SetFeature
                | Operation::GetQuota
                | Operation::SetQuota
        );
        if !privileged {
            return trace.decided(Rule::Open, Permitted);
        }
        let outcome = if domid == DomId::INITIAL { Permitted } else { Denied };
        trace.decided(Rule::Privileged, outcome)
    }

    /// In the home of the domain that asks, or of the one that it acts for. `owns` is the rule that says so.
    #[inline]
    fn in_own_home(&self, domid: DomId, kind: Kind, owns: Rule, rest: &str, trace: &mut impl Trace) -> Decision {
        if kind == Kind::Read {
            return trace.decided(owns, Permitted);
        }
        let node = Node::at(rest);
        if let Some(rule) = protection(node, kind) {
            return trace.decided(rule, Denied);
        }
        trace.passed(&[Rule::Identity, Rule::Wiring]);
        if let Node::Backend { class, .. } = node {
            if !self.rights(domid).serves(class) {
                return trace.decided(Rule::Driver, Denied);
            }
            trace.passed(&[Rule::Driver]);
            return trace.decided(Rule::Backend, Permitted);
        }
        trace.decided(owns, Permitted)
    }

    fn in_foreign_home(
        &self,
        domid: DomId,
        kind: Kind,
        owner: DomId,
        path: &str,
        rest: &str,
        trace: &mut impl Trace,
    ) -> Decision {
        trace.passed(&[Rule::Home]);
        if self.target_of(domid) == Some(owner) {
            return self.in_own_home(owner, kind, Rule::Target, rest, trace);
        }
        let node = Node::at(rest);
        let rights = self.rights(domid);
        if kind != Kind::Read
            && let Some(rule) = protection(node, kind)
        {
            if kind == Kind::Write && wiring::of_driver(node).is_some_and(|class| rights.serves_frontend(class)) {
                return trace.decided(Rule::Frontend, Permitted);
            }
            return trace.decided(rule, Denied);
        }
        trace.passed(&[Rule::Target, Rule::Identity, Rule::Wiring]);
        if self.delegated(rights, kind, Some((owner, rest)), path, node.private()) {
            return trace.decided(Rule::Delegated, granted(kind));
        }
        trace.passed(&[Rule::Delegated]);
        let served = match node {
            Node::Device { class, .. } => rights.serves_frontend(class),
            Node::Console { .. } => rights.serves_frontend("console"),
            _ => false,
        };
        if served {
            let outcome = if kind == Kind::Read { Permitted } else { Denied };
            return trace.decided(Rule::Frontend, outcome);
        }
        trace.passed(&[Rule::Frontend]);
        if node.private().is_some() {
            return trace.decided(Rule::Private, Denied);
        }
        trace.passed(&[Rule::Private]);
        if let Node::Backend { frontend, .. } = node
            && kind == Kind::Read
            && is_number(frontend, domid)
        {
            return trace.decided(Rule::Peer, Permitted);
        }
        trace.passed(&[Rule::Peer]);
        if owner == DomId::INITIAL {
            let outcome = if kind == Kind::Read { Permitted } else { Denied };
            return trace.decided(Rule::Builder, outcome);
        }
        trace.passed(&[Rule::Builder]);
        trace.decided(Rule::Foreign, Denied)
    }

    fn special(&self, domid: DomId, kind: Kind, path: &str, trace: &mut impl Trace) -> Decision {
        let rights = self.rights(domid);
        // With a depth, the name has the number of the domain behind it.
        let (name, _) = super::place::split(path);
        if kind == Kind::Read && self.delegated(rights, kind, None, name, Some(0)) {
            return trace.decided(Rule::Delegated, Granted);
        }
        trace.passed(&[Rule::Delegated]);
        let outcome = if kind == Kind::Read && rights.management {
            Permitted
        } else {
            Denied
        };
        trace.decided(Rule::Special, outcome)
    }

    /// Outside the homes. Nothing that a domain of the manifest may be given is at `/`, `/local` and `/local/domain`
    /// themselves, nor in the trees of the tools.
    fn outside(&self, domid: DomId, kind: Kind, path: &str, trace: &mut impl Trace) -> Decision {
        let names = path.strip_prefix('/').unwrap_or(path);
        let (root, _) = super::place::split(names);
        let reserved = matches!(root, "" | "local" | "tool" | "vm" | "libxl");
        if (kind == Kind::Read || !reserved) && self.delegated(self.rights(domid), kind, None, path, None) {
            return trace.decided(Rule::Delegated, granted(kind));
        }
        trace.passed(&[Rule::Delegated]);
        let outcome = if kind == Kind::Read { Permitted } else { Denied };
        trace.decided(Rule::Builder, outcome)
    }

    /// Whether `store-access` has an entry for it. `home` is whose home it is in, and the path there; `private` the number
    /// of the name in that path that the entry must name.
    fn delegated(
        &self,
        rights: &Rights,
        kind: Kind,
        home: Option<(DomId, &str)>,
        path: &str,
        private: Option<usize>,
    ) -> bool {
        rights.delegations.iter().any(|delegation| match (delegation.of, home) {
            (Some(of), Some((owner, rest))) => {
                self.index_of(owner) == Some(of) && delegation.covers(kind, rest, private)
            }
            (Some(_), None) => false,
            (None, home) => {
                let path = path.strip_prefix('/').unwrap_or(path);
                // Before the path in a home stand "local", "domain" and the number.
                let before: usize = if home.is_some() { 3 } else { 0 };
                delegation.covers(kind, path, private.map(|private| private.saturating_add(before)))
            }
        })
    }
}

/// Permissions are a matter of owners: who is let write a node is not let give it away.
const fn granted(kind: Kind) -> Outcome {
    match kind {
        Kind::Permissions => Permitted,
        Kind::Read | Kind::Write | Kind::Remove => Granted,
    }
}

/// The rule by which nobody but the builder may change a node of a home. Removing a node changes all that is below it.
#[inline]
fn protection(node: Node<'_>, kind: Kind) -> Option<Rule> {
    let wired = match node {
        Node::Identity => return Some(Rule::Identity),
        Node::Console { .. } | Node::Devices { .. } | Node::Backends => true,
        Node::Device { class, rest } => wiring::in_frontend(class, rest),
        // QEMU makes the directory that it serves, although it is there, and sets its permissions.
        Node::Backend { rest: "", .. } => kind == Kind::Remove,
        Node::Backend { class, rest, .. } => wiring::in_backend(class, rest),
        Node::Data | Node::Vtpm | Node::Other => false,
    };
    wired.then_some(Rule::Wiring)
}

/// Whether a name is the number of a domain.
fn is_number(name: &str, domid: DomId) -> bool {
    name.parse() == Ok(domid.0) && (name == "0" || !name.starts_with(['0', '+']))
}
