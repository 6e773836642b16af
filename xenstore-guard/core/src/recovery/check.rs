//! A check value that shows damage: scribbles, torn writes, bytes of an older use of the same memory. It is no protection
//! against somebody who writes on purpose; who can do that is the store itself.

/// An odd number without structure (the fraction of the golden ratio).
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// The check value of bytes, and of numbers that say where and when they were written. Every step is one-to-one, so that a change within
/// any eight bytes changes the 64 bits that are folded in the end.
pub(super) fn check(numbers: &[u64], bytes: &[u8]) -> u32 {
    let mut state = numbers.iter().fold(0, |state, &number| step(state, number));
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        state = step(state, u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    state = step(state, u64::from_le_bytes(last));
    let [a, b, c, d, e, f, g, h] = state.to_le_bytes();
    u32::from_le_bytes([a, b, c, d]) ^ u32::from_le_bytes([e, f, g, h])
}

fn step(state: u64, word: u64) -> u64 {
    let mixed = (state ^ word).wrapping_add(FACTOR).wrapping_mul(FACTOR);
    mixed ^ (mixed >> 29)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_changed_bit_shows() {
        let mut bytes = *b"a record of twenty-six byt";
        let whole = check(&[7, 64], &bytes);
        for at in 0..bytes.len() {
            for bit in 0..8 {
                bytes[at] ^= 1 << bit;
                assert_ne!(check(&[7, 64], &bytes), whole, "bit {bit} of byte {at}");
                bytes[at] ^= 1 << bit;
            }
        }
        assert_ne!(check(&[8, 64], &bytes), whole);
        assert_ne!(check(&[7, 72], &bytes), whole);
    }

    #[test]
    fn zeros_are_not_their_own_check() {
        assert_ne!(check(&[0, 0], &[0; 16]), 0);
        assert_ne!(check(&[], &[]), 0);
    }
}
