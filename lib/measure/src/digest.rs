//! Digests as values.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::ser::{SerializeTuple, Serializer};
use serde::{Deserialize, Serialize};

use crate::bank::Bank;
use crate::hasher::Hasher;

/// The size of the largest digest.
const MAX_SIZE: usize = 48;

/// One digest and the bank it belongs to.
///
/// `Display` writes the digest alone in lower-case hexadecimal. Readable serde formats and `FromStr` have
/// `sha256:<hexadecimal>`, compact ones the bank and the bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    bank: Bank,
    /// The first `bank.size()` bytes count, the others are zero.
    bytes: [u8; MAX_SIZE],
}

/// Why bytes or text are no digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadDigest {
    /// A digest of this bank has another size.
    #[error("a {bank} digest has {} bytes, not {given}", bank.size())]
    Size {
        /// The bank.
        bank: Bank,
        /// The bytes that were given.
        given: usize,
    },
    /// Not written in hexadecimal.
    #[error("`{0}` is not hexadecimal")]
    Hexadecimal(String),
    /// No bank before the digits.
    #[error("`{0}`: write sha256:<hexadecimal> or sha384:<hexadecimal>")]
    Text(String),
    /// Two digests of one bank.
    #[error("two {0} digests of one thing")]
    Twice(Bank),
}

impl Digest {
    /// A digest from its bytes.
    ///
    /// # Errors
    /// [`BadDigest::Size`] if the number of bytes is not the bank's.
    pub fn new(bank: Bank, bytes: &[u8]) -> Result<Self, BadDigest> {
        let mut whole = [0; MAX_SIZE];
        if bytes.len() != bank.size() {
            return Err(BadDigest::Size {
                bank,
                given: bytes.len(),
            });
        }
        for (to, from) in whole.iter_mut().zip(bytes) {
            *to = *from;
        }
        Ok(Self { bank, bytes: whole })
    }

    /// A digest from its hexadecimal digits, upper or lower case.
    ///
    /// # Errors
    /// [`BadDigest::Hexadecimal`] or [`BadDigest::Size`].
    pub fn from_hex(bank: Bank, digits: &str) -> Result<Self, BadDigest> {
        let bad = || BadDigest::Hexadecimal(String::from(digits));
        let bytes = digits
            .as_bytes()
            .chunks(2)
            .map(|pair| {
                let text = core::str::from_utf8(pair).ok()?;
                (text.len() == 2 && !text.starts_with('+')).then(|| u8::from_str_radix(text, 16).ok())?
            })
            .collect::<Option<Vec<u8>>>()
            .ok_or_else(bad)?;
        Self::new(bank, &bytes)
    }

    /// The digest of `data` in one bank.
    #[must_use]
    pub fn of(bank: Bank, data: &[u8]) -> Self {
        Hasher::joined(bank, &[data])
    }

    /// The all-zero digest: what a PCR holds after a reset.
    #[must_use]
    pub const fn zero(bank: Bank) -> Self {
        Self {
            bank,
            bytes: [0; MAX_SIZE],
        }
    }

    /// The digest with every bit set: what the PCRs of a dynamic launch hold before it.
    pub(crate) fn ones(bank: Bank) -> Self {
        let mut bytes = [0; MAX_SIZE];
        bytes.iter_mut().take(bank.size()).for_each(|byte| *byte = 0xFF);
        Self { bank, bytes }
    }

    /// The bank.
    #[must_use]
    pub const fn bank(&self) -> Bank {
        self.bank
    }

    /// The bytes, as many as the bank's digests have.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.bank.size()).unwrap_or(&self.bytes)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{self}", self.bank)
    }
}

impl FromStr for Digest {
    type Err = BadDigest;

    fn from_str(text: &str) -> Result<Self, BadDigest> {
        let bad = || BadDigest::Text(String::from(text));
        let (bank, digits) = text.split_once(':').ok_or_else(bad)?;
        Self::from_hex(bank.parse().map_err(|_| bad())?, digits)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.collect_str(&format_args!("{self:?}"));
        }
        let mut tuple = serializer.serialize_tuple(2)?;
        tuple.serialize_element(&self.bank)?;
        tuple.serialize_element(self.bytes())?;
        tuple.end()
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return String::deserialize(deserializer)?.parse().map_err(de::Error::custom);
        }
        deserializer.deserialize_tuple(2, CompactVisitor)
    }
}

struct CompactVisitor;

impl<'de> Visitor<'de> for CompactVisitor {
    type Value = Digest;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a bank and the bytes of its digest")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Digest, A::Error> {
        let bank = items
            .next_element::<Bank>()?
            .ok_or_else(|| de::Error::invalid_length(0, &self))?;
        let bytes = items
            .next_element::<Vec<u8>>()?
            .ok_or_else(|| de::Error::invalid_length(1, &self))?;
        Digest::new(bank, &bytes).map_err(de::Error::custom)
    }
}

/// The digests of one thing: one per bank that was asked for, in that order, no bank twice.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(transparent)]
pub struct Digests(Vec<Digest>);

impl Digests {
    /// The digests of `data` in each bank, in one pass over the data. A bank named twice counts once.
    #[must_use]
    pub fn of(banks: &[Bank], data: &[u8]) -> Self {
        let mut hasher = Hasher::new(banks);
        hasher.update(data);
        hasher.finish()
    }

    /// Digests that came from elsewhere.
    ///
    /// # Errors
    /// [`BadDigest::Twice`] if a bank is there twice.
    pub fn new(digests: Vec<Digest>) -> Result<Self, BadDigest> {
        for (at, digest) in digests.iter().enumerate() {
            if digests.iter().take(at).any(|earlier| earlier.bank == digest.bank) {
                return Err(BadDigest::Twice(digest.bank));
            }
        }
        Ok(Self(digests))
    }

    /// The digest in one bank.
    #[must_use]
    pub fn get(&self, bank: Bank) -> Option<&Digest> {
        self.0.iter().find(|digest| digest.bank == bank)
    }

    /// The digests in their order.
    pub fn iter(&self) -> core::slice::Iter<'_, Digest> {
        self.0.iter()
    }

    /// The banks in their order.
    pub fn banks(&self) -> impl Iterator<Item = Bank> + '_ {
        self.0.iter().map(|digest| digest.bank)
    }

    /// How many digests.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> IntoIterator for &'a Digests {
    type Item = &'a Digest;
    type IntoIter = core::slice::Iter<'a, Digest>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'de> Deserialize<'de> for Digests {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(Vec::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// `sha256:<hexadecimal> sha384:<hexadecimal>`, as a log line shows them.
impl fmt::Display for Digests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, digest) in self.iter().enumerate() {
            write!(f, "{}{digest:?}", if at == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec;

    use super::*;

    /// FIPS 180-4 example "abc".
    const ABC_256: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const ABC_384: &str = "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed\
                           8086072ba1e7cc2358baeca134c825a7";

    #[test]
    fn known_digests() {
        let digests = Digests::of(&Bank::ALL, b"abc");
        assert_eq!(
            digests.get(Bank::Sha256).map(ToString::to_string).as_deref(),
            Some(ABC_256)
        );
        assert_eq!(
            digests.get(Bank::Sha384).map(ToString::to_string).as_deref(),
            Some(ABC_384)
        );
        assert_eq!(digests.to_string(), alloc::format!("sha256:{ABC_256} sha384:{ABC_384}"));
    }

    #[test]
    fn text_and_compact_forms_come_back() {
        let digests = Digests::of(&Bank::ALL, b"x");
        let compact = postcard::to_allocvec(&digests).unwrap();
        assert_eq!(compact.len(), 1 + (1 + 1 + 32) + (1 + 1 + 48));
        assert_eq!(postcard::from_bytes::<Digests>(&compact).unwrap(), digests);
        let text = serde_json::to_string(&digests).unwrap();
        assert_eq!(serde_json::from_str::<Digests>(&text).unwrap(), digests);
    }

    #[test]
    fn wrong_digests_are_refused() {
        assert_eq!(
            Digest::new(Bank::Sha256, &[0; 31]).unwrap_err().to_string(),
            "a sha256 digest has 32 bytes, not 31"
        );
        for text in ["+f", "zz", "0", "€"] {
            assert_eq!(
                Digest::from_hex(Bank::Sha256, text),
                Err(BadDigest::Hexadecimal(text.into()))
            );
        }
        assert!("md5:00".parse::<Digest>().is_err());
        assert!("00".parse::<Digest>().is_err());
        let one = Digest::of(Bank::Sha256, b"");
        assert_eq!(Digests::new(vec![one, one]), Err(BadDigest::Twice(Bank::Sha256)));
        let twice = postcard::to_allocvec(&vec![one, one]).unwrap();
        assert!(postcard::from_bytes::<Digests>(&twice).is_err());
        // A sha384 digest of 32 bytes.
        let mut wrong = postcard::to_allocvec(&one).unwrap();
        wrong[0] = 1;
        assert!(postcard::from_bytes::<Digest>(&wrong).is_err());
    }
}
