//! A domain that writes into its ring between two looks of the store's.

use alloc::vec::Vec;
use core::cell::Cell;

use xen::DomId;
use xen::ring::BadIndex;
use xen::store::wire::{HEADER_BYTES, Header};

use super::crash::Plain;
use super::memory::Memory;
use crate::recovery::{MIN_BOX_BYTES, Recovery, Ring, serve};
use crate::state::Peer;
use crate::{Config, Server};

/// What comes of a request.
const PART: usize = HEADER_BYTES + 3;

/// A ring with the beginning of a request. Once the store has seen it, it is other bytes.
#[derive(Debug, Default)]
struct Rewritten {
    seen: Cell<usize>,
    taken: Cell<usize>,
}

/// The beginning of a request.
fn part() -> Vec<u8> {
    let header = Header {
        operation: 2,
        length: 100,
        ..Header::default()
    };
    [header.encode().as_slice(), b"/ab"].concat()
}

impl Ring for Rewritten {
    fn peek_requests(&self, skip: usize, buffer: &mut [u8]) -> Result<usize, BadIndex> {
        let (seen, bytes) = (self.seen.get(), part());
        let there = bytes.get(self.taken.get() + skip..).unwrap_or_default();
        let count = there.len().min(buffer.len());
        buffer[..count].copy_from_slice(&there[..count]);
        if seen == PART {
            buffer[..count].fill(0xff);
        }
        self.seen.set(PART.min(seen + count));
        Ok(count)
    }

    fn consume_requests(&self, count: usize) -> Result<(), BadIndex> {
        self.taken.set(self.taken.get() + count);
        Ok(())
    }

    fn reply_room(&self) -> Result<usize, BadIndex> {
        Ok(1024)
    }

    fn write_replies(&self, bytes: &[u8]) -> Result<usize, BadIndex> {
        Ok(bytes.len())
    }

    fn positions(&self) -> (u32, u32) {
        (u32::try_from(self.taken.get()).unwrap(), 0)
    }
}

#[test]
fn a_successor_goes_on_with_the_part_of_a_request_that_was_looked_at() {
    let mut server = Server::new(Config::default());
    let peer = Peer::Domain {
        domid: DomId(7),
        ring: 1,
        port: 2,
    };
    let id = server.connect(peer).unwrap();
    let memory = Memory::new(MIN_BOX_BYTES);
    let mut recovery = Recovery::open(memory.clone()).unwrap().recovery;
    recovery.compact(server.state()).unwrap();
    let ring = Rewritten::default();
    serve(&mut server, &mut recovery, &mut Plain, id, &ring).unwrap();
    assert_eq!(ring.taken.get(), PART);

    let mut opened = Recovery::open(memory).unwrap();
    let mut state = opened.state.unwrap();
    opened
        .unfinished
        .resume(&mut opened.recovery, &mut state, id, ring.positions());
    assert_eq!(state.connections[0].input, part());
    assert!(Server::restore(Config::default(), state, &mut Plain).is_ok());
}
