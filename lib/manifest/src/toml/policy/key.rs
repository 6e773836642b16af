//! The tables `[[key]]`.

use alloc::format;
use alloc::string::ToString as _;

use measure::{Bank, Digest, signature};

use crate::SigningKey;
use crate::source::Report;
use crate::toml::Places;
use crate::toml::keys::{Keys, Value};

pub(super) fn read(value: &Value<'_>, report: &mut Report<'_>) -> Option<(SigningKey, Places)> {
    const DIGITS: &str = "64 hexadecimal digits, as `domb keys public FILE` prints them";
    let table = value.table("tables [[key]]", report)?;
    let mut keys = Keys::new(value.path(), table, value.start(), report);
    let name = keys
        .required("name", "the key's name, such as name = \"release\"", report)
        .and_then(|value| value.text("text", report))
        .unwrap_or_default();
    let ed25519 = keys
        .required("ed25519", "the public key, 64 hexadecimal digits", report)
        .and_then(|value| {
            let digits = value.text(DIGITS, report)?;
            let key = bytes_of(digits);
            match key {
                None => value.wrong_value(format!("{digits:?}"), DIGITS, report),
                Some(key) if !signature::is_key(&key) => {
                    value.wrong_value("no key that proves anything".to_string(), DIGITS, report);
                }
                Some(_) => {}
            }
            key
        })
        .unwrap_or_default();
    let key = SigningKey {
        name: name.to_string(),
        ed25519,
    };
    Some((key, keys.finish(report)))
}

/// 32 bytes, written in hexadecimal.
pub(super) fn bytes_of(digits: &str) -> Option<[u8; 32]> {
    // A digest of SHA-256 has as many bytes.
    let digest = Digest::from_hex(Bank::Sha256, digits).ok()?;
    digest.bytes().try_into().ok()
}
