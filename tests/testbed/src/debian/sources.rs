//! The machine's own apt sources (sources.list(5): one-line and deb822 style), and the same for other releases.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Where Debian's package of the archive's keys puts them, for every release.
const KEYRINGS: [&str; 2] = [
    "/usr/share/keyrings/debian-archive-keyring.pgp",
    "/usr/share/keyrings/debian-archive-keyring.gpg",
];

/// A Debian release by its code name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release(String);

impl Release {
    /// A release by its code name.
    pub fn new(code_name: &str) -> Self {
        Self(code_name.to_owned())
    }

    /// The release that this machine runs, from `/etc/os-release`.
    pub fn of_this_machine() -> Result<Self> {
        let path = Path::new("/etc/os-release");
        let text = std::fs::read_to_string(path).map_err(Error::file("read", path))?;
        let name = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
        let name = name.map(|name| name.trim_matches('"')).filter(|name| !name.is_empty());
        name.map(Self::new).ok_or_else(|| Error::Content {
            path: path.to_path_buf(),
            reason: "no VERSION_CODENAME".to_owned(),
        })
    }

    /// The code name.
    pub fn name(&self) -> &str {
        &self.0
    }
}

/// One entry of apt's sources: field names and values of a deb822 stanza.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    fields: Vec<(String, String)>,
}

impl Source {
    fn field(&self, name: &str) -> &str {
        let found = self.fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    fn has(&self, name: &str, word: &str) -> bool {
        self.field(name).split_whitespace().any(|found| found == word)
    }

    fn is_enabled(&self) -> bool {
        !matches!(
            self.field("Enabled").to_ascii_lowercase().as_str(),
            "no" | "false" | "0" | "off"
        )
    }

    /// The same source for another release: each of its suites that is Debian's own for release `from` becomes that of
    /// release `to`. Nothing where it has no such suite (a third party's source).
    fn for_release(&self, from: &Release, to: &Release) -> Option<Self> {
        if !self.is_enabled() || !self.has("Types", "deb") || !self.has("Components", "main") {
            return None;
        }
        let mut suites = Vec::new();
        for suite in self.field("Suites").split_whitespace() {
            match suite.strip_prefix(from.name()) {
                Some("") => suites.push(to.name().to_owned()),
                Some(part @ ("-updates" | "-security")) => suites.push(format!("{}{part}", to.name())),
                _ => {}
            }
        }
        if suites.is_empty() {
            return None;
        }
        let mut fields = Vec::new();
        for (name, value) in &self.fields {
            let value = match name.to_ascii_lowercase().as_str() {
                "types" => "deb".to_owned(),
                "components" => "main".to_owned(),
                "suites" => suites.join(" "),
                "signed-by" => keyring(value, from, to),
                _ => value.clone(),
            };
            fields.push((name.clone(), value));
        }
        Some(Self { fields })
    }
}

/// The keys that a derived source is checked with: the machine's, but a keyring of one release alone cannot know
/// another release's key, so the keyring of all of them stands in for it.
fn keyring(value: &str, from: &Release, to: &Release) -> String {
    if from != to && value.contains(from.name()) {
        let all = KEYRINGS.iter().find(|path| Path::new(path).exists());
        return all.map_or_else(|| value.to_owned(), |path| (*path).to_owned());
    }
    value.to_owned()
}

/// Every enabled source of the apt configuration under `etc` (`/etc/apt`).
pub fn read_sources(etc: &Path) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    let mut files = vec![etc.join("sources.list")];
    let parts = etc.join("sources.list.d");
    if let Ok(entries) = std::fs::read_dir(&parts) {
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        files.extend(paths);
    }
    for file in files.iter().filter(|file| file.is_file()) {
        let text = || std::fs::read_to_string(file).map_err(Error::file("read", file));
        match file.extension().and_then(std::ffi::OsStr::to_str) {
            Some("list") => sources.extend(text()?.lines().filter_map(one_line)),
            Some("sources") => sources.extend(stanzas(&text()?)),
            _ => {}
        }
    }
    sources.retain(Source::is_enabled);
    Ok(sources)
}

/// `deb [option=value ...] uri suite component...`
fn one_line(line: &str) -> Option<Source> {
    let line = line.split('#').next().unwrap_or_default().trim();
    let (kind, rest) = line.split_once(char::is_whitespace)?;
    let mut fields = vec![("Types".to_owned(), kind.to_owned())];
    let mut rest = rest.trim_start();
    if let Some(bracketed) = rest.strip_prefix('[') {
        let (options, after) = bracketed.split_once(']')?;
        rest = after;
        for (name, value) in options.split_whitespace().filter_map(|option| option.split_once('=')) {
            fields.push((option_field(name), value.replace(',', " ")));
        }
    }
    let mut words = rest.split_whitespace();
    fields.push(("URIs".to_owned(), words.next()?.to_owned()));
    fields.push(("Suites".to_owned(), words.next()?.to_owned()));
    fields.push(("Components".to_owned(), words.collect::<Vec<_>>().join(" ")));
    Some(Source { fields })
}

/// The deb822 field of a one-line option.
fn option_field(option: &str) -> String {
    match option {
        "arch" => "Architectures".to_owned(),
        "lang" => "Languages".to_owned(),
        "target" => "Targets".to_owned(),
        other => other.to_owned(),
    }
}

/// The stanzas of a deb822 file: `Field: value`, continued on lines that begin with a blank; `#` comments.
fn stanzas(text: &str) -> Vec<Source> {
    let mut sources = vec![Source { fields: Vec::new() }];
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if line.trim().is_empty() {
            sources.push(Source { fields: Vec::new() });
            continue;
        }
        let Some(fields) = sources.last_mut().map(|source| &mut source.fields) else {
            continue;
        };
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                let _ = write!(value, "\n{line}");
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }
    sources.retain(|source| !source.fields.is_empty());
    sources
}

/// A deb822 file with the sources of release `to`, derived from those of release `from`. Nothing where none of them is
/// Debian's.
pub(crate) fn derive(sources: &[Source], from: &Release, to: &Release) -> Option<String> {
    let mut text = String::new();
    for source in sources.iter().filter_map(|source| source.for_release(from, to)) {
        for (name, value) in &source.fields {
            let _ = writeln!(text, "{name}: {value}");
        }
        text.push('\n');
    }
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn derived(text: &str) -> Option<String> {
        derive(&stanzas(text), &Release::new("bookworm"), &Release::new("trixie"))
    }

    const DEB822: &str = "# comment\nTypes: deb deb-src\nURIs: http://mirror.test/debian\n\
        Suites: bookworm bookworm-updates\nComponents: main contrib\nSigned-By:\n -----BEGIN KEY-----\n .\n x\n\n\n\
        Types: deb\nURIs: http://mirror.test/debian-security\nSuites: bookworm-security\nComponents: main\n";

    #[test]
    fn each_suite_of_debian_is_derived() {
        let text = derived(DEB822).unwrap();
        assert!(text.contains("Suites: trixie trixie-updates\n"), "{text}");
        assert!(text.contains("Suites: trixie-security\n"), "{text}");
        assert!(
            text.contains("Types: deb\n") && text.contains("Components: main\n"),
            "{text}"
        );
        assert!(text.contains("Signed-By: \n -----BEGIN KEY-----\n .\n x\n"), "{text}");
    }

    #[test]
    fn other_sources_are_left_out() {
        let source =
            |suite, more| format!("Types: deb\nURIs: http://third.test/\nSuites: {suite}\nComponents: main\n{more}");
        assert_eq!(derived(&source("nodistro", "")), None);
        assert_eq!(derived(&source("bookworm-pgdg", "")), None);
        assert_eq!(derived(&source("bookworm", "Enabled: no\n")), None);
        assert!(derived(&source("bookworm", "")).is_some());
    }

    #[test]
    fn one_line_sources_are_read() {
        let line = "deb [arch=amd64 signed-by=/keys/bookworm.gpg] http://mirror.test/debian bookworm main # note";
        let source = one_line(line).unwrap();
        assert_eq!(source.field("Architectures"), "amd64");
        assert_eq!(source.field("signed-by"), "/keys/bookworm.gpg");
        assert_eq!(source.field("URIs"), "http://mirror.test/debian");
        assert!(
            source
                .for_release(&Release::new("bookworm"), &Release::new("trixie"))
                .is_some()
        );
        assert_eq!(one_line("# deb http://mirror.test/debian bookworm main"), None);
        assert_eq!(one_line(""), None);
    }

    #[test]
    fn both_styles_are_found_under_etc() {
        let etc = tempfile::tempdir().unwrap();
        std::fs::create_dir(etc.path().join("sources.list.d")).unwrap();
        std::fs::write(
            etc.path().join("sources.list"),
            "deb http://mirror.test/debian bookworm main\n",
        )
        .unwrap();
        std::fs::write(etc.path().join("sources.list.d/debian.sources"), DEB822).unwrap();
        std::fs::write(
            etc.path().join("sources.list.d/other.list.disabled"),
            "deb http://x.test/ y main\n",
        )
        .unwrap();
        assert_eq!(read_sources(etc.path()).unwrap().len(), 3);
    }
}
