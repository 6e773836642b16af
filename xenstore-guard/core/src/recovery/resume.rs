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

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    /// The ring's indices in the tests: so many bytes of requests were taken out, and of replies put in.
    const TAKEN: u64 = 7 << 32 | 1000;
    const PUT: u64 = 9 << 32 | 2000;

    fn go(begin: u64, reply: bool, end: u64, flight: Flight) -> Option<Resumed> {
        let progress = Progress { begin, reply, end };
        resume(progress, flight, 1000, 2000)
    }

    fn replies(list: &[u64]) -> Flight {
        Flight {
            replies: list.iter().map(|&end| (end, vec![1])).collect(),
            executed: list.last().copied(),
            ..Flight::default()
        }
    }

    fn large(begin: u64, end: Option<u64>) -> Flight {
        Flight {
            large: Some(Large {
                begin,
                end,
                message: vec![2; 1500],
            }),
            executed: end,
            ..Flight::default()
        }
    }

    fn ends(resumed: &Resumed) -> Vec<u64> {
        resumed.answers.iter().map(|&(end, _)| end).collect()
    }

    #[test]
    fn positions_are_the_nearest() {
        assert_eq!(near(5 << 32 | 10, 12), 5 << 32 | 12);
        assert_eq!(near(5 << 32 | 10, u32::MAX), (5 << 32) - 1);
        assert_eq!(near(5 << 32 | 0xffff_fff0, 3), 6 << 32 | 3);
        assert_eq!(anew(5 << 32 | 77, 3), 6 << 32 | 3);
    }

    #[test]
    fn a_request_whose_reply_is_nowhere_is_executed_again() {
        let resumed = go(PUT, true, TAKEN + 20, Flight::default()).unwrap();
        assert_eq!((resumed.requests, resumed.replies), (TAKEN, PUT));
        assert!(resumed.answers.is_empty());
    }

    #[test]
    fn a_request_whose_reply_is_in_the_ring_is_done() {
        let resumed = go(PUT - 19, true, TAKEN + 20, Flight::default()).unwrap();
        assert_eq!((resumed.requests, resumed.replies), (TAKEN + 20, PUT));
    }

    #[test]
    fn a_reply_in_the_journal_is_sent_once() {
        // Not in the ring, and the slot does not know of it yet; the slot does; it is in the ring.
        let resumed = go(PUT - 19, true, TAKEN, replies(&[TAKEN, TAKEN + 20])).unwrap();
        assert_eq!((ends(&resumed), resumed.requests), (vec![TAKEN + 20], TAKEN + 20));
        let resumed = go(PUT, true, TAKEN + 20, replies(&[TAKEN + 20, TAKEN + 30])).unwrap();
        assert_eq!(
            (ends(&resumed), resumed.requests),
            (vec![TAKEN + 20, TAKEN + 30], TAKEN + 30)
        );
        let resumed = go(PUT - 19, true, TAKEN + 20, replies(&[TAKEN + 20])).unwrap();
        assert_eq!((ends(&resumed), resumed.requests), (vec![], TAKEN + 20));
    }

    #[test]
    fn an_event_answers_nothing() {
        for begin in [PUT, PUT - 40] {
            let resumed = go(begin, false, TAKEN, replies(&[TAKEN, TAKEN + 20])).unwrap();
            assert_eq!((ends(&resumed), resumed.requests), (vec![TAKEN + 20], TAKEN + 20));
        }
    }

    #[test]
    fn a_long_message_goes_on_where_it_was() {
        let resumed = go(PUT - 600, true, TAKEN + 20, large(PUT - 600, Some(TAKEN + 20))).unwrap();
        assert_eq!(resumed.large.map(|(_, put)| put), Some(600));
        assert_eq!(resumed.requests, TAKEN + 20);
        // All of it is in the ring.
        let resumed = go(PUT - 1500, true, TAKEN + 20, large(PUT - 1500, Some(TAKEN + 20))).unwrap();
        assert_eq!((resumed.large, resumed.requests), (None, TAKEN + 20));
        // Nothing of it is: before and after the slot was written.
        for (begin, end) in [(PUT - 19, TAKEN), (PUT, TAKEN + 20)] {
            let resumed = go(begin, true, end, large(PUT, Some(TAKEN + 20))).unwrap();
            assert_eq!(resumed.large.map(|(_, put)| put), Some(0));
            assert_eq!(resumed.requests, TAKEN + 20);
        }
        // One of long ago.
        let resumed = go(PUT - 19, true, TAKEN, large(PUT - 5000, Some(TAKEN - 20))).unwrap();
        assert_eq!((resumed.large, resumed.requests), (None, TAKEN));
    }

    #[test]
    fn long_events_are_finished_or_left_out() {
        let resumed = go(PUT - 600, false, TAKEN, large(PUT - 600, None)).unwrap();
        assert_eq!(resumed.large.map(|(_, put)| put), Some(600));
        let resumed = go(PUT, false, TAKEN, large(PUT, None)).unwrap();
        assert_eq!(resumed.large, None);
    }

    #[test]
    fn parts_of_requests_are_kept_until_the_whole_is_executed() {
        let part = |end| Flight {
            input: Some((end, vec![3; 1024])),
            ..Flight::default()
        };
        // Taken out of the ring, or about to be.
        for end in [TAKEN, TAKEN + 1024] {
            let resumed = go(PUT - 19, true, TAKEN - 1024, part(end));
            let resumed = resumed.unwrap();
            assert_eq!((resumed.requests, resumed.input.len()), (end, 1024));
        }
        // The whole is in the ring and is executed again; it is answered.
        let resumed = go(PUT, true, TAKEN + 50, part(TAKEN)).unwrap();
        assert_eq!((resumed.requests, resumed.input.len()), (TAKEN, 1024));
        let resumed = go(PUT - 19, true, TAKEN + 50, part(TAKEN)).unwrap();
        assert_eq!((resumed.requests, resumed.input.len()), (TAKEN + 50, 0));
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        // More in the ring than a message has; requests taken out that nobody knows; more to be taken out than there is room for.
        assert_eq!(go(PUT - 4113, true, TAKEN, Flight::default()), None);
        assert_eq!(go(PUT + 1, true, TAKEN, Flight::default()), None);
        assert_eq!(go(PUT - 19, true, TAKEN - 1, Flight::default()), None);
        assert_eq!(go(PUT - 19, true, TAKEN + 1025, Flight::default()), None);
    }
}
