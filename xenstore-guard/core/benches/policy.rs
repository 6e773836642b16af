//! Nanoseconds of a decision of the policy: `cargo bench -p xenstore-guard-core --bench policy`.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

use xen::DomId;
use xenstore_guard_core::policy::{Kind, Policy};

const ROUNDS: u32 = 2_000_000;
/// Domains that are known beside those that ask.
const GUESTS: u16 = 1000;

fn main() {
    let mut text = String::from(
        "[host]\nname = \"bench\"\n\
         [[domain]]\nname = \"net\"\nkernel = \"k\"\nmemory = 8\nroles = [\"driver\"]\nserves = [\"vbd\", \"vif\"]\n\
         [[domain]]\nname = \"desk\"\nkernel = \"k\"\nmemory = 8\nroles = [\"management\"]\nstore-access = [\n",
    );
    for number in 0..63 {
        writeln!(
            text,
            "    {{ path = \"/local/domain/*/data/report-{number}/**\", access = \"read\" }},"
        )
        .unwrap();
    }
    text.push_str("    { path = \"/local/domain/*/control/shutdown\", access = \"write\" },\n]\n");
    let host = manifest::toml::read(&text, "bench.toml").unwrap();
    let mut policy = Policy::from_manifest(&host.manifest(Vec::new()));
    policy.assign(DomId(2), "net");
    policy.assign(DomId(3), "desk");
    for number in 10..10 + GUESTS {
        policy.assign(DomId(number), "guest");
    }
    for (what, domid, kind, path) in [
        ("own home, read", 700, Kind::Read, "/local/domain/700/memory/target"),
        ("own home, write", 700, Kind::Write, "/local/domain/700/data/report"),
        (
            "frontend writes its state",
            700,
            Kind::Write,
            "/local/domain/700/device/vif/0/state",
        ),
        (
            "frontend reads its backend",
            700,
            Kind::Read,
            "/local/domain/2/backend/vif/700/0/state",
        ),
        (
            "driver writes its backend",
            2,
            Kind::Write,
            "/local/domain/2/backend/vif/700/0/state",
        ),
        (
            "driver reads a frontend",
            2,
            Kind::Read,
            "/local/domain/700/device/vif/0/state",
        ),
        ("denied: private", 700, Kind::Read, "/local/domain/701/data/report"),
        (
            "denied: wiring",
            700,
            Kind::Write,
            "/local/domain/700/device/vif/0/backend",
        ),
        (
            "delegated, the last of 64",
            3,
            Kind::Write,
            "/local/domain/700/control/shutdown",
        ),
        ("the builder", 0, Kind::Write, "/local/domain/700/device/vif/0/backend"),
    ] {
        let began = Instant::now();
        for _ in 0..ROUNDS {
            black_box(policy.decide(black_box(DomId(domid)), black_box(kind), black_box(path)));
        }
        let ns = began.elapsed().as_secs_f64() * 1e9 / f64::from(ROUNDS);
        println!(
            "{what:30} {ns:6.1} ns  {}",
            policy.decide(DomId(domid), kind, path).rule
        );
    }
}
