//! `domb create`: reads a guest's configuration, brings its images, asks for it.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use domb_core::management::{Done, Image, Request};
use manifest::{Domain, toml, xl_cfg};
use measure::signature::Purpose;
use measure::{Bank, Digest};
use xen::DomId;
use xen::linux::GrantedMemory;

use super::{Domb, ask, host, unexpected};
use crate::arguments::CreateArguments;
use crate::management::send_image;
use crate::{Progress, kernel_image, progress, signature_file};

/// Pages that domb copies from: the most that Linux's gntalloc gives where nobody raised its limit, less what others may need.
const WINDOW_PAGES: u32 = 512;

/// Has a guest created; its number.
pub(super) fn run(domb: &mut Domb, arguments: &CreateArguments, progress: Progress) -> Result<u16> {
    let host_name = host(domb).map(|host| host.name).unwrap_or_default();
    let path = &arguments.file;
    let text = fs::read(path).with_context(|| path.display().to_string())?;
    let mut domain = configuration(path, &text, &arguments.settings, &host_name)?;
    if let Some(name) = &arguments.name {
        domain.name.clone_from(name);
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let kernel_path = folder.join(&domain.kernel);
    let kernel = kernel(&kernel_path)?;
    let kernel = bring(domb, Purpose::Kernel, &kernel_path, &kernel, progress)?;
    let ramdisk = match &domain.ramdisk {
        Some(ramdisk) => {
            let path = folder.join(ramdisk);
            Some(bring(domb, Purpose::Ramdisk, &path, &file(&path)?, progress)?)
        }
        None => None,
    };
    // domb puts the digests in the place of the names.
    domain.kernel = "kernel".into();
    domain.ramdisk = ramdisk.as_ref().map(|_| "ramdisk".into());
    let request = Request::Create {
        configuration: domain.canonical(),
        class: arguments.class.clone(),
        kernel,
        ramdisk,
        devices: Vec::new(),
        paused: arguments.paused,
    };
    match ask(domb, &request)? {
        Done::Create { domid } => Ok(domid),
        _ => unexpected(),
    }
}

/// Reads a configuration: TOML where the file's name ends so, else xl's, to which `settings` are added as xl adds them.
fn configuration(path: &Path, text: &[u8], settings: &[String], host: &str) -> Result<Domain> {
    let name = path.to_string_lossy();
    if path.extension().is_some_and(|extension| extension == "toml") {
        if let Some(setting) = settings.first() {
            bail!("{setting}: settings can be added to a configuration of xl only");
        }
        let text = std::str::from_utf8(text).with_context(|| format!("{name}: not UTF-8"))?;
        return Ok(toml::read_guest(text, &name, host)?.domain);
    }
    let mut whole = text.to_vec();
    for setting in settings {
        whole.push(b'\n');
        whole.extend_from_slice(setting.as_bytes());
    }
    let file = xl_cfg::read(&whole, &name, host)?;
    for note in &file.notes.0 {
        eprintln!("{note}");
    }
    Ok(file.domain)
}

fn file(path: &PathBuf) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| path.display().to_string())
}

/// The ELF file of a kernel.
fn kernel(path: &PathBuf) -> Result<Vec<u8>> {
    let bytes = file(path)?;
    let unpacked = kernel_image::unpack(&bytes).with_context(|| path.display().to_string())?;
    if !unpacked.is_elf() {
        bail!("{}: no kernel: neither an ELF file nor a bzImage", path.display());
    }
    Ok(unpacked.bytes.into_owned())
}

/// Offers an image to domb with the signatures that lie beside it, and sends it where domb does not have it.
fn bring(domb: &mut Domb, purpose: Purpose, path: &Path, bytes: &[u8], progress: Progress) -> Result<Image> {
    let digest = Digest::of(Bank::Sha256, bytes);
    let signatures = signature_file::read_of(path, purpose, &digest)?;
    let image = Image {
        digest: digest.bytes().try_into().context("a SHA-256 has 32 bytes")?,
        size: bytes.len() as u64,
        signatures: signatures.iter().map(|signature| signature.signature).collect(),
    };
    let what = path.display().to_string();
    let mut window = GrantedMemory::readable(DomId::INITIAL, WINDOW_PAGES).context("pages for domb to copy from")?;
    let mut told = 0;
    let mut tell = |step: crate::management::Step| {
        // A line for each tenth.
        let tenth = step.done.saturating_mul(10) / step.total.max(1);
        if tenth > told {
            told = tenth;
            progress.say(format_args!(
                "{what}: {} of {}",
                progress::size(usize::try_from(step.done).unwrap_or(usize::MAX)),
                progress::size(usize::try_from(step.total).unwrap_or(usize::MAX)),
            ));
        }
    };
    let sent = send_image(domb, &image, &mut Cursor::new(bytes), &mut window, &mut tell);
    sent.with_context(|| what.clone())?;
    Ok(image)
}
