//! QEMU's command line for a machine that runs Xen without hardware virtualization.
//!
//! - TCG with an AMD EPYC model: SVM with nested paging, which PVH and HVM guests need (Xen has no shadow paging as Debian
//!   builds it). `-monitor`: Xen's MWAIT idle takes a general protection fault under TCG. `-rdtscp`: under SVM, QEMU takes
//!   RDTSCP for RDTSC and a PVH Linux dies of it. `-smap` before 9.1: an IRET from ring 3 to ring 3 faults with SMAP on.
//!   XSAVE, AVX and what builds on them: a nested guest with several vCPUs now and then takes an invalid opcode at its first
//!   AVX instruction.
//! - An Intel IOMMU with interrupt remapping, which Xen uses with this CPU model as well.

use std::path::Path;
use std::process::Command;

use crate::Qemu;

/// The first QEMU in which SMAP works.
const SMAP_WORKS: (u32, u32) = (9, 1);

/// What differs from machine to machine.
#[derive(Clone, Debug)]
pub(crate) struct Hardware {
    /// Memory in MiB.
    pub(crate) memory_mib: u64,
    /// Processors.
    pub(crate) cpus: u32,
    /// Whether there is an IOMMU.
    pub(crate) iommu: bool,
    /// Arguments for further devices.
    pub(crate) arguments: Vec<String>,
}

/// What the boot loader hands over: Xen and its two multiboot modules, as files in the directory where QEMU starts.
#[derive(Clone, Debug)]
pub(crate) struct Boot<'a> {
    pub(crate) xen: &'a Path,
    pub(crate) xen_command_line: &'a str,
    /// Without blanks or commas.
    pub(crate) kernel: &'a str,
    pub(crate) kernel_command_line: &'a str,
    /// Without blanks or commas.
    pub(crate) ramdisk: Option<&'a str>,
}

/// The processor model for a QEMU of this version.
pub(crate) fn processor(version: (u32, u32)) -> &'static str {
    if version >= SMAP_WORKS {
        "EPYC,-monitor,-rdtscp,-xsave,-avx,-avx2,-fma,-f16c"
    } else {
        "EPYC,-smap,-monitor,-rdtscp,-xsave,-avx,-avx2,-fma,-f16c"
    }
}

/// Adds everything that follows the program's name.
pub(crate) fn arguments(command: &mut Command, qemu: &Qemu, hardware: &Hardware, boot: &Boot<'_>) {
    for directory in &qemu.firmware {
        command.arg("-L").arg(directory);
    }
    command.args([
        "-accel",
        "tcg,thread=multi",
        "-machine",
        "q35",
        "-cpu",
        processor(qemu.version),
    ]);
    command.arg("-m").arg(format!("{}M", hardware.memory_mib));
    command.arg("-smp").arg(hardware.cpus.to_string());
    command.args(["-nodefaults", "-display", "none", "-no-reboot"]);
    command.args(["-chardev", "stdio,id=serial,signal=off", "-serial", "chardev:serial"]);
    if hardware.iommu {
        command.args(["-device", "intel-iommu,intremap=on"]);
    }
    command.args(&hardware.arguments);
    command
        .arg("-kernel")
        .arg(boot.xen)
        .arg("-append")
        .arg(boot.xen_command_line);
    command.arg("-initrd").arg(modules(boot));
}

/// QEMU's list of multiboot modules: comma between modules, a comma within a command line doubled.
fn modules(boot: &Boot<'_>) -> String {
    let mut list = boot.kernel.to_owned();
    if !boot.kernel_command_line.is_empty() {
        list.push(' ');
        list.push_str(&boot.kernel_command_line.replace(',', ",,"));
    }
    if let Some(ramdisk) = boot.ramdisk {
        list.push(',');
        list.push_str(ramdisk);
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_keep_commas_of_the_command_line() {
        let boot = Boot {
            xen: Path::new("xen"),
            xen_command_line: "",
            kernel: "kernel",
            kernel_command_line: "console=hvc0 log=a,b",
            ramdisk: Some("ramdisk"),
        };
        assert_eq!(modules(&boot), "kernel console=hvc0 log=a,,b,ramdisk");
        assert_eq!(
            modules(&Boot {
                kernel_command_line: "",
                ramdisk: None,
                ..boot
            }),
            "kernel"
        );
    }

    #[test]
    fn smap_is_off_where_it_does_not_work() {
        assert_eq!(
            processor((7, 2)),
            "EPYC,-smap,-monitor,-rdtscp,-xsave,-avx,-avx2,-fma,-f16c"
        );
        assert_eq!(processor((10, 0)), "EPYC,-monitor,-rdtscp,-xsave,-avx,-avx2,-fma,-f16c");
    }
}
