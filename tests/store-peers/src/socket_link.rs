//! A store's socket.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::client::Link;

/// A connection to a store's socket, which blocks.
#[derive(Debug)]
pub struct SocketLink(UnixStream);

impl SocketLink {
    /// Connects.
    pub fn connect(socket: &Path) -> Result<Self> {
        UnixStream::connect(socket)
            .map(Self)
            .with_context(|| socket.display().to_string())
    }
}

/// What is left until `end`; at least a moment, as zero means for ever.
fn left(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now())
        .max(Duration::from_micros(1))
}

fn timed_out(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

impl Link for SocketLink {
    fn send(&mut self, bytes: &[u8], end: Instant) -> Result<usize> {
        self.0.set_write_timeout(Some(left(end)))?;
        let mut sent = 0;
        while let Some(rest) = bytes.get(sent..).filter(|rest| !rest.is_empty()) {
            match self.0.write(rest) {
                Ok(count) => sent += count,
                Err(error) if timed_out(&error) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(sent)
    }

    fn receive(&mut self, buffer: &mut [u8], end: Instant) -> Result<usize> {
        self.0.set_read_timeout(Some(left(end)))?;
        match self.0.read(buffer) {
            Ok(0) => bail!("the store closed the connection"),
            Ok(count) => Ok(count),
            Err(error) if timed_out(&error) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }
}
