//! Sending an image: its bytes stand in pages that domb copies from, only their grant references go through the
//! connection.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::ops::Range;

use domb_core::management::{Done, Image, ImageState, Request};
use xen::PAGE_SIZE;
use xen::grant_table::GrantedBytes;
use xen::linux::GrantedMemory;

use super::{CallError, Client, Step};

/// Pages of this process that domb may read.
pub trait Window {
    /// The grant reference of each page.
    fn references(&self) -> &[u32];

    /// Reads once from `source` into the pages, from byte `at` on, at most `most` bytes; how many, 0 at the source's
    /// end.
    ///
    /// # Errors
    /// The source's.
    fn read_from(&mut self, source: &mut dyn Read, at: usize, most: usize) -> io::Result<usize>;
}

impl Window for GrantedMemory {
    fn references(&self) -> &[u32] {
        Self::references(self)
    }

    fn read_from(&mut self, source: &mut dyn Read, at: usize, most: usize) -> io::Result<usize> {
        let bytes = self.bytes_mut().get_mut(at..).unwrap_or_default();
        let end = most.min(bytes.len());
        source.read(bytes.get_mut(..end).unwrap_or_default())
    }
}

/// Offers an image to domb, and sends it through `window` if domb wants it. While domb copies one half of the window
/// the other is filled. `progress` is told how many bytes domb has.
///
/// # Errors
/// [`CallError`]; one of the image itself if it has another size than `image` says, or cannot be read.
pub fn send_image<T: Read + Write>(
    client: &mut Client<T>,
    image: &Image,
    source: &mut dyn Read,
    window: &mut dyn Window,
    progress: &mut dyn FnMut(Step),
) -> Result<(), CallError> {
    let offer = Request::ImageOffer { image: image.clone() };
    let id = client.start(&offer)?;
    let (received, max_pieces) = match client.wait(id, progress)? {
        Done::ImageOffer { state } => match state {
            ImageState::Held => return Ok(()),
            ImageState::Wanted { received, max_pieces } => (received, max_pieces),
        },
        _ => return Err(unexpected(id, "ImageOffer")),
    };
    let skipped = io::copy(&mut source.take(received), &mut io::sink()).map_err(CallError::Image)?;
    let mut offset = skipped;
    let mut copying: VecDeque<u32> = VecDeque::new();
    let mut free: VecDeque<Range<usize>> = halves(window.references().len(), max_pieces);
    let mut used: VecDeque<Range<usize>> = VecDeque::new();
    let mut held = false;
    loop {
        let pages = match free.pop_front() {
            Some(pages) => pages,
            None => {
                let (Some(id), Some(pages)) = (copying.pop_front(), used.pop_front()) else {
                    return Err(unexpected(0, "room for a page"));
                };
                held = finish(client, id, image.size, progress)?;
                pages
            }
        };
        let bytes = fill(window, source, &pages).map_err(CallError::Image)?;
        if bytes == 0 {
            break;
        }
        let pieces = pieces(window.references().get(pages.clone()).unwrap_or_default(), bytes);
        copying.push_back(client.start(&Request::ImageWindow {
            digest: image.digest,
            offset,
            pieces,
        })?);
        used.push_back(pages);
        offset += bytes as u64;
    }
    for id in copying {
        held = finish(client, id, image.size, progress)?;
    }
    if held {
        return Ok(());
    }
    Err(CallError::ImageSize {
        expected: image.size,
        found: offset,
    })
}

/// The window in two parts, or in one where it has one page only.
fn halves(pages: usize, max_pieces: u32) -> VecDeque<Range<usize>> {
    let most = usize::try_from(max_pieces).unwrap_or(usize::MAX);
    let half = (pages / 2).max(1).min(most);
    [0, half]
        .into_iter()
        .map(|first| first..first + half)
        .filter(|part| !part.is_empty() && part.end <= pages)
        .collect()
}

/// Fills pages from the source until they are full or it ends.
fn fill(window: &mut dyn Window, source: &mut dyn Read, pages: &Range<usize>) -> io::Result<usize> {
    let room = pages.len() * PAGE_SIZE;
    let mut done = 0;
    while done < room {
        match window.read_from(source, pages.start * PAGE_SIZE + done, room - done) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

fn pieces(references: &[u32], bytes: usize) -> Vec<GrantedBytes> {
    let lengths = (0..bytes).step_by(PAGE_SIZE).map(|at| (bytes - at).min(PAGE_SIZE));
    references
        .iter()
        .zip(lengths)
        .map(|(reference, length)| GrantedBytes {
            reference: *reference,
            offset: 0,
            length: u16::try_from(length).unwrap_or(u16::MAX),
        })
        .collect()
}

/// Waits until domb copied a window; whether it has the whole image then.
fn finish<T: Read + Write>(
    client: &mut Client<T>,
    id: u32,
    total: u64,
    progress: &mut dyn FnMut(Step),
) -> Result<bool, CallError> {
    match client.wait(id, progress)? {
        Done::ImageWindow { received, held } => {
            let stage = "send".into();
            let done = received;
            progress(Step { stage, done, total });
            Ok(held)
        }
        _ => Err(unexpected(id, "ImageWindow")),
    }
}

fn unexpected(id: u32, expected: &'static str) -> CallError {
    CallError::Unexpected { id, expected }
}
