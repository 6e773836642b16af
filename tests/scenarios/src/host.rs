//! A host manifest in the making, and the machine that boots from it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use testbed::initramfs::Initramfs;
use testbed::{Assets, KernelFlavour, Machine, XenVersion};

use crate::Session;

/// Memory that domb needs beside its bundle, in MiB: what it keeps for itself, and its image.
const BUILDER_MIB: u64 = 36;

/// Where `build-images` puts an image.
#[must_use]
pub fn image_path(name: &str) -> PathBuf {
    testbed::workspace().join("target/images").join(name)
}

/// A program that was built with the tests: of this package, or of one that it uses.
///
/// # Errors
/// It was not built.
pub fn program(name: &str) -> Result<PathBuf> {
    let mut directory = std::env::current_exe()?;
    // Tests run from the directory `deps` below that of the programs.
    while directory.pop() {
        let program = directory.join(name);
        if program.is_file() {
            return Ok(program);
        }
    }
    anyhow::bail!("{name}: not built; `cargo build --release -p scenarios -p domb` builds it")
}

/// A domain of a host manifest.
#[derive(Debug, Clone)]
pub struct Guest {
    /// Its name.
    pub name: String,
    /// `pv` or `pvh`.
    pub kind: &'static str,
    /// Name of its kernel's image.
    pub kernel: &'static str,
    /// Name of its ramdisk's image.
    pub ramdisk: Option<&'static str>,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// vCPUs.
    pub vcpus: u16,
    /// Its command line.
    pub command_line: String,
    /// Whether it starts at boot.
    pub autostart: bool,
    /// Further lines of its table.
    pub more: String,
}

impl Guest {
    /// A Debian guest with the cloud kernel and the ramdisk that says `GUEST-READY`; `test` is what it does then.
    #[must_use]
    pub fn linux(name: &str, kind: &'static str, memory_mib: u64, vcpus: u16, test: &str) -> Self {
        Self {
            name: name.into(),
            kind,
            kernel: "cloud",
            ramdisk: Some("guest"),
            memory_mib,
            vcpus,
            command_line: format!("console=hvc0 domb.name={name} domb.test={test}"),
            autostart: false,
            more: String::new(),
        }
    }

    /// The bare-metal Rust guest with 8 MiB.
    #[must_use]
    pub fn bare(name: &str, command_line: &str) -> Self {
        Self {
            name: name.into(),
            kind: "pv",
            kernel: "bare",
            ramdisk: None,
            memory_mib: 8,
            vcpus: 1,
            command_line: command_line.into(),
            autostart: false,
            more: String::new(),
        }
    }

    /// Starts at boot.
    #[must_use]
    pub fn at_boot(mut self) -> Self {
        self.autostart = true;
        self
    }

    /// Adds a line to its table.
    #[must_use]
    pub fn with(mut self, line: &str) -> Self {
        self.more.push_str(line);
        self.more.push('\n');
        self
    }
}

/// A host manifest and the files beside it, in the scenario's own directory.
#[derive(Debug)]
pub struct HostFile {
    name: String,
    directory: PathBuf,
    assets: Assets,
    text: String,
}

impl HostFile {
    /// A host with an operator's console and the images `cloud`, `standard` (Debian's kernels), `bare` (the bare-metal
    /// guest) and `guest` (the scenario ramdisk), of which only those that a domain uses go into the bundle.
    ///
    /// # Errors
    /// Set-up was not done, or a file cannot be written.
    pub fn new(name: &str, banks: &[&str]) -> Result<Self> {
        let assets = Assets::load()?;
        let directory = testbed::scenarios().join(name);
        std::fs::create_dir_all(&directory).with_context(|| format!("create {}", directory.display()))?;
        let mut text = String::new();
        writeln!(
            text,
            "[host]\nname = {name:?}\nbanks = {banks:?}\noperator-console = true\nlog-level = \"info\"\n"
        )?;
        Ok(Self {
            name: name.into(),
            directory,
            assets,
            text,
        })
    }

    /// What set-up brought.
    #[must_use]
    pub fn assets(&self) -> &Assets {
        &self.assets
    }

    /// The scenario's directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Adds an image.
    ///
    /// # Errors
    /// Never in practice: formatting into a string.
    pub fn image(mut self, name: &str, file: &Path) -> Result<Self> {
        writeln!(self.text, "[image.{name}]\nfile = {:?}\n", file.display().to_string())?;
        Ok(self)
    }

    /// Adds the images that Debian guests and bare-metal guests start from.
    ///
    /// # Errors
    /// Set-up was not done.
    pub fn guest_images(self, names: &[&str]) -> Result<Self> {
        let ramdisk = self.directory.join("guest.cpio.gz");
        if names.contains(&"guest") {
            Initramfs::guest(&self.assets)?.write_gzip(&ramdisk)?;
        }
        let cloud = self.assets.kernel(KernelFlavour::Cloud)?.image.clone();
        let standard = self.assets.kernel(KernelFlavour::Standard)?.image.clone();
        names.iter().try_fold(self, |host, name| match *name {
            "cloud" => host.image("cloud", &cloud),
            "standard" => host.image("standard", &standard),
            "bare" => host.image("bare", &image_path("bare-guest.elf")),
            "guest" => host.image("guest", &ramdisk),
            other => anyhow::bail!("{other}: not an image of the testbed"),
        })
    }

    /// Adds the store, in a domain of its own.
    ///
    /// # Errors
    /// Never in practice: formatting into a string.
    pub fn store(self) -> Result<Self> {
        self.image("xenstore-guard", &image_path("xenstore-guard.elf"))?
            .domain(&Guest {
                name: "store".into(),
                kind: "pv",
                kernel: "xenstore-guard",
                ramdisk: None,
                memory_mib: 32,
                vcpus: 1,
                command_line: String::new(),
                autostart: true,
                more: "roles = [\"store\"]".into(),
            })
    }

    /// Adds a Debian guest's ramdisk, as an image of the name: the stock clients of the store, the prober, and `test` as
    /// `/test`.
    ///
    /// # Errors
    /// Set-up was not done, or a file cannot be written.
    pub fn store_ramdisk(self, name: &'static str, test: &str) -> Result<Self> {
        // Linux runs this program when it is asked to switch itself off.
        let mut ramdisk = Initramfs::guest(&self.assets)?
            .script("test", test)
            .script("sbin/poweroff", "#!/bin/sh\nexec /bin/poweroff -f\n");
        for client in ["ls", "read", "write", "chmod", "watch", "exists", "rm", "list"] {
            let program = self.assets.stock_store.clients.join(format!("xenstore-{client}"));
            ramdisk = ramdisk.program_as(&program, &format!("bin/xenstore-{client}"))?;
        }
        let prober = program("store-prober")?;
        let file = self.directory.join(format!("{name}.cpio.gz"));
        ramdisk.program_as(&prober, "bin/store-prober")?.write_gzip(&file)?;
        self.image(name, &file)
    }

    /// Adds lines of TOML as they are.
    #[must_use]
    pub fn text(mut self, text: &str) -> Self {
        self.text.push_str(text);
        self
    }

    /// Adds a domain.
    ///
    /// # Errors
    /// Never in practice: formatting into a string.
    pub fn domain(mut self, guest: &Guest) -> Result<Self> {
        let Guest {
            name,
            kind,
            kernel,
            ramdisk,
            memory_mib,
            vcpus,
            command_line,
            autostart,
            more,
        } = guest;
        writeln!(
            self.text,
            "[[domain]]\nname = {name:?}\ntype = {kind:?}\nkernel = {kernel:?}\nmemory = {memory_mib}\nvcpus = {vcpus}\n\
             cmdline = {command_line:?}\nautostart = {autostart}"
        )?;
        if let Some(ramdisk) = ramdisk {
            writeln!(self.text, "ramdisk = {ramdisk:?}")?;
        }
        writeln!(self.text, "{more}")?;
        Ok(self)
    }

    /// Writes `host.toml` and the bundle; their paths.
    ///
    /// # Errors
    /// The manifest is refused, or a file cannot be read or written.
    pub fn bundle(&self) -> Result<(PathBuf, PathBuf)> {
        let toml = self.directory.join("host.toml");
        let bundle = self.directory.join("bundle");
        std::fs::write(&toml, &self.text)?;
        domb::bundle_command::run(&toml, &bundle, false, domb::Progress::on_terminal(), |_| ())?;
        Ok((toml, bundle))
    }

    /// The machine that boots domb with a bundle: `change` may alter it before it is powered on.
    ///
    /// # Errors
    /// As [`Self::bundle`]; the machine cannot be started.
    pub fn boot(&self, xen: XenVersion, change: impl FnOnce(Machine) -> Machine) -> Result<Session> {
        let (_, bundle) = self.bundle()?;
        self.boot_bundle(xen, &bundle, change)
    }

    /// Boots a bundle that was made elsewhere.
    ///
    /// # Errors
    /// The machine cannot be started.
    pub fn boot_bundle(
        &self,
        xen: XenVersion,
        bundle: &Path,
        change: impl FnOnce(Machine) -> Machine,
    ) -> Result<Session> {
        let bytes = std::fs::metadata(bundle)?.len();
        let machine = Machine::new(&self.name, &image_path("domb.elf"))
            .xen(xen)
            .ramdisk(bundle)
            .dom0_memory(&format!("{}M", bytes.div_ceil(1 << 20) + BUILDER_MIB))
            .fatal("^PANIC:");
        Ok(Session::new(change(machine).power_on(&self.assets)?))
    }
}
