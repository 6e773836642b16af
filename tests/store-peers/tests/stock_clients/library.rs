//! libxenstore: a program in C that calls every function of its header.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::Both;

/// Compiles `stock-clients/library.c` against Debian's libxenstore.
fn program(directory: &Path) -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("stock-clients/library.c");
    let program = directory.join("library");
    let output = Command::new("gcc")
        .args(["-O1", "-Wall", "-Werror", "-o"])
        .arg(&program)
        .arg(source)
        .arg("-lxenstore")
        .output()
        .context("gcc")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(program)
}

#[test]
fn libxenstore_gets_the_same_answers() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let program = program(directory.path())?;
    let both = Both::start()?;
    let said = both.say::<&str>(&program, &[])?;
    ensure!(said.status == Some(0) && said.error.is_empty(), "{said:#?}");
    // What it asked for in vain is what it was meant to.
    let failed: Vec<_> = said.out.lines().filter(|line| line.contains(": E")).collect();
    ensure!(
        failed
            == [
                "read /library/none: ENOENT",
                "write of a path that is none: EINVAL",
                "directory /library/none: ENOENT",
                "remove below what is not there: ENOENT",
                "permissions of /library/none: ENOENT",
                "commit against another's write: EAGAIN",
                "the same watch again: EEXIST",
                "no such watch: ENOENT",
                "no event: EAGAIN",
                "introduce domain 9 that is not there: ENOENT",
                "release again: ENOENT",
                "resume domain 9: ENOENT",
            ],
        "{}",
        said.out
    );
    ensure!(said.out.ends_with("end\n"), "{}", said.out);
    Ok(())
}
