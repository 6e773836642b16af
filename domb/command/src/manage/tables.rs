//! What is printed: as `xl` prints it, where `xl` has such a table.

use std::fmt::Write as _;

use domb_core::management::{DomainEntry, HostReport, LogLine, VcpuEntry};

const SECOND_NS: u64 = 1_000_000_000;

/// `xl list`.
pub(super) fn domains(domains: &[DomainEntry]) -> String {
    let mut text = format!(
        "{:<40} {:>5} {:>5} {:>5}\tState\tTime(s)\n",
        "Name", "ID", "Mem", "VCPUs"
    );
    for domain in domains {
        let _ = writeln!(
            text,
            "{:<40} {:>5} {:>5} {:>5}     {:<6}  {:>6}.{}",
            domain.name,
            domain.domid,
            domain.memory_kib.div_ceil(1024),
            domain.vcpus,
            domain.state,
            domain.cpu_time_ns / SECOND_NS,
            domain.cpu_time_ns % SECOND_NS / (SECOND_NS / 10),
        );
    }
    text
}

/// `xl info`.
pub(super) fn host(host: &HostReport) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<23}: {value}");
    };
    line("host", host.name.clone());
    line("domb_version", host.domb.clone());
    line("nr_cpus", host.cpus.to_string());
    line("total_memory", (host.memory_kib / 1024).to_string());
    line("free_memory", (host.free_kib / 1024).to_string());
    let virtualisation = [(host.hvm, "hvm"), (host.iommu, "hvm_directio")];
    let has: Vec<&str> = [(true, "pv")]
        .into_iter()
        .chain(virtualisation)
        .filter_map(|(has, name)| has.then_some(name))
        .collect();
    line("virt_caps", has.join(" "));
    line("xen_major", host.xen.major.to_string());
    line("xen_minor", host.xen.minor.to_string());
    line("xen_extra", host.xen.extra.clone());
    line(
        "xen_version",
        format!("{}.{}{}", host.xen.major, host.xen.minor, host.xen.extra),
    );
    let digest: String = host.manifest.iter().map(|byte| format!("{byte:02x}")).collect();
    line("manifest_sha256", digest);
    text
}

/// `xl vcpu-list`.
pub(super) fn vcpus(domains: &[(DomainEntry, Vec<VcpuEntry>)], cpus: u32) -> String {
    let mut text = format!(
        "{:<32} {:>5} {:>5} {:>5} {:>5} {:>9} Affinity (Hard)\n",
        "Name", "ID", "VCPU", "CPU", "State", "Time(s)"
    );
    for (domain, vcpus) in domains {
        for vcpu in vcpus {
            let cpu = if vcpu.online {
                vcpu.cpu.to_string()
            } else {
                "-".to_owned()
            };
            let state = match (vcpu.online, vcpu.running, vcpu.blocked) {
                (false, ..) => "--p",
                (_, true, _) => "r--",
                (_, _, true) => "-b-",
                _ => "---",
            };
            let _ = writeln!(
                text,
                "{:<32} {:>5} {:>5} {:>5}   {state} {:>7}.{} {}",
                domain.name,
                domain.domid,
                vcpu.vcpu,
                cpu,
                vcpu.cpu_time_ns / SECOND_NS,
                vcpu.cpu_time_ns % SECOND_NS / (SECOND_NS / 10),
                affinity(&vcpu.affinity, cpus),
            );
        }
    }
    text
}

/// CPUs as `xl` writes them: `all`, or numbers and ranges.
fn affinity(bits: &[u8], cpus: u32) -> String {
    let has = |cpu: u32| {
        let byte = bits.get(cpu as usize / 8);
        byte.is_some_and(|byte| byte & (1 << (cpu % 8)) != 0)
    };
    if (0..cpus).all(has) {
        return "all".to_owned();
    }
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for cpu in (0..cpus).filter(|cpu| has(*cpu)) {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == cpu => *last = cpu,
            _ => ranges.push((cpu, cpu)),
        }
    }
    let texts = ranges.iter().map(|(first, last)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        }
    });
    texts.collect::<Vec<_>>().join(",")
}

/// `xl uptime`.
pub(super) fn uptime(domains: &[DomainEntry], now_ns: u64) -> String {
    let mut text = format!("{:<33} {:>5} {}\n", "Name", "ID", "Uptime");
    for domain in domains {
        let seconds = now_ns.saturating_sub(domain.started_ns) / SECOND_NS;
        let (days, rest) = (seconds / 86_400, seconds % 86_400);
        let clock = format!("{:>2}:{:02}:{:02}", rest / 3600, rest % 3600 / 60, rest % 60);
        let days = match days {
            0 => String::new(),
            1 => "1 day, ".to_owned(),
            days => format!("{days} days, "),
        };
        let _ = writeln!(text, "{:<33} {:>5} {days}{clock}", domain.name, domain.domid);
    }
    text
}

/// Lines of domb's log.
pub(super) fn log(lines: &[LogLine]) -> String {
    let mut text = String::new();
    for line in lines {
        let level = match line.level {
            1 => "error: ",
            2 => "warning: ",
            4 => "debug: ",
            5 => "trace: ",
            _ => "",
        };
        let micros = line.system_time_ns / 1000;
        let _ = writeln!(
            text,
            "[{:5}.{:06}] {level}{}",
            micros / 1_000_000,
            micros % 1_000_000,
            line.text
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn affinities_are_written_as_xl_writes_them() {
        assert_eq!(affinity(&[0xff], 4), "all");
        assert_eq!(affinity(&[0b0000_0111], 4), "0-2");
        assert_eq!(affinity(&[0b1000_1011, 1], 12), "0-1,3,7-8");
        assert_eq!(affinity(&[], 2), "");
    }
}
