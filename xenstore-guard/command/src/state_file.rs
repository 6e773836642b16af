//! The state in a file, from one run of the daemon to the next: the stream of docs/designs/xenstore-migration.md.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use xenstore_guard_core::state::State;
use xenstore_guard_core::stream::{self, Handover};
use xenstore_guard_core::{Peer, Server};

use crate::Error;

/// Leaves the state of a server in a file, which appears whole or not at all. Clients of the socket are not part of it: their
/// sockets end with this process.
pub(crate) fn save(path: &Path, server: &Server) -> Result<(), Error> {
    let failed = |source| Error::Write {
        path: path.to_path_buf(),
        source,
    };
    let state = without_sockets(server.state());
    let bytes = stream::write(&state, &Handover::default()).map_err(|error| failed(io::Error::other(error)))?;
    let part = beside(path, ".part");
    let mut file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&part)
        .map_err(failed)?;
    file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&part, path).map_err(failed)
}

/// Takes the state out of a file, which from then on has `.taken` at the end of its name: it is not to be taken again. None
/// where there is no file.
pub(crate) fn take(path: &Path) -> Result<Option<State>, Error> {
    let failed = |source| Error::Read {
        path: path.to_path_buf(),
        source,
    };
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let stream = stream::read(&bytes).map_err(|error| failed(io::Error::other(error)))?;
    fs::rename(path, beside(path, ".taken")).map_err(failed)?;
    Ok(Some(without_sockets(stream.state)))
}

fn without_sockets(mut state: State) -> State {
    state.connections.retain(|connection| connection.peer != Peer::Socket);
    state
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(end);
    name.into()
}
