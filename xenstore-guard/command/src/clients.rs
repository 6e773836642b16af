//! Clients of the socket.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use xenstore_guard_core::{ConnectionId, Server};

use crate::Error;

/// Bytes taken from a client at a time: as much as the core takes from one at most, and more.
const RECEIVE_BYTES: usize = 32 * 1024;

/// A client.
#[derive(Debug)]
struct Client {
    stream: UnixStream,
    /// What is waited for.
    interest: EventFlags,
}

/// How a client's turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Received {
    /// Nothing more waits in the socket.
    Everything,
    /// More may wait.
    Part,
    /// It is gone, or broke the protocol.
    Closed,
}

/// All clients of the socket.
#[derive(Debug)]
pub(crate) struct Clients {
    by_connection: BTreeMap<ConnectionId, Client>,
    buffer: Vec<u8>,
}

impl Clients {
    pub(crate) fn new() -> Self {
        Self {
            by_connection: BTreeMap::new(),
            buffer: vec![0; RECEIVE_BYTES],
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.by_connection.len()
    }

    pub(crate) fn has(&self, id: ConnectionId) -> bool {
        self.by_connection.contains_key(&id)
    }

    pub(crate) fn add(
        &mut self,
        epoll: &OwnedFd,
        token: u64,
        id: ConnectionId,
        stream: UnixStream,
    ) -> Result<(), Error> {
        stream.set_nonblocking(true).map_err(|source| Error::System {
            operation: "fcntl",
            source,
        })?;
        let interest = EventFlags::IN;
        epoll::add(epoll, &stream, EventData::new_u64(token), interest).map_err(Error::system("epoll_ctl"))?;
        self.by_connection.insert(id, Client { stream, interest });
        Ok(())
    }

    /// Closes a client's socket.
    pub(crate) fn remove(&mut self, id: ConnectionId) {
        self.by_connection.remove(&id);
    }

    /// Takes what a client sent, as far as the core has room for it.
    pub(crate) fn receive(&mut self, server: &mut Server, id: ConnectionId) -> Received {
        let Some(client) = self.by_connection.get(&id) else {
            return Received::Closed;
        };
        let room = server.input_room(id).min(RECEIVE_BYTES);
        if room == 0 {
            return Received::Everything;
        }
        let buffer = self.buffer.get_mut(..room).unwrap_or_default();
        match recv(&client.stream, &mut *buffer, RecvFlags::DONTWAIT) {
            Ok((0, _)) => Received::Closed,
            Ok((count, _)) => {
                let bytes = buffer.get(..count).unwrap_or_default();
                if let Err(error) = server.receive(id, bytes) {
                    log::warn!("a client of the socket: {error}; its connection is closed");
                    return Received::Closed;
                }
                if count < room {
                    Received::Everything
                } else {
                    Received::Part
                }
            }
            Err(Errno::AGAIN | Errno::INTR) => Received::Everything,
            Err(_) => Received::Closed,
        }
    }

    /// Sends what the core has for a client, as far as the socket takes it; false where the client is gone.
    pub(crate) fn send(&mut self, server: &mut Server, id: ConnectionId) -> bool {
        let Some(client) = self.by_connection.get(&id) else {
            return false;
        };
        loop {
            let bytes = server.output(id);
            if bytes.is_empty() {
                return true;
            }
            match send(&client.stream, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(count) => server.sent(id, count),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return true,
                Err(_) => return false,
            }
        }
    }

    /// Waits for what the core can do next for a client.
    pub(crate) fn update_interest(
        &mut self,
        epoll: &OwnedFd,
        token: u64,
        server: &Server,
        id: ConnectionId,
    ) -> Result<(), Error> {
        let Some(client) = self.by_connection.get_mut(&id) else {
            return Ok(());
        };
        let mut interest = EventFlags::empty();
        interest.set(EventFlags::IN, server.input_room(id) > 0);
        interest.set(EventFlags::OUT, !server.output(id).is_empty());
        if interest != client.interest {
            epoll::modify(epoll, &client.stream, EventData::new_u64(token), interest)
                .map_err(Error::system("epoll_ctl"))?;
            client.interest = interest;
        }
        Ok(())
    }
}
