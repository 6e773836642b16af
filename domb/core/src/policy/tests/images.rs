//! Images: the listed digests, the listed keys, the manifest's images, and nothing else.

use super::*;

const ALLOWED: &str = ", signed-by:release, image:debian";

/// What is said against a kernel.
fn kernel_refused(data: &[u8], signatures: &[[u8; 64]]) -> String {
    let guest = NewGuest {
        class: Some("web"),
        kernel: ImageFacts {
            sha256: sha256(data),
            signatures,
        },
        ..web()
    };
    asked(&Asked::Create(&guest), &[]).unwrap_err()
}

/// The rule that lets a kernel in.
fn kernel_by(data: &[u8], signatures: &[[u8; 64]]) -> String {
    let guest = NewGuest {
        class: Some("web"),
        kernel: ImageFacts {
            sha256: sha256(data),
            signatures,
        },
        ..web()
    };
    let granted = decide(&manifest(), "mgmt", &Asked::Create(&guest), &[]).unwrap();
    granted.matched.unwrap().kernel
}

/// The denial of a kernel with these words about its signatures.
fn denial(data: &[u8], signatures: &str) -> String {
    alloc::format!(
        "class web: kernels: sha256:{} asked, {signatures}; allowed: sha256:{}{ALLOWED}",
        sha256(data),
        sha256(b"pinned")
    )
}

#[test]
fn a_listed_digest_an_image_of_the_manifest_and_a_signed_image_are_let_in() {
    assert_eq!(
        kernel_by(b"pinned", &[]),
        alloc::format!("sha256:{}", sha256(b"pinned"))
    );
    assert_eq!(kernel_by(b"debian", &[]), "image:debian");
    let signature = sign(RELEASE, Purpose::Kernel, b"new");
    assert_eq!(kernel_by(b"new", &[signature]), "signed-by:release");
    // Beside signatures of others.
    let lab = sign(LAB, Purpose::Kernel, b"new");
    assert_eq!(kernel_by(b"new", &[[0; 64], lab, lab, signature]), "signed-by:release");
}

#[test]
fn a_tampered_kernel_is_refused() {
    assert_eq!(kernel_refused(b"debiam", &[]), denial(b"debiam", "unsigned"));
    // Its signature is that of the image as it was.
    let signature = sign(RELEASE, Purpose::Kernel, b"new");
    assert_eq!(
        kernel_refused(b"New", &[signature]),
        denial(b"New", "signed as kernel by none of the manifest's keys")
    );
}

#[test]
fn every_changed_bit_of_a_signature_is_refused() {
    let signature = sign(RELEASE, Purpose::Kernel, b"new");
    let manifest = manifest();
    for bit in 0..512 {
        let mut changed = signature;
        changed[bit / 8] ^= 1 << (bit % 8);
        let key = &manifest.policy.keys[0].ed25519;
        assert!(
            !signature::verify(key, Purpose::Kernel, &sha256(b"new"), &changed),
            "bit {bit}"
        );
    }
}

#[test]
fn a_signature_by_another_key_is_refused() {
    // One that the manifest lists, but not for this class.
    let lab = sign(LAB, Purpose::Kernel, b"new");
    assert_eq!(kernel_refused(b"new", &[lab]), denial(b"new", "signed by lab"));
    let stranger = sign([9; 32], Purpose::Kernel, b"new");
    assert_eq!(
        kernel_refused(b"new", &[stranger]),
        denial(b"new", "signed as kernel by none of the manifest's keys")
    );
}

#[test]
fn a_signature_over_another_purpose_is_refused() {
    let ramdisk = sign(RELEASE, Purpose::Ramdisk, b"new");
    assert_eq!(
        kernel_refused(b"new", &[ramdisk]),
        denial(b"new", "signed as kernel by none of the manifest's keys")
    );
    // One over the digest alone, or over the image.
    let key = SigningKey::from_bytes(&RELEASE);
    for message in [sha256(b"new").bytes(), b"new".as_slice()] {
        let signature = key.sign(message).to_bytes();
        assert_eq!(
            kernel_refused(b"new", &[signature]),
            denial(b"new", "signed as kernel by none of the manifest's keys")
        );
    }
}

#[test]
fn a_fifth_signature_is_not_looked_at() {
    let signature = sign(RELEASE, Purpose::Kernel, b"new");
    assert_eq!(
        kernel_refused(b"new", &[[0; 64], [0; 64], [0; 64], [0; 64], signature]),
        denial(b"new", "signed as kernel by none of the manifest's keys")
    );
}

#[test]
fn a_ramdisk_is_let_in_by_its_own_list() {
    let signature = [sign(RELEASE, Purpose::Ramdisk, b"rd")];
    let signed = ImageFacts {
        sha256: sha256(b"rd"),
        signatures: &signature,
    };
    let guest = |ramdisk| NewGuest {
        class: Some("web"),
        ramdisk,
        ..web()
    };
    assert!(asked(&Asked::Create(&guest(Some(signed))), &[]).is_ok());
    let tampered = ImageFacts {
        sha256: sha256(b"Rd"),
        ..signed
    };
    assert_eq!(
        asked(&Asked::Create(&guest(Some(tampered))), &[]).unwrap_err(),
        alloc::format!(
            "class web: ramdisks: sha256:{} asked, signed as ramdisk by none of the manifest's keys; allowed: \
             signed-by:release, none",
            sha256(b"Rd")
        )
    );
    // "debian" is allowed as a kernel only.
    assert!(
        asked(&Asked::Create(&guest(Some(image(b"debian")))), &[])
            .unwrap_err()
            .starts_with("class web: ramdisks: sha256:")
    );
}

#[test]
fn no_ramdisk_must_be_allowed_too() {
    let mut manifest = manifest();
    manifest.policy.classes[0].ramdisks.pop();
    let denial = decide(&manifest, "mgmt", &Asked::Create(&web()), &[]).unwrap_err();
    assert!(
        denial
            .to_string()
            .starts_with("classes: class web: ramdisks: none asked; allowed: signed-by:release; class sealed: ")
    );
}

#[test]
fn a_class_that_lists_nothing_lets_nothing_in() {
    let mut manifest = manifest();
    manifest.policy.classes[0].command_lines.clear();
    let guest = NewGuest {
        class: Some("web"),
        ..web()
    };
    let denial = decide(&manifest, "mgmt", &Asked::Create(&guest), &[]).unwrap_err();
    assert_eq!(
        denial.to_string(),
        "class web: command-lines: \"console=hvc0 x\" asked; allowed: nothing"
    );
}

#[test]
fn a_long_list_is_shown_by_its_beginning() {
    let mut manifest = manifest();
    let rule = manifest.policy.classes[0].command_lines[0].clone();
    manifest.policy.classes[0].command_lines = alloc::vec![rule; 6];
    let guest = NewGuest {
        class: Some("web"),
        ..web()
    };
    let denial = decide(&manifest, "mgmt", &Asked::Create(&guest), &[]).unwrap_err();
    assert_eq!(
        denial.to_string(),
        "class web: command-lines: \"console=hvc0 x\" asked; allowed: \"quiet\", \"quiet\", \"quiet\", \"quiet\" and 2 more"
    );
}

#[test]
fn a_digest_of_another_bank_matches_nothing() {
    let mut guest = web();
    guest.class = Some("web");
    guest.kernel.sha256 = Digest::of(Bank::Sha384, b"debian");
    assert!(asked(&Asked::Create(&guest), &[]).is_err());
}

#[test]
fn a_key_of_small_order_vouches_for_nothing() {
    // The neutral element: with it, plain verification accepts one signature for every message.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    assert!(!signature::is_key(&neutral));
    let mut signature = [0; 64];
    signature[0] = 1;
    for purpose in Purpose::ALL {
        assert!(!signature::verify(&neutral, purpose, &sha256(b"x"), &signature));
    }
}
