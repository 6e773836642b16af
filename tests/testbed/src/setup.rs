//! Brings what the testbed needs onto a Debian machine; quick where it is there already.
//!
//! Installed on the host, by name, through apt: [`HOST_PACKAGES`]. Everything else is downloaded as packages and unpacked
//! into the cache: two releases of Xen, two kernels, busybox, the stock store (whose libraries come with libxen-dev). pyxs comes
//! from PyPI.
//!
//! QEMU is the release's own, 7.2. The newer 10.0 of its backports emulates SHA and AVX2 and is quicker, but a nested
//! guest reads CR2 as zero under Xen 4.17 there (a PVH Linux halts at its first page fault), and programs in a stock Dom0
//! die of damaged memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::assets::{Assets, Kernel, KernelFlavour, Qemu, StockStore, XenVersion};
use crate::debian::{self, Archive, Release};
use crate::{Error, Result, command, places, python_with};

/// Installed on the host: QEMU; headers and libclang for bindgen; a C++ compiler for libFuzzer; tools for modules and file
/// systems; the stock readers of what domb writes, ACPI tables and event logs; and what Python packages are installed with.
pub const HOST_PACKAGES: [&str; 10] = [
    "qemu-system-x86",
    "g++",
    "acpica-tools",
    "tpm2-tools",
    "libxen-dev",
    "libclang-dev",
    "kmod",
    "xz-utils",
    "e2fsprogs",
    "python3-venv",
];

/// A client of the store, from PyPI.
const PYTHON_CLIENT: &str = "pyxs";

/// The release that kernels, busybox and the older Xen come from.
const BASE: &str = "bookworm";
/// The release with the newer Xen.
const NEXT: &str = "trixie";
/// Says what set-up is doing.
pub(crate) fn say(what: &str) {
    eprintln!("setup: {what}");
}

/// Does the whole set-up, or what is missing of it. `refresh` asks the archives for newer packages even if all is there.
pub fn run(refresh: bool) -> Result<Assets> {
    install(&HOST_PACKAGES)?;
    let assets = fetch(refresh)?;
    // One test needs it, which tries again and fails without it; all else can go on.
    if let Err(error) = python_with(PYTHON_CLIENT) {
        say(&error.to_string());
    }
    Ok(assets)
}

/// Downloads and unpacks what is missing.
fn fetch(refresh: bool) -> Result<Assets> {
    let cache = std::path::absolute(places::cache()).map_err(Error::file("find", &places::cache()))?;
    if !refresh && let Ok(assets) = Assets::load_from(&cache) {
        say(&format!("nothing to do: {} has everything", cache.display()));
        return Ok(assets);
    }
    std::fs::create_dir_all(&cache).map_err(Error::file("create", &cache))?;
    // One set-up at a time; who comes second finds it done.
    let lock = cache.join("setup.lock");
    let lock_file = File::create(&lock).map_err(Error::file("create", &lock))?;
    lock_file.lock().map_err(Error::file("lock", &lock))?;
    if !refresh && let Ok(assets) = Assets::load_from(&cache) {
        return Ok(assets);
    }
    let assets = Fetch::open(&cache)?.everything()?;
    assets.save(&cache)?;
    say(&format!("done: {}", cache.display()));
    Ok(assets)
}

/// Installs those of the packages that are not installed.
pub fn install(packages: &[&str]) -> Result<()> {
    let mut missing = Vec::new();
    for package in packages {
        let mut query = Command::new("dpkg-query");
        query.args(["-W", "-f", "${db:Status-Status}", package]);
        if command::text_of(&mut query).ok().as_deref() != Some("installed") {
            missing.push(*package);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    say(&format!("installing {}", missing.join(" ")));
    let install = || -> Result<()> {
        let mut command = command::as_root("apt-get")?;
        command.args([
            "-q",
            "-y",
            "-o",
            "DPkg::Lock::Timeout=300",
            "--no-install-recommends",
            "install",
        ]);
        command::run(command.args(&missing).env("DEBIAN_FRONTEND", "noninteractive"))?;
        Ok(())
    };
    // The lists may be missing or too old: fetch them only then.
    if install().is_err() {
        say("apt-get update");
        command::run(command::as_root("apt-get")?.args(["-q", "update"]))?;
        install()?;
    }
    Ok(())
}

/// The archive of `release`, whose state lies in the cache.
pub(crate) fn open_archive(cache: &Path, release: &str) -> Result<Archive> {
    let sources = debian::read_sources(Path::new("/etc/apt"))?;
    let own = Release::of_this_machine()?;
    let directory = cache.join("apt").join(release);
    Archive::open(&directory, &sources, &own, &Release::new(release))
}

struct Fetch {
    packages: PathBuf,
    base: Archive,
    next: Archive,
    versions: BTreeMap<String, String>,
}

impl Fetch {
    fn open(cache: &Path) -> Result<Self> {
        let packages = cache.join("packages");
        std::fs::create_dir_all(&packages).map_err(Error::file("create", &packages))?;
        say(&format!("reading the package lists of Debian {BASE} and {NEXT}"));
        let base = open_archive(cache, BASE)?;
        let next = open_archive(cache, NEXT)?;
        Ok(Self {
            packages,
            base,
            next,
            versions: BTreeMap::new(),
        })
    }

    fn everything(mut self) -> Result<Assets> {
        let xen = BTreeMap::from([
            (XenVersion::V4_17, self.xen(XenVersion::V4_17)?),
            (XenVersion::V4_20, self.xen(XenVersion::V4_20)?),
        ]);
        let kernels = BTreeMap::from([
            (KernelFlavour::Standard, self.kernel("linux-image-amd64")?),
            (KernelFlavour::Cloud, self.kernel("linux-image-cloud-amd64")?),
        ]);
        let busybox = self.unpack(false, "busybox-static")?.join("bin/busybox");
        let stock_store = StockStore {
            servers: self.unpack(false, "xen-utils-4.17")?.join("usr/lib/xen-4.17/bin"),
            clients: self.unpack(false, "xenstore-utils")?.join("usr/bin"),
        };
        let qemu = qemu()?;
        Ok(Assets::new(self.versions, qemu, xen, kernels, busybox, stock_store))
    }

    fn unpack(&mut self, next: bool, package: &str) -> Result<PathBuf> {
        let archive = if next { &self.next } else { &self.base };
        let version = archive.candidate(package)?;
        let directory = debian::unpack(&self.packages, archive, package, &version)?;
        self.versions.insert(package.to_owned(), version);
        Ok(directory)
    }

    /// Xen's multiboot image: an ELF, gzipped in the package.
    fn xen(&mut self, version: XenVersion) -> Result<PathBuf> {
        let next = version != XenVersion::V4_17;
        let directory = self.unpack(next, &format!("xen-hypervisor-{version}-amd64"))?;
        let image = directory.join("xen");
        if !image.exists() {
            let packed = directory.join(format!("boot/xen-{version}-amd64.gz"));
            let output = command::run(Command::new("gzip").arg("-dc").arg(&packed))?;
            std::fs::write(&image, output.stdout).map_err(Error::file("write", &image))?;
        }
        Ok(image)
    }

    /// The kernel package that a meta package names, with `modules.dep`, which its installation would make.
    fn kernel(&mut self, meta: &str) -> Result<Kernel> {
        let dependencies = self.base.dependencies(meta)?;
        let named = dependencies.iter().find(|name| name.starts_with("linux-image-"));
        let package = named.ok_or_else(|| Error::Setup(format!("package {meta} depends on no linux-image-*")))?;
        let directory = self.unpack(false, package)?;
        let release = package.trim_start_matches("linux-image-").to_owned();
        let modules = directory.join("lib/modules").join(&release);
        if !modules.join("modules.dep").exists() {
            command::run(
                command::system_program("depmod")
                    .arg("-b")
                    .arg(&directory)
                    .arg(&release),
            )?;
        }
        let boot = |kind: &str| directory.join("boot").join(format!("{kind}-{release}"));
        Ok(Kernel {
            image: boot("vmlinuz"),
            config: boot("config"),
            modules,
            release,
        })
    }
}

/// The QEMU that is installed.
fn qemu() -> Result<Qemu> {
    let program = PathBuf::from("/usr/bin/qemu-system-x86_64");
    Ok(Qemu {
        version: qemu_version(&program)?,
        program,
        firmware: Vec::new(),
    })
}

/// Runs QEMU for its version, which also shows whether its libraries are there.
fn qemu_version(program: &Path) -> Result<(u32, u32)> {
    let text = command::text_of(Command::new(program).arg("--version"))?;
    let unknown = || Error::Setup(format!("{}: unknown version `{text}`", program.display()));
    version_in(&text).ok_or_else(unknown)
}

fn version_in(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split_once("version ")?.1.split('.');
    let major = numbers.next()?.parse().ok()?;
    let minor: String = numbers.next()?.chars().take_while(char::is_ascii_digit).collect();
    Some((major, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qemu_says_its_version() {
        assert_eq!(
            version_in("QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)\nCopyright"),
            Some((10, 0))
        );
        assert_eq!(version_in("QEMU emulator version 7.2 (x)"), Some((7, 2)));
        assert_eq!(version_in("something else"), None);
    }
}
