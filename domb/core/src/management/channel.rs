//! One client's connection, as domb sees it.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use xen::vchan::Pipe;

use super::frame::{FIXED_VERSION, Fixed, HEADER_BYTES, Header, MAX_FRAME};
use super::{Answer, Done, Request, VERSION, VERSIONS};

/// Requests of one client that may be under way at once, those that wait for their turn included. More are answered at
/// once with [`Answer::Failed`]; [`Request::Cancel`] does not count.
pub const MAX_REQUESTS: usize = 4;
/// Nanoseconds after which a client is dropped that reads nothing although there is something for it.
pub const STALL_NS: u64 = 30_000_000_000;
/// While more bytes than this wait to be read by the client, nothing of it is looked at, and it is told of no progress.
const FULL: usize = MAX_FRAME;
/// Bytes that are read of one client before it is the turn of others.
const READ: usize = 16 << 10;

/// The state of a connection: bytes of the client in, requests out; answers in, bytes for the client out.
///
/// What a client can make this hold is bounded: one frame of input, [`MAX_REQUESTS`] requests, and answers to as many
/// beyond the frame's worth at which it is read no further.
#[derive(Debug, Default)]
pub struct Channel {
    input: Vec<u8>,
    waiting: VecDeque<(u32, Request)>,
    running: Vec<Running>,
    output: Vec<u8>,
    /// Bytes of `output` that the client took.
    taken: usize,
    /// When the client last took something, or there began to be something.
    waits_since: Option<u64>,
    /// What came is no frame: nothing more is read.
    broken: bool,
}

#[derive(Debug)]
struct Running {
    id: u32,
    cancelled: bool,
}

impl Channel {
    /// Bytes that [`Channel::feed`] takes now; none while the client has to read first.
    #[must_use]
    pub fn room(&self) -> usize {
        if self.broken || self.is_full() {
            return 0;
        }
        MAX_FRAME.saturating_sub(self.input.len())
    }

    /// Takes bytes of the client, at most [`Channel::room`]; how many. `now` is the time, in nanoseconds.
    pub fn feed(&mut self, bytes: &[u8], now: u64) -> usize {
        let taken = bytes.len().min(self.room());
        self.input.extend(bytes.iter().take(taken));
        self.look(now);
        taken
    }

    /// The next request, if fewer than all that may be run and the client reads its answers.
    pub fn next_request(&mut self) -> Option<(u32, Request)> {
        if self.is_full() {
            return None;
        }
        let (id, request) = self.waiting.pop_front()?;
        self.running.push(Running { id, cancelled: false });
        Some((id, request))
    }

    /// Whether the client gave up a request that was handed out, and waits for its last answer.
    #[must_use]
    pub fn is_cancelled(&self, id: u32) -> bool {
        self.running.iter().any(|running| running.id == id && running.cancelled)
    }

    /// The ids of the requests that were handed out and have no last answer.
    pub fn running(&self) -> impl Iterator<Item = u32> + '_ {
        self.running.iter().map(|running| running.id)
    }

    /// Answers a request that was handed out; others are passed over. Progress is left out while the client does not
    /// read.
    pub fn answer(&mut self, id: u32, answer: &Answer, now: u64) {
        let Some(at) = self.running.iter().position(|running| running.id == id) else {
            return;
        };
        if answer.is_last() {
            self.running.remove(at);
        } else if self.is_full() {
            return;
        }
        self.put(id, answer, now);
    }

    /// Bytes for the client.
    #[must_use]
    pub fn output(&self) -> &[u8] {
        self.output.get(self.taken..).unwrap_or_default()
    }

    /// The client took that many bytes of [`Channel::output`].
    pub fn sent(&mut self, bytes: usize, now: u64) {
        if bytes == 0 {
            return;
        }
        self.taken = self.taken.saturating_add(bytes).min(self.output.len());
        if self.taken == self.output.len() {
            self.output.clear();
            self.taken = 0;
            self.waits_since = None;
        } else {
            self.waits_since = Some(now);
            if self.taken > MAX_FRAME {
                self.output.drain(..self.taken);
                self.taken = 0;
            }
        }
        // There may be frames that were not looked at while too much waited.
        self.look(now);
    }

    /// Moves bytes between the client and this: writes what it takes, reads at most 16 KiB, writes what came of it.
    /// True when there may be more to read, of which no event tells: to be called again then, after the turns of
    /// others.
    ///
    /// # Errors
    /// The pipe's: the client is to be dropped.
    pub fn exchange<P: Pipe>(&mut self, pipe: &mut P, now: u64) -> Result<bool, P::Error> {
        self.write_to(pipe, now)?;
        let mut buffer = vec![0; self.room().min(READ)];
        let count = pipe.read(&mut buffer)?;
        self.feed(buffer.get(..count).unwrap_or_default(), now);
        self.write_to(pipe, now)?;
        Ok(count > 0 && count == buffer.len())
    }

    fn write_to<P: Pipe>(&mut self, pipe: &mut P, now: u64) -> Result<(), P::Error> {
        // What was read and not looked at can bring further output, but only so much was read.
        while !self.output().is_empty() {
            let wanted = self.output().len();
            let count = pipe.write(self.output())?;
            self.sent(count, now);
            if count < wanted {
                break;
            }
        }
        Ok(())
    }

    /// When the client is to be dropped if it reads nothing until then.
    #[must_use]
    pub fn deadline(&self) -> Option<u64> {
        self.waits_since.map(|since| since.saturating_add(STALL_NS))
    }

    /// Whether there is nothing more to do: what came was no frame, and the client was told.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.broken && self.output().is_empty()
    }

    fn is_full(&self) -> bool {
        self.output().len() > FULL
    }

    /// Takes the frames that are complete.
    fn look(&mut self, now: u64) {
        let mut done = 0;
        while !self.broken && !self.is_full() {
            let rest = self.input.get(done..).unwrap_or_default();
            let Some(header) = rest.first_chunk::<HEADER_BYTES>() else {
                break;
            };
            match Header::parse(header) {
                Ok(header) => {
                    let end = HEADER_BYTES + header.length;
                    let Some(payload) = rest.get(HEADER_BYTES..end) else {
                        break;
                    };
                    let request = (header.version == VERSION).then(|| Request::decode(header.kind, payload));
                    done += end;
                    match request {
                        None => self.put_fixed(header.id, &Fixed::UnknownVersion(VERSIONS.into()), now),
                        Some(Ok(request)) => self.accept(header.id, request, now),
                        Some(Err(error)) => self.put(header.id, &error.into(), now),
                    }
                }
                Err(error) => {
                    self.broken = true;
                    self.put_fixed(0, &Fixed::NoFrame(error.to_string()), now);
                }
            }
        }
        if self.broken {
            self.input = Vec::new();
        } else {
            self.input.drain(..done);
        }
    }

    fn accept(&mut self, id: u32, request: Request, now: u64) {
        if let Request::Cancel { id: other } = request {
            let found = self.cancel(other, now);
            let result = Done::Cancel { found };
            return self.put(id, &Answer::Done { result }, now);
        }
        let under_way = self.waiting.len() + self.running.len();
        let known = self.running().chain(self.waiting.iter().map(|(waiting, _)| *waiting));
        if known.into_iter().any(|known| known == id) {
            let text = format!("request {id} is under way already");
            self.refuse(id, text, now);
        } else if under_way >= MAX_REQUESTS {
            let text = format!("{under_way} requests are under way; accepted: at most {MAX_REQUESTS}");
            self.refuse(id, text, now);
        } else {
            self.waiting.push_back((id, request));
        }
    }

    fn refuse(&mut self, id: u32, text: alloc::string::String, now: u64) {
        let step = "accept".into();
        self.put(id, &Answer::Failed { step, text }, now);
    }

    fn cancel(&mut self, id: u32, now: u64) -> bool {
        if let Some(at) = self.waiting.iter().position(|(waiting, _)| *waiting == id) {
            self.waiting.remove(at);
            self.put(id, &Answer::Cancelled, now);
            return true;
        }
        let running = self.running.iter_mut().find(|running| running.id == id);
        running.map(|running| running.cancelled = true).is_some()
    }

    fn put(&mut self, id: u32, answer: &Answer, now: u64) {
        let frame = answer.frame(id).or_else(|error| {
            let (step, text) = ("answer".into(), error.to_string());
            Answer::Failed { step, text }.frame(id)
        });
        self.queue(&frame.unwrap_or_default(), now);
    }

    fn put_fixed(&mut self, id: u32, answer: &Fixed, now: u64) {
        self.queue(&answer.frame(id).unwrap_or_default(), now);
    }

    fn queue(&mut self, frame: &[u8], now: u64) {
        self.output.extend_from_slice(frame);
        self.waits_since.get_or_insert(now);
    }
}

/// The version of frames that no request has.
const _: () = assert!(VERSION != FIXED_VERSION);
