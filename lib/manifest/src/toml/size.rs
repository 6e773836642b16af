//! Amounts of memory.

use alloc::format;

use super::keys::Value;
use crate::source::Report;

const ACCEPTED: &str = "a whole number of MiB, or text such as \"5 GiB\", \"8 MiB\", \"4096 KiB\"";
const UNITS: [(&str, u64); 3] = [("KiB", 1), ("MiB", 1 << 10), ("GiB", 1 << 20)];

/// An amount of memory in KiB.
pub(super) fn read(value: &Value<'_>, report: &mut Report<'_>) -> Option<u64> {
    if let Some(text) = value.get().as_str() {
        let kib = parse(text);
        if kib.is_none() {
            value.wrong_value(format!("{text:?}"), ACCEPTED, report);
        }
        return kib;
    }
    let mib: u64 = value.number(ACCEPTED, report)?;
    let kib = mib.checked_mul(1 << 10);
    if kib.is_none() {
        value.wrong_value(format!("{mib} MiB"), ACCEPTED, report);
    }
    kib
}

/// A whole number and a unit, with or without spaces between them.
fn parse(text: &str) -> Option<u64> {
    let (digits, factor) = UNITS
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?.trim_end_matches(' '), *factor)))?;
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        assert_eq!(parse("4096 KiB"), Some(4096));
        assert_eq!(parse("8MiB"), Some(8192));
        assert_eq!(parse("5 GiB"), Some(5 << 20));
        for bad in [
            "",
            "8",
            "MiB",
            "8 MB",
            "8 mib",
            "+8 MiB",
            "-8 MiB",
            "8.5 GiB",
            " 8 MiB",
            "18446744073709551615 GiB",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
