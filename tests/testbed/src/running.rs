//! A machine that runs: its console, its keyboard, its end.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use regex::Regex;

use crate::console::{Console, Line, Match, stamped};
use crate::error::Wait;
use crate::{Error, Result, command, places};

/// How many lines of the log an error shows.
const TAIL: usize = 25;
/// The serial port's receive buffer; more than this at once may be lost before the machine has read it.
const KEYS_AT_ONCE: usize = 16;
/// Time for the machine to read what was typed.
const BETWEEN_KEYS: Duration = Duration::from_millis(30);

/// What a machine needs to be started.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) scenario: String,
    pub(crate) directory: PathBuf,
    pub(crate) command: Command,
    pub(crate) fatal: Vec<Regex>,
    pub(crate) limit: Duration,
    pub(crate) alone: bool,
}

/// A machine that runs. Dropping the value ends it.
#[derive(Debug)]
pub struct Running {
    scenario: String,
    directory: PathBuf,
    console: Console,
    keyboard: ChildStdin,
    child: Arc<Mutex<Child>>,
    fatal: Vec<Regex>,
    limit: Duration,
    /// The first line that `expect` has not looked at.
    next: usize,
    /// Held while no other machine may run.
    _turn: Option<File>,
}

impl Running {
    pub(crate) fn start(start: Start) -> Result<Self> {
        let Start {
            scenario,
            directory,
            mut command,
            fatal,
            limit,
            alone,
        } = start;
        // The logs of the run before stay until this one begins.
        let turn = if alone { Some(turn()?) } else { None };
        let log = create(&directory.join("console.log"))?;
        let own_log = create(&directory.join("qemu.log"))?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(own_log);
        let console = Console::new(Instant::now());
        let (sender, receiver) = mpsc::channel();
        let reader = Reader {
            console: console.clone(),
            log,
            limit,
        };
        // The parent-death signal comes when the thread that started QEMU ends: that must be the one that reads.
        std::thread::spawn(move || reader.run(command, &sender));
        let (child, keyboard) = receiver
            .recv()
            .map_err(|_| Error::Setup("the console reader ended".to_owned()))??;
        Ok(Self {
            scenario,
            directory,
            console,
            keyboard,
            child,
            fatal,
            limit,
            next: 0,
            _turn: turn,
        })
    }

    /// The console, which can be read after this value is gone.
    pub fn console(&self) -> &Console {
        &self.console
    }

    /// Every line so far.
    pub fn lines(&self) -> Vec<Line> {
        self.console.lines()
    }

    /// Where the logs are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Waits for the next line that matches, after the one that the last `expect` found. `timeout` only guards against
    /// hanging. A fatal line before it, the machine's end and the timeout are errors that show the end of the log.
    pub fn expect(&mut self, pattern: &str, timeout: Duration) -> Result<Match> {
        self.expect_where(pattern, timeout, false)
    }

    /// Like `expect`, but takes a line without an end as well: a prompt.
    pub fn expect_prompt(&mut self, pattern: &str, timeout: Duration) -> Result<Match> {
        self.expect_where(pattern, timeout, true)
    }

    fn expect_where(&mut self, pattern: &str, timeout: Duration, unfinished: bool) -> Result<Match> {
        let found = self.search(pattern, timeout, self.next, unfinished)?;
        self.next = found.0 + 1;
        Ok(found.1)
    }

    /// Waits until a line matches, wherever it stands in the log; lines may come in any order. Does not change where the
    /// next `expect` looks.
    pub fn wait_for(&self, pattern: &str, timeout: Duration) -> Result<Match> {
        self.search(pattern, timeout, 0, false).map(|found| found.1)
    }

    /// Waits until each pattern has matched some line, in any order.
    pub fn wait_for_all(&self, patterns: &[&str], timeout: Duration) -> Result<Vec<Match>> {
        let start = Instant::now();
        let each = |pattern: &&str| self.wait_for(pattern, timeout.saturating_sub(start.elapsed()));
        patterns.iter().map(each).collect()
    }

    /// Every line so far that matches.
    pub fn matches(&self, pattern: &str) -> Result<Vec<Match>> {
        let pattern = Regex::new(pattern)?;
        Ok(self
            .lines()
            .iter()
            .filter_map(|line| Match::of(&pattern, line))
            .collect())
    }

    /// Waits until QEMU has ended by itself: the machine was powered off or reset.
    pub fn wait_for_end(&mut self, timeout: Duration) -> Result<()> {
        let ended = self.console.wait(timeout, |state| state.ended.is_some().then_some(()));
        ended.ok_or_else(|| Error::StillRunning(self.waited("its end".to_owned(), timeout)))
    }

    /// Types text on the serial console; a line ends with `\n`, which goes out as the Enter key. Xen gives what is typed
    /// to the initial domain; [`Running::switch_input`] turns to Xen's own keys.
    pub fn send(&mut self, text: &str) -> Result<()> {
        let keys = text.replace('\n', "\r").into_bytes();
        for some in keys.chunks(KEYS_AT_ONCE) {
            let written = self.keyboard.write_all(some).and_then(|()| self.keyboard.flush());
            written.map_err(Error::file("type on", &self.log()))?;
            std::thread::sleep(BETWEEN_KEYS);
        }
        Ok(())
    }

    /// Ctrl-A three times: Xen gives what is typed to the next receiver (initial domain, Xen, ...).
    pub fn switch_input(&mut self) -> Result<()> {
        self.send("\u{1}\u{1}\u{1}")
    }

    /// Ends the machine at once.
    pub fn power_off(self) {
        drop(self);
    }

    fn search(&self, pattern: &str, timeout: Duration, from: usize, unfinished: bool) -> Result<(usize, Match)> {
        let regex = Regex::new(pattern)?;
        let start = Instant::now();
        let timeout = timeout.min(self.limit.saturating_sub(self.console.now()));
        let mut next = from;
        let found = self.console.wait(timeout, |state| {
            for (number, line) in state.lines.iter().enumerate().skip(next) {
                if let Some(found) = Match::of(&regex, line) {
                    return Some(Ok((number, found)));
                }
                if self.fatal.iter().any(|fatal| fatal.is_match(&line.text)) {
                    return Some(Err(line.text.clone()));
                }
            }
            next = next.max(state.lines.len());
            if !unfinished || from > state.lines.len() {
                return None;
            }
            let line = Line {
                at: self.console.now(),
                text: state.unfinished(),
            };
            Match::of(&regex, &line).map(|found| Ok((state.lines.len(), found)))
        });
        match found {
            Some(Ok(found)) => Ok(found),
            Some(Err(line)) => Err(self.fatal_line(pattern, start.elapsed(), line)),
            None => Err(self.not_seen(pattern, start.elapsed())),
        }
    }

    fn fatal_line(&self, pattern: &str, waited: Duration, line: String) -> Error {
        // What follows the line says why: give it the time that Xen takes for its register dump.
        self.console.wait(Duration::from_secs(2), |_| None::<()>);
        Error::Fatal {
            line,
            wait: self.waited(quoted(pattern), waited),
        }
    }

    fn not_seen(&self, pattern: &str, waited: Duration) -> Error {
        let mut wait = self.waited(quoted(pattern), waited);
        let Some(status) = self.console.ended() else {
            return Error::NotSeen(wait);
        };
        let own = std::fs::read_to_string(self.directory.join("qemu.log")).unwrap_or_default();
        let own: Vec<&str> = own
            .lines()
            .filter(|line| !line.contains("TCG doesn't support"))
            .collect();
        if !own.is_empty() {
            wait.tail.push_str("\nQEMU: ");
            wait.tail.push_str(&command::last_lines(&own.join("\n"), TAIL));
        }
        Error::Ended { status, wait }
    }

    fn waited(&self, awaited: String, waited: Duration) -> Box<Wait> {
        let (scenario, log, tail) = (self.scenario.clone(), self.log(), self.console.tail(TAIL));
        Box::new(Wait {
            scenario,
            awaited,
            waited,
            log,
            tail,
        })
    }

    fn log(&self) -> PathBuf {
        self.directory.join("console.log")
    }
}

fn quoted(pattern: &str) -> String {
    format!("a line that matches /{pattern}/")
}

impl Drop for Running {
    fn drop(&mut self) {
        self.console.end("ended by the testbed".to_owned());
        end(&self.child);
    }
}

/// Ends QEMU (again, if need be) and takes its exit status from the system.
fn end(child: &Mutex<Child>) -> Option<ExitStatus> {
    let mut child = child.lock().unwrap_or_else(PoisonError::into_inner);
    // Not an error: it may have ended by itself.
    let _ = child.kill();
    child.wait().ok()
}

/// The thread that starts QEMU and reads its console.
struct Reader {
    console: Console,
    log: File,
    limit: Duration,
}

type Started = Result<(Arc<Mutex<Child>>, ChildStdin)>;

impl Reader {
    fn run(mut self, mut command: Command, started: &Sender<Started>) {
        let source = match command.spawn() {
            Ok(mut child) => match (child.stdin.take(), child.stdout.take()) {
                (Some(stdin), Some(stdout)) => {
                    let child = Arc::new(Mutex::new(child));
                    let guard = Arc::clone(&child);
                    let (console, limit) = (self.console.clone(), self.limit);
                    std::thread::spawn(move || guard_limit(&console, limit, &guard));
                    // The receiver is gone only if the starting thread panicked; then nothing reads, and QEMU ends here.
                    if started.send(Ok((Arc::clone(&child), stdin))).is_ok() {
                        self.read(stdout);
                    }
                    self.ended(&child);
                    return;
                }
                _ => std::io::Error::other("no pipes"),
            },
            Err(error) => error,
        };
        let _ = started.send(Err(Error::Start {
            command: command::shown(&command),
            source,
        }));
    }

    fn read(&mut self, mut stdout: impl Read) {
        let mut buffer = [0; 16 * 1024];
        while let Ok(count @ 1..) = stdout.read(&mut buffer) {
            let finished = self.console.take_in(buffer.get(..count).unwrap_or_default());
            self.write(&finished);
        }
    }

    /// QEMU closed its console: it has ended or is about to.
    fn ended(&mut self, child: &Mutex<Child>) {
        let status = wait_a_little(child).or_else(|| end(child));
        let why = status.map_or_else(|| "no status".to_owned(), |status| status.to_string());
        let rest = self.console.end(why.clone());
        self.write(rest.as_slice());
        let _ = writeln!(
            self.log,
            "[{:>13.6}] (testbed) machine ended: {why}",
            self.console.now().as_secs_f64()
        );
    }

    fn write(&mut self, lines: &[Line]) {
        let text: String = lines.iter().map(|line| stamped(line) + "\n").collect();
        // A full disk must not stop the console.
        let _ = self.log.write_all(text.as_bytes());
    }
}

/// The exit status of a process that is ending.
fn wait_a_little(child: &Mutex<Child>) -> Option<ExitStatus> {
    for _ in 0..100 {
        if let Ok(Some(status)) = child.lock().unwrap_or_else(PoisonError::into_inner).try_wait() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    None
}

/// Ends a machine that runs for too long.
fn guard_limit(console: &Console, limit: Duration, child: &Mutex<Child>) {
    let ended = console.wait(limit.saturating_sub(console.now()), |state| {
        state.ended.is_some().then_some(())
    });
    if ended.is_none() {
        console.end(format!("ended by the testbed after {limit:.0?}"));
        end(child);
    }
}

/// Waits until no other machine of the testbed runs, in this or another process.
fn turn() -> Result<File> {
    let path = places::cache().join("machine.lock");
    std::fs::create_dir_all(places::cache()).map_err(Error::file("create", &path))?;
    let file = create(&path)?;
    file.lock().map_err(Error::file("lock", &path))?;
    Ok(file)
}

fn create(path: &Path) -> Result<File> {
    File::create(path).map_err(Error::file("create", path))
}
