//! Network addresses that a guest may use.

use core::fmt;
use core::net::IpAddr;

use serde::{Deserialize, Serialize};

/// An address of the Internet protocol, or all those that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// How many of its bits count: all of them for a single address.
    pub prefix: u8,
}

impl Address {
    /// Reads `192.0.2.1`, `192.0.2.0/24`, `2001:db8::1` or `2001:db8::/64`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (ip, prefix) = match text.split_once('/') {
            Some((ip, prefix)) => (ip, Some(prefix)),
            None => (text, None),
        };
        let ip: IpAddr = ip.parse().ok()?;
        let prefix = match prefix {
            None => Self::bits(ip),
            Some(digits) if digits.len() <= 3 && digits.bytes().all(|digit| digit.is_ascii_digit()) => {
                digits.parse().ok()?
            }
            Some(_) => return None,
        };
        let address = Self { ip, prefix };
        address.is_valid().then_some(address)
    }

    /// Whether the prefix is not longer than the address.
    #[must_use]
    pub fn is_valid(self) -> bool {
        self.prefix <= Self::bits(self.ip)
    }

    const fn bits(ip: IpAddr) -> u8 {
        match ip {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.ip)?;
        if self.prefix == Self::bits(self.ip) {
            Ok(())
        } else {
            write!(formatter, "/{}", self.prefix)
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    #[test]
    fn text_comes_back() {
        for text in ["192.0.2.1", "192.0.2.0/24", "2001:db8::1", "2001:db8::/64", "0.0.0.0/0"] {
            assert_eq!(Address::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Address::parse("192.0.2.1/32").unwrap().to_string(), "192.0.2.1");
        for bad in [
            "",
            "192.0.2",
            "192.0.2.1/33",
            "2001:db8::/129",
            "192.0.2.1/",
            "192.0.2.1/+1",
            "host",
        ] {
            assert_eq!(Address::parse(bad), None, "{bad}");
        }
    }
}
