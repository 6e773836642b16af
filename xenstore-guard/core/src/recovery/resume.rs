//! How a ring goes on that a store left behind.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use xen::store::ring::RING_BYTES;
use xen::store::wire::{HEADER_BYTES, MAX_PAYLOAD};

use super::flight::{Flight, Large};
use super::slot::Progress;

/// How a ring goes on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Resumed {
    /// Where the next byte of requests is.
    pub(super) requests: u64,
    /// Where the next byte of replies goes.
    pub(super) replies: u64,
    /// The first bytes of the next request, which are not in the ring any more.
    pub(super) input: Vec<u8>,
    /// A message that goes into the ring a part at a time, and how many bytes of it are there.
    pub(super) large: Option<(Large, usize)>,
    /// Replies that are not in the ring, and where their requests end.
    pub(super) answers: VecDeque<(u64, Vec<u8>)>,
}

/// The position nearest to `known` whose lower half is `index`.
const fn near(known: u64, index: u32) -> u64 {
    let [a, b, c, d, ..] = known.to_le_bytes();
    let ahead = index.wrapping_sub(u32::from_le_bytes([a, b, c, d]));
    known.wrapping_add_signed(ahead.cast_signed() as i64)
}

/// A position behind all that were used, whose lower half is `index`.
pub(super) const fn anew(used: u64, index: u32) -> u64 {
    (used >> 32).wrapping_add(1) << 32 & (u64::MAX >> 1) | index as u64
}

/// The highest position that slot and journal know.
pub(super) fn highest(progress: Progress, flight: &Flight) -> u64 {
    let large = flight.large.as_ref();
    [
        Some(progress.begin),
        Some(progress.end),
        flight.executed,
        flight.input.as_ref().map(|&(end, _)| end),
        large.map(|large| large.begin),
        large.and_then(|large| large.end),
    ]
    .into_iter()
    .flatten()
    .max()
    .unwrap_or_default()
}

/// Puts together what the slot, the journal and the ring say. `taken` is the ring's index of request bytes that were taken out,
/// `put` that of reply bytes that were put in. None where they do not fit together, so that one of them is damaged.
pub(super) fn resume(progress: Progress, flight: Flight, taken: u32, put: u32) -> Option<Resumed> {
    let replies = near(progress.begin, put);
    let in_ring = replies.checked_sub(progress.begin)?;
    if in_ring > (HEADER_BYTES + MAX_PAYLOAD) as u64 {
        return None;
    }
    let taken = near(progress.end, taken);
    let mut large: Option<(Large, usize)> = None;
    if let Some(found) = flight.large {
        if found.begin == progress.begin && in_ring > 0 {
            let put = usize::try_from(in_ring).ok()?;
            large = Some((found, put)).filter(|(found, put)| *put < found.message.len());
        } else if found.begin == replies && found.end.is_some() {
            // Nothing of it is in the ring. (Were it an event, it would come again anyway.)
            large = Some((found, 0));
        }
    }
    // The slot is written before the message: this one is the first that is not in the ring.
    let unanswered = progress.reply && in_ring == 0;
    let mut answers = flight.replies;
    answers.retain(|&(end, _)| end > progress.end || (unanswered && end == progress.end));
    let first = match &large {
        Some((large, _)) => large.end,
        None => answers.front().map(|&(end, _)| end),
    };
    let at_hand = first == Some(progress.end);
    // Without its reply at hand, the request changed nothing, is in the ring still, and is executed again.
    let known = if unanswered && !at_hand { taken } else { progress.end };
    let mut requests = flight.executed.map_or(known, |executed| executed.max(known));
    let mut input = Vec::new();
    if let Some((end, bytes)) = flight.input
        && end >= requests
    {
        requests = end;
        input = bytes;
    }
    let ahead = requests.checked_sub(taken)?;
    (ahead <= RING_BYTES as u64).then_some(Resumed {
        requests,
        replies,
        input,
        large,
        answers,
    })
}
