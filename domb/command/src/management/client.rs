//! Requests over a stream.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use domb_core::management::frame::{FIXED_VERSION, Fixed, HEADER_BYTES, Header};
use domb_core::management::{Answer, Done, Request};

use super::CallError;

/// How far a request is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What is being done.
    pub stage: String,
    /// How much of it is done.
    pub done: u64,
    /// How much there is; 0 where that is not known.
    pub total: u64,
}

/// A connection to domb. One that gave an error of the connection or of the protocol is of no more use.
#[derive(Debug)]
pub struct Client<T> {
    stream: T,
    next_id: u32,
    /// Requests without their last answer.
    under_way: Vec<u32>,
    /// Last answers that came while another one was waited for.
    early: Vec<(u32, Answer)>,
    stop: Arc<AtomicBool>,
}

impl<T: Read + Write> Client<T> {
    /// Speaks over a stream.
    pub fn new(stream: T) -> Self {
        Self {
            stream,
            next_id: 1,
            under_way: Vec::new(),
            early: Vec::new(),
            stop: Arc::default(),
        }
    }

    /// What makes a wait give its request up, once it is true and the stream's read fails with `Interrupted` or
    /// `TimedOut`: for a signal handler. It is false again when the request was told to be given up.
    #[must_use]
    pub fn stop_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// Sends a request and waits for its result. `progress` is told how far it is.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn call(&mut self, request: &Request, progress: &mut dyn FnMut(Step)) -> Result<Done, CallError> {
        let id = self.start(request)?;
        self.wait(id, progress)
    }

    /// Sends a request; its id. At most [`domb_core::management::MAX_REQUESTS`] may be under way.
    ///
    /// # Errors
    /// [`CallError::TooLong`] or [`CallError::Connection`].
    pub fn start(&mut self, request: &Request) -> Result<u32, CallError> {
        let id = self.next_id;
        let frame = request.frame(id)?;
        self.stream.write_all(&frame).map_err(CallError::Connection)?;
        self.stream.flush().map_err(CallError::Connection)?;
        self.next_id = self.next_id.wrapping_add(1);
        self.under_way.push(id);
        Ok(id)
    }

    /// Waits for the result of a request that was started.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn wait(&mut self, id: u32, progress: &mut dyn FnMut(Step)) -> Result<Done, CallError> {
        if let Some(at) = self.early.iter().position(|(early, _)| *early == id) {
            return result(self.early.swap_remove(at).1);
        }
        loop {
            let (answered, answer) = self.receive(id)?;
            match answer {
                Answer::Progress { stage, done, total } => {
                    if answered == id {
                        progress(Step { stage, done, total });
                    }
                    continue;
                }
                // Whether there was something to give up is seen by that request's own answer.
                Answer::Done {
                    result: Done::Cancel { .. },
                } => {
                    self.forget(answered)?;
                    continue;
                }
                _ => self.forget(answered)?,
            }
            if answered == id {
                return result(answer);
            }
            self.early.push((answered, answer));
        }
    }

    /// Tells domb to give up a request that is under way; its last answer comes all the same.
    ///
    /// # Errors
    /// [`CallError::Connection`].
    pub fn cancel(&mut self, id: u32) -> Result<(), CallError> {
        self.start(&Request::Cancel { id }).map(|_| ())
    }

    fn forget(&mut self, id: u32) -> Result<(), CallError> {
        match self.under_way.iter().position(|under_way| *under_way == id) {
            Some(at) => {
                self.under_way.swap_remove(at);
                Ok(())
            }
            None => Err(CallError::Unexpected {
                id,
                expected: "none: it is not under way",
            }),
        }
    }

    /// The next answer. While it is waited for, a stop gives up request `waited`.
    fn receive(&mut self, waited: u32) -> Result<(u32, Answer), CallError> {
        let mut header = [0; HEADER_BYTES];
        self.read_all(&mut header, waited)?;
        let header = Header::parse(&header)?;
        let mut payload = vec![0; header.length];
        self.read_all(&mut payload, waited)?;
        if header.version == FIXED_VERSION {
            return Err(match Fixed::decode(header.kind, &payload)? {
                Fixed::UnknownVersion(known) => CallError::UnknownVersion(known),
                Fixed::NoFrame(text) => CallError::NoFrame(text),
            });
        }
        Ok((header.id, Answer::decode(header.kind, &payload)?))
    }

    fn read_all(&mut self, buffer: &mut [u8], waited: u32) -> Result<(), CallError> {
        let mut rest = buffer;
        while !rest.is_empty() {
            match self.stream.read(rest) {
                Ok(0) => return Err(CallError::Closed),
                Ok(count) => rest = rest.get_mut(count..).unwrap_or_default(),
                Err(error) if is_pause(&error) => {
                    if self.stop.swap(false, Ordering::Relaxed) {
                        self.cancel(waited)?;
                    }
                }
                Err(error) => return Err(CallError::Connection(error)),
            }
        }
        Ok(())
    }
}

/// Nothing came yet, and it is time to look at the stop flag.
fn is_pause(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Interrupted | io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock
    )
}

fn result(answer: Answer) -> Result<Done, CallError> {
    match answer {
        Answer::Done { result } => Ok(result),
        Answer::Refused { rule, text } => Err(CallError::Refused { rule, text }),
        Answer::Failed { step, text } => Err(CallError::Failed { step, text }),
        Answer::Malformed {
            field,
            offset,
            expected,
        } => Err(CallError::Malformed {
            field,
            offset,
            expected,
        }),
        Answer::Cancelled | Answer::Progress { .. } => Err(CallError::Cancelled),
    }
}
