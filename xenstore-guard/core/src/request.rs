//! Payloads of requests, taken apart.

use core::fmt::Write as _;

use alloc::string::String;
use alloc::vec::Vec;

use xen::DomId;
use xen::store::StoreError;

/// The texts of a payload, each of which ends in a NUL. What is behind the last NUL is left out, as C xenstored does.
pub(crate) fn strings(payload: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    let end = payload.iter().rposition(|&byte| byte == 0);
    let texts = end.and_then(|end| payload.get(..end));
    texts.into_iter().flat_map(|texts| texts.split(|&byte| byte == 0))
}

/// The only text of a payload: there is one NUL, at its end.
pub(crate) fn only_string(payload: &[u8]) -> Result<&[u8], StoreError> {
    match first_string(payload)? {
        (text, []) => Ok(text),
        _ => Err(StoreError::Invalid),
    }
}

/// The first text of a payload, and what is behind its NUL.
pub(crate) fn first_string(payload: &[u8]) -> Result<(&[u8], &[u8]), StoreError> {
    let end = payload.iter().position(|&byte| byte == 0).ok_or(StoreError::Invalid)?;
    match (payload.get(..end), payload.get(end + 1..)) {
        (Some(text), Some(rest)) => Ok((text, rest)),
        _ => Err(StoreError::Invalid),
    }
}

/// Exactly `COUNT` texts.
pub(crate) fn exactly<const COUNT: usize>(payload: &[u8]) -> Result<[&[u8]; COUNT], StoreError> {
    let mut texts: [&[u8]; COUNT] = [&[]; COUNT];
    let mut rest = strings(payload);
    for slot in &mut texts {
        *slot = rest.next().ok_or(StoreError::Invalid)?;
    }
    match rest.next() {
        None => Ok(texts),
        Some(_) => Err(StoreError::Invalid),
    }
}

/// A decimal number: digits and nothing else.
pub(crate) fn number<N: core::str::FromStr>(text: &[u8]) -> Result<N, StoreError> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return Err(StoreError::Invalid);
    }
    core::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(StoreError::Invalid)
}

/// A domain's number.
pub(crate) fn domid(text: &[u8]) -> Result<DomId, StoreError> {
    number(text).map(DomId)
}

/// Adds text that is made as it is written.
pub(crate) fn append(answer: &mut Vec<u8>, text: core::fmt::Arguments<'_>) {
    /// Bytes that text can be written to.
    struct Bytes<'a>(&'a mut Vec<u8>);

    impl core::fmt::Write for Bytes<'_> {
        fn write_str(&mut self, text: &str) -> core::fmt::Result {
            self.0.extend_from_slice(text.as_bytes());
            Ok(())
        }
    }

    // Never fails.
    let _ = Bytes(answer).write_fmt(text);
}

/// What a client sent, for a log.
pub(crate) fn printable(bytes: &[u8]) -> String {
    bytes.escape_ascii().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_end_in_nuls() {
        let of = |payload: &'static [u8]| strings(payload).collect::<Vec<_>>();
        assert_eq!(of(b"a\0b\0"), [b"a", b"b"]);
        assert_eq!(of(b"a\0\0"), [&b"a"[..], b""]);
        assert_eq!(of(b"a\0rest"), [b"a"]);
        assert_eq!(of(b"\0"), [b""]);
        assert!(of(b"rest").is_empty());
        assert!(of(b"").is_empty());
    }

    #[test]
    fn counts_are_exact() {
        assert_eq!(only_string(b"a\0"), Ok(&b"a"[..]));
        for payload in [&b""[..], b"a", b"a\0b", b"a\0b\0"] {
            assert_eq!(only_string(payload), Err(StoreError::Invalid));
        }
        assert_eq!(exactly::<2>(b"a\0b\0"), Ok([&b"a"[..], b"b"]));
        assert_eq!(exactly::<2>(b"a\0"), Err(StoreError::Invalid));
        assert_eq!(exactly::<2>(b"a\0b\0c\0"), Err(StoreError::Invalid));
    }

    #[test]
    fn numbers_are_digits() {
        assert_eq!(domid(b"7"), Ok(DomId(7)));
        for text in [
            &b""[..],
            b"-1",
            b"+1",
            b" 1",
            b"1 ",
            b"65536",
            b"0x1",
            b"99999999999999999999",
        ] {
            assert_eq!(domid(text), Err(StoreError::Invalid));
        }
    }
}
