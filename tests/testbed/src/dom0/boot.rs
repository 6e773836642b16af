//! Boots the stock Dom0.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{disk, root_image};
use crate::initramfs::Initramfs;
use crate::{Assets, Error, KernelFlavour, Machine, Result, Running, XenVersion, command, places};

/// Only a guard against hanging.
const TIMEOUT: Duration = Duration::from_secs(600);
/// Dom0's memory, as Debian's documentation of Xen advises at least.
const MEMORY: &str = "1024M";
const INIT: &str = include_str!("dom0-init.sh");
/// What Dom0 needs to find its root file system.
const ROOT_MODULES: [&str; 4] = ["virtio_pci", "virtio_blk", "crc32c_generic", "ext4"];
/// The file system of [`StockDom0::files`], in MiB.
const FILES_MIB: u32 = 128;

/// The stock Dom0 in the making: Debian with systemd and Xen's tools.
#[derive(Debug)]
pub struct StockDom0 {
    directory: PathBuf,
    name: String,
    command_line: String,
}

impl StockDom0 {
    /// On a machine of this name.
    ///
    /// # Errors
    /// A directory cannot be made.
    pub fn new(name: &str) -> Result<Self> {
        let directory = places::scenarios().join(name);
        let files = directory.join("bench");
        std::fs::create_dir_all(&files).map_err(Error::file("create", &files))?;
        Ok(Self {
            directory,
            name: name.to_owned(),
            command_line: "console=hvc0 root=/dev/vda rw quiet".to_owned(),
        })
    }

    /// The directory whose files Dom0 finds in `/bench`.
    #[must_use]
    pub fn files(&self) -> PathBuf {
        self.directory.join("bench")
    }

    /// Adds words to Linux' command line.
    #[must_use]
    pub fn command_line(mut self, more: &str) -> Self {
        self.command_line.push(' ');
        self.command_line.push_str(more);
        self
    }

    /// Boots it, its image being made first, once, and logs root in: the machine, and how long after power-on the login was there.
    ///
    /// # Errors
    /// Set-up was not done, or it does not come up.
    pub fn power_on(&self, assets: &Assets, xen: XenVersion) -> Result<(Running, Duration)> {
        let root = root_image(assets)?;
        let files = self.directory.join("bench.ext4");
        disk::make(command::system_program("mke2fs"), &files, &self.files(), FILES_MIB)?;
        let kernel = assets.kernel(KernelFlavour::Standard)?;
        let ramdisk = self.directory.join("initramfs");
        let init = Initramfs::new()
            .busybox(&assets.busybox)?
            .script("init", INIT)
            .modules(kernel, &ROOT_MODULES)?;
        init.write(&ramdisk)?;
        let mut running = Machine::new(&self.name, &kernel.image)
            .xen(xen)
            .dom0_memory(MEMORY)
            .command_line(&self.command_line)
            .ramdisk(&ramdisk)
            .arguments(drive("root", &root))
            .arguments(drive("bench", &files))
            .fatal("DOM0-ERROR|emergency mode")
            .limit(Duration::from_secs(3600))
            .power_on(assets)?;
        let login = running.expect_prompt("dom0 login: *$", TIMEOUT)?;
        running.send("root\n")?;
        running.expect_prompt(r"root@dom0:~# *$", TIMEOUT)?;
        Ok((running, login.line.at))
    }
}

/// A drive whose changes are forgotten.
fn drive(name: &str, image: &Path) -> [String; 4] {
    [
        "-drive".to_owned(),
        format!(
            "file={},if=none,id={name},format=raw,snapshot=on",
            image.display().to_string().replace(',', ",,")
        ),
        "-device".to_owned(),
        format!("virtio-blk-pci,drive={name}"),
    ]
}
