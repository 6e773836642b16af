//! Starts stores.

use std::fmt;
use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;
use testbed::Assets;

use crate::stand_in;

/// Guards against hanging only.
const START: Duration = Duration::from_secs(20);

/// A store's program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StoreKind {
    /// This project's.
    Guard,
    /// C xenstored 4.17.
    C,
    /// oxenstored 4.17.
    OCaml,
}

impl StoreKind {
    /// Every one, this project's first.
    pub const ALL: [Self; 3] = [Self::Guard, Self::C, Self::OCaml];
}

impl fmt::Display for StoreKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Guard => "xenstore-guard",
            Self::C => "C xenstored",
            Self::OCaml => "oxenstored",
        })
    }
}

/// How a store is started.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Arguments of this project's store.
    pub arguments: Vec<String>,
}

/// A store that runs, in a directory of its own. It ends with the value, and the directory goes.
#[derive(Debug)]
pub struct Store {
    kind: StoreKind,
    directory: TempDir,
    child: Child,
}

impl Store {
    /// Starts a store, and waits until it answers.
    pub fn start(kind: StoreKind) -> Result<Self> {
        Self::start_with(kind, &Options::default())
    }

    /// Starts a store with options.
    pub fn start_with(kind: StoreKind, options: &Options) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("store-").tempdir()?;
        let rings = directory.path().join("rings");
        fs::create_dir(&rings)?;
        fs::write(rings.join("ring.0"), [0; xen::PAGE_SIZE])?;
        fs::write(rings.join("xsd_port"), "5")?;
        let child = command(kind, directory.path(), options)?
            .spawn()
            .with_context(|| format!("{kind}"))?;
        let mut store = Self { kind, directory, child };
        store.wait_until_it_answers()?;
        Ok(store)
    }

    fn wait_until_it_answers(&mut self) -> Result<()> {
        let end = Instant::now() + START;
        while UnixStream::connect(self.socket()).is_err() {
            let ended = self.child.try_wait()?;
            if ended.is_some() || Instant::now() > end {
                let why = ended.map_or_else(|| "no socket".to_owned(), |status| status.to_string());
                bail!("{} did not come up: {why}\n{}", self.kind, self.log());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Which one it is.
    pub fn kind(&self) -> StoreKind {
        self.kind
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("socket")
    }

    /// The directory of ring files that it serves.
    pub fn rings(&self) -> PathBuf {
        self.directory.path().join("rings")
    }

    /// A directory that goes with it.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// What it wrote to standard output and error so far.
    pub fn log(&self) -> String {
        fs::read(self.directory.path().join("log"))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks it to end, and starts it again in the same directory.
    pub fn restart(&mut self, options: &Options) -> Result<()> {
        if self.runs() {
            self.terminate()?;
        }
        self.child = command(self.kind, self.directory.path(), options)?.spawn()?;
        self.wait_until_it_answers()
    }

    /// Kills it, and starts it again in the same directory.
    pub fn crash_and_start(&mut self, options: &Options) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        self.child = command(self.kind, self.directory.path(), options)?.spawn()?;
        self.wait_until_it_answers()
    }

    /// Asks it to end by SIGTERM, and waits for it; its exit status.
    pub fn terminate(&mut self) -> Result<std::process::ExitStatus> {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        let pid = pid.context("no process")?;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        Ok(self.child.wait()?)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // It may have ended by itself, which its test sees.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command that starts a store. It ends with whoever started it, however that ends.
fn command(kind: StoreKind, directory: &Path, options: &Options) -> Result<Command> {
    let log = File::options().create(true).append(true).open(directory.join("log"))?;
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]);
    command
        .stdin(std::process::Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    match kind {
        StoreKind::Guard => {
            command
                .arg(guard()?)
                .arg("--socket")
                .arg(directory.join("socket"))
                .arg("--rings")
                .arg(directory.join("rings"))
                .args(&options.arguments);
        }
        StoreKind::C => {
            let library = directory.join("lib");
            fs::create_dir_all(&library)?;
            with_stand_in(&mut command, directory)?
                .env("XENSTORED_RUNDIR", directory)
                .env("XENSTORED_ROOTDIR", library)
                .arg(stock_servers()?.join("xenstored"))
                .arg("-N");
        }
        StoreKind::OCaml => {
            let configuration = directory.join("oxenstored.conf");
            fs::write(&configuration, oxenstored_configuration(directory))?;
            with_stand_in(&mut command, directory)?
                .arg(stock_servers()?.join("oxenstored"))
                .args(["--no-fork", "--config-file"])
                .arg(configuration);
        }
    }
    Ok(command)
}

/// The quotas are those that Debian's configuration sets.
fn oxenstored_configuration(directory: &Path) -> String {
    format!(
        "pid-file = {}/pid\n\
         merge-activate = true\n\
         perms-activate = true\n\
         perms-watch-activate = true\n\
         quota-activate = true\n\
         quota-maxentity = 1000\n\
         quota-maxsize = 2048\n\
         quota-maxwatch = 128\n\
         quota-transaction = 10\n\
         quota-maxrequests = 1024\n\
         quota-path-max = 1024\n\
         persistent = false\n\
         xenstored-kva = /proc/xen/xsd_kva\n\
         xenstored-port = /proc/xen/xsd_port\n",
        directory.display()
    )
}

fn with_stand_in<'a>(command: &'a mut Command, directory: &Path) -> Result<&'a mut Command> {
    Ok(command
        .env("LD_PRELOAD", stand_in::library()?)
        .env("STAND_IN_RINGS", directory.join("rings"))
        .env("STAND_IN_DIRECTORY", directory))
}

fn stock_servers() -> Result<PathBuf> {
    Ok(Assets::load()?.stock_store.servers)
}

/// This project's daemon, built with optimisation.
fn guard() -> Result<&'static Path> {
    static GUARD: OnceLock<std::result::Result<PathBuf, String>> = OnceLock::new();
    match GUARD.get_or_init(|| build_guard().map_err(|error| format!("{error:#}"))) {
        Ok(path) => Ok(path),
        Err(error) => bail!("{error}"),
    }
}

fn build_guard() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "build",
            "--quiet",
            "--release",
            "-p",
            "xenstore-guard",
            "--message-format=json-render-diagnostics",
        ])
        .current_dir(testbed::workspace())
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("cargo")?;
    if !output.status.success() {
        bail!("cargo build -p xenstore-guard: {}", output.status);
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .context("cargo build -p xenstore-guard: no program")
}
