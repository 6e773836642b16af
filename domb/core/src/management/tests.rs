use alloc::format;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;
use xen::ring::BadIndex;
use xen::vchan::{self, End, LocalPages, Orders, Pipe, SharedPages as _};

use super::frame::{Fixed, HEADER_BYTES, Header, MAX_FRAME, MAX_PAYLOAD, frame};
use super::samples;
use super::*;

fn split(frame: &[u8]) -> (Header, &[u8]) {
    let (header, payload) = frame.split_first_chunk::<HEADER_BYTES>().unwrap();
    let header = Header::parse(header).unwrap();
    assert_eq!(header.length, payload.len());
    (header, payload)
}

/// The frames that a client was sent.
fn received(channel: &mut Channel) -> Vec<(u32, Answer)> {
    let bytes = channel.output().to_vec();
    channel.sent(bytes.len(), 0);
    let mut rest = bytes.as_slice();
    let mut answers = Vec::new();
    while !rest.is_empty() {
        let header = Header::parse(rest.first_chunk().unwrap()).unwrap();
        let (frame, others) = rest.split_at(HEADER_BYTES + header.length);
        answers.push((header.id, Answer::decode(header.kind, &frame[HEADER_BYTES..]).unwrap()));
        rest = others;
    }
    answers
}

fn fed(requests: &[(u32, Request)]) -> Channel {
    let mut channel = Channel::default();
    for (id, request) in requests {
        let frame = request.frame(*id).unwrap();
        assert_eq!(channel.feed(&frame, 0), frame.len());
    }
    channel
}

fn done(result: Done) -> Answer {
    Answer::Done { result }
}

#[test]
fn every_request_and_answer_comes_back() {
    for request in samples::requests() {
        let frame = request.frame(77).unwrap();
        let (header, payload) = split(&frame);
        assert_eq!((header.version, header.id), (1, 77));
        assert_eq!(Request::decode(header.kind, payload), Ok(request));
    }
    for answer in samples::answers() {
        let frame = answer.frame(78).unwrap();
        let (header, payload) = split(&frame);
        assert_eq!(Answer::decode(header.kind, payload), Ok(answer));
    }
}

#[test]
fn the_samples_have_every_kind() {
    let kinds: Vec<u8> = samples::requests().iter().map(Request::number).collect();
    assert_eq!(kinds, (1..=23).collect::<Vec<_>>());
    let results: Vec<u8> = samples::results().iter().map(Done::number).collect();
    assert_eq!(results, [0, 1, 2, 3, 4, 5, 5, 6, 14, 16, 17, 18, 19, 20, 21, 22]);
}

#[test]
fn the_layout_is_the_documented_one() {
    let request = Request::Info {
        guest: Guest::Name { name: "web".into() },
    };
    let frame = request.frame(0x0102_0304).unwrap();
    assert_eq!(
        frame,
        b"DOMB\x01\x00\x03\x00\x04\x03\x02\x01\x08\x00\x00\x00\x01\x03\x00\x00\x00web"
    );
    let fixed = Fixed::UnknownVersion(vec![1, 2]);
    assert_eq!(
        fixed.frame(5).unwrap(),
        b"DOMB\x00\x00\x00\x00\x05\x00\x00\x00\x04\x00\x00\x00\x01\x00\x02\x00"
    );
    assert_eq!(Fixed::decode(0, b"\x01\x00\x02\x00"), Ok(fixed));
}

#[test]
fn an_error_names_field_offset_and_what_was_expected() {
    let error = |kind, payload: &[u8]| Request::decode(kind, payload).unwrap_err().to_string();
    assert_eq!(
        error(0, b""),
        "kind at byte 0: expected one of 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23"
    );
    assert_eq!(error(2, b"\x01"), "from at byte 0: expected 2 bytes");
    assert_eq!(error(2, b"\x01\x00\x00"), "payload at byte 2: expected its end");
    assert_eq!(error(3, b"\x03"), "guest at byte 0: expected one of 0 1 2");
    assert_eq!(
        error(3, b"\x01\x05\0\0\0web"),
        "name at byte 5: expected as many bytes as its count says"
    );
    assert_eq!(error(3, b"\x01\x03\0\0\0w\xffb"), "name at byte 6: expected UTF-8");
    assert_eq!(error(16, b"\x00\x01\x00\x02"), "class at byte 3: expected 0 or 1");
    assert_eq!(error(6, &[0xff; 44]), "reference at byte 44: expected 4 bytes");
    for nested in [19, 22] {
        assert_eq!(
            error(19, &[nested, 0, 0, 0, 0]),
            "subject at byte 0: expected another request than 19 or 22"
        );
    }
}

#[test]
fn cut_or_lengthened_anywhere_is_refused() {
    for request in samples::requests() {
        let frame = request.frame(1).unwrap();
        let (header, payload) = split(&frame);
        for length in 0..payload.len() {
            assert!(Request::decode(header.kind, &payload[..length]).is_err());
        }
        assert!(Request::decode(header.kind, &[payload, b"\0"].concat()).is_err());
    }
}

#[test]
fn states_are_shown_as_xl_shows_them() {
    assert_eq!(StateFlags::default().to_string(), "------");
    let state = StateFlags::RUNNING.with(StateFlags::DYING);
    assert_eq!(state.to_string(), "r----d");
    assert!(state.has(StateFlags::DYING) && !state.has(StateFlags::PAUSED));
}

#[test]
fn what_does_not_fit_into_a_frame_is_an_error() {
    let answer = done(Done::MeasurementLog {
        total: 0,
        bytes: vec![0; MAX_PAYLOAD],
    });
    let error = answer.frame(1).unwrap_err().to_string();
    assert_eq!(error, "65533 bytes do not fit into a frame; accepted: at most 65520");
    let mut channel = fed(&[(1, Request::HostInfo)]);
    channel.next_request().unwrap();
    channel.answer(1, &answer, 0);
    let (step, text) = ("answer".into(), error);
    assert_eq!(received(&mut channel), [(1, Answer::Failed { step, text })]);
}

#[test]
fn requests_come_out_one_by_one_and_answers_go_back() {
    let mut channel = fed(&[(1, Request::HostInfo), (2, Request::List { from: 0 })]);
    assert_eq!(channel.next_request(), Some((1, Request::HostInfo)));
    assert_eq!(channel.next_request(), Some((2, Request::List { from: 0 })));
    assert_eq!(channel.next_request(), None);
    let progress = Answer::Progress {
        stage: "x".into(),
        done: 1,
        total: 2,
    };
    channel.answer(2, &progress, 0);
    channel.answer(2, &done(Done::Nothing), 0);
    channel.answer(2, &done(Done::Nothing), 0);
    channel.answer(9, &done(Done::Nothing), 0);
    assert_eq!(channel.running().collect::<Vec<_>>(), [1]);
    assert_eq!(received(&mut channel), [(2, progress), (2, done(Done::Nothing))]);
}

#[test]
fn an_unknown_version_is_told_which_are_known_and_the_next_frame_is_read() {
    let mut channel = Channel::default();
    channel.feed(&frame(9, 77, 5, b"whatever that means").unwrap(), 0);
    let bytes = channel.output().to_vec();
    let (header, payload) = split(&bytes);
    assert_eq!((header.version, header.id), (0, 5));
    assert_eq!(
        Fixed::decode(header.kind, payload),
        Ok(Fixed::UnknownVersion(VERSIONS.into()))
    );
    channel.sent(bytes.len(), 0);
    channel.feed(&Request::HostInfo.frame(6).unwrap(), 0);
    assert_eq!(channel.next_request(), Some((6, Request::HostInfo)));
}

#[test]
fn a_malformed_request_is_answered_and_the_next_one_is_read() {
    let mut channel = Channel::default();
    channel.feed(&frame(VERSION, 2, 5, b"\x01").unwrap(), 0);
    channel.feed(&Request::HostInfo.frame(6).unwrap(), 0);
    let malformed = Answer::Malformed {
        field: "from".into(),
        offset: 0,
        expected: "2 bytes".into(),
    };
    assert_eq!(received(&mut channel), [(5, malformed)]);
    assert_eq!(channel.next_request(), Some((6, Request::HostInfo)));
}

#[test]
fn what_is_no_frame_ends_the_connection_after_it_was_said() {
    for (bytes, text) in [
        (
            b"GET / HTTP/1.1\r\n".to_vec(),
            "no frame: it begins with [47, 45, 54, 20]; expected 44 4f 4d 42, `DOMB`",
        ),
        (
            b"DOMB\x01\0\x01\0\0\0\0\0\xf1\xff\0\0".to_vec(),
            "payload of 65521 bytes; accepted: at most 65520",
        ),
    ] {
        let mut channel = Channel::default();
        channel.feed(&bytes, 0);
        assert_eq!(channel.room(), 0);
        assert!(!channel.is_finished());
        let bytes = channel.output().to_vec();
        let (header, payload) = split(&bytes);
        assert_eq!(Fixed::decode(header.kind, payload), Ok(Fixed::NoFrame(text.into())));
        channel.sent(bytes.len(), 0);
        assert!(channel.is_finished());
    }
}

#[test]
fn only_so_many_requests_are_under_way_and_none_twice() {
    let mut channel = fed(&[(1, Request::HostInfo), (2, Request::HostInfo)]);
    channel.next_request().unwrap();
    for id in [1, 2, 3, 4, 5] {
        channel.feed(&Request::HostInfo.frame(id).unwrap(), 0);
    }
    let texts: Vec<_> = received(&mut channel)
        .into_iter()
        .map(|(id, answer)| match answer {
            Answer::Failed { step, text } => format!("{id} {step}: {text}"),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(
        texts,
        [
            "1 accept: request 1 is under way already",
            "2 accept: request 2 is under way already",
            "5 accept: 4 requests are under way; accepted: at most 4",
        ]
    );
}

#[test]
fn a_request_is_cancelled_whether_it_waits_or_runs() {
    let mut channel = fed(&[(1, Request::HostInfo), (2, Request::HostInfo)]);
    channel.next_request().unwrap();
    for (id, other) in [(10, 1), (11, 2), (12, 3)] {
        channel.feed(&Request::Cancel { id: other }.frame(id).unwrap(), 0);
    }
    let found = |found| done(Done::Cancel { found });
    assert_eq!(
        received(&mut channel),
        [
            (10, found(true)),
            (2, Answer::Cancelled),
            (11, found(true)),
            (12, found(false)),
        ]
    );
    assert!(channel.is_cancelled(1));
    assert_eq!(channel.next_request(), None);
    channel.answer(1, &Answer::Cancelled, 0);
    assert!(!channel.is_cancelled(1));
    assert_eq!(received(&mut channel), [(1, Answer::Cancelled)]);
}

#[test]
fn a_client_that_does_not_read_is_read_no_further_and_dropped_in_the_end() {
    let mut server = Server::new(2);
    server.connect(0);
    server.connect(1);
    let junk = frame(9, 0, 0, b"").unwrap();
    let mut eaten = 0;
    loop {
        let taken = server.channel(0).unwrap().feed(&junk.repeat(100), 1);
        eaten += taken;
        if taken == 0 {
            break;
        }
    }
    assert!(eaten < 3 * MAX_FRAME, "{eaten} bytes taken");
    let waiting = server.channel(0).unwrap().output().len();
    assert!(waiting < 2 * MAX_FRAME, "{waiting} bytes wait");
    // The other one is served meanwhile.
    server.channel(1).unwrap().feed(&Request::HostInfo.frame(1).unwrap(), 2);
    let (ticket, _) = server.next_request().unwrap();
    assert_eq!(ticket.slot(), 1);
    server.answer(ticket, &done(Done::Nothing), 2);
    server.channel(1).unwrap().sent(20, STALL_NS);
    assert_eq!(server.overdue(STALL_NS).next(), None);
    assert_eq!(server.deadline(), Some(1 + STALL_NS));
    assert_eq!(server.overdue(1 + STALL_NS).collect::<Vec<_>>(), [0]);
    // One that reads slowly is not dropped.
    server.channel(0).unwrap().sent(1, STALL_NS);
    assert_eq!(server.overdue(1 + STALL_NS).next(), None);
}

#[test]
fn clients_are_served_in_turn() {
    let mut server = Server::new(3);
    for slot in 0..3 {
        server.connect(slot);
    }
    for id in 1..=3 {
        for slot in [0, 2] {
            server
                .channel(slot)
                .unwrap()
                .feed(&Request::HostInfo.frame(id).unwrap(), 0);
        }
    }
    let order: Vec<_> = core::iter::from_fn(|| server.next_request())
        .map(|(ticket, _)| (ticket.slot(), ticket.id()))
        .collect();
    assert_eq!(order, [(0, 1), (2, 1), (0, 2), (2, 2), (0, 3), (2, 3)]);
}

#[test]
fn an_answer_for_a_client_that_went_reaches_nobody() {
    let mut server = Server::new(1);
    server.connect(0);
    server.channel(0).unwrap().feed(&Request::HostInfo.frame(1).unwrap(), 0);
    let (ticket, _) = server.next_request().unwrap();
    assert!(!server.is_cancelled(ticket));
    assert_eq!(server.disconnect(0), [ticket]);
    assert!(server.is_cancelled(ticket));
    server.connect(0);
    server.channel(0).unwrap().feed(&Request::HostInfo.frame(1).unwrap(), 0);
    server.next_request().unwrap();
    assert!(server.is_cancelled(ticket));
    server.answer(ticket, &done(Done::Nothing), 0);
    assert!(server.channel(0).unwrap().output().is_empty());
}

/// A client's end and the server's over pages of this process, without events.
struct Vchan {
    pages: LocalPages,
    server: vchan::Server,
    client: End,
}

impl Vchan {
    fn new(left: u16, right: u16) -> Self {
        let orders = Orders::new(left, right).unwrap();
        let pages = LocalPages::new(orders.pages());
        let mut server = vchan::Server::offer(&pages, orders, &[]);
        let client = End::connect(pages.page(0).unwrap(), orders);
        assert_eq!(server.look(&pages), vchan::Change::Came);
        Self { pages, server, client }
    }
}

impl Pipe for Vchan {
    type Error = BadIndex;

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, BadIndex> {
        self.server.read(&self.pages, buffer).map(|done| done.bytes)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, BadIndex> {
        self.server.write(&self.pages, bytes).map(|done| done.bytes)
    }
}

#[test]
fn frames_longer_than_the_rings_go_through_a_vchan() {
    let mut vchan = Vchan::new(10, 11);
    let mut channel = Channel::default();
    let request = Request::Create {
        configuration: vec![7; 40_000],
        class: None,
        kernel: image(),
        ramdisk: None,
        devices: Vec::new(),
        paused: false,
    };
    let result = Done::MeasurementLog {
        total: 0,
        bytes: vec![8; 60_000],
    };
    let (frame, answer) = (request.frame(1).unwrap(), done(result));
    let (mut sent, mut got) = (0, Vec::new());
    for now in 0.. {
        sent += vchan.client.write(&vchan.pages, &frame[sent..]).unwrap().bytes;
        let more = channel.exchange(&mut vchan, now).unwrap();
        assert!(!more, "the ring has less than is read at once");
        if let Some((id, seen)) = channel.next_request() {
            assert_eq!(seen, request);
            channel.answer(id, &answer, now);
        }
        let mut buffer = [0; 3000];
        let count = vchan.client.read(&vchan.pages, &mut buffer).unwrap().bytes;
        got.extend_from_slice(&buffer[..count]);
        if got.len() >= HEADER_BYTES + 60_013 {
            break;
        }
        assert!(now < 1000, "{sent} sent, {} received", got.len());
    }
    let (header, payload) = split(&got);
    assert_eq!(Answer::decode(header.kind, payload), Ok(answer));
}

#[test]
fn a_client_that_never_stops_sending_leaves_the_turn_to_others() {
    let mut vchan = Vchan::new(15, 11);
    let mut channel = Channel::default();
    let frames = Request::Cancel { id: 0 }.frame(1).unwrap().repeat(2000);
    assert_eq!(vchan.client.write(&vchan.pages, &frames).unwrap().bytes, 1 << 15);
    assert_eq!(channel.exchange(&mut vchan, 0), Ok(true));
    assert!(channel.output().len() > 8192);
    while channel.exchange(&mut vchan, 0).unwrap() {}
    assert!(channel.output().len() < 3 * MAX_FRAME);
}

#[test]
fn an_index_that_cannot_be_ends_the_exchange() {
    let mut vchan = Vchan::new(10, 11);
    // The client's producer index.
    assert!(vchan.pages.page(0).unwrap().write_bytes(4, &[0xff; 4]));
    let error = Channel::default().exchange(&mut vchan, 0).unwrap_err();
    assert_eq!(error.producer, u32::MAX);
}

fn image() -> Image {
    Image {
        digest: [1; 32],
        size: 2,
        signatures: Vec::new(),
    }
}

proptest! {
    #[test]
    fn frames_in_any_pieces_give_the_same_requests(cuts in prop::collection::vec(1usize..60, 1..200)) {
        let stream: Vec<u8> = samples::requests()
            .iter()
            .filter(|request| !matches!(request, Request::Cancel { .. }))
            .zip(1..)
            .flat_map(|(request, id)| request.frame(id).unwrap())
            .collect();
        let mut channel = Channel::default();
        let mut rest = stream.as_slice();
        let mut seen = Vec::new();
        let mut cuts = cuts.iter().cycle();
        while !rest.is_empty() {
            let (piece, others) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
            prop_assert_eq!(channel.feed(piece, 0), piece.len());
            rest = others;
            while let Some((id, request)) = channel.next_request() {
                seen.push(request);
                channel.answer(id, &done(Done::Nothing), 0);
                received(&mut channel);
            }
        }
        let mut expected = samples::requests();
        expected.retain(|request| !matches!(request, Request::Cancel { .. }));
        prop_assert_eq!(seen, expected);
    }

    #[test]
    fn what_decodes_encodes_to_the_same_bytes(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let request = which.get(&samples::requests()).frame(1).unwrap();
        let answer = which.get(&samples::answers()).frame(1).unwrap();
        for mut bytes in [request, answer] {
            for (at, byte) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            let Ok(header) = Header::parse(bytes.first_chunk().unwrap()) else { continue };
            let payload = &bytes[HEADER_BYTES..];
            let again = |frame: Result<Vec<u8>, TooLong>| frame.unwrap()[HEADER_BYTES..].to_vec();
            if let Ok(request) = Request::decode(header.kind, payload) {
                prop_assert_eq!(again(request.frame(1)), payload);
            }
            if let Ok(answer) = Answer::decode(header.kind, payload) {
                prop_assert_eq!(again(answer.frame(1)), payload);
            }
        }
    }
}
