//! The tables `[image.NAME]`.

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use measure::{Bank, Digest};

use super::keys::{Keys, Value};
use super::{ImageSource, Wrong};
use crate::source::Report;
use crate::{Error, name};

const TABLES: &str = "tables [image.NAME]";
const FILE: &str = "the path of a file, from the folder of this file on";
const SHA256: &str = "64 hexadecimal digits";

/// Reads all images, in the order of their names.
pub(super) fn read_all(value: &Value<'_>, report: &mut Report<'_>) -> Vec<ImageSource> {
    let Some(tables) = value.table(TABLES, report) else {
        return Vec::new();
    };
    tables
        .iter()
        .filter_map(|(name, table)| {
            let (start, name): (usize, &str) = (name.span().start, name.get_ref());
            let table = Value::new(format!("{}.{name}", value.path()), table);
            if !name::is_valid(name) {
                let wrong = Wrong::Name(Error::Name(name.to_string()));
                report.add(start, value.path(), wrong);
            }
            read(name, &table, report)
        })
        .collect()
}

fn read(name: &str, value: &Value<'_>, report: &mut Report<'_>) -> Option<ImageSource> {
    let table = value.table(TABLES, report)?;
    let mut keys = Keys::new(value.path(), table, value.start(), report);
    let file_value = keys.required("file", "file = \"PATH\"", report);
    let sha256_value = keys.get("sha256", report);
    let places = keys.finish(report);

    let file_value = file_value?;
    let file = file_value.text(FILE, report)?;
    if file.is_empty() || file.contains('\0') {
        file_value.wrong_value(format!("{file:?}"), FILE, report);
        return None;
    }
    let sha256 = sha256_value.and_then(|value| {
        let digits = value.text(SHA256, report)?;
        let digest = Digest::from_hex(Bank::Sha256, digits).ok();
        if digest.is_none() {
            value.wrong_value(format!("{digits:?}"), SHA256, report);
        }
        digest
    });
    let place = |key| places.values.get(key).copied().unwrap_or(places.table);
    Some(ImageSource {
        name: name.to_string(),
        file: file.to_string(),
        sha256,
        file_place: place("file"),
        sha256_place: place("sha256"),
    })
}
