//! What can be wrong with the policy.

use alloc::string::String;
use core::fmt;

use super::{CommandLineRule, GuestBox, MAX_CLASS_DEVICES, MAX_CLASS_GUESTS, Request, Scope};
use crate::domain::{MAX_MEMORY_KIB, MAX_VCPUS, MEMORY_STEP_KIB, MIN_MEMORY_KIB};
use crate::name::{MAX_NAME, Shown};

/// One thing that is wrong with the policy: `ENTRY: KEY: what`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyError {
    /// The entry.
    pub place: PolicyPlace,
    /// What the entry is called: `class web`.
    pub entry: String,
    /// The key of the entry, as people write it.
    pub key: &'static str,
    /// What is wrong.
    pub wrong: PolicyWrong,
    /// The other entry, and its key, that it does not agree with.
    pub other: Option<(PolicyPlace, &'static str)>,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}: {}", self.entry, self.key, self.wrong)
    }
}

/// An entry of the manifest, by its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PolicyPlace {
    /// In [`super::Policy::keys`].
    Key(usize),
    /// In [`super::Policy::classes`].
    Class(usize),
    /// In [`super::Policy::access`].
    Access(usize),
    /// In [`crate::Manifest::domains`].
    Domain(usize),
}

/// What is wrong at a place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyWrong {
    /// A name with other characters or of another length than allowed.
    #[error("{0:?}; accepted: 1 to {MAX_NAME} characters of A-Z a-z 0-9 _ . -, the first a letter, a digit or _")]
    Name(String),
    /// An earlier entry has the name.
    #[error("an entry before it has the name {0:?}, too")]
    DuplicateName(String),
    /// An item stands twice in a list.
    #[error("{0} stands there twice")]
    DuplicateItem(String),
    /// An earlier entry has the same domain and scope.
    #[error("an entry before it is about {0}, too; accepted: one, with all requests")]
    DuplicateAccess(Scope),
    /// More items than allowed.
    #[error("{count} items; accepted: at most {limit}")]
    TooMany {
        /// How many there are.
        count: usize,
        /// How many there may be.
        limit: usize,
    },
    /// There is no key of that name.
    #[error("signed-by:{}: there is no key of that name", Shown(.0))]
    UnknownKey(String),
    /// There is no image of that name.
    #[error("image:{}: there is no image of that name", Shown(.0))]
    UnknownImage(String),
    /// There is no class of that name.
    #[error("there is no class {0:?}")]
    UnknownClass(String),
    /// There is no domain of that name.
    #[error("there is no domain {0:?}")]
    UnknownDomain(String),
    /// A kernel must be there.
    #[error("none; accepted: sha256:DIGITS, signed-by:KEY, image:NAME, for there is no guest without a kernel")]
    NoKernel,
    /// No guest can have such a command line.
    #[error("{0}; accepted: text without control characters, at most 2047 bytes")]
    CommandLine(CommandLineRule),
    /// Memory outside the limits.
    #[error("{kib} KiB; accepted: {least} KiB to {MAX_MEMORY_KIB} KiB (16 TiB), a multiple of {MEMORY_STEP_KIB} KiB")]
    Memory {
        /// The memory in KiB.
        kib: u64,
        /// The least that is accepted.
        least: u64,
    },
    /// vCPUs outside the limits.
    #[error("{0}; accepted: 1 to {MAX_VCPUS}")]
    Vcpus(u16),
    /// More guests than Xen has numbers for.
    #[error("{0}; accepted: at most {MAX_CLASS_GUESTS}")]
    Guests(u16),
    /// More devices than a guest may have.
    #[error("{0}; accepted: at most {MAX_CLASS_DEVICES}")]
    Devices(u16),
    /// The domain serves no devices.
    #[error("domain {0:?} has not the role driver")]
    NoDriver(String),
    /// The domain has no channel to ask through.
    #[error("domain {0:?} has not the role management, and so nothing to ask through")]
    NoManagement(String),
    /// There is no such request about that.
    #[error("{request} of {scope}; accepted there: {accepted}")]
    NoSuchRequest {
        /// The request.
        request: Request,
        /// What it is to be about.
        scope: Scope,
        /// The names of the requests that there are.
        accepted: String,
    },
    /// The class is a closed box.
    #[error("{requests}, but class {class:?} has box = \"{}\"", GuestBox::Closed)]
    ClosedBox {
        /// The names of the requests that it does not allow.
        requests: String,
        /// The class.
        class: String,
    },
    /// The domain has no console that may be read.
    #[error("console, but domain {0:?} has console = \"none\"")]
    NoConsole(String),
}

impl PolicyWrong {
    /// Memory of one guest outside its limits.
    pub(super) const fn memory(kib: u64) -> Self {
        Self::Memory {
            kib,
            least: MIN_MEMORY_KIB,
        }
    }
}
