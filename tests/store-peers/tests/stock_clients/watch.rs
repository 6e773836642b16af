//! xenstore-watch: events as a person sees them.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Stdio};

use anyhow::{Context as _, Result, ensure};
use store_peers::{Scene, StoreKind};

use crate::{client, command, say, scene};

/// A watching client, which has got its first events.
struct Watching {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
    lines: String,
}

impl Watching {
    /// Watches `paths`, and ends after `events` of them.
    fn start(scene: &Scene, events: usize, paths: &[&str]) -> Result<Self> {
        let mut child = client(scene, &command("xenstore-watch")?)
            .args(["-n", &events.to_string()])
            .args(paths)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let out = BufReader::new(child.stdout.take().context("no output")?);
        let lines = String::new();
        let mut watching = Self { child, out, lines };
        // Each watch fires once when it is set.
        for _ in paths {
            watching.out.read_line(&mut watching.lines)?;
        }
        Ok(watching)
    }

    /// What it wrote until it ended.
    fn end(mut self) -> Result<String> {
        self.out.read_to_string(&mut self.lines)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "xenstore-watch: {status}: {}", self.lines);
        Ok(self.lines)
    }
}

/// Does the same against both stores; what xenstore-watch wrote, which has to be the same.
fn on_both(steps: impl Fn(&mut Scene) -> Result<String>) -> Result<String> {
    let ours = steps(&mut scene(StoreKind::Guard)?)?;
    let stock = steps(&mut scene(StoreKind::C)?)?;
    ensure!(ours == stock, "xenstore-guard:\n{ours}\nC xenstored:\n{stock}");
    Ok(ours)
}

#[test]
fn xenstore_watch_prints_each_change_at_and_below_a_path() -> Result<()> {
    let seen = on_both(|scene| {
        let watching = Watching::start(scene, 5, &["/a"])?;
        for line in [
            "xenstore-write /a 1",
            "xenstore-write /a/b/c 2",
            "xenstore-write /other 3",
            "xenstore-chmod /a/b r7",
            "xenstore-rm /a",
        ] {
            let words: Vec<_> = line.split(' ').collect();
            let said = say(scene, &command(words[0])?, &words[1..])?;
            ensure!(said.status == Some(0), "{line}: {said:#?}");
        }
        watching.end()
    })?;
    ensure!(seen == "/a\n/a\n/a/b/c\n/a/b\n/a\n", "{seen}");
    Ok(())
}

#[test]
fn xenstore_watch_prints_relative_paths_as_they_were_given() -> Result<()> {
    let seen = on_both(|scene| {
        let watching = Watching::start(scene, 3, &["data"])?;
        for path in ["data", "/local/domain/0/data/x"] {
            ensure!(scene.builder.write(0, path, b"1")?.is_done());
        }
        watching.end()
    })?;
    ensure!(seen == "data\ndata\ndata/x\n", "{seen}");
    Ok(())
}

#[test]
fn xenstore_watch_sees_a_transaction_when_it_is_done() -> Result<()> {
    let seen = on_both(|scene| {
        ensure!(scene.builder.mkdir(0, "/a")?.is_done());
        let watching = Watching::start(scene, 4, &["/a", "/b"])?;
        let lost = scene.builder.begin()?;
        ensure!(scene.builder.write(lost, "/a/lost", b"1")?.is_done());
        ensure!(scene.builder.end(lost, false)?.is_done());
        let kept = scene.builder.begin()?;
        ensure!(scene.builder.write(kept, "/a/kept", b"1")?.is_done());
        // Nothing of it is seen before.
        ensure!(scene.builder.write(0, "/b", b"1")?.is_done());
        ensure!(scene.builder.end(kept, true)?.is_done());
        watching.end()
    })?;
    ensure!(seen == "/a\n/b\n/b\n/a/kept\n", "{seen}");
    Ok(())
}

#[test]
fn xenstore_watch_sees_domains_come_and_go() -> Result<()> {
    let seen = on_both(|scene| {
        let watching = Watching::start(scene, 4, &["@introduceDomain", "@releaseDomain"])?;
        let _guest = scene.guest(7)?;
        scene.destroy(7)?;
        watching.end()
    })?;
    ensure!(
        seen == "@introduceDomain\n@releaseDomain\n@introduceDomain\n@releaseDomain\n",
        "{seen}"
    );
    Ok(())
}
