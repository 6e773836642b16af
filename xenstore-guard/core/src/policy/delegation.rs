//! What the manifest lets single domains do beyond the rules of their roles.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use manifest::{StoreAccess, StoreRight};

use super::Kind;

/// One entry of `store-access`, ready to be compared.
#[derive(Debug, Clone)]
pub(super) struct Delegation {
    /// The domain in whose home the names begin, as an index into the manifest's; none where they begin at `/`.
    pub(super) of: Option<usize>,
    /// The names; none for any name.
    names: Box<[Option<Box<str>>]>,
    /// Whether all below is meant, too.
    below: bool,
    write: bool,
}

impl Delegation {
    /// The entry; `of` is the index of the domain that it names.
    pub(super) fn new(access: &StoreAccess, of: Option<usize>) -> Self {
        let path = access.path.strip_prefix('/').unwrap_or(&access.path);
        let (names, below) = match path.strip_suffix("**") {
            Some(names) => (names.strip_suffix('/').unwrap_or(names), true),
            None => (path, false),
        };
        let name = |name: &str| (name != "*").then(|| String::from(name).into_boxed_str());
        let names: Vec<Option<Box<str>>> = if names.is_empty() {
            Vec::new()
        } else {
            names.split('/').map(name).collect()
        };
        Self {
            of,
            names: names.into(),
            below,
            write: access.access == StoreRight::Write,
        }
    }

    /// Whether it covers a node, given by its path without a slash at the start. `named` is the number of the name in that
    /// path that must stand in the entry itself, and not be covered by a star.
    pub(super) fn covers(&self, kind: Kind, path: &str, named: Option<usize>) -> bool {
        // Who removes a node removes all below.
        let right = match kind {
            Kind::Read => true,
            Kind::Write | Kind::Permissions => self.write,
            Kind::Remove => self.write && self.below,
        };
        if !right || named.is_some_and(|named| !matches!(self.names.get(named), Some(Some(_)))) {
            return false;
        }
        let mut rest = (!path.is_empty()).then_some(path);
        for wanted in &self.names {
            let Some(path) = rest else { return false };
            let (name, behind) = path
                .split_once('/')
                .map_or((path, None), |(name, rest)| (name, Some(rest)));
            if wanted.as_deref().is_some_and(|wanted| wanted != name) {
                return false;
            }
            rest = behind;
        }
        rest.is_none() || self.below
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(pattern: &str, path: &str, named: Option<usize>) -> bool {
        let access = StoreAccess {
            of: None,
            path: pattern.into(),
            access: StoreRight::Read,
        };
        Delegation::new(&access, None).covers(Kind::Read, path, named)
    }

    #[test]
    fn stars() {
        for (pattern, path, expected) in [
            ("/a/b", "a/b", true),
            ("/a/b", "a", false),
            ("/a/b", "a/b/c", false),
            ("/a/*", "a/b", true),
            ("/a/*", "a", false),
            ("/a/*", "a/b/c", false),
            ("/*/b", "x/b", true),
            ("/a/**", "a", true),
            ("/a/**", "a/b/c", true),
            ("/a/**", "ab", false),
            ("/a/*/**", "a", false),
            ("/a/*/**", "a/b", true),
            ("/**", "", true),
            ("/**", "a", true),
            ("**", "a/b", true),
            ("data", "data", true),
            ("@releaseDomain", "@releaseDomain", true),
        ] {
            assert_eq!(covers(pattern, path, None), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn some_names_must_be_written_out() {
        for (pattern, path, named, expected) in [
            ("/l/d/*/data", "l/d/7/data", 3, true),
            ("/l/d/*/*", "l/d/7/data", 3, false),
            ("/l/d/*/data/**", "l/d/7/data/x/y", 3, true),
            ("/l/d/**", "l/d/7/data", 3, false),
            ("data/**", "data", 0, true),
            ("**", "data", 0, false),
        ] {
            assert_eq!(covers(pattern, path, Some(named)), expected, "{pattern} {path}");
        }
    }
}
