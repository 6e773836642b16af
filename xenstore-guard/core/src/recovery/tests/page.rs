//! A ring page in memory. What the store does to it ends with the store's life; the domain lives on.

use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;

use xen::ring::BadIndex;

use super::memory::Life;
use crate::recovery::Ring;

const SIZE: u32 = 1024;

/// An index so many bytes on.
fn ahead(index: u32, bytes: usize) -> u32 {
    index.wrapping_add(u32::try_from(bytes).unwrap())
}

/// One direction.
#[derive(Debug, Clone)]
struct Direction {
    bytes: Vec<u8>,
    consumer: u32,
    producer: u32,
}

impl Direction {
    fn new(start: u32) -> Self {
        Self {
            bytes: vec![0; SIZE as usize],
            consumer: start,
            producer: start,
        }
    }

    fn used(&self) -> u32 {
        let used = self.producer.wrapping_sub(self.consumer);
        assert!(used <= SIZE, "indices {} and {}", self.consumer, self.producer);
        used
    }

    fn peek(&self, skip: usize, buffer: &mut [u8]) -> usize {
        let there = (self.used() as usize).saturating_sub(skip);
        let count = there.min(buffer.len());
        for (index, byte) in buffer.iter_mut().take(count).enumerate() {
            let at = ahead(self.consumer, skip + index) % SIZE;
            *byte = self.bytes[at as usize];
        }
        count
    }

    fn put(&mut self, bytes: &[u8], mut may_write: impl FnMut() -> bool) -> usize {
        let count = bytes.len().min((SIZE - self.used()) as usize);
        let (first, second) = bytes[..count].split_at(count / 2);
        for (skip, part) in [(0, first), (first.len(), second)] {
            if may_write() {
                for (index, &byte) in part.iter().enumerate() {
                    let at = ahead(self.producer, skip + index) % SIZE;
                    self.bytes[at as usize] = byte;
                }
            }
        }
        if may_write() {
            self.producer = ahead(self.producer, count);
        }
        count
    }
}

/// A page. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Page {
    requests: Rc<RefCell<Direction>>,
    replies: Rc<RefCell<Direction>>,
    life: Life,
}

impl Page {
    /// A page whose indices start there.
    pub(super) fn new(start: u32) -> Self {
        Self {
            requests: Rc::new(RefCell::new(Direction::new(start))),
            replies: Rc::new(RefCell::new(Direction::new(start))),
            life: Life::endless(),
        }
    }

    /// The same page, for a store of that life.
    pub(super) fn with(&self, life: &Life) -> Self {
        Self {
            life: life.clone(),
            ..self.clone()
        }
    }

    pub(super) fn set_positions(&self, requests: u32, replies: u32) {
        if self.life.write() {
            self.requests.borrow_mut().consumer = requests;
        }
        if self.life.write() {
            self.replies.borrow_mut().producer = replies;
        }
    }

    /// Domain: puts in what fits, of so many bytes at most.
    pub(super) fn send(&self, bytes: &[u8], most: usize) -> usize {
        let count = bytes.len().min(most);
        self.requests.borrow_mut().put(&bytes[..count], || true)
    }

    /// Domain: takes so many bytes at most.
    pub(super) fn take(&self, most: usize) -> Vec<u8> {
        let mut replies = self.replies.borrow_mut();
        let mut bytes = vec![0; most];
        let count = replies.peek(0, &mut bytes);
        bytes.truncate(count);
        replies.consumer = ahead(replies.consumer, count);
        bytes
    }
}

impl Ring for Page {
    fn peek_requests(&self, skip: usize, buffer: &mut [u8]) -> Result<usize, BadIndex> {
        Ok(self.requests.borrow().peek(skip, buffer))
    }

    fn consume_requests(&self, count: usize) -> Result<(), BadIndex> {
        let mut requests = self.requests.borrow_mut();
        if self.life.write() {
            assert!(count <= requests.used() as usize);
            requests.consumer = ahead(requests.consumer, count);
        }
        Ok(())
    }

    fn reply_room(&self) -> Result<usize, BadIndex> {
        Ok((SIZE - self.replies.borrow().used()) as usize)
    }

    fn write_replies(&self, bytes: &[u8]) -> Result<usize, BadIndex> {
        Ok(self.replies.borrow_mut().put(bytes, || self.life.write()))
    }

    fn positions(&self) -> (u32, u32) {
        (self.requests.borrow().consumer, self.replies.borrow().producer)
    }
}
