//! Both ends of this crate against Xen's own library, over a file. Where gcc or the library's archive is not installed, the test
//! says that it skips.

use std::eprintln;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use super::MappedPage;
use crate::PAGE_SIZE;
use crate::ring::SharedPage;
use crate::vchan::{Change, End, Orders, Server, SharedPages, Transfer};

const ARCHIVE: &str = "/usr/lib/x86_64-linux-gnu/libxenvchan.a";
struct FilePages(Vec<MappedPage>);

impl SharedPages for FilePages {
    fn page(&self, number: usize) -> Option<SharedPage<'_>> {
        self.0.get(number).map(MappedPage::shared_page)
    }
}

impl FilePages {
    fn new(path: &Path, count: usize) -> Self {
        let file = File::options()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(path)
            .unwrap();
        file.set_len((count * PAGE_SIZE) as u64).unwrap();
        let page = |number| MappedPage::map(&file, (number * PAGE_SIZE) as u64, path).unwrap();
        Self((0..count).map(page).collect())
    }
}

/// Builds the program; none when something that it needs is not installed.
fn build(folder: &Path) -> Option<PathBuf> {
    if !Path::new(ARCHIVE).exists() || Command::new("gcc").arg("--version").output().is_err() {
        eprintln!("skipped: gcc or {ARCHIVE} is not installed");
        return None;
    }
    let program = folder.join("peer");
    let mut gcc = Command::new("gcc");
    gcc.arg("-o").arg(&program).args(["-xc", "-", "-xnone"]).arg(ARCHIVE);
    // Its events are counted, not sent. The other libraries are asked for nothing.
    gcc.arg("-Wl,--wrap=xenevtchn_notify");
    gcc.args(["-lxenevtchn", "-lxengnttab", "-lxenstore"]);
    let mut child = gcc.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(include_bytes!("peer.c")).unwrap();
    assert!(child.wait().unwrap().success(), "gcc");
    Some(program)
}

struct Peer {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    fn start(program: &Path, pages: &Path, role: &str, orders: Orders) -> Self {
        let mut child = Command::new(program)
            .arg(pages)
            .arg(role)
            .args([orders.left().to_string(), orders.right().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let mut peer = Self { child, answers };
        assert_eq!(peer.answer(), (0, false));
        peer
    }

    fn ask(&mut self, command: char, count: usize) -> (usize, bool) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{command} {count}").unwrap();
        self.answer()
    }

    fn answer(&mut self) -> (usize, bool) {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        let (bytes, events) = line
            .trim()
            .split_once(' ')
            .expect("libxenvchan read what was not written");
        (bytes.parse().expect("the channel is open"), events != "0")
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

enum Ours {
    Server(Server),
    Client(End),
}

impl Ours {
    fn read(&mut self, pages: &FilePages, buffer: &mut [u8]) -> Transfer {
        match self {
            Self::Server(end) => end.read(pages, buffer).unwrap(),
            Self::Client(end) => end.read(pages, buffer).unwrap(),
        }
    }

    fn write(&mut self, pages: &FilePages, bytes: &[u8]) -> Transfer {
        match self {
            Self::Server(end) => end.write(pages, bytes).unwrap(),
            Self::Client(end) => end.write(pages, bytes).unwrap(),
        }
    }
}

/// The same streams and sizes in every run.
struct Sizes(u64);

impl Sizes {
    fn next(&mut self) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % 5000 + 1
    }
}

fn stream(length: usize) -> Vec<u8> {
    (0..length as u64).map(|at| (at * 31 / 8).to_le_bytes()[0]).collect()
}

/// Both write and read so many bytes, each only after an event of the other, until it can do no more.
fn converse(pages: &FilePages, mut ours: Ours, mut peer: Peer, total: usize) {
    let whole = stream(total);
    let mut sizes = Sizes(total as u64);
    let (mut sent, mut got, mut their_sent, mut their_got) = (0, 0, 0, 0);
    let (mut wake_us, mut wake_them) = (true, true);
    while got < total || their_got < total {
        assert!(wake_us || wake_them, "both wait: {got} and {their_got} of {total}");
        if core::mem::take(&mut wake_us) {
            loop {
                let piece = &whole[sent..total.min(sent + sizes.next())];
                let done = ours.write(pages, piece);
                sent += done.bytes;
                wake_them |= done.notify;
                if done.bytes < piece.len() || sent == total {
                    break;
                }
            }
            loop {
                let mut buffer = vec![0; sizes.next()];
                let done = ours.read(pages, &mut buffer);
                assert_eq!(buffer[..done.bytes], whole[got..got + done.bytes]);
                got += done.bytes;
                wake_them |= done.notify;
                if done.bytes < buffer.len() {
                    break;
                }
            }
        }
        if core::mem::take(&mut wake_them) {
            while their_sent < total {
                let count = sizes.next().min(total - their_sent);
                let (done, event) = peer.ask('w', count);
                their_sent += done;
                wake_us |= event;
                if done < count {
                    break;
                }
            }
            loop {
                let (done, event) = peer.ask('r', sizes.next());
                their_got += done;
                wake_us |= event;
                if done == 0 {
                    break;
                }
            }
        }
    }
}

#[test]
fn xens_own_library_talks_to_either_end() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = build(folder.path()) else { return };
    for (left, right) in [(10, 11), (11, 10), (12, 10), (11, 13), (13, 12)] {
        let orders = Orders::new(left, right).unwrap();
        let path = folder.path().join("pages");
        let pages = FilePages::new(&path, orders.pages());
        let mut server = Server::offer(&pages, orders, &[]);
        let peer = Peer::start(&program, &path, "client", orders);
        assert_eq!(server.look(&pages), Change::Came);
        converse(&pages, Ours::Server(server), peer, 60_000);

        let pages = FilePages::new(&path, orders.pages());
        let peer = Peer::start(&program, &path, "server", orders);
        let first = pages.page(0).unwrap();
        assert!(End::is_offered(first));
        assert_eq!(End::orders(first), Ok(orders));
        converse(&pages, Ours::Client(End::connect(first, orders)), peer, 60_000);
    }
}
