//! Images that a client brings: announced, copied piece by piece out of pages that it granted, hashed as they come.

use measure::Digest;
use xen::Hypervisor;
use xen::grant_table::GrantedBytes;

use super::deciding::sha256;
use super::{Outcome, failed};
use crate::host::{Arriving, Host, Services};
use crate::management::{Done, Image, ImageState};
use crate::store::StoreLink;

/// Pieces of a window at most: 4 MiB, and a frame that is far from its limit.
const MAX_PIECES: u32 = 1024;

/// What domb keeps for one connection. When that ends, what arrived of an image goes with this.
#[derive(Debug, Default)]
pub struct Conversation {
    arriving: Option<(Digest, Arriving)>,
}

impl<H: Hypervisor, C: Services, L: StoreLink> Host<'_, H, C, L> {
    /// Says what domb has of an image, and makes room for it.
    pub(super) fn offer_image(&mut self, conversation: &mut Conversation, image: &Image) -> Outcome<Done> {
        let digest = sha256(&image.digest);
        if self.images.with_digest(&digest).is_ok() {
            return Ok(Done::ImageOffer {
                state: ImageState::Held,
            });
        }
        let begun = conversation
            .arriving
            .as_ref()
            .filter(|(other, arriving)| *other == digest && arriving.size() as u64 == image.size)
            .map(|(_, arriving)| arriving.came() as u64);
        let received = match begun {
            Some(received) => received,
            None => {
                // One at a time: another that had begun is given up, and its room with it.
                conversation.arriving = None;
                let arriving = self.images.held.begin(digest, image.size);
                conversation.arriving = Some((digest, arriving.map_err(|problem| failed("image", &problem))?));
                0
            }
        };
        Ok(Done::ImageOffer {
            state: ImageState::Wanted {
                received,
                max_pieces: MAX_PIECES,
            },
        })
    }

    /// Takes the next bytes of an image.
    pub(super) fn take_window(
        &mut self,
        asker: &str,
        conversation: &mut Conversation,
        digest: &[u8; 32],
        offset: u64,
        pieces: &[GrantedBytes],
    ) -> Outcome<Done> {
        let digest = sha256(digest);
        let Some((_, arriving)) = conversation.arriving.as_mut().filter(|(other, _)| *other == digest) else {
            return Err(failed(
                "image",
                &"it was not offered on this connection, or another one was since",
            ));
        };
        if offset != arriving.came() as u64 {
            let expected = arriving.came();
            return Err(failed(
                "image",
                &alloc::format!("bytes from {offset} on; expected: from {expected} on"),
            ));
        }
        if pieces.len() > MAX_PIECES as usize {
            let count = pieces.len();
            return Err(failed(
                "image",
                &alloc::format!("{count} pieces; accepted: at most {MAX_PIECES}"),
            ));
        }
        let asker = self.domid(asker).ok_or_else(|| failed("image", &"who asks is gone"))?;
        let count = pieces.iter().map(|piece| usize::from(piece.length)).sum();
        let services = &mut self.services;
        let taken = arriving.take(count, |room| services.copy_granted(asker, pieces, room));
        taken
            .map_err(|problem| failed("image", &problem))?
            .map_err(|problem| failed("copy", &problem))?;
        let (received, size) = (arriving.came() as u64, arriving.size() as u64);
        let held = received == size;
        if held && let Some((_, arriving)) = conversation.arriving.take() {
            let image = self.images.held.finish(arriving);
            image.map_err(|problem| failed("image", &problem))?;
        }
        Ok(Done::ImageWindow { received, held })
    }
}
