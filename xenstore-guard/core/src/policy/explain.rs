//! Decisions with their reasons, for people.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use xen::DomId;
use xen::store::Operation;

use super::place::{Node, Place};
use super::rule::{Outcome, Rule, Trace};
use super::{Decision, Kind, Policy};

/// A decision and how it came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What was asked: `domain 7 (web), serves vbd: WRITE /local/domain/3/data`.
    pub question: String,
    /// Where the path lies; empty for operations that name no node.
    pub place: String,
    /// The rules that were tried, in order; the last one decided.
    pub steps: Vec<Step>,
    /// The decision.
    pub decision: Decision,
}

/// A rule that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its name.
    pub rule: &'static str,
    /// What it says.
    pub sentence: &'static str,
    /// What that means here.
    pub outcome: &'static str,
}

/// The question, the place, a line for each rule, and the answer.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.question)?;
        if !self.place.is_empty() {
            writeln!(f, "{}", self.place)?;
        }
        for step in &self.steps {
            writeln!(f, "  {}: {} {}", step.rule, step.sentence, step.outcome)?;
        }
        let answer = match (self.decision.allowed, self.decision.granted) {
            (false, _) => "denied",
            (true, false) => "allowed, if the node's permissions allow it",
            (true, true) => "allowed, whatever the node's permissions",
        };
        write!(f, "{answer}: rule {}", self.decision.rule)
    }
}

impl Trace for Vec<Step> {
    fn tried(&mut self, rule: Rule, outcome: Outcome) {
        self.push(Step {
            rule: rule.name(),
            sentence: rule.sentence(),
            outcome: match outcome {
                Outcome::Passed => "Not a matter of this rule.",
                Outcome::Permitted => "Allowed.",
                Outcome::Granted => "Granted.",
                Outcome::Denied => "Denied.",
            },
        });
    }
}

impl Policy {
    /// [`Policy::decide`] for an operation, or [`Policy::decide_operation`], with the reasons. The path is ignored where
    /// the operation names no node.
    #[must_use]
    pub fn explain(&self, domid: DomId, operation: Operation, path: &str) -> Explanation {
        let mut steps = Vec::new();
        let who = self.describe(domid);
        let Some(kind) = Kind::of(operation) else {
            let decision = self.judge_operation(domid, operation, &mut steps);
            return Explanation {
                question: format!("{who}: {}", operation.name()),
                place: String::new(),
                steps,
                decision,
            };
        };
        let decision = self.judge(domid, kind, path, &mut steps);
        let place = if operation == Operation::Watch {
            format!(
                "{} The watch is set in any case; this is about its events.",
                self.locate(path)
            )
        } else {
            self.locate(path)
        };
        Explanation {
            question: format!("{who}: {} {path}", operation.name()),
            place,
            steps,
            decision,
        }
    }

    /// `domain 7 (web), management, serves vbd vif`
    fn describe(&self, domid: DomId) -> String {
        let mut text = format!("domain {domid}");
        if let Some(name) = self.name_of(domid) {
            text.push_str(&format!(" ({name})"));
        }
        let rights = self.rights(domid);
        if rights.management {
            text.push_str(", management");
        }
        if !rights.serves.is_empty() {
            let classes: Vec<String> = rights.serves.iter().map(ToString::to_string).collect();
            text.push_str(&format!(", serves {}", classes.join(" ")));
        }
        if self.rules.is_some() && domid != DomId::INITIAL && self.index_of(domid).is_none() {
            text.push_str(", not in the manifest");
        }
        text
    }

    /// Where a path lies, as a sentence.
    fn locate(&self, path: &str) -> String {
        let (owner, rest) = match Place::of(path) {
            Place::Special => return "A name for watches, no node.".into(),
            Place::Outside => return "Outside the homes of domains.".into(),
            Place::Home { owner, rest } => (owner, rest),
        };
        let what = match Node::at(rest) {
            Node::Identity => "What says which domain it is".into(),
            Node::Data => "What it exchanges with whom it chooses".into(),
            Node::Vtpm => "Its TPM".into(),
            Node::Console { .. } => "Its console".into(),
            Node::Devices { .. } => "Above its devices".into(),
            Node::Device { class, .. } => format!("A device of class {class}"),
            Node::Backends => "Above its backends".into(),
            Node::Backend { class, frontend, .. } => format!("A backend of class {class} for domain {frontend}"),
            Node::Other => "A node".to_string(),
        };
        let name = self.name_of(owner).map(|name| format!(" ({name})")).unwrap_or_default();
        format!("{what} in the home of domain {owner}{name}.")
    }
}
