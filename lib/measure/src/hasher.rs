//! Hashing in several banks with one pass over the data.

use alloc::vec::Vec;

use sha2::{Digest as _, Sha256, Sha384};

use crate::bank::Bank;
use crate::digest::{Digest, Digests};

/// Bytes that every bank takes before the next bytes are touched: small enough for a first-level data cache.
const CHUNK: usize = 16 * 1024;

/// Digests of data that comes in pieces.
///
/// With several banks each 16 KiB of the data goes through all of them while it is in the cache, so the data is
/// read from memory once. The implementations choose SHA-NI and AVX2 at run time.
#[derive(Clone, Debug)]
pub struct Hasher(Vec<State>);

#[derive(Clone, Debug)]
enum State {
    Sha256(Sha256),
    Sha384(Sha384),
}

impl State {
    fn new(bank: Bank) -> Self {
        match bank {
            Bank::Sha256 => Self::Sha256(Sha256::new()),
            Bank::Sha384 => Self::Sha384(Sha384::new()),
        }
    }

    fn bank(&self) -> Bank {
        match self {
            Self::Sha256(_) => Bank::Sha256,
            Self::Sha384(_) => Bank::Sha384,
        }
    }

    fn update(&mut self, data: &[u8]) {
        match self {
            Self::Sha256(state) => state.update(data),
            Self::Sha384(state) => state.update(data),
        }
    }

    fn finish(self) -> Digest {
        let bank = self.bank();
        let digest = match self {
            Self::Sha256(state) => Digest::new(bank, &state.finalize()),
            Self::Sha384(state) => Digest::new(bank, &state.finalize()),
        };
        // The hash function's output has the bank's size.
        digest.unwrap_or_else(|_| Digest::zero(bank))
    }
}

impl Hasher {
    /// A hasher for each of `banks`; a bank named twice counts once.
    #[must_use]
    pub fn new(banks: &[Bank]) -> Self {
        let mut states: Vec<State> = Vec::with_capacity(banks.len());
        for bank in banks {
            if states.iter().all(|state| state.bank() != *bank) {
                states.push(State::new(*bank));
            }
        }
        Self(states)
    }

    /// Takes the next bytes.
    pub fn update(&mut self, data: &[u8]) {
        if let [only] = self.0.as_mut_slice() {
            return only.update(data);
        }
        for chunk in data.chunks(CHUNK) {
            self.0.iter_mut().for_each(|state| state.update(chunk));
        }
    }

    /// The digests, in the order of the banks.
    #[must_use]
    pub fn finish(self) -> Digests {
        // No bank is twice in the list, so nothing is refused.
        Digests::new(self.0.into_iter().map(State::finish).collect()).unwrap_or_default()
    }

    /// The digest of the parts, one after the other, in one bank.
    pub(crate) fn joined(bank: Bank, parts: &[&[u8]]) -> Digest {
        let mut state = State::new(bank);
        parts.iter().for_each(|part| state.update(part));
        state.finish()
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn pieces_give_what_the_whole_gives() {
        let data: Vec<u8> = (0u32..100_000)
            .map(|i| i.to_le_bytes()[0] ^ i.to_le_bytes()[1])
            .collect();
        let banks = [Bank::Sha384, Bank::Sha256, Bank::Sha384];
        let whole = Digests::of(&banks, &data);
        assert_eq!(whole.banks().collect::<Vec<_>>(), vec![Bank::Sha384, Bank::Sha256]);
        for bank in Bank::ALL {
            assert_eq!(whole.get(bank), Some(&Digest::of(bank, &data)));
        }
        for size in [1, 63, 4096, CHUNK, CHUNK + 1] {
            let mut hasher = Hasher::new(&banks);
            data.chunks(size).for_each(|piece| hasher.update(piece));
            assert_eq!(hasher.finish(), whole);
        }
    }
}
