//! Domains without Xen: what a domain shares with the store lies in files of one directory.
//!
//! | file | is |
//! |---|---|
//! | `ring.DOMID` | the ring page; the domain exists while the file does |
//! | `dom.DOMID.dying` | exists while the domain is being destroyed |
//! | `evt.in` | fifo to the store: the store's local port as a 32-bit number in the machine's order, for each event |
//! | `evt.out.DOMID` | fifo to the domain: a byte for each event |
//!
//! The local port of domain N is 16 + N; port 1 says that some domain changed. Whoever writes into the directory is trusted to
//! leave the files at a page's size: to touch a page that was cut off ends the process.

use std::collections::BTreeMap;
use std::format;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::vec::Vec;

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};

use super::error::DeviceError;
use super::{DomainState, MappedPage, RingHost};
use crate::{DomId, PAGE_SIZE};

/// The port that says that some domain changed.
const DOMAIN_CHANGED: u32 = 1;
/// The local port of domain 0.
const FIRST_PORT: u32 = 16;
/// Bytes of an event in `evt.in`.
const EVENT_BYTES: usize = 4;

/// The directory.
#[derive(Debug)]
pub struct RingFiles {
    directory: PathBuf,
    input: File,
    /// The fifos to the domains, by local port.
    outputs: BTreeMap<u32, File>,
    /// Events that were read in one go and are not taken yet.
    waiting: Vec<u32>,
}

impl RingFiles {
    /// Opens a directory, and makes its `evt.in` where it is missing.
    ///
    /// # Errors
    /// The fifo cannot be made or opened.
    pub fn open(directory: &Path) -> Result<Self, DeviceError> {
        Ok(Self {
            directory: directory.to_path_buf(),
            input: fifo(&directory.join("evt.in"))?,
            outputs: BTreeMap::new(),
            waiting: Vec::new(),
        })
    }

    fn ring(&self, domid: DomId) -> PathBuf {
        self.directory.join(format!("ring.{domid}"))
    }
}

/// Makes a fifo where it is missing, and opens it for both directions, so that it never ends.
fn fifo(path: &Path) -> Result<File, DeviceError> {
    match mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(error) => return Err(DeviceError::new(path, "mknod")(error)),
    }
    File::options()
        .read(true)
        .write(true)
        .custom_flags(i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0))
        .open(path)
        .map_err(DeviceError::new(path, "open"))
}

impl RingHost for RingFiles {
    fn events(&self) -> BorrowedFd<'_> {
        self.input.as_fd()
    }

    fn map(&mut self, domid: DomId) -> Result<MappedPage, DeviceError> {
        let path = self.ring(domid);
        let file = File::options()
            .read(true)
            .write(true)
            .open(&path)
            .map_err(DeviceError::new(&path, "open"))?;
        let bytes = file.metadata().map_err(DeviceError::new(&path, "stat"))?.len();
        if bytes < PAGE_SIZE as u64 {
            let short = io::Error::other(format!("{bytes} bytes, a ring has {PAGE_SIZE}"));
            return Err(DeviceError::new(&path, "mmap")(short));
        }
        MappedPage::map(&file, 0, &path)
    }

    fn bind(&mut self, domid: DomId, _: u32) -> Result<u32, DeviceError> {
        let port = FIRST_PORT + u32::from(domid.0);
        let file = fifo(&self.directory.join(format!("evt.out.{domid}")))?;
        self.outputs.insert(port, file);
        Ok(port)
    }

    fn unbind(&mut self, port: u32) {
        self.outputs.remove(&port);
    }

    fn notify(&mut self, port: u32) -> Result<(), DeviceError> {
        let Some(mut file) = self.outputs.get(&port) else {
            let unbound = io::Error::other(format!("port {port} is not bound"));
            return Err(DeviceError::new(&self.directory, "notify")(unbound));
        };
        match file.write(&[1]) {
            // A fifo that is full says enough.
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                Err(DeviceError::new(&self.directory, "notify")(error))
            }
            _ => Ok(()),
        }
    }

    fn next_event(&mut self) -> Result<Option<u32>, DeviceError> {
        if self.waiting.is_empty() {
            let mut buffer = [0; 64 * EVENT_BYTES];
            let count = match self.input.read(&mut buffer) {
                Ok(count) => count,
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => 0,
                Err(error) => return Err(DeviceError::new(self.directory.join("evt.in"), "read")(error)),
            };
            let (events, _) = buffer.get(..count).unwrap_or_default().as_chunks::<EVENT_BYTES>();
            // Taken from the end.
            self.waiting
                .extend(events.iter().rev().map(|&event| u32::from_ne_bytes(event)));
        }
        Ok(self.waiting.pop())
    }

    fn unmask(&mut self, _: u32) -> Result<(), DeviceError> {
        Ok(())
    }

    fn domain_changed_port(&self) -> u32 {
        DOMAIN_CHANGED
    }

    fn domain_state(&self, domid: DomId) -> Result<DomainState, DeviceError> {
        let dying = self.directory.join(format!("dom.{domid}.dying")).exists();
        Ok(if dying || !self.ring(domid).exists() {
            DomainState::Gone
        } else {
            DomainState::Alive
        })
    }

    fn own_ring(&mut self) -> Result<Option<(MappedPage, u32)>, DeviceError> {
        if !self.ring(DomId::INITIAL).exists() {
            return Ok(None);
        }
        Ok(Some((self.map(DomId::INITIAL)?, self.bind(DomId::INITIAL, 0)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ring::StoreRing;
    use std::string::ToString as _;

    /// A directory of its own, with one ring.
    struct Directory(tempfile::TempDir);

    impl Directory {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            std::fs::write(directory.path().join("ring.7"), [0; PAGE_SIZE]).unwrap();
            Self(directory)
        }

        fn open(&self) -> RingFiles {
            RingFiles::open(self.0.path()).unwrap()
        }
    }

    #[test]
    fn two_who_map_a_ring_see_the_same() {
        let directory = Directory::new();
        let (store, domain) = (
            directory.open().map(DomId(7)).unwrap(),
            directory.open().map(DomId(7)).unwrap(),
        );
        let sent = StoreRing::new(domain.shared_page()).write_requests(b"request").unwrap();
        let mut seen = [0; 16];
        let got = StoreRing::new(store.shared_page()).read_requests(&mut seen).unwrap();
        assert_eq!((sent, &seen[..got]), (7, b"request".as_slice()));
    }

    #[test]
    fn events_come_in_their_order() {
        let directory = Directory::new();
        let mut host = directory.open();
        let mut input = File::options()
            .write(true)
            .open(directory.0.path().join("evt.in"))
            .unwrap();
        for port in [23u32, 1, 24] {
            input.write_all(&port.to_ne_bytes()).unwrap();
        }
        let events: Vec<u32> = core::iter::from_fn(|| host.next_event().unwrap()).collect();
        assert_eq!(events, [23, 1, 24]);
    }

    #[test]
    fn a_domain_that_does_not_listen_holds_nobody_up() {
        let directory = Directory::new();
        let mut host = directory.open();
        assert!(host.notify(23).is_err());
        let port = host.bind(DomId(7), 5).unwrap();
        assert_eq!(port, 23);
        for _ in 0..100_000 {
            host.notify(port).unwrap();
        }
        host.unbind(port);
        assert!(host.notify(port).is_err());
    }

    #[test]
    fn a_domain_is_there_while_its_ring_is_and_it_does_not_die() {
        let directory = Directory::new();
        let host = directory.open();
        assert_eq!(host.domain_state(DomId(7)).unwrap(), DomainState::Alive);
        assert_eq!(host.domain_state(DomId(8)).unwrap(), DomainState::Gone);
        std::fs::write(directory.0.path().join("dom.7.dying"), "").unwrap();
        assert_eq!(host.domain_state(DomId(7)).unwrap(), DomainState::Gone);
    }

    #[test]
    fn a_ring_that_is_too_short_is_refused() {
        let directory = Directory::new();
        std::fs::write(directory.0.path().join("ring.8"), [0; 100]).unwrap();
        let error = directory.open().map(DomId(8)).unwrap_err().to_string();
        assert!(error.ends_with("ring.8: mmap: 100 bytes, a ring has 4096"), "{error}");
    }
}
