//! pyxs, the client in Python.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use crate::Both;

#[test]
fn pyxs_gets_the_same_answers() -> Result<()> {
    let python = testbed::python_with("pyxs").context("without pyxs nothing can be said of it")?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("stock-clients/with_pyxs.py");
    let both = Both::start()?;
    let said = both.say(&python, &[script])?;
    ensure!(said.status == Some(0) && said.error.is_empty(), "{said:#?}");
    let failed: Vec<_> = said.out.lines().filter(|line| line.contains(": E")).collect();
    ensure!(
        failed
            == [
                "read what is not there: ENOENT",
                "introduce one that is not there: ENOENT",
                "release again: ENOENT",
            ],
        "{}",
        said.out
    );
    for line in [
        "what can be printed: None",
        "read it: b'!~ \"=,'",
        "commit against another's write: False",
        "event of another's write: (b'/python/new/node', b'token')",
        "end",
    ] {
        ensure!(
            said.out.lines().any(|said| said == line),
            "no {line:?} in\n{}",
            said.out
        );
    }
    Ok(())
}
