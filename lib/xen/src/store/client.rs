//! A client of the store: one request at a time, over whatever carries bytes.

use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::wire::{self, HEADER_BYTES, Header, MAX_PAYLOAD, Operation, Permission, StoreError};
use crate::DomId;

/// What carries a client's bytes: a ring page with its event channel, or a socket.
pub trait Transport {
    /// Why it failed.
    type Error;

    /// Sends all bytes, waiting for room.
    ///
    /// # Errors
    /// The server is gone, or takes too long.
    fn send(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;

    /// Receives at least one byte, waiting for it; how many.
    ///
    /// # Errors
    /// As [`Transport::send`].
    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, Self::Error>;

    /// Receives what is there now, without waiting; how many bytes.
    ///
    /// # Errors
    /// The server is gone.
    fn poll(&mut self, buffer: &mut [u8]) -> Result<usize, Self::Error>;
}

/// Why a request came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError<E> {
    /// The store refused.
    #[error("{operation} {subject}: {error}")]
    Refused {
        /// The operation, by its name in docs/misc/xenstore.txt.
        operation: &'static str,
        /// Path or number that it was about.
        subject: String,
        /// The store's answer.
        error: StoreError,
    },
    /// What came is not what the protocol allows here.
    #[error("{operation}: the store's answer is wrong: {problem}")]
    Protocol {
        /// The operation.
        operation: &'static str,
        /// What is wrong.
        problem: &'static str,
    },
    /// The request does not fit into a message.
    #[error("{operation} {subject}: {bytes} bytes, a message has at most {MAX_PAYLOAD}")]
    TooLong {
        /// The operation.
        operation: &'static str,
        /// Path or number.
        subject: String,
        /// Bytes of the request.
        bytes: usize,
    },
    /// The transport failed. What the server made of the request is not known.
    #[error("{operation}: {error}")]
    Transport {
        /// The operation.
        operation: &'static str,
        /// Why.
        error: E,
    },
}

/// A watch fired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The node that changed, or a special name such as `@releaseDomain`.
    pub path: String,
    /// What the watch was set with.
    pub token: String,
}

/// A transaction; [`Transaction::NONE`] stands for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transaction(u32);

impl Transaction {
    /// Each request by itself.
    pub const NONE: Self = Self(0);
}

/// The most events that are kept for who asks for them late; older ones go first.
const MAX_EVENTS: usize = 4096;

/// A client.
#[derive(Debug)]
pub struct Client<T: Transport> {
    transport: T,
    next_request: u32,
    input: Vec<u8>,
    events: VecDeque<Event>,
}

impl<T: Transport> Client<T> {
    /// A client over a transport on which nothing was sent yet.
    pub fn new(transport: T) -> Self {
        Self {
            transport,
            next_request: 1,
            input: Vec::new(),
            events: VecDeque::new(),
        }
    }

    /// The transport.
    pub fn transport(&mut self) -> &mut T {
        &mut self.transport
    }

    /// Gives the transport back.
    pub fn into_transport(self) -> T {
        self.transport
    }

    /// Sends a request and waits for its answer. `subject` is for errors only; `parts` are sent one after the other.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn request(
        &mut self,
        operation: Operation,
        transaction: Transaction,
        subject: &str,
        parts: &[&[u8]],
    ) -> Result<Vec<u8>, ClientError<T::Error>> {
        let name = operation.name();
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        if bytes > MAX_PAYLOAD {
            return Err(ClientError::TooLong {
                operation: name,
                subject: subject.into(),
                bytes,
            });
        }
        let request = self.next_request;
        self.next_request = self.next_request.wrapping_add(1).max(1);
        let failed = |error| ClientError::Transport { operation: name, error };
        self.transport
            .send(&wire::message(operation, request, transaction.0, parts))
            .map_err(failed)?;
        loop {
            let Some((header, payload)) = self.take_message(name)? else {
                self.fill(name)?;
                continue;
            };
            let problem = if header.operation == Operation::WatchEvent as u32 {
                self.note_event(name, &payload)?;
                continue;
            } else if header.request != request {
                "it answers another request"
            } else if header.operation == Operation::Error as u32 {
                let text = payload.strip_suffix(b"\0").unwrap_or(&payload);
                match StoreError::from_name(text) {
                    Some(error) => {
                        return Err(ClientError::Refused {
                            operation: name,
                            subject: subject.into(),
                            error,
                        });
                    }
                    None => "an error without a name of the protocol",
                }
            } else if header.operation != operation as u32 {
                "it answers another operation"
            } else {
                return Ok(payload);
            };
            return Err(ClientError::Protocol {
                operation: name,
                problem,
            });
        }
    }

    /// The next event that came, without waiting.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn event(&mut self) -> Result<Option<Event>, ClientError<T::Error>> {
        const NAME: &str = "WATCH_EVENT";
        let mut buffer = [0; 1024];
        loop {
            let count = self
                .transport
                .poll(&mut buffer)
                .map_err(|error| ClientError::Transport { operation: NAME, error })?;
            if count == 0 {
                break;
            }
            self.input.extend_from_slice(buffer.get(..count).unwrap_or_default());
        }
        while let Some((header, payload)) = self.take_message(NAME)? {
            if header.operation != Operation::WatchEvent as u32 {
                return Err(ClientError::Protocol {
                    operation: NAME,
                    problem: "an answer that nobody asked for",
                });
            }
            self.note_event(NAME, &payload)?;
        }
        Ok(self.events.pop_front())
    }

    fn fill(&mut self, operation: &'static str) -> Result<(), ClientError<T::Error>> {
        let mut buffer = [0; 1024];
        let count = self
            .transport
            .receive(&mut buffer)
            .map_err(|error| ClientError::Transport { operation, error })?;
        self.input.extend_from_slice(buffer.get(..count).unwrap_or_default());
        Ok(())
    }

    /// Takes a whole message out of what came.
    #[expect(clippy::type_complexity, reason = "a message is its header and its bytes")]
    fn take_message(&mut self, operation: &'static str) -> Result<Option<(Header, Vec<u8>)>, ClientError<T::Error>> {
        let Some(header) = self.input.first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let header = Header::decode(header);
        let length = header.length as usize;
        if length > MAX_PAYLOAD {
            return Err(ClientError::Protocol {
                operation,
                problem: "longer than a message may be",
            });
        }
        let Some(payload) = self.input.get(HEADER_BYTES..HEADER_BYTES + length) else {
            return Ok(None);
        };
        let payload = payload.to_vec();
        self.input.drain(..HEADER_BYTES + length);
        Ok(Some((header, payload)))
    }

    fn note_event(&mut self, operation: &'static str, payload: &[u8]) -> Result<(), ClientError<T::Error>> {
        let mut texts = payload.split(|&byte| byte == 0);
        let (Some(path), Some(token)) = (texts.next(), texts.next()) else {
            return Err(ClientError::Protocol {
                operation,
                problem: "an event without path and token",
            });
        };
        if self.events.len() >= MAX_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(Event {
            path: String::from_utf8_lossy(path).into_owned(),
            token: String::from_utf8_lossy(token).into_owned(),
        });
        Ok(())
    }

    /// A node's value.
    ///
    /// # Errors
    /// [`ClientError`]; `ENOENT` where there is none.
    pub fn read(&mut self, transaction: Transaction, path: &str) -> Result<Vec<u8>, ClientError<T::Error>> {
        self.request(Operation::Read, transaction, path, &[path.as_bytes(), b"\0"])
    }

    /// Sets a node's value, and makes what is missing of the way to it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn write(&mut self, transaction: Transaction, path: &str, value: &[u8]) -> Result<(), ClientError<T::Error>> {
        self.request(Operation::Write, transaction, path, &[path.as_bytes(), b"\0", value])
            .map(drop)
    }

    /// Makes a node, if it is not there.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn make_directory(&mut self, transaction: Transaction, path: &str) -> Result<(), ClientError<T::Error>> {
        self.request(Operation::Mkdir, transaction, path, &[path.as_bytes(), b"\0"])
            .map(drop)
    }

    /// Removes a node and all below it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn remove(&mut self, transaction: Transaction, path: &str) -> Result<(), ClientError<T::Error>> {
        self.request(Operation::Rm, transaction, path, &[path.as_bytes(), b"\0"])
            .map(drop)
    }

    /// Sets a node's permissions.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn set_permissions(
        &mut self,
        transaction: Transaction,
        path: &str,
        permissions: &[Permission],
    ) -> Result<(), ClientError<T::Error>> {
        let mut bytes = path.as_bytes().to_vec();
        bytes.push(0);
        for permission in permissions {
            bytes.extend_from_slice(permission.to_string().as_bytes());
            bytes.push(0);
        }
        self.request(Operation::SetPermissions, transaction, path, &[&bytes])
            .map(drop)
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn begin(&mut self) -> Result<Transaction, ClientError<T::Error>> {
        let answer = self.request(Operation::TransactionStart, Transaction::NONE, "", &[b"\0"])?;
        core::str::from_utf8(answer.strip_suffix(b"\0").unwrap_or(&answer))
            .ok()
            .and_then(|text| text.parse().ok())
            .filter(|&number| number != 0)
            .map(Transaction)
            .ok_or(ClientError::Protocol {
                operation: Operation::TransactionStart.name(),
                problem: "no number of a transaction",
            })
    }

    /// Ends a transaction; true when it is committed, false when it has to be done again.
    ///
    /// # Errors
    /// [`ClientError`], but for `EAGAIN`.
    pub fn commit(&mut self, transaction: Transaction) -> Result<bool, ClientError<T::Error>> {
        match self.request(Operation::TransactionEnd, transaction, "", &[b"T\0"]) {
            Ok(_) => Ok(true),
            Err(ClientError::Refused {
                error: StoreError::Again,
                ..
            }) => Ok(false),
            Err(problem) => Err(problem),
        }
    }

    /// Gives a transaction up.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn abort(&mut self, transaction: Transaction) -> Result<(), ClientError<T::Error>> {
        self.request(Operation::TransactionEnd, transaction, "", &[b"F\0"])
            .map(drop)
    }

    /// Watches a node and all below it; an event comes at once.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn watch(&mut self, path: &str, token: &str) -> Result<(), ClientError<T::Error>> {
        self.request(
            Operation::Watch,
            Transaction::NONE,
            path,
            &[path.as_bytes(), b"\0", token.as_bytes(), b"\0"],
        )
        .map(drop)
    }

    /// Has the store serve a domain: its ring is granted by reference 1 (`frame` is told for the record), `port` is in the
    /// domain.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn introduce(&mut self, domid: DomId, frame: u64, port: u32) -> Result<(), ClientError<T::Error>> {
        let subject = domid.to_string();
        let (frame, port) = (frame.to_string(), port.to_string());
        self.request(
            Operation::Introduce,
            Transaction::NONE,
            &subject,
            &[
                subject.as_bytes(),
                b"\0",
                frame.as_bytes(),
                b"\0",
                port.as_bytes(),
                b"\0",
            ],
        )
        .map(drop)
    }

    /// Has the store forget a domain and the nodes that it owns.
    ///
    /// # Errors
    /// [`ClientError`]; `ENOENT` where it does not know it.
    pub fn release(&mut self, domid: DomId) -> Result<(), ClientError<T::Error>> {
        let subject = domid.to_string();
        self.request(
            Operation::Release,
            Transaction::NONE,
            &subject,
            &[subject.as_bytes(), b"\0"],
        )
        .map(drop)
    }

    /// A command to the store itself (CONTROL); its answer as text.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn control(&mut self, words: &[&str]) -> Result<String, ClientError<T::Error>> {
        let mut bytes = Vec::new();
        for word in words {
            bytes.extend_from_slice(word.as_bytes());
            bytes.push(0);
        }
        let answer = self.request(
            Operation::Control,
            Transaction::NONE,
            words.first().copied().unwrap_or_default(),
            &[&bytes],
        )?;
        let text = answer.strip_suffix(b"\0").unwrap_or(&answer);
        Ok(String::from_utf8_lossy(text).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers with what it was given, a few bytes at a time.
    #[derive(Default)]
    struct Script {
        sent: Vec<u8>,
        answers: VecDeque<u8>,
    }

    impl Transport for Script {
        type Error = &'static str;

        fn send(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
            self.sent.extend_from_slice(bytes);
            Ok(())
        }

        fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, Self::Error> {
            match self.poll(buffer)? {
                0 => Err("nothing comes"),
                count => Ok(count),
            }
        }

        fn poll(&mut self, buffer: &mut [u8]) -> Result<usize, Self::Error> {
            let count = self.answers.len().min(7).min(buffer.len());
            for (slot, byte) in buffer.iter_mut().zip(self.answers.drain(..count)) {
                *slot = byte;
            }
            Ok(count)
        }
    }

    fn client(answers: &[Vec<u8>]) -> Client<Script> {
        Client::new(Script {
            sent: Vec::new(),
            answers: answers.concat().into(),
        })
    }

    #[test]
    fn an_answer_is_taken_and_events_before_it_are_kept() {
        let mut client = client(&[
            wire::message(Operation::WatchEvent, 0, 0, &[b"/a\0token\0"]),
            wire::message(Operation::Read, 1, 0, &[b"value"]),
        ]);
        assert_eq!(client.read(Transaction::NONE, "/a"), Ok(b"value".to_vec()));
        assert_eq!(
            client.transport().sent,
            wire::message(Operation::Read, 1, 0, &[b"/a\0"])
        );
        let event = client.event().unwrap().unwrap();
        assert_eq!((event.path.as_str(), event.token.as_str()), ("/a", "token"));
        assert_eq!(client.event(), Ok(None));
    }

    #[test]
    fn refusals_name_operation_path_and_error() {
        let mut client = client(&[wire::message(Operation::Error, 1, 0, &[b"EACCES\0"])]);
        let error = client.write(Transaction::NONE, "/tool", b"").unwrap_err();
        assert_eq!(error.to_string(), "WRITE /tool: EACCES");
    }

    #[test]
    fn wrong_answers_are_refused() {
        for answer in [
            wire::message(Operation::Read, 2, 0, &[b"x"]),
            wire::message(Operation::Write, 1, 0, &[b"OK\0"]),
            wire::message(Operation::Error, 1, 0, &[b"EWHAT\0"]),
            wire::message(Operation::WatchEvent, 0, 0, &[b"no end"]),
            Header {
                length: 4097,
                ..Header::default()
            }
            .encode()
            .to_vec(),
        ] {
            let error = client(core::slice::from_ref(&answer)).read(Transaction::NONE, "/a");
            assert!(matches!(error, Err(ClientError::Protocol { .. })), "{answer:?}");
        }
        assert!(matches!(
            client(&[]).read(Transaction::NONE, "/a"),
            Err(ClientError::Transport { .. })
        ));
    }

    #[test]
    fn a_conflict_is_no_error() {
        let mut client = client(&[
            wire::message(Operation::TransactionStart, 1, 0, &[b"17\0"]),
            wire::message(Operation::Error, 2, 0, &[b"EAGAIN\0"]),
        ]);
        let transaction = client.begin().unwrap();
        assert_eq!(client.commit(transaction), Ok(false));
        // The second header, behind the first message of 17 bytes: its transaction.
        assert_eq!(client.transport().sent[17 + 8..][..4], [17, 0, 0, 0]);
    }
}
