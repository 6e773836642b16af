//! How fast the core is by itself, without sockets and rings: nanoseconds for a read, a write and a builder's transaction,
//! and how much memory the trees of 1000 guests take. `cargo run --release -p xenstore-guard-core --example core_speed`

use std::io::Write;
use std::time::Instant;

use xen::store::wire::{self, HEADER_BYTES, Header};
use xenstore_guard_core::{Change, Config, ConnectionId, DomId, Environment, Operation, Peer, Server, StoreError};

/// What a toolstack writes for a domain, below its home (peers' builder-bench.c writes the same).
const KEYS: [&str; 20] = [
    "name",
    "domid",
    "vm",
    "cpu/0/availability",
    "memory/target",
    "memory/static-max",
    "memory/videoram",
    "control/shutdown",
    "control/feature-poweroff",
    "control/feature-reboot",
    "control/feature-suspend",
    "device/vif/0/backend",
    "device/vif/0/backend-id",
    "device/vif/0/state",
    "device/vif/0/mac",
    "device/vbd/51712/backend",
    "device/vbd/51712/state",
    "console/ring-ref",
    "console/port",
    "store/port",
];

struct Host(Instant);

impl Environment for Host {
    fn introduce(&mut self, _: DomId, _: u64, _: u32) -> Result<(), StoreError> {
        Ok(())
    }
    fn release(&mut self, _: DomId) {}
    fn now(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
    fn journal(&mut self, _: &Change<'_>) {}
    fn keeps_journal(&self) -> bool {
        false
    }
    fn control(&mut self, _: &[&[u8]]) -> Option<Result<Vec<u8>, StoreError>> {
        None
    }
}

struct Client {
    server: Server,
    host: Host,
    id: ConnectionId,
    /// The request, and the answer to it.
    message: Vec<u8>,
    answer: Vec<u8>,
}

impl Client {
    /// Sends a request that is ready and takes the answer; whether it succeeded.
    fn ask(&mut self, message: &[u8]) -> bool {
        self.server
            .receive(self.id, message)
            .expect("the server takes requests");
        assert!(self.server.process(self.id, &mut self.host));
        self.answer.clear();
        self.answer.extend_from_slice(self.server.output(self.id));
        self.server.sent(self.id, self.answer.len());
        self.answer
            .first()
            .is_some_and(|&operation| u32::from(operation) != Operation::Error as u32)
    }

    /// Makes a request, sends it and takes the answer; whether it succeeded.
    fn request(&mut self, operation: Operation, transaction: u32, payload: std::fmt::Arguments<'_>) -> bool {
        let mut message = std::mem::take(&mut self.message);
        message.clear();
        message.extend_from_slice(&[0; HEADER_BYTES]);
        message.write_fmt(payload).expect("a vector takes all");
        let header = Header {
            operation: operation as u32,
            request: 1,
            transaction,
            length: u32::try_from(message.len() - HEADER_BYTES).expect("short"),
        };
        message[..HEADER_BYTES].copy_from_slice(&header.encode());
        let succeeded = self.ask(&message);
        self.message = message;
        succeeded
    }

    fn must(&mut self, operation: Operation, transaction: u32, payload: std::fmt::Arguments<'_>) {
        assert!(
            self.request(operation, transaction, payload),
            "{} {payload}",
            operation.name()
        );
    }

    fn begin(&mut self) -> u32 {
        self.must(Operation::TransactionStart, 0, format_args!("\0"));
        let number = self.answer.get(HEADER_BYTES..self.answer.len() - 1).unwrap_or_default();
        std::str::from_utf8(number).unwrap().parse().unwrap()
    }

    /// A builder's transaction: 24 operations and the beginning and end of it.
    fn build(&mut self, domid: usize) {
        let number = self.begin();
        // There is nothing to be removed, nor, at first, what it would be in.
        self.request(Operation::Rm, number, format_args!("/local/domain/{domid}\0"));
        self.must(Operation::Mkdir, number, format_args!("/local/domain/{domid}\0"));
        self.must(
            Operation::SetPermissions,
            number,
            format_args!("/local/domain/{domid}\0n{domid}\0"),
        );
        for key in KEYS {
            self.must(
                Operation::Write,
                number,
                format_args!("/local/domain/{domid}/{key}\0value-123"),
            );
        }
        self.must(Operation::TransactionEnd, number, format_args!("T\0"));
    }

    /// The median of many turns: what else runs on the machine takes part in few of them.
    fn time(&mut self, label: &str, turns: u32, in_a_turn: u32, mut work: impl FnMut(&mut Self, u32)) -> f64 {
        let mut times: Vec<f64> = (0..turns)
            .map(|turn| {
                let start = Instant::now();
                for index in 0..in_a_turn {
                    work(self, turn * in_a_turn + index);
                }
                start.elapsed().as_secs_f64() * 1e9 / f64::from(in_a_turn)
            })
            .collect();
        times.sort_by(f64::total_cmp);
        let each = times.get(times.len() / 2).copied().unwrap_or_default();
        println!("{label:<60} {each:>9.0} ns");
        each
    }
}

/// Bytes of memory that this process has.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line
        .and_then(|line| line.trim().strip_suffix(" kB"))
        .and_then(|kib| kib.trim().parse::<usize>().ok());
    kib.unwrap_or_default() * 1024
}

fn client() -> Client {
    let mut server = Server::new(Config::default());
    let id = server.connect(Peer::Socket).unwrap();
    Client {
        server,
        host: Host(Instant::now()),
        id,
        message: Vec::new(),
        answer: Vec::new(),
    }
}

fn main() {
    // So that the program itself is in memory.
    let mut first = client();
    guests(&mut first, 10);
    let before = resident();
    let mut client = client();
    guests(&mut client, 1000);
    let after = resident();
    println!(
        "memory of 1000 guests' trees (52 nodes each)                 {:>9} KiB",
        after.saturating_sub(before) / 1024
    );
    drop(client);
    speed();
}

/// The nodes of guests and of their backends.
fn guests(client: &mut Client, count: usize) {
    for domid in 1..=count {
        client.must(Operation::Mkdir, 0, format_args!("/local/domain/{domid}\0"));
        client.build(domid);
        for key in ["frontend", "frontend-id", "online", "state", "params", "mode", "bridge"] {
            for class in ["vif", "vbd"] {
                let home = "/local/domain/0/backend";
                client.must(
                    Operation::Write,
                    0,
                    format_args!("{home}/{class}/{domid}/0/{key}\0value-123"),
                );
            }
        }
    }
}

fn speed() {
    let mut client = client();
    client.must(Operation::Write, 0, format_args!("/bench/a\0x"));
    let read = wire::message(Operation::Read, 1, 0, &[b"/bench/a\0"]);
    let write = wire::message(Operation::Write, 1, 0, &[b"/bench/a\0y"]);
    let deep = wire::message(Operation::Read, 1, 0, &[b"/local/domain/1500/device/vif/0/state\0"]);
    let deep_write = wire::message(Operation::Write, 1, 0, &[b"/local/domain/1500/device/vif/0/state\x004"]);
    for _ in 0..20_000 {
        client.ask(&read);
    }
    client.time("read", 400, 500, |client, _| {
        client.ask(&read);
    });
    client.time("write", 400, 500, |client, _| {
        client.ask(&write);
    });
    let build = |client: &mut Client, first: usize, last: usize| {
        let count = u32::try_from(last - first + 1).unwrap();
        let label = format!("builder transaction (24 operations), domains {first}-{last}");
        client.time(&label, count, 1, |client, index| client.build(first + index as usize))
    };
    let early = build(&mut client, 1, 100);
    build(&mut client, 101, 2000);
    let late = build(&mut client, 2001, 3000);
    println!("{:<60} {:>9.2}", "  late to early", late / early);
    assert!(client.ask(&deep));
    client.time("read, six levels deep among 3000 domains", 400, 500, |client, _| {
        client.ask(&deep);
    });
    client.time("write, six levels deep among 3000 domains", 400, 500, |client, _| {
        client.ask(&deep_write);
    });
    client.time("a domain comes and goes among 3000 others", 50, 1, |client, _| {
        come_and_go(client);
    });
    let alone = client.time("write among 3000 domains", 400, 500, |client, _| {
        client.ask(&write);
    });
    let watcher = client.server.connect(Peer::Socket).unwrap();
    for domid in 1..=1000 {
        let path = format!("/local/domain/{domid}/control\0{domid}\0");
        let message = wire::message(Operation::Watch, 1, 0, &[path.as_bytes()]);
        client.server.receive(watcher, &message).unwrap();
        client.server.process(watcher, &mut client.host);
        let waiting = client.server.output(watcher).len();
        client.server.sent(watcher, waiting);
    }
    let watched = client.time("write with 1000 unrelated watches", 400, 500, |client, _| {
        client.ask(&write);
    });
    println!("{:<60} {:>9.2}", "  to a write without", watched / alone);
    client.time(
        "16 builders at once, all their transactions",
        100,
        1,
        |client, index| {
            concurrent(client, 10_000 + 16 * index as usize);
        },
    );
}

/// Introduces and releases a domain, whose nodes and permissions may be anywhere.
fn come_and_go(client: &mut Client) {
    client.must(Operation::Introduce, 0, format_args!("9999\x001\x001\0"));
    client.must(Operation::Release, 0, format_args!("9999\0"));
}

/// Sixteen transactions that are open at the same time, each about a domain of its own. None may fail.
fn concurrent(client: &mut Client, first: usize) {
    let numbers: Vec<(usize, u32)> = (first..first + 16).map(|domid| (domid, client.begin())).collect();
    for key in KEYS {
        for &(domid, number) in &numbers {
            client.must(
                Operation::Write,
                number,
                format_args!("/local/domain/{domid}/{key}\0value-123"),
            );
        }
    }
    for (_, number) in numbers {
        client.must(Operation::TransactionEnd, number, format_args!("T\0"));
    }
}
