//! The rules by name.

use super::Decision;

macro_rules! rules {
    ($($name:ident = $text:literal, $sentence:literal;)*) => {
        /// What decides. In the order in which rules are tried, as far as a place has them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Rule {
            $(#[doc = $sentence] $name,)*
        }

        impl Rule {
            #[cfg(test)]
            pub(super) const ALL: &[Self] = &[$(Self::$name),*];

            /// The name in logs.
            pub(super) const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// What it says.
            pub(super) const fn sentence(self) -> &'static str {
                match self {
                    $(Self::$name => $sentence,)*
                }
            }
        }
    };
}

rules! {
    Stock = "stock", "Without a manifest the permissions decide alone.";
    Open = "open", "The operation touches nobody's nodes: every domain may ask for it.";
    Privileged = "privileged", "The builder may do everything; only it introduces and releases domains, and controls the store.";
    Special = "special", "Domains with the role management may watch for domains that come and go.";
    Identity = "identity", "Only the builder says which domain this is: the home itself, name, domid, vm and store.";
    Wiring = "wiring", "Only the builder wires devices: their directories, those above, and the nodes that say what is connected to what.";
    Driver = "driver", "Backend directories are for driver domains that serve their class.";
    Backend = "backend", "A driver domain writes in the backend directories of its own home, for the classes that it serves.";
    Home = "home", "A domain owns its home.";
    Target = "target", "Who was given a domain as its target acts for it.";
    Delegated = "delegated", "The manifest lets the domain do this by store-access, whatever the node's owner says.";
    Frontend = "frontend", "A driver domain reads the device directories of the classes that it serves, and writes there only mtu of vif and tty of console.";
    Private = "private", "Another domain's data, vtpm and console nodes are nobody's but those that the manifest names.";
    Peer = "peer", "A domain reads the backend directories that serve it.";
    Builder = "builder", "Outside the homes, and in its own, only the builder writes; its permissions say who reads.";
    Foreign = "foreign", "Another domain's home is closed.";
    Others = "others", "A node is opened only to domains that the policy lets in there.";
}

/// What a rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing about this.
    Passed,
    /// It may be done if the permissions allow it.
    Permitted,
    /// It may be done, whatever the permissions.
    Granted,
    /// It may not be done.
    Denied,
}

/// Who is told of each rule that was tried.
pub(super) trait Trace {
    fn tried(&mut self, rule: Rule, outcome: Outcome);

    /// Notes the rules that did not decide.
    fn passed(&mut self, rules: &[Rule]) {
        for rule in rules {
            self.tried(*rule, Outcome::Passed);
        }
    }

    /// Notes the rule that decides, and gives its decision.
    fn decided(&mut self, rule: Rule, outcome: Outcome) -> Decision {
        self.tried(rule, outcome);
        Decision {
            allowed: matches!(outcome, Outcome::Permitted | Outcome::Granted),
            granted: outcome == Outcome::Granted,
            rule: rule.name(),
        }
    }
}

/// Nobody.
impl Trace for () {
    #[inline(always)]
    fn tried(&mut self, _: Rule, _: Outcome) {}

    #[inline(always)]
    fn passed(&mut self, _: &[Rule]) {}
}
