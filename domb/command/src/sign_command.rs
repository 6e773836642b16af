//! `domb sign` and `domb keys`: vouching for images.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use ed25519_dalek::Signer as _;
use measure::signature::{self, Purpose};
use measure::{Bank, Digest};

use crate::kernel_image;
use crate::key_file::{hexadecimal, read_private, read_public};
use crate::output::write_file;
use crate::signature_file::{ImageSignature, path_of};
use crate::{Error, Progress};

/// The arguments of `domb sign`.
#[derive(Debug, Args)]
pub struct SignArguments {
    /// The private key: PEM, as `openssl genpkey -algorithm ed25519` writes it
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// What the image may be used for; default: kernel for a bzImage or an ELF file, ramdisk for anything else
    #[arg(long, value_name = "PURPOSE")]
    pub purpose: Option<PurposeName>,
    /// The file to write; default: IMAGE.sig
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// The image: a kernel or a ramdisk
    #[arg(value_name = "IMAGE")]
    pub image: PathBuf,
}

/// What an image may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PurposeName {
    /// As a guest's kernel
    Kernel,
    /// As a guest's initial ramdisk
    Ramdisk,
}

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Print the public key of a file, as the key `ed25519` of a host manifest takes it
    Public {
        /// A private or a public Ed25519 key in PEM
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// Signs an image and writes its file of signatures. Gives the path and what is in it.
///
/// # Errors
/// [`Error::Read`], [`Error::Key`], [`Error::Kernel`] for an image that cannot be unpacked, [`Error::NoKernel`] when what is
/// to be signed as a kernel is none, [`Error::Write`].
pub fn sign(arguments: &SignArguments, progress: Progress) -> Result<(PathBuf, ImageSignature), Error> {
    let key = read_private(&arguments.key)?;
    let (sha256, is_kernel) = loaded(&arguments.image)?;
    let purpose = match arguments.purpose {
        Some(PurposeName::Kernel) if !is_kernel => {
            return Err(Error::NoKernel {
                path: arguments.image.clone(),
            });
        }
        Some(PurposeName::Ramdisk) => Purpose::Ramdisk,
        Some(PurposeName::Kernel) => Purpose::Kernel,
        None if is_kernel => Purpose::Kernel,
        None => Purpose::Ramdisk,
    };
    let message = signature::message(purpose, &sha256);
    progress.say(format_args!("signing: {message}"));
    let signature = ImageSignature {
        purpose,
        sha256,
        key: key.verifying_key().to_bytes(),
        signature: key.sign(message.as_bytes()).to_bytes(),
    };
    let path = arguments.output.clone().unwrap_or_else(|| path_of(&arguments.image));
    write_file(&path, |file| {
        writeln!(file, "{signature}").map_err(|source| Error::Write {
            path: path.clone(),
            source,
        })
    })?;
    Ok((path, signature))
}

/// The SHA-256 of what domb loads of an image's file, and whether it is a kernel.
///
/// # Errors
/// [`Error::Read`] or [`Error::Kernel`].
pub fn loaded(path: &Path) -> Result<(Digest, bool), Error> {
    let file = fs::read(path).map_err(|source| Error::Read {
        path: path.to_path_buf(),
        source,
    })?;
    let unpacked = kernel_image::unpack(&file).map_err(|source| Error::Kernel {
        path: path.to_path_buf(),
        source,
    })?;
    Ok((Digest::of(Bank::Sha256, &unpacked.bytes), unpacked.is_elf()))
}

/// The public key of a file, in hexadecimal.
///
/// # Errors
/// [`Error::Read`] or [`Error::Key`].
pub fn public(file: &Path) -> Result<String, Error> {
    Ok(hexadecimal(read_public(file)?.as_bytes()))
}
