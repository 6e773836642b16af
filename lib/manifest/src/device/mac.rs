//! Ethernet addresses.

use core::fmt;

use measure::{Bank, Digest};
use serde::{Deserialize, Serialize};

/// The vendor prefix that the Xen project gives its users.
const XEN_OUI: [u8; 3] = [0x00, 0x16, 0x3e];

/// An Ethernet address: six bytes in the order of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// The address of an interface whose configuration gives none: 00:16:3e, and of the SHA-256 of `domb mac`, a zero byte,
    /// the domain's UUID and the interface's index (32 bits, least significant byte first) the first three bytes, the
    /// highest bit cleared as Xen's own toolstack does. It is the same each time.
    #[must_use]
    pub fn derive(uuid: &[u8; 16], index: usize) -> Self {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        let data = [b"domb mac\0".as_slice(), uuid, &index.to_le_bytes()].concat();
        let digest = Digest::of(Bank::Sha256, &data);
        let [first, second, third] = XEN_OUI;
        let mut mac = [first, second, third, 0, 0, 0];
        for (to, from) in mac.iter_mut().skip(XEN_OUI.len()).zip(digest.bytes()) {
            *to = *from;
        }
        mac[3] &= 0x7f;
        Self(mac)
    }

    /// Reads six groups of one or two hexadecimal digits with colons between them.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut mac = [0; 6];
        let mut groups = text.split(':');
        for byte in &mut mac {
            let group = groups.next()?;
            if !matches!(group.len(), 1 | 2) || !group.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return None;
            }
            *byte = u8::from_str_radix(group, 16).ok()?;
        }
        groups.next().is_none().then_some(Self(mac))
    }

    /// Whether an interface can have it: not zero and not a group's.
    #[must_use]
    pub fn is_valid(self) -> bool {
        self.0 != [0; 6] && self.0[0] & 1 == 0
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, f] = self.0;
        write!(formatter, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    #[test]
    fn text_comes_back() {
        let mac = Mac([0, 0x16, 0x3e, 0x74, 0x3d, 0x76]);
        assert_eq!(Mac::parse("00:16:3E:74:3d:76"), Some(mac));
        assert_eq!(Mac::parse("0:16:3e:74:3d:76"), Some(mac));
        assert_eq!(mac.to_string(), "00:16:3e:74:3d:76");
        for bad in [
            "",
            "00:16:3e:74:3d",
            "00:16:3e:74:3d:76:00",
            "00-16-3e-74-3d-76",
            "001:6:3e:74:3d:76",
            "00:16:3e:74:3d:7g",
            "+0:16:3e:74:3d:76",
            "00:16:3e:74:3d:",
        ] {
            assert_eq!(Mac::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn derived_addresses_are_fixed_and_differ() {
        let uuid = crate::uuid::derive("demo", "web");
        assert_eq!(Mac::derive(&uuid, 0), Mac::derive(&uuid, 0));
        assert!(Mac::derive(&uuid, 0).to_string().starts_with("00:16:3e:"));
        assert_ne!(Mac::derive(&uuid, 0), Mac::derive(&uuid, 1));
        assert_ne!(Mac::derive(&uuid, 0), Mac::derive(&[0; 16], 0));
        assert!(Mac::derive(&uuid, 0).is_valid());
    }

    #[test]
    fn an_interface_has_neither_a_groups_address_nor_zero() {
        assert!(!Mac([0; 6]).is_valid());
        assert!(!Mac([0xff; 6]).is_valid());
        assert!(Mac([2, 0, 0, 0, 0, 0]).is_valid());
    }
}
