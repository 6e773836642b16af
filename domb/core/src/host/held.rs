//! Images that were brought while the host runs, by what they contain, within a budget of memory.
//!
//! An image is hashed as it arrives, in the builder's own memory, where nobody else can change it any more. It stays until room is needed for
//! another one and no domain is built from it; of those the one that was used longest ago goes first.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::Cell;
use core::ops::Deref;

use measure::{Bank, Digest, Digests, Hasher};

/// Why an image cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HoldError {
    /// No image is empty.
    #[error("an image of 0 bytes")]
    Empty,
    /// It is larger than all images together may be.
    #[error("an image of {size} bytes: all images together may have {budget} (image-memory of the manifest)")]
    TooLarge {
        /// Its bytes.
        size: u64,
        /// The budget in bytes.
        budget: usize,
    },
    /// What is held is in use.
    #[error("no room for an image of {size} bytes: {used} of {budget} are in use by domains or arrive just now")]
    NoRoom {
        /// Its bytes.
        size: u64,
        /// Bytes in use.
        used: usize,
        /// The budget in bytes.
        budget: usize,
    },
    /// The builder's memory is too small for its own budget, or in too many pieces.
    #[error(
        "no memory for an image of {size} bytes: the builder's heap has no such piece (memory= on its command line)"
    )]
    NoMemory {
        /// Its bytes.
        size: u64,
    },
    /// Less came than was announced.
    #[error("{came} of {size} bytes came")]
    Incomplete {
        /// Bytes that came.
        came: usize,
        /// Bytes that were announced.
        size: usize,
    },
    /// More came than was announced.
    #[error("more than the announced {size} bytes")]
    TooMuch {
        /// Bytes that were announced.
        size: usize,
    },
    /// What came is something else.
    #[error("the image is {given:?}, announced was {announced:?}")]
    Digest {
        /// As computed.
        given: Digest,
        /// As announced.
        announced: Digest,
    },
}

/// An image that is held.
#[derive(Debug)]
pub struct HeldImage {
    bytes: Vec<u8>,
    digests: Digests,
    /// When it was used last, in uses of all images.
    used: Cell<u64>,
    _room: Room,
}

impl HeldImage {
    /// Its digests, in the host's banks.
    #[must_use]
    pub fn digests(&self) -> &Digests {
        &self.digests
    }
}

impl Deref for HeldImage {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A part of the budget, until it is dropped.
#[derive(Debug)]
struct Room {
    taken: Rc<Cell<usize>>,
    size: usize,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.taken.set(self.taken.get().saturating_sub(self.size));
    }
}

/// An image that arrives. What came is gone when this is dropped.
#[derive(Debug)]
pub struct Arriving {
    announced: Digest,
    size: usize,
    bytes: Vec<u8>,
    hasher: Hasher,
    room: Room,
}

impl Arriving {
    /// Bytes that have come.
    #[must_use]
    pub fn came(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes that will have come.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// Takes the next `count` bytes, which `copy` puts where they belong: what it returns is what is hashed and kept.
    ///
    /// # Errors
    /// [`HoldError::TooMuch`], or that of `copy`; nothing was taken.
    pub fn take<E>(
        &mut self,
        count: usize,
        copy: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<Result<(), E>, HoldError> {
        let came = self.bytes.len();
        let end = came.checked_add(count).filter(|end| *end <= self.size);
        let end = end.ok_or(HoldError::TooMuch { size: self.size })?;
        // Room was reserved for all of it.
        self.bytes.resize(end, 0);
        let Some(fresh) = self.bytes.get_mut(came..) else {
            return Err(HoldError::TooMuch { size: self.size });
        };
        if let Err(problem) = copy(fresh) {
            self.bytes.truncate(came);
            return Ok(Err(problem));
        }
        self.hasher.update(fresh);
        Ok(Ok(()))
    }
}

/// All images that are held.
#[derive(Debug)]
pub struct HeldImages {
    banks: Vec<Bank>,
    budget: usize,
    taken: Rc<Cell<usize>>,
    uses: u64,
    images: BTreeMap<Digest, Rc<HeldImage>>,
}

impl HeldImages {
    /// None, and room for `budget` bytes. `banks` has SHA-256, by which images are known.
    #[must_use]
    pub fn new(banks: &[Bank], budget: usize) -> Self {
        Self {
            banks: banks.into(),
            budget,
            taken: Rc::default(),
            uses: 0,
            images: BTreeMap::new(),
        }
    }

    /// Bytes that are held or arrive, and the most that may be.
    #[must_use]
    pub fn room(&self) -> (usize, usize) {
        (self.taken.get(), self.budget)
    }

    /// Has at most so many bytes held from now on. What is held stays.
    pub fn limit(&mut self, budget: usize) {
        self.budget = budget;
    }

    /// An image that is held, by its SHA-256.
    pub fn get(&mut self, digest: &Digest) -> Option<Rc<HeldImage>> {
        let image = self.images.get(digest)?;
        self.uses += 1;
        image.used.set(self.uses);
        Some(Rc::clone(image))
    }

    /// Makes room for an image of so many bytes.
    ///
    /// # Errors
    /// [`HoldError`]; no image went for it.
    pub fn begin(&mut self, announced: Digest, size: u64) -> Result<Arriving, HoldError> {
        let budget = self.budget;
        let fits = usize::try_from(size).ok().filter(|size| *size <= budget);
        let bytes = fits.ok_or(HoldError::TooLarge { size, budget })?;
        if bytes == 0 {
            return Err(HoldError::Empty);
        }
        let idle: usize = self.idle().map(|(_, image)| image.len()).sum();
        let used = self.taken.get().saturating_sub(idle);
        if used.saturating_add(bytes) > budget {
            return Err(HoldError::NoRoom { size, used, budget });
        }
        let mut memory = Vec::new();
        loop {
            let fits = self.taken.get().saturating_add(bytes) <= budget;
            if fits && memory.try_reserve_exact(bytes).is_ok() {
                break;
            }
            let oldest = self.idle().min_by_key(|(_, image)| image.used.get());
            let Some(digest) = oldest.map(|(digest, _)| *digest) else {
                return Err(HoldError::NoMemory { size });
            };
            self.images.remove(&digest);
        }
        self.taken.set(self.taken.get().saturating_add(bytes));
        Ok(Arriving {
            announced,
            size: bytes,
            bytes: memory,
            hasher: Hasher::new(&self.banks),
            room: Room {
                taken: Rc::clone(&self.taken),
                size: bytes,
            },
        })
    }

    /// Holds an image that has come.
    ///
    /// # Errors
    /// [`HoldError::Incomplete`], [`HoldError::Digest`]; it is gone.
    pub fn finish(&mut self, arriving: Arriving) -> Result<Rc<HeldImage>, HoldError> {
        let (came, size) = (arriving.bytes.len(), arriving.size);
        if came != size {
            return Err(HoldError::Incomplete { came, size });
        }
        let digests = arriving.hasher.finish();
        let announced = arriving.announced;
        match digests.get(announced.bank()) {
            Some(given) if *given == announced => {}
            given => {
                let given = given.copied().unwrap_or_else(|| Digest::zero(announced.bank()));
                return Err(HoldError::Digest { given, announced });
            }
        }
        self.uses += 1;
        let image = Rc::new(HeldImage {
            bytes: arriving.bytes,
            digests,
            used: Cell::new(self.uses),
            _room: arriving.room,
        });
        // Two clients may have brought the same one.
        Ok(Rc::clone(self.images.entry(announced).or_insert(image)))
    }

    /// Those that no domain is built from.
    fn idle(&self) -> impl Iterator<Item = (&Digest, &Rc<HeldImage>)> {
        self.images.iter().filter(|(_, image)| Rc::strong_count(image) == 1)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    fn held(images: &mut HeldImages, content: &[u8]) -> Result<Rc<HeldImage>, HoldError> {
        let mut arriving = images.begin(digest(content), content.len() as u64)?;
        for part in content.chunks(7) {
            let copied: Result<(), ()> = arriving.take(part.len(), |room| {
                room.copy_from_slice(part);
                Ok(())
            })?;
            copied.unwrap();
        }
        images.finish(arriving)
    }

    fn digest(content: &[u8]) -> Digest {
        Digest::of(Bank::Sha256, content)
    }

    fn images(budget: usize) -> HeldImages {
        HeldImages::new(&[Bank::Sha256, Bank::Sha384], budget)
    }

    #[test]
    fn an_image_is_known_by_what_it_contains() {
        let mut images = images(100);
        let image = held(&mut images, b"a kernel, say").unwrap();
        assert_eq!(&**image, b"a kernel, say");
        assert_eq!(image.digests(), &Digests::of(&Bank::ALL, b"a kernel, say"));
        assert!(images.get(&digest(b"a kernel, say")).is_some());
        assert!(images.get(&digest(b"another")).is_none());
        assert_eq!(images.room(), (13, 100));
    }

    #[test]
    fn what_is_not_what_was_announced_is_dropped() {
        let mut images = images(100);
        let mut arriving = images.begin(digest(b"good"), 4).unwrap();
        arriving
            .take(4, |room| {
                room.copy_from_slice(b"evil");
                Ok::<(), ()>(())
            })
            .unwrap()
            .unwrap();
        let error = images.finish(arriving).unwrap_err().to_string();
        assert!(error.contains("announced was sha256:"), "{error}");
        assert_eq!(images.room(), (0, 100));
    }

    #[test]
    fn too_little_and_too_much_are_refused() {
        let mut images = images(100);
        assert_eq!(images.begin(digest(b""), 0).unwrap_err(), HoldError::Empty);
        let too_large = images.begin(digest(b""), 101).unwrap_err();
        assert!(matches!(too_large, HoldError::TooLarge { size: 101, budget: 100 }));
        assert!(images.begin(digest(b""), u64::MAX).is_err());
        let mut arriving = images.begin(digest(b"abc"), 3).unwrap();
        assert_eq!(
            arriving.take(4, |_| Ok::<(), ()>(())),
            Err(HoldError::TooMuch { size: 3 })
        );
        assert_eq!(arriving.take(2, |_| Err("refused")), Ok(Err("refused")));
        assert_eq!((arriving.came(), arriving.size()), (0, 3));
        let incomplete = images.finish(arriving).unwrap_err();
        assert_eq!(incomplete, HoldError::Incomplete { came: 0, size: 3 });
        assert_eq!(images.room(), (0, 100));
    }

    #[test]
    fn room_is_made_by_dropping_what_nobody_uses_the_oldest_first() {
        let mut images = images(10);
        let [one, two, three]: [&[u8]; 3] = [b"one1", b"two2", b"three"];
        drop(held(&mut images, one).unwrap());
        drop(held(&mut images, two).unwrap());
        let used = images.get(&digest(one)).unwrap();
        held(&mut images, three).unwrap();
        assert!(images.get(&digest(two)).is_none() && images.get(&digest(one)).is_some());
        // One of them is used: so much cannot be had, and nothing is dropped for it.
        let error = images.begin(digest(b"x"), 7).unwrap_err();
        assert!(matches!(error, HoldError::NoRoom { size: 7, used: 4, .. }), "{error}");
        assert!(images.get(&digest(three)).is_some());
        drop(used);
        assert!(images.begin(digest(b"x"), 10).is_ok());
        assert_eq!(images.room(), (0, 10));
    }

    #[test]
    fn what_arrives_counts_and_stops_counting_when_it_is_given_up() {
        let mut images = images(10);
        let arriving = images.begin(digest(b"x"), 6).unwrap();
        assert!(images.begin(digest(b"y"), 6).is_err());
        drop(arriving);
        assert!(images.begin(digest(b"y"), 6).is_ok());
        let both = [images.begin(digest(b"a"), 5), images.begin(digest(b"b"), 5)];
        assert!(both.iter().all(Result::is_ok));
    }
}
