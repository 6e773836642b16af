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
        Components(self.0.strip_prefix('/').unwrap_or(self.0))
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

/// Names between slashes.
#[derive(Clone)]
struct Components<'a>(&'a str);

impl<'a> Iterator for Components<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.0.is_empty() {
            return None;
        }
        let end = self.0.bytes().position(|byte| byte == b'/');
        let (name, rest) = match end {
            Some(end) => (self.0.get(..end)?, self.0.get(end + 1..)?),
            None => (self.0, ""),
        };
        self.0 = rest;
        Some(name)
    }
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
