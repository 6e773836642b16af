//! What the items of `disk` and `vif` have in common.

use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use crate::source::Wrong;

/// A value that is not accepted, and what is.
pub(super) fn unaccepted(found: String, accepted: &str) -> Wrong {
    Wrong::Value {
        found,
        accepted: accepted.to_owned(),
    }
}

/// Something known that cannot be had.
pub(super) fn refused(reason: String) -> Wrong {
    Wrong::Refused { reason }
}

/// The domain that serves a device. xl's default, domain 0, is here the domain that serves such devices.
pub(super) fn backend(name: Option<&str>, wrong: &mut Vec<Wrong>) -> Option<String> {
    let name = name?;
    if matches!(name, "" | "0" | "Domain-0") {
        return None;
    }
    if name.bytes().all(|digit| digit.is_ascii_digit()) {
        wrong.push(refused(format!(
            "backend={name}: domains have another number after each start; accepted: a name"
        )));
    }
    Some(name.to_string())
}
