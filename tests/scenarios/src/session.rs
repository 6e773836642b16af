//! A machine that runs domb, and its operator.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use testbed::{Match, Running};

use crate::LONG;

/// A machine that runs domb.
pub struct Session {
    running: Running,
}

/// What domb logged of a creation: microseconds by part, and the rest of its `key=value` words.
#[derive(Debug, Clone, Default)]
pub struct Created(BTreeMap<String, String>);

impl Created {
    /// A part of the time, such as `total` or `copy`, in microseconds.
    ///
    /// # Errors
    /// The log has no such part.
    pub fn us(&self, part: &str) -> Result<f64> {
        let key = format!("{part}_us");
        self.0
            .get(&key)
            .with_context(|| format!("no {key}"))?
            .parse()
            .with_context(|| key)
    }

    /// A word of the log line.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }
}

impl Session {
    pub(crate) fn new(running: Running) -> Self {
        Self { running }
    }

    /// The machine.
    pub fn machine(&mut self) -> &mut Running {
        &mut self.running
    }

    /// Waits for a line, wherever it stands in the log.
    ///
    /// # Errors
    /// It does not come.
    pub fn wait(&self, pattern: &str) -> Result<Match> {
        Ok(self.running.wait_for(pattern, LONG)?)
    }

    /// Waits until domb obeys its operator.
    ///
    /// # Errors
    /// It does not.
    pub fn ready(&mut self) -> Result<()> {
        self.running.expect("operator console ready", LONG)?;
        Ok(())
    }

    /// Types a request and gives the answer's lines.
    ///
    /// # Errors
    /// No answer comes.
    pub fn ask(&mut self, request: &str) -> Result<Vec<String>> {
        self.running.send(&format!("{request}\n"))?;
        let mut answer = Vec::new();
        loop {
            let line = self
                .running
                .expect("^operator: (.*)$", LONG)
                .with_context(|| format!("request {request:?}"))?;
            match line.group(1) {
                Some("done") => return Ok(answer),
                line => answer.push(line.unwrap_or_default().into()),
            }
        }
    }

    /// Types a request that is expected to succeed.
    ///
    /// # Errors
    /// The answer names an error.
    pub fn order(&mut self, request: &str) -> Result<Vec<String>> {
        let answer = self.ask(request)?;
        if let Some(error) = answer.iter().find(|line| line.starts_with("error")) {
            bail!("{request}: {error}");
        }
        Ok(answer)
    }

    /// The pages that Xen has free, once it has scrubbed what was given back and the count stays the same.
    ///
    /// # Errors
    /// No answer comes.
    pub fn free_pages(&mut self) -> Result<u64> {
        let mut last = None;
        for _ in 0..100 {
            let answer = self.order("memory")?.join(" ");
            let words = words(&answer);
            let number = |key: &str| -> Result<u64> { Ok(words.get(key).context("no such word")?.parse()?) };
            let now = (number("free_pages")?, number("scrub_pages")?);
            if last == Some(now) && now.1 == 0 {
                return Ok(now.0);
            }
            last = Some(now);
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
        bail!("the free memory does not settle")
    }

    /// What domb says of each domain, by name.
    ///
    /// # Errors
    /// No answer comes.
    pub fn list(&mut self) -> Result<BTreeMap<String, BTreeMap<String, String>>> {
        Ok(self
            .order("list")?
            .iter()
            .map(|line| {
                let (facts, state) = line.split_once(" state=").unwrap_or((line, ""));
                let mut words = words(facts);
                words.insert("state".into(), state.into());
                (words.get("domain").cloned().unwrap_or_default(), words)
            })
            .collect())
    }

    /// domb's event log.
    ///
    /// # Errors
    /// No answer comes, or it is not one of bytes.
    pub fn event_log(&mut self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        for line in self.order("eventlog")? {
            let digits = line
                .strip_prefix("eventlog ")
                .with_context(|| format!("not of an event log: {line}"))?;
            for index in (0..digits.len()).step_by(2) {
                let pair = digits.get(index..index + 2).context("half a byte in the event log")?;
                bytes.push(u8::from_str_radix(pair, 16)?);
            }
        }
        Ok(bytes)
    }

    /// domb's log of the creations of a domain so far, the oldest first.
    ///
    /// # Errors
    /// The name is no pattern.
    pub fn creations(&self, name: &str) -> Result<Vec<Created>> {
        let found = self.running.matches(&format!(r"domain {name} created (.*)$"))?;
        Ok(found
            .iter()
            .map(|line| Created(words(line.group(1).unwrap_or_default())))
            .collect())
    }

    /// Asks domb to let the machine end, and waits for that.
    ///
    /// # Errors
    /// It does not end.
    pub fn reboot(&mut self) -> Result<()> {
        self.running.send("reboot\n")?;
        Ok(self.running.wait_for_end(LONG)?)
    }
}

/// The `key=value` words of a line.
fn words(line: &str) -> BTreeMap<String, String> {
    line.split(' ')
        .filter_map(|word| word.split_once('='))
        .map(|(key, value)| (key.into(), value.into()))
        .collect()
}
