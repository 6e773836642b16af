//! Where a path lies: whose home, and what kind of node there (Xen's docs/misc/xenstore-paths.pandoc).

use xen::DomId;

/// The first domid that no domain has (`DOMID_FIRST_RESERVED` of public/xen.h).
pub(super) const FIRST_RESERVED: u16 = 0x7ff0;

const HOMES: &[u8] = b"/local/domain/";

/// Where a path lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place<'a> {
    /// A name that is no node: `@releaseDomain`.
    Special,
    /// In the home of a domain, which need not exist.
    Home {
        /// Whose it is.
        owner: DomId,
        /// The path in the home without a slash at its start; empty for the home itself.
        rest: &'a str,
    },
    /// Elsewhere.
    Outside,
}

impl<'a> Place<'a> {
    #[inline]
    pub(super) fn of(path: &'a str) -> Self {
        let Some(behind) = path.as_bytes().strip_prefix(HOMES) else {
            return if path.starts_with('@') {
                Self::Special
            } else {
                Self::Outside
            };
        };
        let mut number: u16 = 0;
        let mut digits: usize = 0;
        for byte in behind {
            match byte {
                b'/' => break,
                // A number is written in one way: without zeros before it.
                b'0'..=b'9' if digits < 5 && (digits == 0 || number != 0) => {
                    number = match number
                        .checked_mul(10)
                        .and_then(|tens| tens.checked_add(u16::from(byte - b'0')))
                    {
                        Some(number) => number,
                        None => return Self::Outside,
                    };
                    digits = digits.saturating_add(1);
                }
                _ => return Self::Outside,
            }
        }
        if digits == 0 || number >= FIRST_RESERVED {
            return Self::Outside;
        }
        let rest = path.get(HOMES.len().saturating_add(digits).saturating_add(1)..);
        Self::Home {
            owner: DomId(number),
            rest: rest.unwrap_or_default(),
        }
    }
}

/// A kind of node in a home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Node<'a> {
    /// What says which domain this is: the home, `name`, `domid`, `vm`, `store` and what is below it.
    Identity,
    /// `data` and what is below it: between the domain and whom it chooses.
    Data,
    /// `vtpm` and what is below it.
    Vtpm,
    /// `console` and what is below it: the first console.
    Console {
        /// The path below it.
        rest: &'a str,
    },
    /// `device` or `device/CLASS`.
    Devices {
        /// The class; empty for `device`.
        class: &'a str,
    },
    /// `device/CLASS/I` and what is below it.
    Device {
        /// The class.
        class: &'a str,
        /// The path below it.
        rest: &'a str,
    },
    /// `backend`, `backend/CLASS` or `backend/CLASS/F`.
    Backends,
    /// `backend/CLASS/F/I` and what is below it.
    Backend {
        /// The class.
        class: &'a str,
        /// The domain that is served, as it stands there.
        frontend: &'a str,
        /// The path below it.
        rest: &'a str,
    },
    /// Something else.
    Other,
}

/// The first name of a path, and what is behind it.
pub(super) fn split(path: &str) -> (&str, &str) {
    path.split_once('/').unwrap_or((path, ""))
}

impl<'a> Node<'a> {
    /// The node at a path in a home.
    #[inline]
    pub(super) fn at(rest: &'a str) -> Self {
        let (first, rest) = split(rest);
        match first {
            // An empty name is no name: such a path was not checked.
            "" | "name" | "domid" | "vm" | "store" => Self::Identity,
            "data" => Self::Data,
            "vtpm" => Self::Vtpm,
            "console" => Self::Console { rest },
            "device" => Self::device(rest),
            "backend" => Self::backend(rest),
            _ => Self::Other,
        }
    }

    fn device(rest: &'a str) -> Self {
        let (class, rest) = split(rest);
        let (instance, rest) = split(rest);
        match (class, instance) {
            // A port by which a PV guest is asked to suspend itself: no device.
            ("suspend", _) => Self::Other,
            (_, "") => Self::Devices { class },
            _ => Self::Device { class, rest },
        }
    }

    fn backend(rest: &'a str) -> Self {
        let (class, rest) = split(rest);
        let (frontend, rest) = split(rest);
        let (instance, rest) = split(rest);
        match instance {
            "" => Self::Backends,
            _ => Self::Backend { class, frontend, rest },
        }
    }

    /// Whether nobody but its owner reads it unless the manifest names whom; then the number of the name in the home's
    /// path that says what it is.
    pub(super) fn private(self) -> Option<usize> {
        match self {
            Self::Data | Self::Vtpm | Self::Console { .. } => Some(0),
            Self::Device { class, .. } | Self::Devices { class } if matches!(class, "vtpm" | "console") => Some(1),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_are_numbers_written_in_one_way() {
        let home = |owner, rest| Place::Home {
            owner: DomId(owner),
            rest,
        };
        for (path, place) in [
            ("/local/domain/0", home(0, "")),
            ("/local/domain/7", home(7, "")),
            ("/local/domain/7/", home(7, "")),
            ("/local/domain/7/data/x", home(7, "data/x")),
            ("/local/domain/32751/a", home(32751, "a")),
            ("/local/domain/32752/a", Place::Outside),
            ("/local/domain/65536/a", Place::Outside),
            ("/local/domain/99999/a", Place::Outside),
            ("/local/domain/100000/a", Place::Outside),
            ("/local/domain/07/a", Place::Outside),
            ("/local/domain/00", Place::Outside),
            ("/local/domain//a", Place::Outside),
            ("/local/domain/", Place::Outside),
            ("/local/domain", Place::Outside),
            ("/local/domain/7x", Place::Outside),
            ("/local/domain/x", Place::Outside),
            ("/local/domains/7", Place::Outside),
            ("/", Place::Outside),
            ("", Place::Outside),
            ("@releaseDomain", Place::Special),
        ] {
            assert_eq!(Place::of(path), place, "{path}");
        }
    }

    #[test]
    fn nodes() {
        for (rest, node) in [
            ("", Node::Identity),
            ("/device/vbd", Node::Identity),
            ("name", Node::Identity),
            ("store/port", Node::Identity),
            ("names", Node::Other),
            ("console/tty", Node::Console { rest: "tty" }),
            ("device", Node::Devices { class: "" }),
            (
                "device//0/backend",
                Node::Device {
                    class: "",
                    rest: "backend",
                },
            ),
            ("device/vbd", Node::Devices { class: "vbd" }),
            ("device/vbd/0", Node::Device { class: "vbd", rest: "" }),
            (
                "device/vbd/0/a/b",
                Node::Device {
                    class: "vbd",
                    rest: "a/b",
                },
            ),
            ("device/suspend/event-channel", Node::Other),
            ("backend", Node::Backends),
            ("backend/vif/3", Node::Backends),
            (
                "backend/vif/3/0/state",
                Node::Backend {
                    class: "vif",
                    frontend: "3",
                    rest: "state",
                },
            ),
        ] {
            assert_eq!(Node::at(rest), node, "{rest}");
        }
    }
}
