//! How much a guest may send.

use core::fmt;

use serde::{Deserialize, Serialize};

/// How much a guest may send: a credit that is given anew after each interval (xl-network-configuration(5), `rate`).
///
/// Its text is `10MB/s` or `10MB/s@20ms`: a whole number of GB, MB, KB, B (bytes) or Gb, Mb, Kb, b (bits), each 1000 of the
/// next, and a whole number of s, ms or us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rate {
    /// Bytes in a second, not 0.
    pub bytes_per_second: u64,
    /// Microseconds from one credit to the next, not 0.
    pub interval_us: u32,
}

/// The interval where none is given: 50 ms.
const DEFAULT_INTERVAL_US: u32 = 50_000;
/// The highest rate in bytes a second: 10^12. With it a credit is far from what 64 bits hold.
const MAX_BYTES_PER_SECOND: u64 = 1_000_000_000_000;
const FACTORS: [(&str, u64); 4] = [("G", 1_000_000_000), ("M", 1_000_000), ("K", 1000), ("", 1)];
const INTERVALS: [(&str, u32); 5] = [("us", 1), ("ms", 1000), ("s", 1_000_000), ("u", 1), ("m", 1000)];

impl Rate {
    /// Reads a rate.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (rate, interval) = match text.split_once('@') {
            Some((rate, interval)) => (rate, Some(interval)),
            None => (text, None),
        };
        let amount = rate.strip_suffix("/s")?;
        let (amount, bits) = match (amount.strip_suffix('B'), amount.strip_suffix('b')) {
            (Some(amount), _) => (amount, 1),
            (None, Some(amount)) => (amount, 8),
            (None, None) => return None,
        };
        let (digits, factor) = FACTORS
            .iter()
            .find_map(|(suffix, factor)| Some((amount.strip_suffix(suffix)?, *factor)))?;
        let rate = Self {
            bytes_per_second: whole(digits)?.checked_mul(factor)? / bits,
            interval_us: match interval {
                None => DEFAULT_INTERVAL_US,
                Some(interval) => {
                    let (digits, factor) = INTERVALS
                        .iter()
                        .find_map(|(suffix, factor)| Some((interval.strip_suffix(suffix)?, *factor)))
                        .unwrap_or((interval, 1_000_000));
                    u32::try_from(whole(digits)?).ok()?.checked_mul(factor)?
                }
            },
        };
        rate.is_valid().then_some(rate)
    }

    /// Whether it is within the limits.
    #[must_use]
    pub fn is_valid(self) -> bool {
        let within = self.interval_us > 0 && (1..=MAX_BYTES_PER_SECOND).contains(&self.bytes_per_second);
        // With a credit of nothing a guest could never send.
        within && self.bytes_per_interval() > 0
    }

    /// The bytes of one credit: what the backend reads from the store, beside the interval.
    #[must_use]
    pub fn bytes_per_interval(self) -> u64 {
        self.bytes_per_second.saturating_mul(u64::from(self.interval_us)) / 1_000_000
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (suffix, factor) = FACTORS
            .into_iter()
            .find(|(_, factor)| self.bytes_per_second.is_multiple_of(*factor))
            .unwrap_or(("", 1));
        write!(formatter, "{}{suffix}B/s", self.bytes_per_second / factor)?;
        if self.interval_us == DEFAULT_INTERVAL_US {
            return Ok(());
        }
        let (suffix, factor) = [("s", 1_000_000), ("ms", 1000)]
            .into_iter()
            .find(|(_, factor)| self.interval_us.is_multiple_of(*factor))
            .unwrap_or(("us", 1));
        write!(formatter, "@{}{suffix}", self.interval_us / factor)
    }
}

/// A decimal number without leading zeros, which would be octal to Xen's toolstack.
fn whole(digits: &str) -> Option<u64> {
    let right = digits.bytes().all(|digit| digit.is_ascii_digit()) && !digits.starts_with('0');
    right.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_xl_accepts() {
        for (text, bytes_per_second, interval_us, credit) in [
            ("10Mb/s", 1_250_000, 50_000, 62_500),
            ("250KB/s", 250_000, 50_000, 12_500),
            ("1MB/s@20ms", 1_000_000, 20_000, 20_000),
            ("8b/s@1s", 1, 1_000_000, 1),
            ("1GB/s@7us", 1_000_000_000, 7, 7000),
            ("1B/s@3", 1, 3_000_000, 3),
            ("1KB/s@5m", 1000, 5000, 5),
        ] {
            let rate = Rate::parse(text).unwrap();
            assert_eq!(
                (rate.bytes_per_second, rate.interval_us),
                (bytes_per_second, interval_us)
            );
            assert_eq!(rate.bytes_per_interval(), credit);
            assert_eq!(Rate::parse(&rate.to_string()), Some(rate));
        }
    }

    #[test]
    fn what_xl_refuses() {
        for bad in [
            "",
            "10",
            "10MB",
            "MB/s",
            "10 MB/s",
            "10TB/s",
            "0B/s",
            "7b/s",
            "8B/s@7us",
            "010MB/s",
            "1MB/s@",
            "1MB/s@0ms",
            "1MB/s@1h",
            "1MB/s@5000s",
            "99999999999GB/s",
        ] {
            assert_eq!(Rate::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn the_text_of_each_rate_reads_back(bytes_per_second in 1..=MAX_BYTES_PER_SECOND, interval_us in 1..=u32::MAX) {
            let rate = Rate { bytes_per_second, interval_us };
            prop_assume!(rate.is_valid());
            prop_assert_eq!(Rate::parse(&rate.to_string()), Some(rate));
        }
    }
}
