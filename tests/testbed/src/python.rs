//! Python packages that tests use as programs: from PyPI by name, each in a virtual environment of its own in the cache.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;

use crate::{Error, Result, command, places, setup};

/// Debian's, for which python3-venv is installed; another one may come first on the path.
const PYTHON: &str = "/usr/bin/python3";

/// A Python that can import `package`. It is downloaded the first time, and never again.
///
/// # Errors
/// [`Error::PythonPackage`] where PyPI, or what pip is set to take for it, does not give it.
pub fn python_with(package: &str) -> Result<PathBuf> {
    let cache = std::path::absolute(places::cache()).map_err(Error::file("find", &places::cache()))?;
    let directory = cache.join("python").join(package);
    fs::create_dir_all(&directory).map_err(Error::file("create", &directory))?;
    // One at a time; who comes second finds it done.
    let lock = directory.join("lock");
    let lock_file = File::create(&lock).map_err(Error::file("create", &lock))?;
    lock_file.lock().map_err(Error::file("lock", &lock))?;
    let environment = directory.join("environment");
    let python = environment.join("bin/python");
    // Written last: an environment without it is not whole.
    let done = directory.join("version");
    if done.exists() && python.exists() {
        return Ok(python);
    }
    setup::say(&format!("{package}: downloading with pip"));
    let install = || -> Result<String> {
        command::run(Command::new(PYTHON).args(["-m", "venv", "--clear"]).arg(&environment))?;
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "--disable-pip-version-check", "--quiet", "install"]);
        command::run(pip.args(["--retries", "1", "--timeout", "20", package]))?;
        let mut version = Command::new(&python);
        version.args([
            "-c",
            "import sys, importlib.metadata as m; print(m.version(sys.argv[1]))",
        ]);
        command::text_of(version.arg(package))
    };
    let version = install().map_err(|error| Error::PythonPackage {
        package: package.to_owned(),
        source: Box::new(error),
    })?;
    fs::write(&done, version).map_err(Error::file("write", &done))?;
    Ok(python)
}
