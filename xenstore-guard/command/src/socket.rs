//! The socket that clients of this host connect to.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::process::umask;

use crate::Error;

/// A listening socket. Its file goes with it.
#[derive(Debug)]
pub(crate) struct Socket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode of the file: another server may have put its own there.
    file: (u64, u64),
}

impl Socket {
    /// Makes the socket, for its owner only, and its directory where that is missing: after a start of the host
    /// /var/run/xenstored is. What a server that died left there is replaced.
    ///
    /// # Errors
    /// [`Error::InUse`] where a server answers; [`Error::NotASocket`] where something else is.
    pub(crate) fn listen(path: &Path) -> Result<Self, Error> {
        let failed = |operation: &'static str| {
            move |source| Error::Socket {
                path: path.to_path_buf(),
                operation,
                source,
            }
        };
        match fs::symlink_metadata(path) {
            Ok(metadata) if !metadata.file_type().is_socket() => {
                return Err(Error::NotASocket {
                    path: path.to_path_buf(),
                });
            }
            Ok(_) => match UnixStream::connect(path) {
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    fs::remove_file(path).map_err(failed("unlink"))?;
                }
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(failed("connect")(error)),
                _ => {
                    return Err(Error::InUse {
                        path: path.to_path_buf(),
                    });
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed("stat")(error)),
        }
        if let Some(directory) = path.parent()
            && let Err(error) = DirBuilder::new().mode(0o755).create(directory)
            && !matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound)
        {
            return Err(failed("mkdir")(error));
        }
        let before = umask(Mode::from_raw_mode(0o177));
        let listener = UnixListener::bind(path);
        umask(before);
        let listener = listener.map_err(failed("bind"))?;
        listener.set_nonblocking(true).map_err(failed("fcntl"))?;
        let metadata = fs::symlink_metadata(path).map_err(failed("stat"))?;
        Ok(Self {
            listener,
            path: path.to_path_buf(),
            file: (metadata.dev(), metadata.ino()),
        })
    }

    /// The next client that waits.
    pub(crate) fn accept(&self) -> io::Result<Option<UnixStream>> {
        match self.listener.accept() {
            Ok((stream, _)) => Ok(Some(stream)),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path).is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.file);
        if ours {
            // It is in nobody's way: the next server replaces it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_file_is_its_owners_and_goes_with_the_socket() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let socket = Socket::listen(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn its_directory_is_made_but_not_those_above() {
        let directory = tempfile::tempdir().unwrap();
        let socket = Socket::listen(&directory.path().join("xenstored/socket")).unwrap();
        let mode = fs::metadata(directory.path().join("xenstored"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0o055);
        drop(socket);
        let far = directory.path().join("a/b/socket");
        let error = Socket::listen(&far).unwrap_err().to_string();
        assert!(
            error.ends_with("b/socket: bind: No such file or directory (os error 2)"),
            "{error}"
        );
    }

    #[test]
    fn a_server_that_runs_is_left_alone_and_the_rest_of_a_dead_one_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let first = Socket::listen(&path).unwrap();
        assert!(matches!(Socket::listen(&path), Err(Error::InUse { .. })));
        fs::rename(&path, directory.path().join("aside")).unwrap();
        drop(first);
        fs::rename(directory.path().join("aside"), &path).unwrap();
        assert!(Socket::listen(&path).is_ok());
    }

    #[test]
    fn a_file_of_another_kind_is_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        fs::write(&path, "precious").unwrap();
        assert!(matches!(Socket::listen(&path), Err(Error::NotASocket { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn the_socket_of_another_server_is_not_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let first = Socket::listen(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let _second = Socket::listen(&path).unwrap();
        drop(first);
        assert!(path.exists());
    }
}
