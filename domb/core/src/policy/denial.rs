//! Why something is not allowed, and which rule says so.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use manifest::{BackendClass, Request};

/// The answer no. `Display` names the rule, what was asked for, and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// The rule that says no.
    pub rule: Rule,
    /// What it has against the request.
    pub reason: Reason,
}

impl Denial {
    pub(super) const fn new(rule: Rule, reason: Reason) -> Self {
        Self { rule, reason }
    }

    /// By a key of a class.
    pub(super) fn of_class(class: &str, key: &'static str, reason: Reason) -> Self {
        let class = class.into();
        Self::new(Rule::Class { class, key }, reason)
    }

    /// By a key of one of the manifest's domains.
    pub(super) fn of_domain(domain: &str, key: &'static str, reason: Reason) -> Self {
        let domain = domain.into();
        Self::new(Rule::Domain { domain, key }, reason)
    }

    /// By the lack of a rule that says yes.
    pub(super) fn no_access(domain: &str, request: Request, scope: &str) -> Self {
        let reason = Reason::NoAccess {
            domain: domain.into(),
            request,
            scope: scope.into(),
        };
        Self::new(Rule::Access, reason)
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rule {
            // The reason names it.
            Rule::Access => write!(formatter, "{}", self.reason),
            _ => write!(formatter, "{}: {}", self.rule, self.reason),
        }
    }
}

impl core::error::Error for Denial {}

/// Where the manifest says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// No entry of access allows it.
    Access,
    /// A key of a class.
    Class {
        /// The class.
        class: String,
        /// The key.
        key: &'static str,
    },
    /// A key of a domain of the manifest.
    Domain {
        /// The domain.
        domain: String,
        /// The key.
        key: &'static str,
    },
    /// Each class that the domain may create guests in.
    Classes,
    /// The names of the manifest's domains.
    Domains,
    /// The request is none that can be decided.
    Request,
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Access => formatter.write_str("access"),
            Self::Class { class, key } => write!(formatter, "class {class}: {key}"),
            Self::Domain { domain, key } => write!(formatter, "domain {domain}: {key}"),
            Self::Classes => formatter.write_str("classes"),
            Self::Domains => formatter.write_str("domains"),
            Self::Request => formatter.write_str("request"),
        }
    }
}

/// What a rule has against a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// Nothing allows it.
    #[error("no access entry lets {domain} do {request} to {scope}")]
    NoAccess {
        /// Who asked.
        domain: String,
        /// For what.
        request: Request,
        /// About what.
        scope: String,
    },
    /// A closed box.
    #[error("closed: {0} looks into a guest or changes it")]
    Closed(Request),
    /// A value that is none of those that a list has.
    #[error("{asked} asked; allowed: {allowed}")]
    Value {
        /// What was asked for.
        asked: String,
        /// What the list has.
        allowed: String,
    },
    /// An image that no rule allows.
    #[error("{asked} asked, {signatures}; allowed: {allowed}")]
    Image {
        /// Its digest.
        asked: String,
        /// Who signed it.
        signatures: String,
        /// What the list has.
        allowed: String,
    },
    /// More memory than allowed.
    #[error("{asked} asked; allowed: {allowed}")]
    Memory {
        /// What was asked for.
        asked: Kib,
        /// The most that is allowed.
        allowed: Kib,
    },
    /// More memory than is left for the class.
    #[error("{asked} asked beside {used} of {guests} guests; allowed: {allowed}")]
    MemoryTotal {
        /// What was asked for.
        asked: Kib,
        /// What the guests of the class may have already.
        used: Kib,
        /// How many they are.
        guests: usize,
        /// The most that all may have.
        allowed: Kib,
    },
    /// More of something than allowed.
    #[error("{asked} {what} asked; allowed: {allowed}")]
    Number {
        /// Of what, in plural.
        what: &'static str,
        /// What was asked for.
        asked: u64,
        /// The most that is allowed.
        allowed: u64,
    },
    /// It fits none of the classes.
    #[error("{}", joined(.0))]
    FitsNone(Vec<Denial>),
    /// A domain of the manifest has the name.
    #[error("{0:?} asked; a domain of the manifest has that name")]
    NameOfDomain(String),
    /// No domain of the manifest has the name.
    #[error("there is no such domain")]
    NoDomain,
    /// The domain does not serve such devices.
    #[error("{asked} asked; allowed: {allowed}")]
    Serves {
        /// The device.
        asked: BackendClass,
        /// What it serves.
        allowed: String,
    },
    /// Nobody reads this console.
    #[error("none")]
    NoConsole,
    /// The request lacks what its limits are compared with.
    #[error("{0} without the values that it is decided by")]
    NoFacts(Request),
}

/// One denial after the other.
fn joined(denials: &[Denial]) -> String {
    let texts: Vec<String> = denials.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

/// An amount of memory in KiB, shown in the largest unit that it is a whole number of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kib(pub u64);

impl fmt::Display for Kib {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (amount, unit) = match self.0 {
            kib if kib != 0 && kib.is_multiple_of(1 << 20) => (kib >> 20, "GiB"),
            kib if kib != 0 && kib.is_multiple_of(1 << 10) => (kib >> 10, "MiB"),
            kib => (kib, "KiB"),
        };
        write!(formatter, "{amount} {unit}")
    }
}
