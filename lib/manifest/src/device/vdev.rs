//! Virtual device numbers of disks (Xen's docs/man/xen-vbd-interface.7).

use alloc::string::{String, ToString as _};
use core::fmt;

use serde::{Deserialize, Serialize};

/// What a disk is to its guest: a number that stands for a kind of disk, a disk, and a partition of it or the whole.
///
/// Its text is the name of that: `xvda`, `xvdb2`, `hdc`, `sda1`; a decimal number for one that has no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Vdev(u32);

/// Marks a number with 20 bits for the disk and 8 for the partition.
const EXTENDED: u32 = 1 << 28;
/// From here on numbers are reserved for future use.
const RESERVED: u32 = 2 << 28;

/// Names of one kind of disk.
struct Names {
    prefix: &'static str,
    /// The first of its numbers, the disk that has it, and one beyond the last disk.
    base: u32,
    disks: core::ops::Range<u32>,
    /// The bits of the partition.
    shift: u32,
}

const KINDS: [Names; 5] = [
    names("xvd", 202 << 8, 0..16, 4),
    names("xvd", EXTENDED, 0..1 << 20, 8),
    names("sd", 8 << 8, 0..16, 4),
    names("hd", 3 << 8, 0..2, 6),
    names("hd", 22 << 8, 2..4, 6),
];

const fn names(prefix: &'static str, base: u32, disks: core::ops::Range<u32>, shift: u32) -> Names {
    Names {
        prefix,
        base,
        disks,
        shift,
    }
}

impl Names {
    /// The number of a partition of a disk; of 0 for the whole disk.
    fn number(&self, disk: u32, partition: u32) -> Option<u32> {
        let fits = self.disks.contains(&disk) && partition < 1 << self.shift;
        let minor = disk.checked_sub(self.disks.start)? << self.shift | partition;
        fits.then_some(self.base | minor)
    }

    /// Disk and partition of a number of this kind.
    fn split(&self, number: u32) -> Option<(u32, u32)> {
        let minor = number.checked_sub(self.base)?;
        let disk = (minor >> self.shift).checked_add(self.disks.start)?;
        (self.disks.contains(&disk)).then_some((disk, minor & ((1 << self.shift) - 1)))
    }
}

impl Vdev {
    /// The one of this number, unless that is reserved.
    #[must_use]
    pub const fn from_number(number: u32) -> Option<Self> {
        if number < RESERVED { Some(Self(number)) } else { None }
    }

    /// The number that stands in the store.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// Whether the number is one of the format: not reserved.
    #[must_use]
    pub const fn is_valid(self) -> bool {
        self.0 < RESERVED
    }

    /// Reads a name (`xvda`, `xvda1`, `hda`, `sda`, `d0`, `d0p1`) or a number (decimal, `0x` hexadecimal, `0` octal).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.starts_with(|first: char| first.is_ascii_digit()) {
            return Self::from_number(parse_number(text)?);
        }
        let (prefix, disk, partition) = if let Some(rest) = text.strip_prefix('d') {
            let (disk, partition) = rest.split_once('p').unwrap_or((rest, "0"));
            ("xvd", decimal(disk)?, decimal(partition)?)
        } else {
            let kind = KINDS.iter().find(|kind| text.starts_with(kind.prefix))?;
            let rest = text.strip_prefix(kind.prefix)?;
            let letters = rest.trim_end_matches(|digit: char| digit.is_ascii_digit());
            let partition = rest.strip_prefix(letters)?;
            let partition = if partition.is_empty() {
                0
            } else {
                decimal(partition).filter(|partition| *partition > 0)?
            };
            (kind.prefix, disk_of_letters(letters)?, partition)
        };
        KINDS
            .iter()
            .filter(|kind| kind.prefix == prefix)
            .find_map(|kind| kind.number(disk, partition))
            .map(Self)
    }

    /// The name, if the number is one that a name has.
    fn name(self) -> Option<String> {
        let (kind, (disk, partition)) = KINDS.iter().find_map(|kind| Some((kind, kind.split(self.0)?)))?;
        let mut name = String::from(kind.prefix);
        name.push_str(&letters_of_disk(disk));
        if partition > 0 {
            name.push_str(&partition.to_string());
        }
        // A small disk in the format for large ones has another number by its name.
        (Self::parse(&name) == Some(self)).then_some(name)
    }
}

impl fmt::Display for Vdev {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => formatter.pad(&name),
            None => fmt::Display::fmt(&self.0, formatter),
        }
    }
}

/// A decimal number without leading zeros.
fn decimal(text: &str) -> Option<u32> {
    let right = text.bytes().all(|digit| digit.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    right.then(|| text.parse().ok()).flatten()
}

/// A number as C writes it.
fn parse_number(text: &str) -> Option<u32> {
    let (digits, radix) = match (text.strip_prefix("0x"), text.strip_prefix('0')) {
        (Some(digits), _) => (digits, 16),
        (_, Some(digits)) if !digits.is_empty() => (digits, 8),
        _ => (text, 10),
    };
    let right = digits.bytes().all(|digit| digit.is_ascii_alphanumeric());
    right.then(|| u32::from_str_radix(digits, radix).ok()).flatten()
}

/// `a` is 0, `z` 25, `aa` 26.
fn disk_of_letters(letters: &str) -> Option<u32> {
    let mut disks: u32 = 0;
    for letter in letters.bytes() {
        if !letter.is_ascii_lowercase() {
            return None;
        }
        disks = disks.checked_mul(26)?.checked_add(u32::from(letter - b'a') + 1)?;
    }
    disks.checked_sub(1)
}

fn letters_of_disk(disk: u32) -> String {
    let mut letters = String::new();
    let mut rest = Some(disk);
    while let Some(number) = rest {
        let letter = b'a'.saturating_add(u8::try_from(number % 26).unwrap_or_default());
        letters.insert(0, char::from(letter));
        rest = (number / 26).checked_sub(1);
    }
    letters
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_have_the_numbers_of_xens_table() {
        for (text, number) in [
            ("xvda", 202 << 8),
            ("d0", 202 << 8),
            ("d0p0", 202 << 8),
            ("xvdb2", 202 << 8 | 1 << 4 | 2),
            ("d1p2", 202 << 8 | 1 << 4 | 2),
            ("xvdp15", 202 << 8 | 15 << 4 | 15),
            ("xvda16", 1 << 28 | 16),
            ("xvdq", 1 << 28 | 16 << 8),
            ("xvdtq37", 1 << 28 | 536 << 8 | 37),
            ("d536p37", 1 << 28 | 536 << 8 | 37),
            ("sdb3", 8 << 8 | 1 << 4 | 3),
            ("hda", 3 << 8),
            ("hdb63", 3 << 8 | 1 << 6 | 63),
            ("hdc2", 22 << 8 | 2),
            ("hdd", 22 << 8 | 1 << 6),
            ("51712", 202 << 8),
            ("0xca00", 202 << 8),
            ("0145000", 202 << 8),
            ("0", 0),
        ] {
            assert_eq!(Vdev::parse(text).map(Vdev::number), Some(number), "{text}");
        }
    }

    #[test]
    fn what_is_no_device_is_none() {
        for text in [
            "",
            "xvd",
            "xvdA",
            "xvda0",
            "xvda01",
            "xvda256",
            "xvdzzzzzzz",
            "hde",
            "hda64",
            "sdq",
            "sda16",
            "d",
            "dp1",
            "d-1p0",
            "d01",
            "d0p",
            "d0p256",
            "d1048576",
            "vda",
            "0x",
            "0x20000000",
            "536870912",
            "12a",
            "-1",
            "xvda ",
            "xväda",
        ] {
            assert_eq!(Vdev::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_text_is_the_shortest_common_name() {
        for (number, text) in [
            (51712, "xvda"),
            (51745, "xvdc1"),
            (768, "hda"),
            (5632, "hdc"),
            (2049, "sda1"),
            (1 << 28 | 536 << 8 | 37, "xvdtq37"),
            (1 << 28, "268435456"),
            (7, "7"),
        ] {
            assert_eq!(Vdev::from_number(number).unwrap().to_string(), text);
        }
        assert_eq!(Vdev::from_number(2 << 28), None);
    }

    proptest! {
        #[test]
        fn the_text_of_each_number_reads_back(number in 0_u32..2 << 28) {
            let vdev = Vdev::from_number(number).unwrap();
            prop_assert_eq!(Vdev::parse(&vdev.to_string()), Some(vdev));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[xvdhsp0-9a-c]{0,12}|\\PC{0,8}") {
            if let Some(vdev) = Vdev::parse(&text) {
                prop_assert!(vdev.is_valid());
            }
        }
    }
}
