//! What waits to be sent to a client.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use xen::store::Operation;
use xen::store::wire::{HEADER_BYTES, Header};

/// A buffer that grew beyond this is given back once it is empty.
const KEPT: usize = 16 * 1024;
/// What a message is charged with beside its bytes.
const MESSAGE_BYTES: usize = size_of::<Message>() + 32;

/// Messages in order, as one run of bytes.
#[derive(Debug, Default)]
pub(crate) struct Output {
    bytes: Vec<u8>,
    /// Bytes of `bytes` that were sent.
    sent: usize,
    /// Place of the first of `bytes` in all that was ever sent.
    base: u64,
    messages: VecDeque<Message>,
    /// Events that wait, by a hash of what they say: where one of this hash begins.
    events: BTreeMap<u64, u64>,
    answers: usize,
}

#[derive(Debug, Clone, Copy)]
struct Message {
    /// Places of its first byte and behind its last one.
    start: u64,
    end: u64,
    /// Of an event; none for an answer.
    event: Option<u64>,
}

impl Output {
    /// Bytes to be sent next.
    pub(crate) fn waiting(&self) -> &[u8] {
        self.bytes.get(self.sent..).unwrap_or_default()
    }

    /// What the domain is charged with.
    pub(crate) fn charge(&self) -> usize {
        self.bytes.len() - self.sent + self.messages.len() * MESSAGE_BYTES
    }

    pub(crate) const fn answers(&self) -> usize {
        self.answers
    }

    pub(crate) fn events(&self) -> usize {
        self.messages.len() - self.answers
    }

    /// Bytes at the start that are the rest of a message whose first bytes were sent.
    pub(crate) fn partial(&self) -> usize {
        let place = self.base + self.sent as u64;
        match self.messages.front() {
            Some(message) if message.start < place => usize::try_from(message.end - place).unwrap_or_default(),
            _ => 0,
        }
    }

    fn end(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }

    /// Adds an answer.
    pub(crate) fn push_answer(&mut self, header: Header, payload: &[u8]) {
        self.push(header, &[payload], None);
        self.answers += 1;
    }

    /// Adds an event; not where the same one waits already, unless it is about a special name.
    pub(crate) fn push_event(&mut self, path: &[u8], token: &[u8]) {
        let hash = hash(path, token);
        if path.first() != Some(&b'@') && self.waits(hash, path, token) {
            return;
        }
        let header = Header {
            operation: Operation::WatchEvent as u32,
            request: 0,
            transaction: 0,
            length: 0,
        };
        let start = self.end();
        self.push(header, &[path, b"\0", token, b"\0"], Some(hash));
        self.events.entry(hash).or_insert(start);
    }

    fn push(&mut self, mut header: Header, parts: &[&[u8]], event: Option<u64>) {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        header.length = u32::try_from(length).unwrap_or(u32::MAX);
        let start = self.end();
        self.bytes.reserve(HEADER_BYTES + length);
        self.bytes.extend_from_slice(&header.encode());
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
        let end = self.end();
        self.messages.push_back(Message { start, end, event });
    }

    fn waits(&self, hash: u64, path: &[u8], token: &[u8]) -> bool {
        let payload = self
            .events
            .get(&hash)
            .and_then(|start| start.checked_sub(self.base))
            .and_then(|start| usize::try_from(start).ok())
            .and_then(|start| self.bytes.get(start + HEADER_BYTES..));
        payload
            .and_then(|payload| payload.strip_prefix(path))
            .and_then(|payload| payload.strip_prefix(b"\0"))
            .and_then(|payload| payload.strip_prefix(token))
            .is_some_and(|payload| payload.first() == Some(&0))
    }

    /// Forgets bytes that were sent.
    pub(crate) fn sent(&mut self, count: usize) {
        self.sent = self.sent.saturating_add(count).min(self.bytes.len());
        let place = self.base + self.sent as u64;
        while let Some(&message) = self.messages.front()
            && message.end <= place
        {
            self.messages.pop_front();
            match message.event {
                Some(hash) => {
                    if self.events.get(&hash) == Some(&message.start) {
                        self.events.remove(&hash);
                    }
                }
                None => self.answers = self.answers.saturating_sub(1),
            }
        }
        if self.sent == self.bytes.len() {
            self.base = place;
            self.sent = 0;
            self.bytes.clear();
            if self.bytes.capacity() > KEPT {
                self.bytes = Vec::new();
                self.messages = VecDeque::new();
            }
        } else if self.sent > KEPT && self.sent > self.bytes.len() / 2 {
            // A message of which a part was sent stays whole: its event may be asked for.
            let start = self.messages.front().map_or(place, |message| message.start);
            let whole = usize::try_from(start.saturating_sub(self.base)).unwrap_or_default();
            self.bytes.drain(..whole.min(self.sent));
            self.sent -= whole.min(self.sent);
            self.base = start;
        }
    }

    /// Forgets everything, sent or not.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Takes over what another server did not send: the rest of a message, then whole ones. False where it is not that.
    pub(crate) fn restore(&mut self, bytes: &[u8], partial: usize) -> bool {
        self.clear();
        let Some((rest, mut messages)) = bytes.split_at_checked(partial) else {
            return false;
        };
        self.bytes.extend_from_slice(rest);
        if !rest.is_empty() {
            // Its first byte was sent, so that it is told as a rest again.
            self.base = 1;
            self.messages.push_back(Message {
                start: 0,
                end: self.end(),
                event: None,
            });
            self.answers += 1;
        }
        while let Some(header) = messages.first_chunk::<HEADER_BYTES>() {
            let header = Header::decode(header);
            let Some((message, behind)) =
                messages.split_at_checked(HEADER_BYTES.saturating_add(header.length as usize))
            else {
                return false;
            };
            let start = self.end();
            self.bytes.extend_from_slice(message);
            let event = (header.operation == Operation::WatchEvent as u32).then_some(0);
            self.answers += usize::from(event.is_none());
            let end = self.end();
            self.messages.push_back(Message { start, end, event });
            messages = behind;
        }
        messages.is_empty()
    }
}

/// Any hash will do: what it finds is compared.
fn hash(path: &[u8], token: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for &byte in path.iter().chain(&[0]).chain(token) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    fn answer(output: &mut Output, text: &str) {
        output.push_answer(
            Header {
                operation: Operation::Read as u32,
                ..Header::default()
            },
            text.as_bytes(),
        );
    }

    #[test]
    fn xsa_349_an_event_that_waits_is_not_repeated() {
        let mut output = Output::default();
        for _ in 0..1000 {
            output.push_event(b"/a", b"token");
            output.push_event(b"/b", b"token");
        }
        assert_eq!(output.events(), 2);
        // Once it is sent, it may come again.
        let first = output.waiting().len() / 2;
        output.sent(first);
        output.push_event(b"/a", b"token");
        assert_eq!(output.events(), 2);
        output.push_event(b"/b", b"token");
        assert_eq!(output.events(), 2);
    }

    #[test]
    fn events_of_special_names_are_each_told() {
        let mut output = Output::default();
        output.push_event(b"@releaseDomain", b"token");
        output.push_event(b"@releaseDomain", b"token");
        assert_eq!(output.events(), 2);
    }

    #[test]
    fn bytes_come_in_order_whatever_is_sent_at_a_time() {
        let mut output = Output::default();
        let mut expected = Vec::new();
        let mut got = Vec::new();
        for number in 0..2000_usize {
            let text = format!("answer {number}");
            answer(&mut output, &text);
            output.push_event(format!("/event/{number}").as_bytes(), b"");
            if number % 3 == 0 {
                let count = (number * 7) % 60;
                let count = count.min(output.waiting().len());
                got.extend_from_slice(&output.waiting()[..count]);
                output.sent(count);
            }
            expected.push(text);
        }
        got.extend_from_slice(output.waiting());
        let waiting = output.waiting().len();
        output.sent(waiting);
        assert_eq!((output.answers(), output.events(), output.charge()), (0, 0, 0));
        let mut rest = got.as_slice();
        let mut texts = Vec::new();
        while let Some(header) = rest.first_chunk::<HEADER_BYTES>() {
            let header = Header::decode(header);
            let end = HEADER_BYTES + header.length as usize;
            if header.operation == Operation::Read as u32 {
                texts.push(core::str::from_utf8(&rest[HEADER_BYTES..end]).unwrap());
            }
            rest = &rest[end..];
        }
        assert_eq!(texts, expected);
    }

    #[test]
    fn what_was_not_sent_can_be_taken_over() {
        let mut output = Output::default();
        answer(&mut output, "one");
        output.push_event(b"/a", b"t");
        answer(&mut output, "two");
        output.sent(7);
        assert_eq!(output.partial(), HEADER_BYTES + 3 - 7);
        let mut other = Output::default();
        assert!(other.restore(output.waiting(), output.partial()));
        assert_eq!((other.answers(), other.events()), (2, 1));
        assert_eq!(other.waiting(), output.waiting());
        assert_eq!(other.partial(), output.partial());
        assert!(!Output::default().restore(output.waiting(), 0));
        assert!(!Output::default().restore(b"short", 0));
    }
}
