//! A channel whose client writes into every shared byte at any time: the server's end reads and writes no more than it
//! was asked to, its pages' neighbours stay as they are, and the next client that keeps to the protocol is served.
//!
//! Input: two bytes of ring orders, then steps of four bytes: what, and two operands.
#![no_main]

use libfuzzer_sys::fuzz_target;
use xen::ring::SharedPage;
use xen::vchan::{Change, End, LocalPages, Orders, Server, SharedPages};

/// The channel's pages, between two others.
struct Between(LocalPages);

impl SharedPages for Between {
    fn page(&self, number: usize) -> Option<SharedPage<'_>> {
        self.0.page(number + 1)
    }
}

fuzz_target!(|input: &[u8]| {
    let [left, right, steps @ ..] = input else { return };
    let Ok(orders) = Orders::new(10 + u16::from(left % 5), 10 + u16::from(right % 5)) else {
        return;
    };
    let pages = Between(LocalPages::new(orders.pages() + 2));
    let first = pages.page(0).unwrap();
    let mut server = Server::offer(&pages, orders, &[5, 6, 7, 8]);
    let mut client = End::connect(first, orders);
    let mut buffer = vec![0xA5; 1 << 15];
    for step in steps.chunks_exact(4) {
        let count = usize::from(u16::from_le_bytes([step[2], step[3]])) % (buffer.len() - 1);
        buffer[count] = 0xA5;
        match step[0] % 7 {
            0 => {
                let _ = server.look(&pages);
            }
            1 => match server.read(&pages, &mut buffer[..count]) {
                Ok(done) => assert!(done.bytes <= count),
                Err(_) => server.give_up(&pages),
            },
            2 => match server.write(&pages, &buffer[..count]) {
                Ok(done) => assert!(done.bytes <= count),
                Err(_) => server.give_up(&pages),
            },
            3 => {
                let _ = client.read(&pages, &mut buffer[..count]);
            }
            4 => {
                let _ = client.write(&pages, &buffer[..count]);
            }
            // The client's process writes where it likes.
            5 => assert!(first.write_bytes(usize::from(step[1]) % 64, &step[2..])),
            _ => client = End::connect(first, orders),
        }
        assert_eq!(buffer[count], 0xA5);
    }
    for neighbour in [0, orders.pages() + 1] {
        let mut bytes = [1; 4096];
        assert!(pages.0.page(neighbour).unwrap().read_bytes(0, &mut bytes));
        assert_eq!(bytes, [0; 4096]);
    }
    client.disconnect(first);
    server.give_up(&pages);
    let _ = server.look(&pages);
    let _ = server.look(&pages);
    assert!(End::is_offered(first));
    let mut client = End::connect(first, End::orders(first).unwrap());
    assert_eq!(server.look(&pages), Change::Came);
    assert_eq!(client.write(&pages, b"next").unwrap().bytes, 4);
    assert_eq!(server.read(&pages, &mut buffer).unwrap().bytes, 4);
    assert_eq!(&buffer[..4], b"next");
});
