//! Both ends over ordinary memory.

use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::ring::SharedPage;

/// A connection of both ends.
struct Pair {
    pages: LocalPages,
    server: Server,
    client: End,
}

fn pair(left: u16, right: u16) -> Pair {
    let orders = Orders::new(left, right).unwrap();
    let pages = LocalPages::new(orders.pages());
    let mut server = Server::offer(&pages, orders, &[]);
    let client = join(&pages);
    assert_eq!(server.look(&pages), Change::Came);
    Pair { pages, server, client }
}

fn first(pages: &LocalPages) -> SharedPage<'_> {
    pages.page(0).unwrap()
}

fn join(pages: &LocalPages) -> End {
    End::connect(first(pages), End::orders(first(pages)).unwrap())
}

#[test]
fn the_first_page_is_that_of_the_header() {
    // struct vchan_interface: two rings of two indices, two orders, two live bytes, two notify bytes, the grants.
    let orders = Orders::new(12, 13).unwrap();
    let pages = LocalPages::new(orders.pages());
    let _server = Server::offer(&pages, orders, &[7, 8, 9, 10]);
    let mut bytes = [0; 36];
    assert!(first(&pages).read_bytes(0, &mut bytes));
    assert_eq!(bytes[..16], [0; 16]);
    assert_eq!(bytes[16..24], [12, 0, 13, 0, 2, 1, 1, 0]);
    assert_eq!(bytes[24..], [7, 0, 0, 0, 8, 0, 0, 0, 9, 0, 0, 0]);
    assert_eq!(End::grant(first(&pages), 2), Some(9));
    assert_eq!(End::grant(first(&pages), 3), Some(0), "no fourth page");
    assert_eq!(End::grant(first(&pages), 1018), None);
}

#[test]
fn events_are_asked_for_and_sent_as_libxenvchan_does() {
    let Pair {
        pages,
        mut server,
        mut client,
    } = pair(10, 11);
    // The server asked for writes when it offered the channel: the first one is told, the second is not.
    assert_eq!(client.write(&pages, b"one"), Ok(Transfer { bytes: 3, notify: true }));
    assert_eq!(
        client.write(&pages, b"two"),
        Ok(Transfer {
            bytes: 3,
            notify: false
        })
    );
    // A read that is satisfied asks for nothing; one that is not, does.
    let mut buffer = [0; 6];
    assert_eq!(
        server.read(&pages, &mut buffer),
        Ok(Transfer {
            bytes: 6,
            notify: false
        })
    );
    assert_eq!(&buffer, b"onetwo");
    assert!(!client.write(&pages, b"x").unwrap().notify);
    assert_eq!(server.read(&pages, &mut buffer).unwrap().bytes, 1);
    assert!(client.write(&pages, b"y").unwrap().notify);
    // A writer that did not get all in is told of the next read.
    assert_eq!(client.write(&pages, &[0; 2000]).unwrap().bytes, 1023);
    assert_eq!(
        server.read(&pages, &mut buffer),
        Ok(Transfer { bytes: 6, notify: true })
    );
}

#[test]
fn a_client_comes_goes_and_comes_again_to_an_empty_channel() {
    let Pair {
        pages,
        mut server,
        mut client,
    } = pair(11, 12);
    assert!(client.write(&pages, b"half a requ").is_ok());
    assert!(server.write(&pages, b"an answer that nobody reads").is_ok());
    assert!(client.is_peer_connected(&pages));
    assert!(!End::is_offered(first(&pages)));
    client.disconnect(first(&pages));
    assert!(!End::is_offered(first(&pages)), "the server is not done with it");
    assert_eq!(server.look(&pages), Change::Went);
    assert!(!server.is_connected());
    assert_eq!(server.write(&pages, b"late").unwrap().bytes, 0);
    assert!(End::is_offered(first(&pages)));
    let mut client = join(&pages);
    assert_eq!(server.look(&pages), Change::Came);
    let mut buffer = [0; 64];
    assert_eq!(client.read(&pages, &mut buffer).unwrap().bytes, 0);
    assert_eq!(server.read(&pages, &mut buffer).unwrap().bytes, 0);
}

#[test]
fn a_client_that_was_given_up_sees_it_and_the_next_one_is_served() {
    let Pair {
        pages,
        mut server,
        client,
    } = pair(10, 11);
    server.give_up(&pages);
    assert!(!client.is_peer_connected(&pages));
    assert_eq!(server.look(&pages), Change::Nothing);
    client.disconnect(first(&pages));
    assert_eq!(server.look(&pages), Change::Went);
    let client = join(&pages);
    assert_eq!(server.look(&pages), Change::Came);
    assert!(client.is_peer_connected(&pages));
}

#[test]
fn an_index_that_cannot_be_is_an_error_of_this_channel() {
    for (offset, right) in [(4usize, false), (8, true)] {
        let Pair {
            pages,
            mut server,
            client,
        } = pair(10, 11);
        first(&pages).store(offset, 0x8000_0000);
        let mut buffer = [0; 16];
        if right {
            assert_eq!(server.write(&pages, b"x").unwrap_err().size, 2048);
            assert!(server.read(&pages, &mut buffer).is_ok());
        } else {
            let error = server.read(&pages, &mut buffer).unwrap_err();
            assert_eq!(
                std::string::ToString::to_string(&error),
                "ring index: producer 0x80000000, consumer 0x0, 1024 bytes"
            );
        }
        server.give_up(&pages);
        client.disconnect(first(&pages));
        assert_eq!(server.look(&pages), Change::Went);
        let mut client = join(&pages);
        assert_eq!(server.look(&pages), Change::Came);
        assert_eq!(client.write(&pages, b"again").unwrap().bytes, 5);
        assert_eq!(server.read(&pages, &mut buffer).unwrap().bytes, 5);
    }
}

#[test]
fn the_servers_own_fields_are_not_believed() {
    let Pair {
        pages,
        mut server,
        mut client,
    } = pair(10, 11);
    assert!(client.write(&pages, b"abc").is_ok());
    // Its consumer index, its producer index, the orders.
    first(&pages).store(0, 77);
    first(&pages).store(12, 99);
    first(&pages).store(16, 0x00ff_00ff);
    let mut buffer = [0; 16];
    assert_eq!(server.read(&pages, &mut buffer).unwrap().bytes, 3);
    assert_eq!(&buffer[..3], b"abc");
    assert_eq!(server.write(&pages, b"def").unwrap().bytes, 3);
    let mut seen = [0; 3];
    assert!(first(&pages).read_bytes(2048, &mut seen));
    assert_eq!(&seen, b"def");
}

#[test]
fn two_threads_see_the_stream_in_order() {
    let Pair {
        pages,
        mut server,
        mut client,
    } = pair(10, 13);
    let whole = stream(1 << 20);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut sent = 0;
            while sent < whole.len() {
                sent += client.write(&pages, &whole[sent..]).unwrap().bytes;
                std::thread::yield_now();
            }
        });
        let (mut got, mut buffer) = (0, vec![0; 700]);
        while got < whole.len() {
            let count = server.read(&pages, &mut buffer).unwrap().bytes;
            assert_eq!(buffer[..count], whole[got..got + count]);
            got += count;
            std::thread::yield_now();
        }
    });
}

fn any_orders() -> impl Strategy<Value = (u16, u16)> {
    prop::sample::select(vec![(10, 11), (11, 10), (12, 10), (11, 13), (12, 12), (13, 14)])
}

/// Who does something, and with how many bytes.
fn any_steps() -> impl Strategy<Value = Vec<(bool, bool, usize)>> {
    prop::collection::vec((any::<bool>(), any::<bool>(), 0usize..6000), 0..60)
}

/// A stream that tells positions apart.
fn stream(length: usize) -> Vec<u8> {
    (0u32..)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 24).to_le_bytes()[0])
        .take(length)
        .collect()
}

proptest! {
    #[test]
    fn any_interleaving_of_partial_reads_and_writes_delivers_the_stream(
        (left, right) in any_orders(),
        steps in any_steps(),
    ) {
        let Pair { pages, mut server, mut client } = pair(left, right);
        let whole = stream(400_000);
        let (mut sent, mut got) = ([0, 0], [0, 0]);
        for (by_server, reads, count) in steps {
            let way = usize::from(by_server);
            if reads {
                let mut buffer = vec![0; count];
                let from = 1 - way;
                let done = if by_server { server.read(&pages, &mut buffer) } else { client.read(&pages, &mut buffer) };
                let done = done.unwrap().bytes;
                prop_assert_eq!(done, count.min(sent[from] - got[from]));
                prop_assert_eq!(&buffer[..done], &whole[got[from]..got[from] + done]);
                got[from] += done;
            } else {
                let bytes = &whole[sent[way]..sent[way] + count];
                let done = if by_server { server.write(&pages, bytes) } else { client.write(&pages, bytes) };
                sent[way] += done.unwrap().bytes;
            }
        }
    }

    #[test]
    fn nobody_waits_for_an_event_that_does_not_come(
        (left, right) in any_orders(),
        pieces in prop::collection::vec((1usize..5000, 1usize..5000), 1..40),
    ) {
        // Each side acts only after an event; with the events that are sent, everything arrives.
        let Pair { pages, mut server, mut client } = pair(left, right);
        let total = 60_000;
        let whole = stream(total);
        let (mut sent, mut got) = (0, 0);
        let (mut wake_server, mut wake_client) = (true, true);
        let mut sizes = pieces.iter().cycle();
        while got < total {
            prop_assert!(wake_server || wake_client, "both wait at {} of {}", got, sent);
            let (write, read) = *sizes.next().unwrap();
            if core::mem::take(&mut wake_client) {
                loop {
                    let piece = &whole[sent..total.min(sent + write)];
                    let done = client.write(&pages, piece).unwrap();
                    sent += done.bytes;
                    wake_server |= done.notify;
                    if done.bytes < piece.len() || sent == total { break }
                }
            }
            if core::mem::take(&mut wake_server) {
                loop {
                    let mut buffer = vec![0; read];
                    let done = server.read(&pages, &mut buffer).unwrap();
                    got += done.bytes;
                    wake_client |= done.notify;
                    if done.bytes < read { break }
                }
            }
        }
    }

    #[test]
    fn a_page_that_changes_at_any_time_does_no_harm(
        (left, right) in any_orders(),
        steps in prop::collection::vec((any::<u8>(), 0usize..5000, any::<u32>()), 0..200),
    ) {
        let Pair { pages, mut server, mut client } = pair(left, right);
        for (what, count, value) in steps {
            let mut buffer = vec![0; count];
            match what % 6 {
                0 => { let _ = server.look(&pages); }
                1 => match server.read(&pages, &mut buffer) {
                    Ok(done) => prop_assert!(done.bytes <= count),
                    Err(_) => server.give_up(&pages),
                },
                2 => match server.write(&pages, &buffer) {
                    Ok(done) => prop_assert!(done.bytes <= count),
                    Err(_) => server.give_up(&pages),
                },
                3 => { let _ = client.read(&pages, &mut buffer); }
                4 => first(&pages).store(count % 32 / 4 * 4, value),
                _ => if let Ok(orders) = End::orders(first(&pages)) && orders.pages() <= 7 {
                    client = End::connect(first(&pages), orders);
                },
            }
        }
        // Whatever happened, the next client is served.
        server.give_up(&pages);
        client.disconnect(first(&pages));
        let _ = server.look(&pages);
        let _ = server.look(&pages);
        let mut client = join(&pages);
        prop_assert_eq!(server.look(&pages), Change::Came);
        prop_assert_eq!(client.write(&pages, b"hello").unwrap().bytes, 5);
        let mut buffer = [0; 8];
        prop_assert_eq!(server.read(&pages, &mut buffer).unwrap().bytes, 5);
        prop_assert_eq!(&buffer[..5], b"hello");
    }
}
