//! One release's packages, seen by apt with a state of its own: the machine's apt configuration and package database
//! are neither used up nor changed, and no rights are needed.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::sources::{self, Release, Source};
use crate::{Error, Result, command};

/// A release's packages.
#[derive(Clone, Debug)]
pub struct Archive {
    directory: PathBuf,
    configuration: PathBuf,
    release: Release,
}

impl Archive {
    /// Packages of `release`, from sources derived from the machine's own (`sources`, for release `own`). Keeps apt's state
    /// in `directory`. Fetches the lists of packages, whose signatures apt checks as always.
    pub fn open(directory: &Path, sources: &[Source], own: &Release, release: &Release) -> Result<Self> {
        let nothing = || {
            let name = own.name();
            Error::Setup(format!(
                "no source of Debian {name} (component main) in the machine's apt configuration"
            ))
        };
        let text = sources::derive(sources, own, release).ok_or_else(nothing)?;
        for part in ["lists/partial", "cache/archives/partial", "packages"] {
            let path = directory.join(part);
            std::fs::create_dir_all(&path).map_err(Error::file("create", &path))?;
        }
        let list = directory.join("derived.sources");
        std::fs::write(&list, text).map_err(Error::file("write", &list))?;
        let status = directory.join("status");
        std::fs::write(&status, "").map_err(Error::file("write", &status))?;
        let configuration = directory.join("apt.conf");
        let settings = settings(directory, &list, &status);
        std::fs::write(&configuration, settings).map_err(Error::file("write", &configuration))?;
        let archive = Self {
            directory: directory.to_path_buf(),
            configuration,
            release: release.clone(),
        };
        command::run(archive.apt("apt-get").args(["-q", "update"]))?;
        Ok(archive)
    }

    /// The file with this release's sources.
    pub fn sources(&self) -> PathBuf {
        self.directory.join("derived.sources")
    }

    /// The newest version of a package.
    pub fn candidate(&self, package: &str) -> Result<String> {
        let text = command::text_of(self.apt("apt-cache").args(["policy", package]))?;
        let found = text.lines().find_map(|line| line.trim().strip_prefix("Candidate: "));
        match found {
            Some(version) if version != "(none)" => Ok(version.to_owned()),
            _ => Err(Error::Setup(format!(
                "Debian {}: no package {package}",
                self.release.name()
            ))),
        }
    }

    /// The packages that a package depends on, first alternatives only.
    pub fn dependencies(&self, package: &str) -> Result<Vec<String>> {
        let text = command::text_of(self.apt("apt-cache").args(["show", "--no-all-versions", package]))?;
        let field = text
            .lines()
            .find_map(|line| line.strip_prefix("Depends: "))
            .unwrap_or_default();
        Ok(field
            .split(',')
            .filter_map(|part| part.split_whitespace().next())
            .map(str::to_owned)
            .collect())
    }

    /// Downloads a package at a version; gives the file.
    pub fn download(&self, package: &str, version: &str) -> Result<PathBuf> {
        let directory = self.directory.join("packages");
        let wanted = format!("{package}={version}");
        command::run(
            self.apt("apt-get")
                .args(["-q", "download", &wanted])
                .current_dir(&directory),
        )?;
        let prefix = format!("{package}_{}", version.replace(':', "%3a"));
        let entries = std::fs::read_dir(&directory).map_err(Error::file("read", &directory))?;
        let mut files = entries.flatten().map(|entry| entry.path());
        let named = |path: &PathBuf| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(&prefix))
        };
        files
            .find(named)
            .ok_or_else(|| Error::Setup(format!("apt-get download {wanted} left no file")))
    }

    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .arg("-c")
            .arg(&self.configuration)
            .env("LC_ALL", "C.UTF-8")
            .env("DEBIAN_FRONTEND", "noninteractive");
        command
    }
}

/// apt.conf(5) for a state of our own. An empty package database: what the machine has installed has no say.
fn settings(directory: &Path, list: &Path, status: &Path) -> String {
    let at = |part: &str| directory.join(part).display().to_string();
    format!(
        "#clear APT::Update::Post-Invoke;\n\
         #clear APT::Update::Post-Invoke-Success;\n\
         #clear Acquire::IndexTargets;\n\
         Acquire::IndexTargets::deb::Packages {{\n\
         MetaKey \"$(COMPONENT)/binary-$(ARCHITECTURE)/Packages\"; Description \"$(RELEASE)/$(COMPONENT) Packages\"; }};\n\
         APT::Architecture \"amd64\";\n\
         #clear APT::Architectures;\n\
         APT::Architectures {{ \"amd64\"; }};\n\
         APT::Sandbox::User \"\";\n\
         Acquire::Languages \"none\";\n\
         Dir::Etc::SourceList \"{list}\";\n\
         Dir::Etc::SourceParts \"/dev/null\";\n\
         Dir::Etc::Preferences \"/dev/null\";\n\
         Dir::Etc::PreferencesParts \"/dev/null\";\n\
         Dir::State::Lists \"{lists}\";\n\
         Dir::State::Status \"{status}\";\n\
         Dir::State::Extended_States \"{extended}\";\n\
         Dir::Cache \"{cache}\";\n",
        list = list.display(),
        lists = at("lists"),
        status = status.display(),
        extended = at("extended_states"),
        cache = at("cache"),
    )
}
