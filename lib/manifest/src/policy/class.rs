//! The kinds of guests that may be asked for.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use super::ImageRule;
use crate::Kind;

/// The most guests of a class: as many domains as Xen has numbers for (`DOMID_FIRST_RESERVED` of public/xen.h), 0 not
/// among them.
pub const MAX_CLASS_GUESTS: u16 = 0x7fef;
/// The most devices of a guest.
pub const MAX_CLASS_DEVICES: u16 = 256;

/// A kind of guests: which ones may be built, and what may be done with them later.
///
/// The limits named here are checked by [`crate::Manifest::check`], not by the type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestClass {
    /// The name, unique among the classes: as a domain's name.
    pub name: String,
    /// How Xen may run them: none twice.
    pub kinds: Vec<Kind>,
    /// The kernels that they may have.
    pub kernels: Vec<ImageRule>,
    /// The ramdisks that they may have.
    pub ramdisks: Vec<ImageRule>,
    /// The command lines that they may have.
    pub command_lines: Vec<CommandLineRule>,
    /// The most memory in KiB that one of them may ever have: limits as a domain's.
    pub memory_max_kib: u64,
    /// The most memory in KiB that all of them together may ever have: at least `memory_max_kib`.
    pub memory_total_kib: u64,
    /// The most vCPUs that one of them may ever have: 1 to [`crate::MAX_VCPUS`].
    pub vcpus_max: u16,
    /// How many of them there may be: at most [`MAX_CLASS_GUESTS`]; 0 keeps the class closed to new ones.
    pub guests_max: u16,
    /// The names of the domains that may serve their devices, each with [`crate::Role::Driver`].
    pub backends: Vec<String>,
    /// How many devices one of them may have: at most [`MAX_CLASS_DEVICES`].
    pub devices_max: u16,
    /// What may be done with them once they run.
    pub guest_box: GuestBox,
}

/// What may be done with a guest once it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum GuestBox {
    /// Whatever access allows.
    #[default]
    Open,
    /// Only what neither looks into the guest nor changes it ([`super::Request::leaves_closed`]), as far as access allows it.
    Closed,
}

impl fmt::Display for GuestBox {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Open => "open",
            Self::Closed => "closed",
        })
    }
}

/// Which command line a guest may have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum CommandLineRule {
    /// This one.
    Exact(String),
    /// Each one that begins so.
    Beginning(String),
}

impl CommandLineRule {
    /// Whether a guest may have this command line.
    #[must_use]
    pub fn accepts(&self, command_line: &str) -> bool {
        match self {
            Self::Exact(text) => command_line == text,
            Self::Beginning(text) => command_line.starts_with(text.as_str()),
        }
    }

    /// The text, without what says that more may follow.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Exact(text) | Self::Beginning(text) => text,
        }
    }
}

/// As in a manifest, in quotes: the text, and `*` where more may follow.
impl fmt::Display for CommandLineRule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(text) => write!(formatter, "{text:?}"),
            Self::Beginning(text) => write!(formatter, "\"{}*\"", text.escape_debug()),
        }
    }
}
