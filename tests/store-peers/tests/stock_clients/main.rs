//! The clients that a stock host has, against this project's store: each says, and ends with, what it does against C xenstored.

mod commands;
mod control;
mod library;
mod pyxs;
mod test_xenstore;
mod watch;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use store_peers::{RingLink, Scene, StoreKind};
use testbed::Assets;
use xen::DomId;

/// Guards against hanging only, in seconds.
const LIMIT: &str = "60";
/// Domains that exist, 1 and on; none of them is introduced.
const DOMAINS: u16 = 8;

/// What a client wrote, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Said {
    status: Option<i32>,
    out: String,
    error: String,
}

/// This project's store and C xenstored, each with the same domains.
struct Both {
    ours: Scene,
    stock: Scene,
}

impl Both {
    fn start() -> Result<Self> {
        Ok(Self {
            ours: scene(StoreKind::Guard)?,
            stock: scene(StoreKind::C)?,
        })
    }

    /// Runs a program against both: they have to say the same, which is returned.
    fn say<S: AsRef<OsStr>>(&self, program: &Path, arguments: &[S]) -> Result<Said> {
        let (ours, stock) = (
            say(&self.ours, program, arguments)?,
            say(&self.stock, program, arguments)?,
        );
        let shown: Vec<_> = arguments.iter().map(|argument| argument.as_ref().display()).collect();
        ensure!(
            ours == stock,
            "{} {shown:?}\nxenstore-guard: {ours:#?}\nC xenstored: {stock:#?}",
            program.display()
        );
        Ok(ours)
    }

    /// Runs a command of xenstore-utils against both, given as a line.
    fn command(&self, line: &str) -> Result<Said> {
        let mut words = line.split_whitespace();
        let program = command(words.next().unwrap_or_default())?;
        self.say(&program, &words.collect::<Vec<_>>())
    }

    /// The same for a command that has to succeed; what it wrote.
    fn done(&self, line: &str) -> Result<String> {
        let said = self.command(line)?;
        ensure!(said.status == Some(0) && said.error.is_empty(), "{line}: {said:#?}");
        Ok(said.out)
    }

    /// The same for a command that has to fail; what it wrote to standard error.
    fn refused(&self, line: &str) -> Result<String> {
        let said = self.command(line)?;
        ensure!(said.status == Some(1) && said.out.is_empty(), "{line}: {said:#?}");
        Ok(said.error)
    }
}

/// A store with domains: C xenstored gives nodes only to those that exist.
fn scene(kind: StoreKind) -> Result<Scene> {
    let scene = Scene::new(kind)?;
    for domid in 1..=DOMAINS {
        RingLink::new(&scene.store.rings(), DomId(domid))?;
    }
    Ok(scene)
}

/// A command of xenstore-utils.
fn command(name: &str) -> Result<PathBuf> {
    let path = Assets::load()?.stock_store.clients.join(name);
    ensure!(path.exists(), "{} is not there", path.display());
    Ok(path)
}

/// A program that is a client of a store; it ends with this process.
fn client(scene: &Scene, program: &Path) -> Command {
    let mut client = Command::new("setpriv");
    client
        .args(["--pdeathsig", "KILL", "--", "timeout", LIMIT])
        .arg(program)
        .env("XENSTORED_PATH", scene.store.socket())
        .env("LC_ALL", "C.UTF-8");
    client
}

fn say<S: AsRef<OsStr>>(scene: &Scene, program: &Path, arguments: &[S]) -> Result<Said> {
    let output = client(scene, program)
        .args(arguments)
        .output()
        .with_context(|| program.display().to_string())?;
    Ok(Said {
        status: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        error: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
