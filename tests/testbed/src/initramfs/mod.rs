//! Makes initial ramdisks: busybox, an init script, kernel modules in the order in which they load. The same input gives
//! the same bytes.

mod archive;
mod modules;
mod programs;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use archive::{Entry, write_archive};

use crate::{Assets, Error, Kernel, Result, command};

/// Where an init finds the modules: file names, one a line, in the order in which they load.
const MODULE_LIST: &str = "modules/order";

/// The init of scenario guests: prints `GUEST-READY` and does what `domb.test=` on the kernel's command line asks for.
const GUEST_INIT: &str = include_str!("guest-init.sh");

/// An initial ramdisk in the making.
#[derive(Clone, Debug, Default)]
pub struct Initramfs {
    /// By path without a leading slash.
    entries: BTreeMap<String, Entry>,
    loaded: Vec<String>,
}

impl Initramfs {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// A scenario guest's: busybox and an init that prints, on the kernel's console,
    /// `GUEST-READY <name> nproc=<n> memtotal_kb=<n> guest_type=<PV or PVH> kernel=<release>`. From the kernel's command
    /// line it takes `domb.name=<name>` and `domb.test=`
    /// - `idle` (the default): stays up;
    /// - `poweroff`, `reboot`, `crash`: ends this way;
    /// - `run`: runs `/test` (see [`Initramfs::script`]), prints `GUEST-DONE <name> status=<n>` and powers off;
    /// - `shell`: a shell on the console.
    pub fn guest(assets: &Assets) -> Result<Self> {
        Ok(Self::new().busybox(&assets.busybox)?.script("init", GUEST_INIT))
    }

    /// Adds a static busybox as `/bin/busybox`, and a link for each of its applets.
    pub fn busybox(mut self, program: &Path) -> Result<Self> {
        let applets = command::text_of(Command::new(program).arg("--list"))?;
        for applet in applets
            .lines()
            .filter(|applet| !applet.is_empty() && *applet != "busybox")
        {
            self.entries
                .insert(format!("bin/{applet}"), Entry::Link("busybox".to_owned()));
        }
        let content = std::fs::read(program).map_err(Error::file("read", program))?;
        Ok(self.file("bin/busybox", 0o755, content))
    }

    /// Adds a program text, executable.
    #[must_use]
    pub fn script(self, path: &str, text: &str) -> Self {
        self.file(path, 0o755, text.as_bytes().to_vec())
    }

    /// Adds a file. `path` without a leading slash; a file that was there is replaced.
    #[must_use]
    pub fn file(mut self, path: &str, mode: u32, content: Vec<u8>) -> Self {
        self.entries.insert(path.to_owned(), Entry::File { mode, content });
        self
    }

    /// Adds a program as `path`, and the shared libraries that it loads, each where it is on this machine.
    pub fn program_as(mut self, program: &Path, path: &str) -> Result<Self> {
        let read = |file: &Path| std::fs::read(file).map_err(Error::file("read", file));
        let listing = command::text_of(Command::new("ldd").arg(program))?;
        for library in programs::libraries(&listing) {
            let content = read(Path::new(library))?;
            self = self.file(library.trim_start_matches('/'), 0o755, content);
        }
        Ok(self.file(path, 0o755, read(program)?))
    }

    /// Adds kernel modules by name and what they depend on. The guest's init loads them before it says that it is ready.
    /// What is built into the kernel needs no module and is passed over.
    pub fn modules(mut self, kernel: &Kernel, names: &[&str]) -> Result<Self> {
        for (name, content) in modules::in_load_order(kernel, names)? {
            let path = format!("modules/{name}");
            if !self.loaded.contains(&name) {
                self.loaded.push(name);
            }
            self = self.file(&path, 0o644, content);
        }
        let order = self.loaded.join("\n") + "\n";
        Ok(self.file(MODULE_LIST, 0o644, order.into_bytes()))
    }

    /// The ramdisk: a cpio archive ("newc"), not compressed.
    pub fn bytes(&self) -> Vec<u8> {
        let mut entries = self.entries.clone();
        entries.insert(
            "dev/console".to_owned(),
            Entry::Device {
                mode: 0o600,
                major: 5,
                minor: 1,
            },
        );
        let parents: BTreeSet<String> = entries.keys().flat_map(|path| parents(path)).collect();
        for parent in parents {
            entries.entry(parent).or_insert(Entry::Directory);
        }
        write_archive(&entries)
    }

    /// Writes the ramdisk, not compressed.
    pub fn write(&self, file: &Path) -> Result<()> {
        if let Some(directory) = file.parent() {
            std::fs::create_dir_all(directory).map_err(Error::file("create", directory))?;
        }
        std::fs::write(file, self.bytes()).map_err(Error::file("write", file))
    }

    /// Writes the ramdisk compressed with gzip.
    pub fn write_gzip(&self, file: &Path) -> Result<()> {
        self.write(file)?;
        let packed = command::run(Command::new("gzip").args(["-n", "-9", "-c"]).arg(file))?;
        std::fs::write(file, packed.stdout).map_err(Error::file("write", file))
    }
}

/// Every directory above a path.
fn parents(path: &str) -> Vec<String> {
    path.match_indices('/')
        .filter_map(|(at, _)| path.get(..at))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_input_gives_the_same_bytes_in_path_order() {
        let made = |first: &str, second: &str| {
            let ramdisk = Initramfs::new().script(first, "x").script(second, "x");
            ramdisk.bytes()
        };
        assert_eq!(made("init", "a/b/c"), made("a/b/c", "init"));
    }

    #[test]
    fn directories_come_before_what_is_in_them() {
        let bytes = Initramfs::new().script("a/b/c", "text").bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        // A header ends with eight zeros, the name follows.
        let at = |name: &str| text.find(&format!("00000000{name}\0")).unwrap();
        assert!(at("a") < at("a/b") && at("a/b") < at("a/b/c"));
        assert!(text.contains("dev/console\0"));
    }

    #[test]
    fn the_init_is_a_script_for_busybox() {
        assert!(GUEST_INIT.starts_with("#!/bin/sh\n"));
        assert!(GUEST_INIT.contains("GUEST-READY"));
    }
}
