//! What opening a box found.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// The most damages that are told one by one.
const MAX_DAMAGES: usize = 32;

/// What opening a box found, beside the state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Of the state: how many snapshots were made before it.
    pub generation: u64,
    /// Journal frames that were replayed.
    pub frames: usize,
    /// Changes in them.
    pub changes: usize,
    /// Changes that found no room in the box, so that the state does not have them.
    pub lost: u64,
    /// What is damaged, the first ones.
    pub damages: Vec<Damage>,
    /// How many more there are.
    pub more: usize,
}

/// A damage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Where it is in the box.
    pub offset: usize,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "recovery box at byte {:#x}: {}", self.offset, self.what)
    }
}

impl Report {
    /// Notes a damage.
    pub(super) fn damage(&mut self, offset: usize, what: &dyn fmt::Display) {
        if self.damages.len() < MAX_DAMAGES {
            self.damages.push(Damage {
                offset,
                what: alloc::format!("{what}"),
            });
        } else {
            self.more += 1;
        }
    }

    /// Whether everything that was acknowledged is in the state.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.damages.is_empty() && self.lost == 0
    }
}
