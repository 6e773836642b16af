//! UUIDs of domains, as 16 bytes in the order of their text (RFC 9562).

use alloc::string::String;
use core::fmt::Write as _;

use measure::{Bank, Digest};

/// How many bytes stand between the hyphens of the text.
const GROUPS: [usize; 5] = [4, 2, 2, 2, 6];

/// The UUID of a domain whose manifest gives none: the SHA-256 of `domb uuid`, the host's name and the domain's name, each
/// closed by a zero byte, cut to 16 bytes and marked as version 8 (RFC 9562, section 5.8). It is the same each time.
#[must_use]
pub fn derive(host: &str, domain: &str) -> [u8; 16] {
    let data = ["domb uuid", "\0", host, "\0", domain, "\0"].concat();
    let digest = Digest::of(Bank::Sha256, data.as_bytes());
    let mut uuid = [0; 16];
    for (to, from) in uuid.iter_mut().zip(digest.bytes()) {
        *to = *from;
    }
    uuid[6] = uuid[6] & 0x0f | 0x80;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    uuid
}

/// Reads `01234567-89ab-cdef-0123-456789abcdef`, digits in upper or lower case.
#[must_use]
pub fn parse(text: &str) -> Option<[u8; 16]> {
    let mut uuid = [0; 16];
    let mut bytes = uuid.iter_mut();
    let mut groups = text.split('-');
    for length in GROUPS {
        let group = groups.next()?;
        if group.len() != length * 2 || !group.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        for (at, byte) in (0..length).zip(&mut bytes) {
            *byte = u8::from_str_radix(group.get(at * 2..at * 2 + 2)?, 16).ok()?;
        }
    }
    groups.next().is_none().then_some(uuid)
}

/// The text of a UUID, in lower case.
#[must_use]
pub fn text(uuid: &[u8; 16]) -> String {
    let mut text = String::new();
    let mut bytes = uuid.iter();
    for (group, length) in GROUPS.into_iter().enumerate() {
        if group > 0 {
            text.push('-');
        }
        for byte in bytes.by_ref().take(length) {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_comes_back() {
        let uuid = "01234567-89ab-cdef-0123-456789abcdef";
        let bytes = [
            1, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 1, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
        ];
        assert_eq!(parse(uuid), Some(bytes));
        assert_eq!(parse(&uuid.to_uppercase()), Some(bytes));
        assert_eq!(text(&bytes), uuid);
    }

    #[test]
    fn other_text_is_none() {
        for bad in [
            "",
            "01234567-89ab-cdef-0123-456789abcde",
            "01234567-89ab-cdef-0123-456789abcdef0",
            "01234567-89ab-cdef-0123-456789abcdef-",
            "0123456789abcdef0123456789abcdef",
            "01234567-89ab-cdef-01234-56789abcdef",
            "+1234567-89ab-cdef-0123-456789abcdef",
            "0123456g-89ab-cdef-0123-456789abcdef",
            "01234ä7-89ab-cdef-0123-456789abcdef",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn derived_uuids_are_fixed_and_differ() {
        assert_eq!(text(&derive("demo", "web")), "50078e71-818e-891a-8a73-147eda28eadc");
        assert_ne!(derive("demo", "web"), derive("demo", "db"));
        assert_ne!(derive("demo", "web"), derive("dem", "oweb"));
    }
}
