//! Bundles that open, and every way of being refused.

use alloc::string::ToString;
use alloc::vec;
use core::convert::Infallible;

use manifest::{Host, LogLevel, Policy, StoreSettings};

use super::*;

/// Images of every size modulo four.
const IMAGES: [(&str, &[u8]); 4] = [
    ("kernel", b"ELF!"),
    ("initrd", b"12345"),
    ("tiny", b""),
    ("data", b"ab\0"),
];

fn manifest() -> Manifest {
    let banks = Bank::ALL.to_vec();
    let image = |(name, data): (&str, &[u8])| Image {
        name: name.into(),
        size: data.len() as u64,
        digests: Digests::of(&Bank::ALL, data),
    };
    Manifest {
        host: Host {
            name: "demo".into(),
            banks,
            operator_console: false,
            log_level: LogLevel::Info,
            store: StoreSettings::default(),
        },
        images: IMAGES.map(image).to_vec(),
        domains: Vec::new(),
        policy: Policy::default(),
    }
}

fn data(image: &Image) -> Result<&'static [u8], Infallible> {
    Ok(IMAGES.iter().find(|(name, _)| *name == image.name).unwrap().1)
}

fn bundle() -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&manifest(), data, |piece| {
        bytes.extend_from_slice(piece);
        Ok(())
    })
    .unwrap();
    bytes
}

fn position(bytes: &[u8], text: &str) -> usize {
    bytes
        .windows(text.len())
        .position(|window| window == text.as_bytes())
        .unwrap()
}

fn changed(at: usize, to: &[u8]) -> Result<(), BundleError> {
    let mut bytes = bundle();
    bytes[at..][..to.len()].copy_from_slice(to);
    Bundle::parse(&bytes).map(|_| ())
}

#[test]
fn what_was_written_is_read_back() {
    let bytes = bundle();
    let bundle = Bundle::parse(&bytes).unwrap();
    assert_eq!(bundle.manifest(), &manifest());
    assert_eq!(bundle.manifest_bytes(), manifest().encode());
    for (name, data) in IMAGES {
        let image = bundle.image(name).unwrap();
        assert_eq!(image.bytes, data);
        assert_eq!(image.verify(), Ok(&Digests::of(&Bank::ALL, data)));
    }
    assert!(bundle.image("other").is_none());
}

/// The bytes that other cpio programs read and write, and the same each time.
#[test]
fn the_layout_is_newc() {
    let mut empty = manifest();
    empty.images.clear();
    empty.host.banks = vec![Bank::Sha256];
    let mut bytes = Vec::new();
    write(&empty, data, |piece| {
        bytes.extend_from_slice(piece);
        Ok(())
    })
    .unwrap();
    let expected = concat!(
        // magic, ino, mode, uid, gid, nlink, mtime
        "07070100000001000081a400000000000000000000000100000000",
        // filesize, devmajor, devminor, rdevmajor, rdevminor, namesize, check
        "00000021000000000000000000000000000000000000000900000000",
        "manifest\0\0",
        "DOMBMAN3\u{4}demo\u{1}\0\0\u{2}\u{8}\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        "070701000000000000000000000000000000000000000100000000",
        "00000000000000000000000000000000000000000000000b00000000",
        "TRAILER!!!\0\0\0\0",
    );
    assert_eq!(bytes, expected.as_bytes());
}

#[test]
fn cut_at_every_offset() {
    let bytes = bundle();
    for end in 0..bytes.len() {
        let error = Bundle::parse(&bytes[..end]).unwrap_err();
        assert!(
            matches!(error, BundleError::Truncated { size, .. } if size == end),
            "cut at {end}: {error}"
        );
    }
    let message = Bundle::parse(&bytes[..7]).unwrap_err().to_string();
    assert_eq!(
        message,
        "truncated: the bundle has 7 bytes and ends inside a file's header at offset 0"
    );
}

/// A flipped bit is refused when the bundle is opened or, inside an image, when the image is used.
#[test]
fn every_bit_flipped() {
    let bytes = bundle();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            if let Ok(bundle) = Bundle::parse(&flipped) {
                let wrong = bundle.images().filter(|image| image.verify().is_err()).count();
                let manifest_differs = bundle.manifest() != &manifest();
                assert!(wrong == 1 || manifest_differs, "offset {at} bit {bit}");
            }
        }
    }
}

#[test]
fn a_changed_image() {
    let mut bytes = bundle();
    let at = position(&bytes, "12345");
    bytes[at] = b'!';
    let bundle = Bundle::parse(&bytes).unwrap();
    let error = bundle.image("initrd").unwrap().verify().unwrap_err();
    assert_eq!((error.name.as_str(), error.bank), ("initrd", Bank::Sha256));
    assert!(error.to_string().starts_with("image initrd: sha256 digest "));
    assert!(bundle.image("kernel").unwrap().verify().is_ok());
    // Digests that lack a bank of the manifest do not pass.
    let kernel = bundle.image("kernel").unwrap();
    assert!(kernel.check(&Digests::of(&[Bank::Sha256], kernel.bytes)).is_err());
}

#[test]
fn wrong_header_fields() {
    let refused = |at, to: &[u8]| changed(at, to).unwrap_err().to_string();
    assert_eq!(refused(0, b"070702"), "offset 0: cpio field magic is not 070701");
    assert_eq!(refused(6, b"00000002"), "offset 6: cpio field ino is not 00000001");
    assert_eq!(refused(14, b"000081A4"), "offset 14: cpio field mode is not 000081a4");
    assert_eq!(refused(46, b"00000001"), "offset 46: cpio field mtime is not 00000000");
    assert_eq!(
        refused(54, b"+0000001"),
        "offset 54: cpio field filesize is not eight hexadecimal digits 0-9 a-f"
    );
    assert_eq!(
        refused(102, b"00000001"),
        "offset 102: cpio field check is not 00000000"
    );
    assert_eq!(refused(110, b"manifesT"), "offset 110: the next file must be manifest");
    assert_eq!(refused(119, b"x"), "offset 119: not padded with zeros");
    assert!(refused(54, b"ffffffff").starts_with("truncated: the bundle has "));
}

#[test]
fn wrong_names_and_order() {
    let bytes = bundle();
    let kernel = position(&bytes, "images/kernel");
    let error = changed(kernel, b"images/kernEl").unwrap_err();
    assert_eq!(
        error.to_string(),
        alloc::format!("offset {kernel}: the next file must be images/kernel")
    );
    // Two images in the other order: their sizes and numbers change places too.
    let mut other = manifest();
    other.images.swap(0, 1);
    let mut swapped = Vec::new();
    write(&other, data, |piece| {
        swapped.extend_from_slice(piece);
        Ok::<_, Infallible>(())
    })
    .unwrap();
    let manifest_end = 120 + manifest().encode().len().next_multiple_of(4);
    swapped[..manifest_end].copy_from_slice(&bytes[..manifest_end]);
    assert!(matches!(Bundle::parse(&swapped), Err(BundleError::Name { .. })));
}

#[test]
fn a_wrong_size() {
    let bytes = bundle();
    let size = position(&bytes, "images/initrd") - 110 + 54;
    assert_eq!(
        changed(size, b"00000006").unwrap_err().to_string(),
        "image initrd: 6 bytes, the manifest says 5"
    );
    let trailer = position(&bytes, "TRAILER!!!") - 110 + 54;
    assert!(matches!(
        changed(trailer, b"00000001"),
        Err(BundleError::Field { field: "filesize", .. })
    ));
}

#[test]
fn a_file_too_many_or_too_few() {
    let mut fewer = manifest();
    fewer.images.pop();
    let encoded = manifest().encode();
    let mut bytes = Vec::new();
    // The archive of a manifest with an image less, under the manifest with all.
    write(&fewer, data, |piece| {
        bytes.extend_from_slice(piece);
        Ok::<_, Infallible>(())
    })
    .unwrap();
    let start = 120 + fewer.encode().len().next_multiple_of(4);
    let mut whole = [
        cpio::header(1, "manifest", u32::try_from(encoded.len()).unwrap()).as_bytes(),
        &encoded,
    ]
    .concat();
    whole.resize(whole.len().next_multiple_of(4), 0);
    whole.extend_from_slice(&bytes[start..]);
    assert!(matches!(
        Bundle::parse(&whole),
        Err(BundleError::Field { field: "ino", .. })
    ));

    let mut more = bundle();
    let trailer = position(&more, "TRAILER!!!") - 110;
    more.splice(trailer..trailer, cpio::header(6, "images/more", 0).into_bytes());
    assert!(matches!(
        Bundle::parse(&more),
        Err(BundleError::Field { field: "ino", .. })
    ));
}

#[test]
fn behind_the_trailer() {
    let mut bytes = bundle();
    let end = bytes.len();
    bytes.resize(end + 4096, 0);
    assert!(Bundle::parse(&bytes).is_ok());
    bytes[end + 4095] = 1;
    assert_eq!(Bundle::parse(&bytes), Err(BundleError::Padding { offset: end }));
}

#[test]
fn a_refused_manifest() {
    assert_eq!(
        changed(120, b"X").unwrap_err().to_string().split(':').next(),
        Some("manifest")
    );
    let mut wrong = manifest();
    wrong.host.banks = vec![Bank::Sha384];
    let written = write(&wrong, data, |_| Ok(()));
    assert_eq!(
        written,
        Err(WriteError::Bundle(BundleError::Manifest(manifest::Error::NoSha256)))
    );
}

#[test]
fn what_the_caller_fails_with() {
    assert_eq!(
        write(&manifest(), |_| Err::<&[u8], _>("gone"), |_| Ok(())),
        Err(WriteError::Io("gone"))
    );
    assert_eq!(
        write(&manifest(), |_| Ok(b"other"), |_| Err("full")),
        Err(WriteError::Io("full"))
    );
    let written = write(&manifest(), |_| Ok(b"other size"), |_| Ok::<_, Infallible>(()));
    assert_eq!(
        written.unwrap_err().to_string(),
        "image kernel: 10 bytes, the manifest says 4"
    );
}
