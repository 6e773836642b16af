//! A domain's end of its ring, kept in a file. The page is read and written by system calls, so that a test can put anything
//! anywhere.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use xen::store::ring::RING_BYTES;
use xen::{DomId, PAGE_SIZE};

use crate::client::Link;

/// Offsets in the page (public/io/xs_wire.h, `struct xenstore_domain_interface`).
const REQUESTS: u64 = 0;
const REPLIES: u64 = 1024;
/// Of requests: how far the store took them.
pub const REQUESTS_CONSUMER: u64 = 2048;
/// Of requests: how far the domain put them in.
pub const REQUESTS_PRODUCER: u64 = 2052;
/// Of replies: how far the domain took them.
pub const REPLIES_CONSUMER: u64 = 2056;
/// Of replies: how far the store put them in.
pub const REPLIES_PRODUCER: u64 = 2060;
/// What the store offers.
pub const FEATURES: u64 = 2064;
/// Whether the ring is in use.
pub const CONNECTION: u64 = 2068;
/// Why the store does not serve the ring any more.
pub const ERROR: u64 = 2072;

/// Of each direction (`XENSTORE_RING_SIZE`).
const SIZE: u32 = 1024;
const _: () = assert!(SIZE as usize == RING_BYTES);
/// A store that does not kick is looked at again so often.
const PATIENCE: Duration = Duration::from_millis(2);

/// A domain's ring.
#[derive(Debug)]
pub struct RingLink {
    domid: DomId,
    page: File,
    to_store: PathBuf,
    kick: Option<File>,
    from_store: PathBuf,
    kicks: Option<File>,
}

impl RingLink {
    /// Takes the ring of a domain, and makes its file where it is missing: from then on the domain exists.
    pub fn new(rings: &Path, domid: DomId) -> Result<Self> {
        let path = rings.join(format!("ring.{domid}"));
        let page = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path);
        let page = page.with_context(|| path.display().to_string())?;
        page.set_len(PAGE_SIZE as u64)?;
        Ok(Self {
            domid,
            page,
            to_store: rings.join("evt.in"),
            kick: None,
            from_store: rings.join(format!("evt.out.{domid}")),
            kicks: None,
        })
    }

    /// Reads a 32-bit field.
    pub fn field(&self, offset: u64) -> Result<u32> {
        let mut word = [0; 4];
        self.page.read_exact_at(&mut word, offset)?;
        Ok(u32::from_le_bytes(word))
    }

    /// Writes a 32-bit field, whatever it is for.
    pub fn set_field(&self, offset: u64, value: u32) -> Result<()> {
        Ok(self.page.write_all_at(&value.to_le_bytes(), offset)?)
    }

    /// Writes bytes anywhere in the page.
    pub fn set_bytes(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        Ok(self.page.write_all_at(bytes, offset)?)
    }

    /// Sends the store an event.
    pub fn kick(&mut self) -> Result<()> {
        let fifo = match self.kick.take() {
            Some(fifo) => fifo,
            None => open_fifo(&self.to_store)?,
        };
        let port = 16 + u32::from(self.domid.0);
        self.kick.insert(fifo).write_all(&port.to_ne_bytes())?;
        Ok(())
    }

    /// Waits for an event of the store, a moment at most: not every store sends one for everything.
    fn wait(&mut self) -> Result<()> {
        if self.kicks.is_none() {
            let nonblock = i32::try_from(OFlags::NONBLOCK.bits())?;
            self.kicks = File::options()
                .read(true)
                .write(true)
                .custom_flags(nonblock)
                .open(&self.from_store)
                .ok();
        }
        let Some(kicks) = &mut self.kicks else {
            std::thread::sleep(Duration::from_micros(200));
            return Ok(());
        };
        let patience = Timespec::try_from(PATIENCE)?;
        poll(&mut [PollFd::new(kicks, PollFlags::IN)], Some(&patience))?;
        let mut seen = [0; 64];
        match kicks.read(&mut seen) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Puts in what fits of a request.
    pub fn put(&self, bytes: &[u8]) -> Result<usize> {
        let (consumer, producer) = (self.field(REQUESTS_CONSUMER)?, self.field(REQUESTS_PRODUCER)?);
        let room = SIZE.saturating_sub(producer.wrapping_sub(consumer));
        let count = bytes.len().min(room as usize);
        for (index, part) in parts(producer, count) {
            let (first, rest) = part;
            self.page
                .write_all_at(&bytes[first..rest], REQUESTS + u64::from(index))?;
        }
        self.set_field(REQUESTS_PRODUCER, producer.wrapping_add(u32::try_from(count)?))?;
        Ok(count)
    }

    /// Takes replies out.
    pub fn take(&self, buffer: &mut [u8]) -> Result<usize> {
        let (consumer, producer) = (self.field(REPLIES_CONSUMER)?, self.field(REPLIES_PRODUCER)?);
        let there = producer.wrapping_sub(consumer).min(SIZE);
        let count = buffer.len().min(there as usize);
        for (index, part) in parts(consumer, count) {
            let (first, rest) = part;
            self.page
                .read_exact_at(&mut buffer[first..rest], REPLIES + u64::from(index))?;
        }
        self.set_field(REPLIES_CONSUMER, consumer.wrapping_add(u32::try_from(count)?))?;
        Ok(count)
    }
}

/// The one or two parts of `count` bytes from `position` on: where they are in the ring, and which bytes they are.
fn parts(position: u32, count: usize) -> impl Iterator<Item = (u32, (usize, usize))> {
    let index = position % SIZE;
    let first = count.min((SIZE - index) as usize);
    [(index, (0, first)), (0, (first, count))]
        .into_iter()
        .filter(|(_, (from, to))| from < to)
}

fn open_fifo(path: &Path) -> Result<File> {
    let file = File::options().read(true).write(true).open(path);
    file.with_context(|| path.display().to_string())
}

/// Tells a store that some domain changed its state (`VIRQ_DOM_EXC`).
pub(crate) fn kick_domain_changed(rings: &Path) -> Result<()> {
    Ok(open_fifo(&rings.join("evt.in"))?.write_all(&1u32.to_ne_bytes())?)
}

impl Link for RingLink {
    fn send(&mut self, bytes: &[u8], end: Instant) -> Result<usize> {
        let mut sent = 0;
        while let Some(rest) = bytes.get(sent..).filter(|rest| !rest.is_empty()) {
            let count = self.put(rest)?;
            self.kick()?;
            sent += count;
            if count == 0 {
                if Instant::now() > end {
                    break;
                }
                self.wait()?;
            }
        }
        Ok(sent)
    }

    fn receive(&mut self, buffer: &mut [u8], end: Instant) -> Result<usize> {
        loop {
            let count = self.take(buffer)?;
            if count > 0 {
                self.kick()?;
                return Ok(count);
            }
            if Instant::now() > end {
                return Ok(0);
            }
            self.wait()?;
        }
    }
}
