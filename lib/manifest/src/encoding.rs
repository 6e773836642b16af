//! The canonical encoding: what domb reads and what is measured.
//!
//! Eight bytes of magic, then the value in postcard's format (<https://postcard.jamesmunns.com/wire-format>): fields in
//! the order of their declaration, integers as varints, texts and lists behind their length, variants by number. Each
//! value has one encoding; [`Manifest::decode`] refuses every other.

use alloc::format;
use alloc::vec::Vec;

use serde::Serialize;

use crate::{Domain, Error, Host, Image, Manifest, Policy, policy};

/// What the encoding of a manifest begins with. The last character is the version of the format.
const MANIFEST_MAGIC: [u8; 8] = *b"DOMBMAN3";
/// What the encoding of one domain begins with. The last character is the version of the format.
const DOMAIN_MAGIC: [u8; 8] = *b"DOMBDOM3";

impl Manifest {
    /// The canonical encoding. Its digest is what domb logs for the manifest.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(MANIFEST_MAGIC, self)
    }

    /// Reads a canonical encoding.
    ///
    /// # Errors
    /// [`Error::Magic`], [`Error::Encoding`] or [`Error::NotCanonical`] when the bytes are not the canonical encoding of
    /// a manifest; [`Error::TooMany`], [`Error::NoSha256`], [`Error::DuplicateBank`], [`Error::Name`],
    /// [`Error::DuplicateImage`], [`Error::ImageDigests`], [`Error::Recovery`] or [`Error::Quota`] when the host or an
    /// image is wrong; [`Error::Policy`] with the first thing that is wrong with the policy. What is wrong with single
    /// domains is left to [`Manifest::check`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let encoded = bytes
            .strip_prefix(&MANIFEST_MAGIC)
            .ok_or_else(|| Error::Magic(bytes.iter().copied().take(MANIFEST_MAGIC.len()).collect()))?;
        let (mut manifest, rest) = front(encoded).map_err(|error| damaged(&error))?;
        manifest.policy = postcard::from_bytes(rest).map_err(|error| damaged(&error))?;
        let again = manifest.encode();
        if again != bytes {
            let same = again
                .iter()
                .zip(bytes)
                .take_while(|(ours, given)| ours == given)
                .count();
            return Err(Error::NotCanonical(same));
        }
        manifest.check_structure()?;
        policy::errors(&manifest).into_iter().next().map_or(Ok(manifest), Err)
    }

    /// Reads all of an encoding but the policy, for whoever is handed the manifest by domb, which has checked it: the store,
    /// whose image has no room for the checks and takes no part in what domains ask for.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn decode_unchecked(bytes: &[u8]) -> Result<Self, Unreadable> {
        let encoded = bytes.strip_prefix(&MANIFEST_MAGIC).ok_or(Unreadable::Magic)?;
        let (manifest, _) = front(encoded).map_err(Unreadable::Encoding)?;
        Ok(manifest)
    }
}

/// Why no manifest can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The bytes do not begin with the magic number of a canonical encoding.
    #[error("no manifest")]
    Magic,
    /// The bytes end too early or hold something that is no value of its field.
    #[error("the manifest's encoding is damaged: {0}")]
    Encoding(postcard::Error),
}

/// Reads what stands before the policy, and gives the bytes of the policy.
fn front(encoded: &[u8]) -> Result<(Manifest, &[u8]), postcard::Error> {
    let (front, rest) = postcard::take_from_bytes::<(Host, Vec<Image>, Vec<Domain>)>(encoded)?;
    let (host, images, domains) = front;
    let manifest = Manifest {
        host,
        images,
        domains,
        policy: Policy::default(),
    };
    Ok((manifest, rest))
}

fn damaged(error: &postcard::Error) -> Error {
    Error::Encoding(format!("{error}"))
}

impl Domain {
    /// The canonical encoding of this domain alone. Its digest is what domb logs for the domain's configuration.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        encode(DOMAIN_MAGIC, self)
    }

    /// Reads a canonical encoding of one domain. What is wrong with the domain itself is left to [`Manifest::check`].
    ///
    /// # Errors
    /// [`Error::Magic`], [`Error::Encoding`] or [`Error::NotCanonical`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let encoded = bytes
            .strip_prefix(&DOMAIN_MAGIC)
            .ok_or_else(|| Error::Magic(bytes.iter().copied().take(DOMAIN_MAGIC.len()).collect()))?;
        let domain: Self = postcard::from_bytes(encoded).map_err(|error| Error::Encoding(format!("{error}")))?;
        let again = domain.canonical();
        if again != bytes {
            let same = again.iter().zip(bytes).take_while(|(ours, given)| ours == given);
            return Err(Error::NotCanonical(same.count()));
        }
        Ok(domain)
    }
}

fn encode(magic: [u8; 8], value: &impl Serialize) -> Vec<u8> {
    // postcard fails when its output is full, which a vector never is, or when a sequence does not know its length,
    // which no type of this crate contains.
    postcard::to_extend(value, magic.to_vec()).expect("encoding into a vector cannot fail")
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec;

    use measure::{Bank, Digests};
    use proptest::prelude::*;

    use super::*;
    use crate::samples;

    #[test]
    fn a_manifest_comes_back() {
        let manifest = samples::manifest();
        assert_eq!(Manifest::decode(&manifest.encode()), Ok(manifest));
    }

    #[test]
    fn the_encoding_is_fixed() {
        // What is measured must not change by accident: a new format needs a new magic number.
        let manifest = samples::manifest();
        let text = |bytes: &[u8]| Digests::of(&[Bank::Sha256], bytes).to_string();
        assert_eq!(text(&manifest.encode()), samples::MANIFEST_SHA256);
        assert_eq!(text(&manifest.domains[1].canonical()), samples::WEB_SHA256);
        assert_eq!(text(&manifest.domains[2].canonical()), samples::IDLE_SHA256);
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let mut manifest = samples::manifest();
        manifest.images.clear();
        manifest.domains.clear();
        manifest.policy = Policy::default();
        assert_eq!(
            manifest.encode(),
            b"DOMBMAN3\x04demo\x02\x00\x01\x01\x02\x08\0\0\0\0\0\0\0\0\0\0\x00\x00\x00\x00\x00"
        );
    }

    #[test]
    fn the_policy_is_left_alone_by_who_takes_no_part_in_it() {
        let manifest = samples::manifest();
        let mut bytes = manifest.encode();
        bytes.extend([0xff; 20]);
        let front = Manifest::decode_unchecked(&bytes).unwrap();
        assert_eq!(front.domains, manifest.domains);
        assert_eq!(front.policy, Policy::default());
        assert!(Manifest::decode_unchecked(&bytes[..20]).is_err());
        assert_eq!(Manifest::decode_unchecked(b"DOMBMAN2"), Err(Unreadable::Magic));
    }

    #[test]
    fn a_domain_encodes_apart_from_the_others() {
        let manifest = samples::manifest();
        let mut other = manifest.clone();
        other.domains[0].vcpus = 3;
        assert_eq!(manifest.domains[1].canonical(), other.domains[1].canonical());
        assert_ne!(manifest.domains[0].canonical(), other.domains[0].canonical());
    }

    #[test]
    fn a_domain_comes_back_alone_and_nothing_behind_it() {
        let domain = samples::manifest().domains.remove(1);
        let mut bytes = domain.canonical();
        assert_eq!(Domain::decode(&bytes), Ok(domain));
        let end = bytes.len();
        for length in 0..end {
            assert!(Domain::decode(&bytes[..length]).is_err(), "cut to {length} bytes");
        }
        bytes.push(0);
        assert_eq!(Domain::decode(&bytes), Err(Error::NotCanonical(end)));
        let manifest = samples::manifest().encode();
        assert_eq!(Domain::decode(&manifest), Err(Error::Magic(manifest[..8].to_vec())));
    }

    #[test]
    fn other_magic_is_refused() {
        for bytes in [b"".as_slice(), b"DOMBMAN", b"DOMBMAN2", b"\x7fELF\x02\x01\x01\x00"] {
            assert_eq!(Manifest::decode(bytes), Err(Error::Magic(bytes.to_vec())));
        }
    }

    #[test]
    fn cut_anywhere_is_refused() {
        let bytes = samples::manifest().encode();
        for length in 0..bytes.len() {
            assert!(Manifest::decode(&bytes[..length]).is_err(), "cut to {length} bytes");
        }
    }

    #[test]
    fn bytes_behind_the_end_are_refused() {
        let mut bytes = samples::manifest().encode();
        let end = bytes.len();
        bytes.push(0);
        assert_eq!(Manifest::decode(&bytes), Err(Error::NotCanonical(end)));
    }

    #[test]
    fn a_longer_varint_of_the_same_value_is_refused() {
        let mut manifest = samples::manifest();
        manifest.images.clear();
        manifest.domains.clear();
        manifest.policy = Policy::default();
        let mut bytes = manifest.encode();
        assert_eq!(bytes.pop(), Some(0));
        // No access, written in two bytes.
        bytes.extend([0x80, 0x00]);
        assert_eq!(Manifest::decode(&bytes), Err(Error::NotCanonical(bytes.len() - 2)));
    }

    #[test]
    fn values_that_no_field_has_are_refused() {
        let head = b"DOMBMAN3\x04demo";
        for (rest, what) in [
            (
                b"\x01\x02\x00\x02\x00\0\0\0\0\0\0\0\0\0\0\x00\x00\0\0\0".as_slice(),
                "bank 2",
            ),
            (b"\x01\x00\x02\x02\x00\0\0\0\0\0\0\0\0\0\0\x00\x00\0\0\0", "boolean 2"),
            (b"\x01\x00\x00\x05\x00\0\0\0\0\0\0\0\0\0\0\x00\x00\0\0\0", "log level 5"),
            (
                b"\x01\x00\x00\x02\x00\0\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff\x0f\x00\0\0\0",
                "4294967295 images",
            ),
            (
                b"\x01\x00\x00\x02\x00\0\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
                "a varint without end",
            ),
        ] {
            let bytes = [head, rest].concat();
            assert!(matches!(Manifest::decode(&bytes), Err(Error::Encoding(_))), "{what}");
        }
        assert!(matches!(
            Manifest::decode(b"DOMBMAN3\x01\xff\x00\x00\x00\x00\0\0\0\0\0\0\0\0\0\0\x00\x00\0\0\0"),
            Err(Error::Encoding(_))
        ));
    }

    #[test]
    fn a_wrong_host_is_refused_as_a_whole() {
        let refused = |change: fn(&mut Manifest)| {
            let mut manifest = samples::manifest();
            change(&mut manifest);
            Manifest::decode(&manifest.encode()).unwrap_err()
        };
        assert_eq!(refused(|manifest| manifest.host.name.clear()), Error::Name("".into()));
        assert_eq!(
            refused(|manifest| manifest.host.banks = vec![Bank::Sha384]),
            Error::NoSha256
        );
        assert_eq!(
            refused(|manifest| manifest.host.banks.push(Bank::Sha256)),
            Error::DuplicateBank(Bank::Sha256)
        );
        assert_eq!(
            refused(|manifest| manifest.host.store.recovery_mib = 257),
            Error::Recovery(257)
        );
        assert_eq!(
            refused(|manifest| manifest.host.store.quota.path = Some(3073)).to_string(),
            "quota path of 3073; accepted: 64 to 3072"
        );
        assert_eq!(
            refused(|manifest| manifest.images[0].name = "../x".into()),
            Error::Name("../x".into())
        );
        assert_eq!(
            refused(|manifest| manifest.images[0].name = "initrd".into()),
            Error::DuplicateImage("initrd".into())
        );
        assert_eq!(
            refused(|manifest| manifest.images[0].digests = Digests::of(&[Bank::Sha256], b"")),
            Error::ImageDigests("debian".into())
        );
        assert!(matches!(
            refused(|manifest| manifest.images = (0..1025).map(samples::image).collect()),
            Error::TooMany {
                what: "images",
                count: 1025,
                limit: 1024
            }
        ));
        assert!(matches!(
            refused(|manifest| manifest.domains = vec![manifest.domains[0].clone(); 1025]),
            Error::TooMany {
                what: "domains",
                count: 1025,
                limit: 1024
            }
        ));
    }

    #[test]
    fn a_wrong_domain_is_not_the_decoders_business() {
        let mut manifest = samples::manifest();
        manifest.domains[0].vcpus = 0;
        manifest.domains[0].name = "store store".into();
        assert_eq!(Manifest::decode(&manifest.encode()), Ok(manifest));
    }

    proptest! {
        #[test]
        fn any_manifest_comes_back(manifest in samples::any_manifest()) {
            let bytes = manifest.encode();
            match Manifest::decode(&bytes) {
                Ok(decoded) => prop_assert_eq!(decoded, manifest),
                Err(error) => {
                    let first = manifest.check().into_iter().find(|problem| problem.domain.is_none());
                    prop_assert_eq!(Some(error), first.map(|problem| problem.error));
                }
            }
        }

        #[test]
        fn what_decodes_encodes_to_the_same_bytes(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut bytes = samples::manifest().encode();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(manifest) = Manifest::decode(&bytes) {
                prop_assert_eq!(manifest.encode(), bytes);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let bytes = [MANIFEST_MAGIC.as_slice(), &bytes].concat();
            if let Ok(manifest) = Manifest::decode(&bytes) {
                let _ = manifest.check();
            }
        }
    }
}
