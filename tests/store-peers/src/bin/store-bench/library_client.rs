//! A client of a store's socket that makes the system calls of libxenstore: a write for the header and for each part of a
//! request, a read for the header and for the rest of an answer, all blocking.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use xen::store::wire::HEADER_BYTES;
use xen::store::{Header, Operation};

/// A connection.
pub(crate) struct LibraryClient {
    socket: UnixStream,
    answer: Vec<u8>,
}

/// What the store said.
pub(crate) enum Said<'a> {
    /// Done.
    Done(&'a [u8]),
    /// EAGAIN.
    Again,
}

impl LibraryClient {
    pub(crate) fn connect(socket: &Path) -> Result<Self> {
        Ok(Self {
            socket: UnixStream::connect(socket).with_context(|| socket.display().to_string())?,
            answer: Vec::new(),
        })
    }

    /// Sends a request and waits for the answer.
    pub(crate) fn call(&mut self, operation: Operation, transaction: u32, parts: &[&[u8]]) -> Result<Said<'_>> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let header = Header {
            operation: operation as u32,
            request: 0,
            transaction,
            length: u32::try_from(length)?,
        };
        self.socket.write_all(&header.encode())?;
        for part in parts {
            self.socket.write_all(part)?;
        }
        loop {
            let mut header = [0; HEADER_BYTES];
            self.socket.read_exact(&mut header)?;
            let header = Header::decode(&header);
            self.answer.resize(header.length as usize, 0);
            self.socket.read_exact(&mut self.answer)?;
            if header.operation == operation as u32 {
                return Ok(Said::Done(&self.answer));
            }
            match self.answer.as_slice() {
                _ if header.operation == Operation::WatchEvent as u32 => {}
                b"EAGAIN\0" => return Ok(Said::Again),
                error => bail!("{}: {}", operation.name(), String::from_utf8_lossy(error)),
            }
        }
    }

    /// The same for what cannot meet another's change.
    pub(crate) fn request(&mut self, operation: Operation, transaction: u32, parts: &[&[u8]]) -> Result<&[u8]> {
        match self.call(operation, transaction, parts)? {
            Said::Done(answer) => Ok(answer),
            Said::Again => bail!("{}: EAGAIN", operation.name()),
        }
    }

    pub(crate) fn read(&mut self, path: &str) -> Result<()> {
        let path = format!("{path}\0");
        self.request(Operation::Read, 0, &[path.as_bytes()]).map(|_| ())
    }

    pub(crate) fn write(&mut self, transaction: u32, path: &str, value: &[u8]) -> Result<()> {
        let path = format!("{path}\0");
        self.request(Operation::Write, transaction, &[path.as_bytes(), value])
            .map(|_| ())
    }

    pub(crate) fn set_permissions(&mut self, transaction: u32, path: &str, entries: &[String]) -> Result<()> {
        let path = format!("{path}\0");
        let entries: Vec<String> = entries.iter().map(|entry| format!("{entry}\0")).collect();
        let mut parts = vec![path.as_bytes()];
        parts.extend(entries.iter().map(String::as_bytes));
        self.request(Operation::SetPermissions, transaction, &parts).map(|_| ())
    }

    pub(crate) fn watch(&mut self, path: &str, token: &str) -> Result<()> {
        let (path, token) = (format!("{path}\0"), format!("{token}\0"));
        self.request(Operation::Watch, 0, &[path.as_bytes(), token.as_bytes()])
            .map(|_| ())
    }

    pub(crate) fn begin(&mut self) -> Result<u32> {
        let answer = self.request(Operation::TransactionStart, 0, &[b"\0"])?;
        let text = String::from_utf8_lossy(answer);
        text.trim_end_matches('\0')
            .parse()
            .context("the number of a transaction")
    }

    /// Commits; false where it has to be done again.
    pub(crate) fn commit(&mut self, transaction: u32) -> Result<bool> {
        let said = self.call(Operation::TransactionEnd, transaction, &[b"T\0"])?;
        Ok(matches!(said, Said::Done(_)))
    }
}
