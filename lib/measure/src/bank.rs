//! The digest algorithms that a log or a TPM keeps PCRs in.

use alloc::string::{String, ToString};
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

/// A PCR bank, named by its digest algorithm.
///
/// In text (`Display`, `FromStr`, readable serde formats) it is `sha256` or `sha384`; in compact serde formats it is
/// the number of the variant, so the order of the variants is part of the manifest's canonical encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bank {
    /// SHA-256, FIPS 180-4.
    Sha256,
    /// SHA-384, FIPS 180-4.
    Sha384,
}

impl Bank {
    /// Every bank that this crate can compute.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha384];

    /// The algorithm's number, TPM_ALG_ID (TCG Algorithm Registry, section 6.10).
    #[must_use]
    pub const fn algorithm_id(self) -> u16 {
        match self {
            Self::Sha256 => 0x000B,
            Self::Sha384 => 0x000C,
        }
    }

    /// The bank of a TPM_ALG_ID, if it is one of ours.
    #[must_use]
    pub fn from_algorithm_id(id: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|bank| bank.algorithm_id() == id)
    }

    /// Bytes in a digest.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
        }
    }

    /// The name in text: `sha256` or `sha384`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
        }
    }
}

impl fmt::Display for Bank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no bank's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown digest algorithm `{0}`: accepted are sha256, sha384")]
pub struct UnknownBank(pub String);

impl FromStr for Bank {
    type Err = UnknownBank;

    fn from_str(text: &str) -> Result<Self, UnknownBank> {
        Self::ALL
            .into_iter()
            .find(|bank| bank.name() == text)
            .ok_or_else(|| UnknownBank(text.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_lead_back_to_the_bank() {
        for bank in Bank::ALL {
            assert_eq!(bank.name().parse(), Ok(bank));
            assert_eq!(Bank::from_algorithm_id(bank.algorithm_id()), Some(bank));
        }
        assert_eq!(Bank::from_algorithm_id(0x0004), None);
        let error = "SHA256".parse::<Bank>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown digest algorithm `SHA256`: accepted are sha256, sha384"
        );
    }
}
