//! Against domb's side of the protocol, over a pair of sockets.

use std::io::{self, Read, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use domb_core::management::frame::{Fixed, HEADER_BYTES};
use domb_core::management::{Answer, Done, Image, ImageState, Request, Server};
use measure::{Bank, Digest};

use super::*;

/// A domb that answers by a function, until the client goes. A request without a last answer waits to be cancelled.
fn domb(mut answers: impl FnMut(Request) -> Vec<Answer> + Send + 'static) -> (UnixStream, JoinHandle<()>) {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let serve = move || {
        let mut server = Server::new(1);
        server.connect(0);
        let mut open = Vec::new();
        let mut buffer = vec![0; 1 << 16];
        loop {
            let room = server.channel(0).unwrap().room();
            let count = theirs.read(&mut buffer[..room]).unwrap();
            if count == 0 {
                return;
            }
            server.channel(0).unwrap().feed(&buffer[..count], 0);
            while let Some((ticket, request)) = server.next_request() {
                let answers = answers(request);
                if !answers.iter().any(Answer::is_last) {
                    open.push(ticket);
                }
                answers.iter().for_each(|answer| server.answer(ticket, answer, 0));
            }
            open.retain(|ticket| {
                let cancelled = server.is_cancelled(*ticket);
                if cancelled {
                    server.answer(*ticket, &Answer::Cancelled, 0);
                }
                !cancelled
            });
            let output = server.channel(0).unwrap().output().to_vec();
            theirs.write_all(&output).unwrap();
            server.channel(0).unwrap().sent(output.len(), 0);
        }
    };
    (ours, thread::spawn(serve))
}

fn done(result: Done) -> Vec<Answer> {
    vec![Answer::Done { result }]
}

fn silent(_: Step) {}

#[test]
fn a_request_gets_its_progress_and_its_result() {
    let (stream, domb) = domb(|request| {
        assert_eq!(request, Request::List { from: 3 });
        let step = |done| Answer::Progress {
            stage: "list".into(),
            done,
            total: 2,
        };
        let result = Done::List {
            domains: Vec::new(),
            next: None,
        };
        vec![step(1), step(2), Answer::Done { result }]
    });
    let mut client = Client::new(stream);
    let mut steps = Vec::new();
    let result = client.call(&Request::List { from: 3 }, &mut |step| {
        steps.push((step.stage, step.done));
    });
    assert!(matches!(result, Ok(Done::List { next: None, .. })), "{result:?}");
    assert_eq!(steps, [("list".into(), 1), ("list".into(), 2)]);
    drop(client);
    domb.join().unwrap();
}

#[test]
fn each_way_to_fail_is_told_in_domb_s_words() {
    let (stream, domb) = domb(|request| match request {
        Request::HostInfo => vec![Answer::Refused {
            rule: "access 3".into(),
            text: "management may not ask for host-info".into(),
        }],
        _ => vec![Answer::Failed {
            step: "create".into(),
            text: "XEN_DOMCTL_createdomain: ENOMEM".into(),
        }],
    });
    let mut client = Client::new(stream);
    let error = client.call(&Request::HostInfo, &mut silent).unwrap_err().to_string();
    assert_eq!(error, "refused by access 3: management may not ask for host-info");
    let error = client
        .call(&Request::List { from: 0 }, &mut silent)
        .unwrap_err()
        .to_string();
    assert_eq!(error, "create: XEN_DOMCTL_createdomain: ENOMEM");
    drop(client);
    domb.join().unwrap();
}

#[test]
fn answers_out_of_order_reach_those_who_wait_for_them() {
    let (stream, domb) = domb(|request| match request {
        Request::XenLog { index, .. } => done(Done::XenLog {
            text: Vec::new(),
            next: index,
        }),
        _ => Vec::new(),
    });
    let mut client = Client::new(stream);
    let first = client.start(&Request::HostInfo).unwrap();
    let log = |index| Request::XenLog { index, clear: false };
    let second = client.start(&log(7)).unwrap();
    let third = client.start(&log(8)).unwrap();
    let next = |result| match result {
        Ok(Done::XenLog { next, .. }) => next,
        other => panic!("{other:?}"),
    };
    assert_eq!(next(client.wait(third, &mut silent)), 8);
    assert_eq!(next(client.wait(second, &mut silent)), 7);
    client.cancel(first).unwrap();
    assert!(matches!(client.wait(first, &mut silent), Err(CallError::Cancelled)));
    drop(client);
    domb.join().unwrap();
}

#[test]
fn a_stop_gives_up_what_is_waited_for_and_the_connection_goes_on() {
    let (stream, domb) = domb(|request| match request {
        Request::HostInfo => Vec::new(),
        _ => done(Done::Nothing),
    });
    stream.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    let mut client = Client::new(stream);
    client.stop_flag().store(true, Ordering::Relaxed);
    let result = client.call(&Request::HostInfo, &mut silent);
    assert!(matches!(result, Err(CallError::Cancelled)), "{result:?}");
    let result = client.call(&Request::List { from: 0 }, &mut silent);
    assert!(matches!(result, Ok(Done::Nothing)), "{result:?}");
    drop(client);
    domb.join().unwrap();
}

/// A peer that answers the first request with these bytes and goes.
fn peer(bytes: Vec<u8>) -> (UnixStream, JoinHandle<()>) {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let answer = move || {
        let mut request = [0; HEADER_BYTES];
        theirs.read_exact(&mut request).unwrap();
        theirs.write_all(&bytes).unwrap();
    };
    (ours, thread::spawn(answer))
}

#[test]
fn another_version_a_wrong_answer_and_the_end_are_told_apart() {
    let result = Done::Nothing;
    for (bytes, expected) in [
        (
            Fixed::UnknownVersion(vec![2, 3]).frame(1).unwrap(),
            "this program speaks version 1 of the protocol, domb speaks [2, 3]",
        ),
        (
            Fixed::NoFrame("why".into()).frame(0).unwrap(),
            "domb ended the connection: why",
        ),
        (
            Answer::Done { result }.frame(9).unwrap(),
            "domb's answer to request 9: expected none: it is not under way",
        ),
        (
            b"DOMB\x01\0\x81\0\x01\0\0\0\x01\0\0\0\x63".to_vec(),
            "domb's answer: result at byte 0: expected one of 0 1 2 3 4 5 6 14 16 17 18 19 20 21 22",
        ),
        (b"DOMB\x01".to_vec(), "domb ended the connection"),
    ] {
        let (stream, peer) = peer(bytes);
        let mut client = Client::new(stream);
        let error = client.call(&Request::HostInfo, &mut silent).unwrap_err();
        assert_eq!(error.to_string(), expected);
        peer.join().unwrap();
    }
}

/// Pages that the test's domb can see.
#[derive(Clone)]
struct Pages {
    bytes: Arc<Mutex<Vec<u8>>>,
    references: Vec<u32>,
}

impl Pages {
    fn new(count: u32) -> Self {
        Self {
            bytes: Arc::new(Mutex::new(vec![0; count as usize * 4096])),
            references: (100..100 + count).collect(),
        }
    }
}

impl Window for Pages {
    fn references(&self) -> &[u32] {
        &self.references
    }

    fn read_from(&mut self, source: &mut dyn Read, at: usize, most: usize) -> io::Result<usize> {
        // In small pieces, as a pipe would give them.
        source.read(&mut self.bytes.lock().unwrap()[at..at + most.min(1000)])
    }
}

/// A domb that has `received` bytes of an image already, and checks what it gets.
fn receiver(pages: &Pages, whole: &[u8], mut received: usize, max_pieces: u32) -> (UnixStream, JoinHandle<()>) {
    let (pages, whole) = (pages.clone(), whole.to_vec());
    domb(move |request| match request {
        Request::ImageOffer { .. } => done(Done::ImageOffer {
            state: ImageState::Wanted {
                received: received as u64,
                max_pieces,
            },
        }),
        Request::ImageWindow { offset, pieces, .. } => {
            assert_eq!(offset, received as u64);
            assert!(pieces.len() <= max_pieces as usize);
            for piece in pieces {
                let at = (piece.reference as usize - 100) * 4096 + usize::from(piece.offset);
                let length = usize::from(piece.length);
                let bytes = pages.bytes.lock().unwrap()[at..at + length].to_vec();
                assert_eq!(bytes, whole[received..received + length]);
                received += length;
            }
            done(Done::ImageWindow {
                received: received as u64,
                held: received == whole.len(),
            })
        }
        other => panic!("{other:?}"),
    })
}

fn image(bytes: &[u8]) -> Image {
    Image {
        digest: Digest::of(Bank::Sha256, bytes).bytes().try_into().unwrap(),
        size: bytes.len() as u64,
        signatures: Vec::new(),
    }
}

#[test]
fn an_image_arrives_whole_through_a_window_of_any_size() {
    let whole: Vec<u8> = (0u32..30_000).flat_map(u32::to_le_bytes).collect();
    for (window, received, max_pieces) in [(1, 0, 512), (2, 5000, 512), (7, 0, 2), (64, 0, 512)] {
        let mut pages = Pages::new(window);
        let (stream, domb) = receiver(&pages, &whole, received, max_pieces);
        let mut client = Client::new(stream);
        let mut last = 0;
        send_image(
            &mut client,
            &image(&whole),
            &mut whole.as_slice(),
            &mut pages,
            &mut |step| {
                last = step.done;
            },
        )
        .unwrap();
        assert_eq!(last, whole.len() as u64);
        drop(client);
        domb.join().unwrap();
    }
}

#[test]
fn an_image_that_is_held_is_not_read() {
    struct Untouched;
    impl Read for Untouched {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("read"))
        }
    }
    let (stream, domb) = domb(|_| {
        done(Done::ImageOffer {
            state: ImageState::Held,
        })
    });
    let mut client = Client::new(stream);
    send_image(
        &mut client,
        &image(b"x"),
        &mut Untouched,
        &mut Pages::new(2),
        &mut silent,
    )
    .unwrap();
    drop(client);
    domb.join().unwrap();
}

#[test]
fn an_image_that_became_shorter_is_an_error() {
    let whole = vec![5; 10_000];
    let mut pages = Pages::new(4);
    let (stream, domb) = receiver(&pages, &whole, 0, 512);
    let mut client = Client::new(stream);
    let error = send_image(
        &mut client,
        &image(&whole),
        &mut &whole[..9000],
        &mut pages,
        &mut silent,
    )
    .unwrap_err();
    assert_eq!(error.to_string(), "the image has 9000 bytes where it had 10000 before");
    drop(client);
    domb.join().unwrap();
}
