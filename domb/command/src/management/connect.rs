//! Finding a free channel.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use xen::DomId;
use xen::linux::{DeviceError, VchanClient, Xenbus};
use xen::store::client::Transaction;
use xen::store::{Client as Store, ClientError, StoreError};

/// How long a channel whose lock is free is waited for: domb has to see that the client before is gone.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why there is no connection to domb.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The store cannot be asked.
    #[error(transparent)]
    Xenbus(#[from] DeviceError),
    /// The store does not tell.
    #[error(transparent)]
    Store(#[from] ClientError<io::Error>),
    /// There are no channels: this is not the management domain, or domb serves none.
    #[error("domb offers this domain no channel: {0} is not there")]
    NotOffered(String),
    /// A node has another value than a number.
    #[error("{path}: {value:?}; expected a number")]
    Number {
        /// The node.
        path: String,
        /// Its value.
        value: String,
    },
    /// A lock file cannot be used.
    #[error("{}: {source}", path.display())]
    Lock {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Other processes have all channels.
    #[error("all {0} channels to domb are in use")]
    InUse(u32),
    /// A channel is free, and there is no connection all the same.
    #[error(transparent)]
    Channel(#[from] xen::linux::ConnectError),
}

/// A channel to domb that no other process uses.
#[derive(Debug)]
pub struct Connection {
    // Closed before the lock is given back.
    channel: VchanClient,
    _lock: File,
}

impl Connection {
    /// The channel, to set how long it waits.
    pub fn channel(&mut self) -> &mut VchanClient {
        &mut self.channel
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.channel.read(buffer)
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.channel.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.channel.flush()
    }
}

/// Gives the value of a node, if it is there.
type ReadNode<'a> = dyn FnMut(&str) -> Result<Option<Vec<u8>>, ConnectError> + 'a;

/// Connects to the first free one of the channels whose nodes are `base`/0, `base`/1 and so on. `locks` is a folder for
/// the files by which processes tell each other which are free.
///
/// # Errors
/// [`ConnectError`].
pub fn connect(base: &str, locks: &Path) -> Result<Connection, ConnectError> {
    let mut store = Store::new(Xenbus::open()?);
    let mut read = |path: &str| match store.read(Transaction::NONE, path) {
        Ok(value) => Ok(Some(value)),
        Err(ClientError::Refused {
            error: StoreError::NotFound,
            ..
        }) => Ok(None),
        Err(error) => Err(error.into()),
    };
    let open = |ring_ref, port| Ok(VchanClient::connect(DomId::INITIAL, ring_ref, port, PATIENCE)?);
    let (channel, lock) = first_free(base, locks, &mut read, open)?;
    Ok(Connection { channel, _lock: lock })
}

/// The first slot that has a free lock and can be opened. One that cannot is passed over for the next, and is the error
/// if there is none.
fn first_free<C>(
    base: &str,
    locks: &Path,
    read: &mut ReadNode<'_>,
    mut open: impl FnMut(u32, u32) -> Result<C, ConnectError>,
) -> Result<(C, File), ConnectError> {
    let mut failed = None;
    for slot in 0.. {
        let ring_ref = number(&format!("{base}/{slot}/ring-ref"), read)?;
        let port = number(&format!("{base}/{slot}/event-channel"), read)?;
        let (Some(ring_ref), Some(port)) = (ring_ref, port) else {
            return Err(match (failed, slot) {
                (_, 0) => ConnectError::NotOffered(format!("{base}/0")),
                (Some(error), _) => error,
                (None, slots) => ConnectError::InUse(slots),
            });
        };
        if let Some(lock) = try_lock(&locks.join(format!("domb-channel-{slot}")))? {
            match open(ring_ref, port) {
                Ok(channel) => return Ok((channel, lock)),
                Err(error) => failed = Some(error),
            }
        }
    }
    Err(ConnectError::InUse(u32::MAX))
}

fn number(path: &str, read: &mut ReadNode<'_>) -> Result<Option<u32>, ConnectError> {
    let Some(value) = read(path)? else { return Ok(None) };
    let value = String::from_utf8_lossy(&value).into_owned();
    value.parse().map(Some).map_err(|_| ConnectError::Number {
        path: path.into(),
        value,
    })
}

/// Locks a file; none when another process has it.
fn try_lock(path: &Path) -> Result<Option<File>, ConnectError> {
    let failed = |source| ConnectError::Lock {
        path: path.into(),
        source,
    };
    let file = File::options().create(true).append(true).open(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store with so many slots.
    fn store(slots: u32) -> impl FnMut(&str) -> Result<Option<Vec<u8>>, ConnectError> {
        move |path| {
            let mut parts = path.strip_prefix("data/domb/").unwrap().split('/');
            let slot: u32 = parts.next().unwrap().parse().unwrap();
            let first = if parts.next() == Some("ring-ref") { 100 } else { 200 };
            Ok((slot < slots).then(|| (first + slot).to_string().into_bytes()))
        }
    }

    fn open(ring_ref: u32, port: u32) -> Result<(u32, u32), ConnectError> {
        Ok((ring_ref, port))
    }

    #[test]
    fn each_process_gets_a_slot_of_its_own_until_there_is_none() {
        let locks = tempfile::tempdir().unwrap();
        let free = || first_free("data/domb", locks.path(), &mut store(2), open);
        let (first, lock) = free().unwrap();
        let (second, _other) = free().unwrap();
        assert_eq!([first, second], [(100, 200), (101, 201)]);
        assert_eq!(free().unwrap_err().to_string(), "all 2 channels to domb are in use");
        drop(lock);
        assert_eq!(free().unwrap().0, (100, 200));
    }

    #[test]
    fn a_slot_that_does_not_open_is_passed_over() {
        let locks = tempfile::tempdir().unwrap();
        let broken = |slot| {
            let server = DomId::INITIAL;
            let waited = PATIENCE;
            move |ring_ref, port| match ring_ref {
                broken if broken <= slot => Err(xen::linux::ConnectError::NotFree { server, waited }.into()),
                _ => open(ring_ref, port),
            }
        };
        let free = |last| first_free("data/domb", locks.path(), &mut store(3), broken(last));
        assert_eq!(free(101).unwrap().0, (102, 202));
        let error = free(102).unwrap_err().to_string();
        assert_eq!(error, "vchan of domain 0: not free after 2s");
    }

    #[test]
    fn what_is_not_offered_or_no_number_is_said() {
        let locks = tempfile::tempdir().unwrap();
        let error = first_free("data/domb", locks.path(), &mut store(0), open).unwrap_err();
        assert_eq!(
            error.to_string(),
            "domb offers this domain no channel: data/domb/0 is not there"
        );
        let mut read = |_: &str| Ok(Some(b"-1".to_vec()));
        let error = first_free("data/domb", locks.path(), &mut read, open).unwrap_err();
        assert_eq!(error.to_string(), "data/domb/0/ring-ref: \"-1\"; expected a number");
    }
}
