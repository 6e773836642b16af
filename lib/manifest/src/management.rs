//! What domb offers a domain that manages others.

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::domain::MEMORY_STEP_KIB;

/// The most channels to one domain.
pub const MAX_CHANNELS: u16 = 64;
/// The most memory for images of one domain in KiB: 64 GiB.
pub const MAX_IMAGE_MEMORY_KIB: u64 = 64 << 20;

/// What domb offers a domain with [`crate::Role::Management`]. All zero for every other domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct ManagementSettings {
    /// How many channels it may hold open to domb at a time: 1 to [`MAX_CHANNELS`].
    pub channels: u16,
    /// How much memory, in KiB, the images take at most that domb holds for it: at most [`MAX_IMAGE_MEMORY_KIB`], a
    /// multiple of [`MEMORY_STEP_KIB`].
    pub image_memory_kib: u64,
}

impl ManagementSettings {
    /// What a domain with the role has where it says nothing else: 8 channels, 256 MiB.
    pub const DEFAULT_OF_ROLE: Self = Self {
        channels: 8,
        image_memory_kib: 256 << 10,
    };

    /// What is wrong with them, in a domain that has the role or has it not.
    pub(crate) fn errors(self, has_role: bool) -> impl Iterator<Item = Error> {
        let image_memory =
            self.image_memory_kib > MAX_IMAGE_MEMORY_KIB || !self.image_memory_kib.is_multiple_of(MEMORY_STEP_KIB);
        let errors = if has_role {
            [
                (!(1..=MAX_CHANNELS).contains(&self.channels)).then_some(Error::Channels(self.channels)),
                image_memory.then_some(Error::ImageMemory(self.image_memory_kib)),
            ]
        } else {
            [
                (self.channels != 0).then_some(Error::ManagementWithoutRole("channels")),
                (self.image_memory_kib != 0).then_some(Error::ManagementWithoutRole("image-memory")),
            ]
        };
        errors.into_iter().flatten()
    }
}
