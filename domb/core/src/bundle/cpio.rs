//! The archive format: a header of thirteen fields of eight hexadecimal digits, the path with a NUL, the data; header
//! with path, and data, are padded to a multiple of four bytes.

use alloc::format;
use alloc::string::String;

use super::BundleError;

/// Six characters of magic and thirteen fields.
const HEADER: usize = 6 + 13 * 8;
/// The format without checksums.
const MAGIC: &str = "070701";
/// A regular file that everybody may read and its owner write.
const MODE: u32 = 0o100_644;
/// The path that ends an archive.
const TRAILER: &str = "TRAILER!!!";
/// The fields in their order; FILESIZE and NAMESIZE vary, INO counts the files from 1.
const FIELDS: [&str; 13] = [
    "ino",
    "mode",
    "uid",
    "gid",
    "nlink",
    "mtime",
    "filesize",
    "devmajor",
    "devminor",
    "rdevmajor",
    "rdevminor",
    "namesize",
    "check",
];
const FILESIZE: usize = 6;

/// The fields of a file's header. The trailer is the file with the number 0.
fn fields(number: u32, size: u32, name_size: u32) -> [u32; 13] {
    let mode = if number == 0 { 0 } else { MODE };
    [number, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0]
}

/// Bytes from `offset` to the next multiple of four.
pub(super) fn padding(offset: usize) -> usize {
    offset.wrapping_neg() % 4
}

/// A file's header and path with their padding. Needs a path of less than 4 GiB.
pub(super) fn header(number: u32, path: &str, size: u32) -> String {
    let name_size = u32::try_from(path.len()).unwrap_or(u32::MAX).saturating_add(1);
    let mut text = String::from(MAGIC);
    for field in fields(number, size, name_size) {
        text.push_str(&format!("{field:08x}"));
    }
    text.push_str(path);
    text.push('\0');
    let padding = padding(text.len());
    text.extend(core::iter::repeat_n('\0', padding));
    text
}

/// What ends an archive.
pub(super) fn trailer() -> String {
    header(0, TRAILER, 0)
}

/// Reads an archive file by file.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
    files: u32,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            offset: 0,
            files: 0,
        }
    }

    /// The next file, which must have this path.
    pub(super) fn file(&mut self, path: &str) -> Result<&'a [u8], BundleError> {
        self.files = self.files.saturating_add(1);
        let size = self.header(self.files, path)?;
        let data = self.take(size, "a file's data")?;
        self.padding()?;
        Ok(data)
    }

    /// The archive's end, and nothing but zeros behind it.
    pub(super) fn trailer(&mut self) -> Result<(), BundleError> {
        self.header(0, TRAILER)?;
        let offset = self.offset;
        let rest = self.bytes.get(offset..).unwrap_or_default();
        if rest.iter().all(|byte| *byte == 0) {
            Ok(())
        } else {
            Err(BundleError::Padding { offset })
        }
    }

    /// Reads the header of a file and its path; gives the size of its data.
    fn header(&mut self, number: u32, path: &str) -> Result<usize, BundleError> {
        let start = self.offset;
        let mut rest = self.take(HEADER, "a file's header")?;
        let magic = rest.split_off(..MAGIC.len()).unwrap_or_default();
        if magic != MAGIC.as_bytes() {
            return Err(BundleError::Field {
                offset: start,
                field: "magic",
                expected: MAGIC.into(),
            });
        }
        let name_size = u32::try_from(path.len()).unwrap_or(u32::MAX).saturating_add(1);
        let mut size = 0;
        for (index, (name, expected)) in FIELDS.into_iter().zip(fields(number, 0, name_size)).enumerate() {
            let digits = rest.split_off(..8).unwrap_or_default();
            let offset = start
                .saturating_add(MAGIC.len())
                .saturating_add(index.saturating_mul(8));
            let wrong = |expected| BundleError::Field {
                offset,
                field: name,
                expected,
            };
            if index == FILESIZE && number != 0 {
                size = hexadecimal(digits).ok_or_else(|| wrong("eight hexadecimal digits 0-9 a-f".into()))?;
            } else if digits != format!("{expected:08x}").as_bytes() {
                return Err(wrong(format!("{expected:08x}")));
            }
        }
        let offset = self.offset;
        let found = self.take(path.len().saturating_add(1), "a file's path")?;
        if found.split_last() != Some((&0, path.as_bytes())) {
            return Err(BundleError::Name {
                offset,
                expected: path.into(),
            });
        }
        self.padding()?;
        usize::try_from(size).map_err(|_| self.truncated("a file's data"))
    }

    fn padding(&mut self) -> Result<(), BundleError> {
        let offset = self.offset;
        let padding = self.take(padding(offset), "the padding")?;
        if padding.iter().all(|byte| *byte == 0) {
            Ok(())
        } else {
            Err(BundleError::Padding { offset })
        }
    }

    fn take(&mut self, size: usize, what: &'static str) -> Result<&'a [u8], BundleError> {
        let end = self.offset.checked_add(size).ok_or_else(|| self.truncated(what))?;
        let taken = self.bytes.get(self.offset..end).ok_or_else(|| self.truncated(what))?;
        self.offset = end;
        Ok(taken)
    }

    fn truncated(&self, what: &'static str) -> BundleError {
        BundleError::Truncated {
            what,
            offset: self.offset,
            size: self.bytes.len(),
        }
    }
}

/// Eight lower-case digits: a number has one form.
fn hexadecimal(digits: &[u8]) -> Option<u32> {
    let text = core::str::from_utf8(digits).ok()?;
    let lower = text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    lower.then(|| u32::from_str_radix(text, 16).ok())?
}
