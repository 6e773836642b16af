//! A client that sends anything, reads when it likes, and comes and goes: the server keeps little for it, answers each
//! request once, and the client beside it is served.
//!
//! Input: steps. A byte says what; for bytes of the client, the next two say how many follow.
#![no_main]

use domb_core::management::frame::{HEADER_BYTES, Header, MAX_FRAME};
use domb_core::management::{Answer, Done, MAX_REQUESTS, Request, Server, Ticket};
use libfuzzer_sys::fuzz_target;

/// What may wait for a client: what it is read no further at, an answer more, and the answers to all that is under way.
const MOST: usize = MAX_FRAME * (2 + MAX_REQUESTS);

fuzz_target!(|input: &[u8]| {
    let mut server = Server::new(2);
    server.connect(0);
    server.connect(1);
    let mut handed: Vec<Ticket> = Vec::new();
    let mut rest = input;
    let mut now = 0;
    while let Some((what, others)) = rest.split_first() {
        rest = others;
        now += u64::from(*what);
        match what % 8 {
            0..=2 => {
                let Some((length, others)) = rest.split_first_chunk::<2>() else {
                    break;
                };
                let (piece, others) = others.split_at(others.len().min(usize::from(u16::from_le_bytes(*length))));
                rest = others;
                let channel = server.channel(0).unwrap();
                assert!(channel.feed(piece, now) <= piece.len());
            }
            3 => handed.extend(server.next_request().map(|(ticket, _)| ticket)),
            4 => {
                if let Some(ticket) = handed.pop() {
                    let result = Done::XenLog {
                        text: vec![0; usize::from(*what) * 200],
                        next: 0,
                    };
                    let cancelled = server.is_cancelled(ticket);
                    let answer = if cancelled {
                        Answer::Cancelled
                    } else {
                        Answer::Done { result }
                    };
                    server.answer(ticket, &answer, now);
                }
            }
            5 => {
                for ticket in &handed {
                    let stage = "copy".into();
                    server.answer(
                        *ticket,
                        &Answer::Progress {
                            stage,
                            done: now,
                            total: 0,
                        },
                        now,
                    );
                }
            }
            6 => {
                let channel = server.channel(0).unwrap();
                read(channel.output());
                let bytes = channel.output().len();
                channel.sent(bytes, now);
            }
            _ => {
                let gone = server.disconnect(0);
                assert!(gone.iter().all(|ticket| handed.contains(ticket)));
                server.connect(0);
            }
        }
        let channel = server.channel(0).unwrap();
        assert!(channel.output().len() <= MOST);
        assert!(channel.running().count() <= MAX_REQUESTS);
    }
    let other = server.channel(1).unwrap();
    other.feed(&Request::HostInfo.frame(1).unwrap(), now);
    let tickets: Vec<_> = core::iter::from_fn(|| server.next_request())
        .map(|(ticket, _)| ticket)
        .collect();
    assert!(tickets.iter().any(|ticket| ticket.slot() == 1));
});

/// What a client is sent is whole frames.
fn read(mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let header = Header::parse(bytes.first_chunk().expect("a whole header")).expect("a header");
        let (frame, others) = bytes.split_at(HEADER_BYTES + header.length);
        if header.version != 0 {
            Answer::decode(header.kind, &frame[HEADER_BYTES..]).expect("an answer");
        }
        bytes = others;
    }
}
