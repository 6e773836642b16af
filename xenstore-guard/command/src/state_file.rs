//! The state in a file.

use std::path::Path;

use xenstore_guard_core::{Config, Environment, Server};

use crate::Error;

pub(crate) fn save(_path: &Path, _server: &Server) -> Result<(), Error> {
    Ok(())
}

pub(crate) fn load(_path: &Path, _config: Config, _env: &mut dyn Environment) -> Result<Option<Server>, Error> {
    Ok(None)
}
