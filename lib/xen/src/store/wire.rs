//! Messages of the store's protocol (public/io/xs_wire.h).

use alloc::vec::Vec;
use core::fmt;

use crate::DomId;

/// Bytes of a message's header.
pub const HEADER_BYTES: usize = 16;
/// The most bytes behind a header, in both directions (`XENSTORE_PAYLOAD_MAX`).
pub const MAX_PAYLOAD: usize = 4096;
/// The longest absolute path (`XENSTORE_ABS_PATH_MAX`).
pub const MAX_ABSOLUTE_PATH: usize = 3072;
/// The longest relative path (`XENSTORE_REL_PATH_MAX`).
pub const MAX_RELATIVE_PATH: usize = 2048;

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        /// What a message asks for, or is (`enum xsd_sockmsg_type`).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u32)]
        pub enum Operation {
            $($(#[$doc])* $name = $number,)*
        }

        impl Operation {
            /// Every operation, by number.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The operation of a number.
            #[must_use]
            pub const fn from_number(number: u32) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// The name in docs/misc/xenstore.txt.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

operations! {
    /// Commands to the server itself.
    Control = 0, "CONTROL";
    /// Names of a node's children.
    Directory = 1, "DIRECTORY";
    /// A node's value.
    Read = 2, "READ";
    /// A node's permissions.
    GetPermissions = 3, "GET_PERMS";
    /// Tell me when a node or one below it changes.
    Watch = 4, "WATCH";
    /// No more.
    Unwatch = 5, "UNWATCH";
    /// Begin a transaction.
    TransactionStart = 6, "TRANSACTION_START";
    /// End it: commit or give up.
    TransactionEnd = 7, "TRANSACTION_END";
    /// Serve a domain.
    Introduce = 8, "INTRODUCE";
    /// Serve it no more.
    Release = 9, "RELEASE";
    /// The home of a domain.
    GetDomainPath = 10, "GET_DOMAIN_PATH";
    /// Set a node's value; make it and those above it where they are missing.
    Write = 11, "WRITE";
    /// Make a node where it is missing.
    Mkdir = 12, "MKDIR";
    /// Remove a node and all below it.
    Rm = 13, "RM";
    /// Set a node's permissions.
    SetPermissions = 14, "SET_PERMS";
    /// From the server: a watch fired.
    WatchEvent = 15, "WATCH_EVENT";
    /// From the server: the request failed.
    Error = 16, "ERROR";
    /// Whether a domain is served.
    IsDomainIntroduced = 17, "IS_DOMAIN_INTRODUCED";
    /// A domain that ended runs again.
    Resume = 18, "RESUME";
    /// A domain may act for another.
    SetTarget = 19, "SET_TARGET";
    /// Forget all watches and transactions of mine.
    ResetWatches = 21, "RESET_WATCHES";
    /// Names of a node's children, a part at a time.
    DirectoryPart = 22, "DIRECTORY_PART";
    /// Features that a domain is offered.
    GetFeature = 23, "GET_FEATURE";
    /// Set them.
    SetFeature = 24, "SET_FEATURE";
    /// A quota, of all or of one domain.
    GetQuota = 25, "GET_QUOTA";
    /// Set it.
    SetQuota = 26, "SET_QUOTA";
}

macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident, $text:literal;)*) => {
        /// Why the store refused (`xsd_errors`): the names that travel.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum StoreError {
            $($(#[$doc])* $name,)*
        }

        impl StoreError {
            /// Every error, in the order of the header.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The name that travels.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// The error of a name.
            #[must_use]
            pub fn from_name(name: &[u8]) -> Option<Self> {
                Self::ALL.iter().copied().find(|error| error.name().as_bytes() == name)
            }
        }
    };
}

errors! {
    /// The request is malformed.
    Invalid, "EINVAL";
    /// Not allowed.
    Access, "EACCES";
    /// It is there already.
    Exists, "EEXIST";
    /// It has children.
    IsDirectory, "EISDIR";
    /// It is not there.
    NotFound, "ENOENT";
    /// The server has no memory left.
    NoMemory, "ENOMEM";
    /// A quota is used up.
    NoSpace, "ENOSPC";
    /// The server failed.
    InputOutput, "EIO";
    /// It has children.
    NotEmpty, "ENOTEMPTY";
    /// The server does not know the operation.
    NotImplemented, "ENOSYS";
    /// It cannot be changed.
    ReadOnly, "EROFS";
    /// In use, or too many transactions.
    Busy, "EBUSY";
    /// The transaction met another change: do it again.
    Again, "EAGAIN";
    /// Served already.
    IsConnected, "EISCONN";
    /// The answer does not fit.
    TooBig, "E2BIG";
    /// Not for this caller.
    NotPermitted, "EPERM";
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl core::error::Error for StoreError {}

/// A message's header: four little-endian numbers. Nothing in it is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Header {
    /// An [`Operation`], by number.
    pub operation: u32,
    /// Chosen by the client; comes back in the answer.
    pub request: u32,
    /// The transaction that the request belongs to; 0 for none.
    pub transaction: u32,
    /// Bytes that follow.
    pub length: u32,
}

impl Header {
    /// Reads a header.
    #[must_use]
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Self {
        let word = |index: usize| {
            let mut word = [0; 4];
            word.copy_from_slice(bytes.get(index * 4..index * 4 + 4).unwrap_or(&[0; 4]));
            u32::from_le_bytes(word)
        };
        Self {
            operation: word(0),
            request: word(1),
            transaction: word(2),
            length: word(3),
        }
    }

    /// Writes it.
    #[must_use]
    pub fn encode(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let words = [self.operation, self.request, self.transaction, self.length];
        for (slot, word) in bytes.chunks_exact_mut(4).zip(words) {
            slot.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }
}

/// What a domain may do with a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord, Hash)]
pub struct Access {
    /// Read its value and its children's names (`r`).
    pub read: bool,
    /// Write its value and make or remove its children (`w`).
    pub write: bool,
}

impl Access {
    /// Nothing (`n`).
    pub const NONE: Self = Self {
        read: false,
        write: false,
    };
    /// Read (`r`).
    pub const READ: Self = Self {
        read: true,
        write: false,
    };
    /// Write (`w`).
    pub const WRITE: Self = Self {
        read: false,
        write: true,
    };
    /// Both (`b`).
    pub const BOTH: Self = Self {
        read: true,
        write: true,
    };

    /// The letter that travels.
    #[must_use]
    pub const fn letter(self) -> char {
        match (self.read, self.write) {
            (false, false) => 'n',
            (true, false) => 'r',
            (false, true) => 'w',
            (true, true) => 'b',
        }
    }
}

/// One entry of a node's permissions. The first one of a list names the owner, and what all others may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Permission {
    /// Whom it is about.
    pub domid: DomId,
    /// What that domain may do.
    pub access: Access,
}

impl Permission {
    /// An entry.
    #[must_use]
    pub const fn new(domid: DomId, access: Access) -> Self {
        Self { domid, access }
    }

    /// Reads an entry as it travels: a letter and a decimal number, without the NUL.
    #[must_use]
    pub fn decode(text: &[u8]) -> Option<Self> {
        let (letter, digits) = text.split_first()?;
        let access = match letter {
            b'n' => Access::NONE,
            b'r' => Access::READ,
            b'w' => Access::WRITE,
            b'b' => Access::BOTH,
            _ => return None,
        };
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let domid = core::str::from_utf8(digits).ok()?.parse().ok()?;
        Some(Self {
            domid: DomId(domid),
            access,
        })
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.access.letter(), self.domid)
    }
}

/// A message, ready to be sent: `parts` one after the other behind the header.
#[must_use]
pub fn message(operation: Operation, request: u32, transaction: u32, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let header = Header {
        operation: operation as u32,
        request,
        transaction,
        length: u32::try_from(length).unwrap_or(u32::MAX),
    };
    let mut bytes = Vec::with_capacity(HEADER_BYTES + length);
    bytes.extend_from_slice(&header.encode());
    for part in parts {
        bytes.extend_from_slice(part);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn numbers_are_those_of_the_header() {
        assert_eq!(Operation::Control as u32, xen_sys::XS_CONTROL);
        assert_eq!(Operation::Error as u32, xen_sys::XS_ERROR);
        assert_eq!(Operation::ResetWatches as u32, xen_sys::XS_RESET_WATCHES);
        assert_eq!(Operation::DirectoryPart as u32, xen_sys::XS_DIRECTORY_PART);
        for &operation in Operation::ALL {
            assert_eq!(Operation::from_number(operation as u32), Some(operation));
        }
        assert_eq!(Operation::from_number(20), None);
        assert_eq!(size_of::<xen_sys::xsd_sockmsg>(), HEADER_BYTES);
    }

    #[test]
    fn headers_come_back() {
        let header = Header {
            operation: 11,
            request: 0x0102_0304,
            transaction: u32::MAX,
            length: 4096,
        };
        assert_eq!(Header::decode(&header.encode()), header);
        assert_eq!(header.encode()[..8], [11, 0, 0, 0, 4, 3, 2, 1]);
    }

    #[test]
    fn permissions_are_a_letter_and_a_number() {
        for text in ["n0", "r7", "w65535", "b12"] {
            assert_eq!(Permission::decode(text.as_bytes()).unwrap().to_string(), text);
        }
        for text in ["", "n", "x0", "r-1", "r65536", "r 1", "r1 ", "r+1", "1"] {
            assert_eq!(Permission::decode(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn errors_have_their_names() {
        for &error in StoreError::ALL {
            assert_eq!(StoreError::from_name(error.name().as_bytes()), Some(error));
        }
        assert_eq!(StoreError::from_name(b"EWHAT"), None);
        assert_eq!(StoreError::ALL.len(), 16);
    }
}
