//! Paths, checked (docs/misc/xenstore.txt, the part before the operations).

use alloc::string::String;
use core::fmt;

use xen::store::wire::MAX_ABSOLUTE_PATH;

/// Fires when a domain is introduced.
pub const INTRODUCE_DOMAIN: &str = "@introduceDomain";
/// Fires when a domain dies or is released.
pub const RELEASE_DOMAIN: &str = "@releaseDomain";

/// Bytes that a path may have.
const ALLOWED: [bool; 256] = {
    let mut allowed = [false; 256];
    let bytes = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-/_@";
    let mut index = 0;
    while index < bytes.len() {
        allowed[bytes[index] as usize] = true;
        index += 1;
    }
    allowed
};

/// An absolute path (`/`, `/local/domain/7/name`) or a special name (`@releaseDomain`), checked: nothing but the characters
/// that are allowed, no `//`, no `/` at its end, at most 3072 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path<'a>(&'a str);

impl<'a> Path<'a> {
    /// The path of everything.
    pub const ROOT: Path<'static> = Path("/");

    /// Checks an absolute path or a special name.
    #[must_use]
    pub fn new(text: &'a str) -> Option<Self> {
        Self::from_bytes(text.as_bytes())
    }

    /// As [`Path::new`].
    #[must_use]
    pub fn from_bytes(bytes: &'a [u8]) -> Option<Self> {
        let first = *bytes.first()?;
        if first != b'/' && first != b'@' {
            return None;
        }
        checked(bytes).map(Self)
    }

    /// A path that was checked before.
    pub(crate) const fn known(text: &'a str) -> Self {
        Self(text)
    }

    /// Checks what a client sent. A relative path is made absolute in `buffer`; `home` is what it is relative to.
    #[must_use]
    pub(crate) fn resolve(bytes: &'a [u8], home: &str, buffer: &'a mut String) -> Option<Self> {
        if matches!(bytes.first()?, b'/' | b'@') {
            return Self::from_bytes(bytes);
        }
        // Checked by itself: it must not end in a slash, nor begin with one behind the home's.
        let relative = checked(bytes)?;
        buffer.clear();
        buffer.push_str(home);
        buffer.push('/');
        buffer.push_str(relative);
        (buffer.len() <= MAX_ABSOLUTE_PATH).then_some(Self(buffer))
    }

    /// The path.
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// Whether it is a special name.
    #[must_use]
    pub fn is_special(self) -> bool {
        self.0.starts_with('@')
    }

    /// The names on the way to the node; none for `/`. A special name counts as one.
    pub fn components(self) -> impl Iterator<Item = &'a str> + Clone {
        self.names().filter_map(|name| core::str::from_utf8(name.text).ok())
    }

    /// The names on the way to the node, ready to be looked for.
    pub(crate) fn names(self) -> Names<'a> {
        let bytes = self.0.as_bytes();
        Names(bytes.strip_prefix(b"/").unwrap_or(bytes))
    }

    /// The path of the node above; none for `/` and special names.
    #[must_use]
    pub fn parent(self) -> Option<Self> {
        if self.0.len() <= 1 || self.is_special() {
            return None;
        }
        match self.0.rfind('/') {
            Some(0) => Some(Path::ROOT),
            Some(slash) => self.0.get(..slash).map(Self),
            None => None,
        }
    }

    /// The path of the node so many levels above; none for special names and above the root.
    pub(crate) fn above(self, levels: usize) -> Option<Self> {
        (0..levels).try_fold(self, |path, _| path.parent())
    }

    /// The last names of it, the very last one first.
    pub(crate) fn last_names(self, count: usize) -> impl Iterator<Item = Name<'a>> {
        let mut rest = self.0.as_bytes();
        (0..count).map(move |_| {
            let slash = rest.iter().rposition(|&byte| byte == b'/');
            let start = slash.map_or(0, |slash| slash + 1);
            let name = Name::new(rest.get(start..).unwrap_or_default());
            rest = slash.and_then(|slash| rest.get(..slash)).unwrap_or_default();
            name
        })
    }

    /// Bytes behind `/local/domain/N/`, which is what the quota of a path's length counts.
    pub(crate) fn counted_length(self) -> usize {
        let counted = self.0.strip_prefix("/local/domain/").and_then(|rest| {
            let (digits, inside) = rest.split_once('/')?;
            (matches!(digits.len(), 1..=5) && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(inside)
        });
        counted.unwrap_or(self.0).len()
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A name, and its first eight bytes as a number.
///
/// Names are without NULs: the order of keys is that of names, and equal keys of names that are shorter than eight bytes are
/// equal names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Name<'a> {
    pub(crate) text: &'a [u8],
    pub(crate) key: u64,
}

impl<'a> Name<'a> {
    /// Bytes of a name that are its key.
    pub(crate) const KEY: usize = 8;

    pub(crate) fn new(text: &'a [u8]) -> Self {
        let key = match text.first_chunk() {
            Some(start) => u64::from_be_bytes(*start),
            None => {
                let key = text.iter().fold(0, |key, &byte| key << 8 | u64::from(byte));
                // An empty name's key is 0 whatever it is shifted by.
                key << (8 * Self::KEY.saturating_sub(text.len()).min(Self::KEY - 1))
            }
        };
        Self { text, key }
    }
}

/// Names between slashes.
#[derive(Debug, Clone)]
pub(crate) struct Names<'a>(&'a [u8]);

impl<'a> Iterator for Names<'a> {
    type Item = Name<'a>;

    #[inline]
    fn next(&mut self) -> Option<Name<'a>> {
        if self.0.is_empty() {
            return None;
        }
        let slash = |bytes: &[u8]| bytes.iter().position(|&byte| byte == b'/').unwrap_or(bytes.len());
        // Mostly the slash is among the first eight bytes, which are looked at at once.
        let (length, key) = match self.0.first_chunk() {
            Some(start) => {
                let word = u64::from_be_bytes(*start);
                match first_slash(word) {
                    8 => (8 + slash(self.0.get(8..)?), word),
                    length => (length, word & !(u64::MAX >> (8 * length))),
                }
            }
            None => {
                let length = slash(self.0);
                (length, Name::new(self.0.get(..length)?).key)
            }
        };
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest.get(1..).unwrap_or_default();
        Some(Name { text, key })
    }
}

/// How many bytes, of eight, are before the first slash.
const fn first_slash(word: u64) -> usize {
    const SLASHES: u64 = u64::from_be_bytes([b'/'; 8]);
    const LOW: u64 = u64::from_be_bytes([0x7f; 8]);
    let difference = word ^ SLASHES;
    // The high bit of each byte that is zero, and of no other.
    let zero = !(((difference & LOW) + LOW) | difference | LOW);
    (zero.leading_zeros() / 8) as usize
}

fn checked(bytes: &[u8]) -> Option<&str> {
    if bytes.len() > MAX_ABSOLUTE_PATH {
        return None;
    }
    let mut previous = 0;
    for &byte in bytes {
        if !ALLOWED.get(usize::from(byte)).copied().unwrap_or(false) || (byte == b'/' && previous == b'/') {
            return None;
        }
        previous = byte;
    }
    if previous == b'/' && bytes.len() > 1 {
        return None;
    }
    core::str::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn resolve(text: &str) -> Option<String> {
        let mut buffer = String::new();
        Path::resolve(text.as_bytes(), "/local/domain/7", &mut buffer).map(|path| path.as_str().into())
    }

    #[test]
    fn relative_paths_begin_at_home() {
        assert_eq!(resolve("name").as_deref(), Some("/local/domain/7/name"));
        assert_eq!(resolve("a/b@c").as_deref(), Some("/local/domain/7/a/b@c"));
        assert_eq!(resolve("/a-b_c").as_deref(), Some("/a-b_c"));
        assert_eq!(resolve("/").as_deref(), Some("/"));
        assert_eq!(resolve("@releaseDomain").as_deref(), Some("@releaseDomain"));
    }

    #[test]
    fn malformed_paths_are_refused() {
        for text in ["", "//", "/a/", "/a//b", "a/", "/a b", "/a\0b", "/ä", "/a.b", "/a\n"] {
            assert_eq!(resolve(text), None, "{text:?}");
        }
        assert_eq!(Path::new("relative"), None);
    }

    #[test]
    fn paths_end_at_3072_bytes_once_they_are_absolute() {
        let long = "a".repeat(MAX_ABSOLUTE_PATH - 1);
        assert!(Path::new(&alloc::format!("/{long}")).is_some());
        assert!(Path::new(&alloc::format!("/{long}a")).is_none());
        // "/local/domain/7/" is 16 bytes.
        let relative = "a".repeat(MAX_ABSOLUTE_PATH - 16);
        assert_eq!(resolve(&relative).map(|path| path.len()), Some(MAX_ABSOLUTE_PATH));
        assert_eq!(resolve(&alloc::format!("{relative}a")), None);
    }

    #[test]
    fn parents_and_components() {
        let path = Path::new("/local/domain/7").unwrap();
        assert_eq!(path.components().collect::<Vec<_>>(), ["local", "domain", "7"]);
        assert_eq!(path.parent().map(Path::as_str), Some("/local/domain"));
        assert_eq!(Path::new("/local").unwrap().parent(), Some(Path::ROOT));
        assert_eq!(Path::ROOT.parent(), None);
        assert_eq!(Path::ROOT.components().count(), 0);
        let special = Path::new("@releaseDomain/7").unwrap();
        assert_eq!(special.components().collect::<Vec<_>>(), ["@releaseDomain", "7"]);
    }

    #[test]
    fn names_are_cut_at_slashes_wherever_these_are() {
        for text in [
            "/a",
            "/abcdefg/b",
            "/abcdefgh/b",
            "/abcdefghi/b/c",
            "/a/b/c/d/e/f/g/h/i",
            "/0123456789abcdef",
        ] {
            let path = Path::new(text).unwrap();
            let expected: Vec<_> = text.split('/').skip(1).map(|name| Name::new(name.as_bytes())).collect();
            assert_eq!(path.names().collect::<Vec<_>>(), expected, "{text}");
            let last: Vec<_> = path.last_names(2).map(|name| name.text).collect();
            let reversed: Vec<_> = text.rsplit('/').take(2).map(str::as_bytes).collect();
            assert_eq!(last, reversed, "{text}");
        }
        assert_eq!(first_slash(u64::from_be_bytes(*b"ab/de/gh")), 2);
        assert_eq!(first_slash(u64::from_be_bytes(*b"/bcdefgh")), 0);
        assert_eq!(first_slash(u64::from_be_bytes(*b"abcdefg/")), 7);
        assert_eq!(first_slash(u64::from_be_bytes(*b"abcd.0gh")), 8);
        assert!(Name::new(b"1").key < Name::new(b"10").key);
        assert!(Name::new(b"10").key < Name::new(b"2").key);
        assert_eq!(Name::new(b"").key, 0);
    }

    #[test]
    fn the_quota_counts_what_is_behind_the_home() {
        for (text, counted) in [
            ("/local/domain/7/abc", 3),
            ("/local/domain/70000/abc", 3),
            ("/local/domain/700000/abc", 24),
            ("/local/domain/7", 15),
            ("/local/domain/x/a", 17),
            ("/tool", 5),
        ] {
            assert_eq!(Path::new(text).unwrap().counted_length(), counted, "{text}");
        }
    }
}
