//! A cpio archive in the form that Linux takes as a ramdisk ("newc", `Documentation/driver-api/early-userspace/
//! buffer-format.rst` in Linux): a header of 6 + 13 * 8 characters, the name with a zero byte, the content; each padded
//! to 4 bytes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

const KIND: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;
const CHARACTER_DEVICE: u32 = 0o020_000;
const SYMBOLIC_LINK: u32 = 0o120_000;

/// What stands at a path.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    File {
        mode: u32,
        content: Vec<u8>,
    },
    Directory,
    /// A symbolic link and what it points to.
    Link(String),
    /// A character device.
    Device {
        mode: u32,
        major: u32,
        minor: u32,
    },
}

/// Owner root, time 0, numbered in the order of the map.
pub(super) fn write_archive(entries: &BTreeMap<String, Entry>) -> Vec<u8> {
    let mut archive = Vec::new();
    for (number, (path, entry)) in (1_u32..).zip(entries) {
        let (mode, content, device) = match entry {
            Entry::File { mode, content } => (REGULAR | mode, content.as_slice(), (0, 0)),
            Entry::Directory => (DIRECTORY | 0o755, [].as_slice(), (0, 0)),
            Entry::Link(target) => (SYMBOLIC_LINK | 0o777, target.as_bytes(), (0, 0)),
            Entry::Device { mode, major, minor } => (CHARACTER_DEVICE | mode, [].as_slice(), (*major, *minor)),
        };
        append(&mut archive, number, path, mode, content, device);
    }
    append(&mut archive, 0, "TRAILER!!!", 0, &[], (0, 0));
    archive
}

fn append(archive: &mut Vec<u8>, number: u32, path: &str, mode: u32, content: &[u8], device: (u32, u32)) {
    let links = if mode & KIND == DIRECTORY { 2 } else { 1 };
    let (owner, group, time, on_major, on_minor, check) = (0, 0, 0, 0, 0, 0);
    let mut header = String::from("070701");
    for field in [number, mode, owner, group, links, time] {
        let _ = write!(header, "{field:08x}");
    }
    let _ = write!(header, "{:08x}", content.len());
    for field in [on_major, on_minor, device.0, device.1] {
        let _ = write!(header, "{field:08x}");
    }
    let _ = write!(header, "{:08x}{check:08x}", path.len() + 1);
    archive.extend_from_slice(header.as_bytes());
    archive.extend_from_slice(path.as_bytes());
    archive.push(0);
    pad(archive);
    archive.extend_from_slice(content);
    pad(archive);
}

fn pad(archive: &mut Vec<u8>) {
    archive.resize(archive.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_and_the_trailer_in_newc() {
        let entries = BTreeMap::from([(
            "ab".to_owned(),
            Entry::File {
                mode: 0o644,
                content: b"hello".to_vec(),
            },
        )]);
        let archive = write_archive(&entries);
        let text = String::from_utf8(archive).unwrap();
        let zeros = |count: usize| "0".repeat(8 * count);
        let header = format!(
            "07070100000001000081a4{}00000001{}00000005{}00000003{}",
            zeros(2),
            zeros(1),
            zeros(4),
            zeros(1)
        );
        assert!(
            text.starts_with(&format!("{header}ab\0\0\0\0hello\0\0\0070701")),
            "{text}"
        );
        assert!(text.ends_with("TRAILER!!!\0\0\0\0"), "{text}");
    }
}
