//! Every key that `xl create` of Xen 4.17 to 4.20 knows (Xen's tools/xl/xl_parse.c), and what becomes of it here.

/// What becomes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// It is part of the guest's configuration.
    Honoured,
    /// It is accepted with the values that say what is so anyway; with others it is refused for this reason.
    Only(Accepted, &'static str),
    /// It is refused for this reason.
    Refused(&'static str),
}

/// Values that say what is so anyway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accepted {
    /// The number 0.
    Off,
    /// A number that is not 0.
    On,
    /// Any number.
    Flag,
    /// This number.
    Number(i64),
    /// One of these texts.
    Texts(&'static [&'static str]),
    /// A list without items.
    EmptyList,
}

use Accepted::{EmptyList, Flag, Number, Off, On, Texts};
use Rule::{Honoured, Only, Refused};

const HVM: &str = "only HVM guests have it, and domb builds PVH and PV guests";
const EMULATED: &str = "it configures a device model, and domb starts none";
const DISPLAY: &str = "there are no displays; the guest's console is hvc0";
const ARM: &str = "only guests on Arm have it";
const HARDWARE: &str = "domb gives guests no hardware yet";
const OTHER_DEVICE: &str = "domb connects disks and network interfaces only";
const SCHEDULER: &str = "domb leaves Xen's scheduler at its defaults";
const LIMITS: &str = "domb sets Xen's limits itself, the same for every guest";
const FLASK: &str = "domb runs on Xen without FLASK, where domains have no labels";
const CLOCK: &str = "the guest's clock is UTC";
const POLICY: &str = "every guest has the processor that Xen's default policy gives it";
const SHIM: &str = "domb starts no shim; type = \"pvh\" with a kernel that can be one keeps the guest apart as well";
const BOOTLOADER: &str = "domb runs no program on a guest's disk; give kernel and ramdisk, or the file of a pvgrub as kernel \
                          (grub-x86_64-xen.bin for pv, grub-i386-xen_pvh.bin for pvh), which reads the guest's own menu";

/// The keys in the order of their names.
pub(super) const KEYS: &[(&str, Rule)] = &[
    ("acpi", Only(On, "domb gives every PVH guest ACPI tables")),
    ("acpi_firmware", Refused(HVM)),
    ("acpi_laptop_slate", Only(Off, HVM)),
    ("acpi_s3", Only(Off, HVM)),
    ("acpi_s4", Only(Off, HVM)),
    ("altp2m", Only(Texts(&["disabled", "0"]), POLICY)),
    ("altp2mhvm", Only(Off, POLICY)),
    ("apic", Only(On, "every PVH guest has a local APIC")),
    ("bios", Refused(HVM)),
    ("bios_path_override", Refused(HVM)),
    ("boot", Refused(HVM)),
    ("bootloader", Refused(BOOTLOADER)),
    ("bootloader_args", Refused(BOOTLOADER)),
    ("bootloader_restrict", Refused(BOOTLOADER)),
    ("bootloader_user", Refused(BOOTLOADER)),
    ("builder", Honoured),
    ("cap", Only(Number(0), SCHEDULER)),
    ("channel", Only(EmptyList, OTHER_DEVICE)),
    ("cmdline", Honoured),
    ("cpu_weight", Only(Number(256), SCHEDULER)),
    ("cpuid", Only(Texts(&["host"]), POLICY)),
    ("cpus", Honoured),
    ("cpus_soft", Honoured),
    ("device_model", Refused(EMULATED)),
    ("device_model_args", Only(EmptyList, EMULATED)),
    ("device_model_args_hvm", Only(EmptyList, EMULATED)),
    ("device_model_args_pv", Only(EmptyList, EMULATED)),
    ("device_model_override", Refused(EMULATED)),
    ("device_model_stubdomain_override", Only(Off, EMULATED)),
    ("device_model_stubdomain_seclabel", Refused(EMULATED)),
    ("device_model_user", Refused(EMULATED)),
    ("device_model_version", Refused(EMULATED)),
    ("device_tree", Refused(ARM)),
    ("disk", Honoured),
    ("display", Refused(DISPLAY)),
    ("dm_restrict", Only(Off, EMULATED)),
    (
        "driver_domain",
        Only(
            Off,
            "driver domains stand in the host's manifest: roles = [\"driver\"] and serves",
        ),
    ),
    ("dtdev", Only(EmptyList, ARM)),
    ("e820_host", Only(Off, HARDWARE)),
    ("extra", Honoured),
    ("extratime", Refused(SCHEDULER)),
    (
        "firmware",
        Refused(
            "domb knows no directory of firmware; give the file of the pvgrub as kernel (pvgrub64: grub-x86_64-xen.bin)",
        ),
    ),
    ("firmware_override", Refused(HVM)),
    ("gfx_passthru", Only(Off, HVM)),
    ("gic_version", Refused(ARM)),
    ("hap", Only(On, "domb builds PVH guests with hardware-assisted paging")),
    ("hdtype", Refused(HVM)),
    ("hpet", Only(Off, HVM)),
    ("hvm_pirq", Only(Off, HVM)),
    ("init_seclabel", Refused(FLASK)),
    ("iomem", Only(EmptyList, HARDWARE)),
    ("ioports", Only(EmptyList, HARDWARE)),
    ("irqs", Only(EmptyList, HARDWARE)),
    ("kernel", Honoured),
    ("keymap", Refused(DISPLAY)),
    ("latency", Refused(SCHEDULER)),
    ("llc_colors", Only(EmptyList, ARM)),
    ("localtime", Only(Off, CLOCK)),
    ("max_event_channels", Refused(LIMITS)),
    ("max_grant_frames", Refused(LIMITS)),
    ("max_grant_version", Refused(LIMITS)),
    ("max_maptrack_frames", Refused(LIMITS)),
    ("maxmem", Honoured),
    ("maxvcpus", Honoured),
    ("mca_caps", Only(EmptyList, HVM)),
    ("memory", Honoured),
    ("mmio_hole", Refused(HVM)),
    ("ms_vm_genid", Only(Texts(&["none"]), HVM)),
    ("msr_relaxed", Only(Off, POLICY)),
    ("name", Honoured),
    ("nestedhvm", Only(Off, POLICY)),
    ("nographic", Only(On, DISPLAY)),
    ("nomigrate", Only(Flag, "no guest is migrated")),
    ("nr_spis", Refused(ARM)),
    ("nx", Only(On, "every guest can mark pages as not executable")),
    ("on_crash", Honoured),
    ("on_poweroff", Honoured),
    ("on_reboot", Honoured),
    ("on_soft_reset", Honoured),
    ("on_watchdog", Honoured),
    ("oos", Refused("domb leaves shadow paging to Xen")),
    ("opengl", Only(Off, DISPLAY)),
    ("p9", Only(EmptyList, OTHER_DEVICE)),
    ("pae", Only(On, "every guest has 64 bits")),
    ("passthrough", Only(Texts(&["disabled", "default"]), HARDWARE)),
    ("pci", Only(EmptyList, HARDWARE)),
    ("pci_msitranslate", Only(Off, HARDWARE)),
    ("pci_permissive", Only(Off, HARDWARE)),
    ("pci_power_mgmt", Only(Off, HARDWARE)),
    ("pci_seize", Only(Off, HARDWARE)),
    ("period", Refused(SCHEDULER)),
    ("pool", Only(Texts(&["Pool-0"]), "there is one CPU pool, Pool-0")),
    ("pvcalls", Only(EmptyList, OTHER_DEVICE)),
    ("pvshim", Only(Off, SHIM)),
    ("pvshim_cmdline", Refused(SHIM)),
    ("pvshim_extra", Refused(SHIM)),
    ("pvshim_path", Refused(SHIM)),
    ("ramdisk", Honoured),
    ("rdm", Refused(HARDWARE)),
    ("rdm_mem_boundary", Refused(HVM)),
    ("root", Honoured),
    ("rtc_timeoffset", Only(Number(0), CLOCK)),
    ("sdl", Only(Off, DISPLAY)),
    ("seclabel", Refused(FLASK)),
    (
        "serial",
        Only(
            EmptyList,
            "PVH and PV guests have no serial port; their console is hvc0",
        ),
    ),
    (
        "shadow_memory",
        Refused("domb computes what Xen needs for the guest's page tables"),
    ),
    ("slice", Refused(SCHEDULER)),
    ("smbios", Only(EmptyList, HVM)),
    ("smbios_firmware", Refused(HVM)),
    ("soundhw", Refused(HVM)),
    ("spice", Only(Off, DISPLAY)),
    ("spice_clipboard_sharing", Only(Off, DISPLAY)),
    ("spice_image_compression", Refused(DISPLAY)),
    ("spice_streaming_video", Refused(DISPLAY)),
    ("spiceagent_mouse", Only(Off, DISPLAY)),
    ("spicedisable_ticketing", Only(Off, DISPLAY)),
    ("spicehost", Refused(DISPLAY)),
    ("spicepasswd", Refused(DISPLAY)),
    ("spiceport", Refused(DISPLAY)),
    ("spicetls_port", Refused(DISPLAY)),
    ("spiceusbredirection", Only(Off, DISPLAY)),
    ("spicevdagent", Only(Off, DISPLAY)),
    ("stdvga", Only(Off, HVM)),
    ("stubdomain_cmdline", Refused(EMULATED)),
    ("stubdomain_kernel", Refused(EMULATED)),
    ("stubdomain_memory", Refused(EMULATED)),
    ("stubdomain_ramdisk", Refused(EMULATED)),
    ("sve", Refused(ARM)),
    ("tee", Only(Texts(&["none"]), ARM)),
    ("timer_mode", Refused("domb leaves timers as Xen has them")),
    ("tsc_mode", Only(Texts(&["default", "0"]), POLICY)),
    ("type", Honoured),
    ("usb", Only(Off, HVM)),
    ("usbctrl", Only(EmptyList, OTHER_DEVICE)),
    ("usbdev", Only(EmptyList, OTHER_DEVICE)),
    ("usbdevice", Only(EmptyList, HVM)),
    ("usbversion", Refused(HVM)),
    ("uuid", Honoured),
    ("vcpus", Honoured),
    ("vdispl", Only(EmptyList, OTHER_DEVICE)),
    ("vendor_device", Only(Texts(&["none"]), HVM)),
    ("vfb", Only(EmptyList, DISPLAY)),
    ("vga", Only(Texts(&["none"]), HVM)),
    ("videoram", Refused(HVM)),
    ("vif", Honoured),
    (
        "vif2",
        Only(
            EmptyList,
            "xl does not know these interfaces either; vif has the others",
        ),
    ),
    ("viridian", Only(Off, HVM)),
    ("virtio", Only(EmptyList, OTHER_DEVICE)),
    ("vkb", Only(EmptyList, OTHER_DEVICE)),
    ("vkb_device", Only(Off, HVM)),
    ("vmtrace_buf_kb", Only(Off, POLICY)),
    ("vnc", Only(Off, DISPLAY)),
    ("vncdisplay", Refused(DISPLAY)),
    ("vnclisten", Refused(DISPLAY)),
    ("vncpasswd", Refused(DISPLAY)),
    ("vncunused", Only(Off, DISPLAY)),
    ("vncviewer", Only(Off, DISPLAY)),
    ("vnuma", Only(EmptyList, "domb gives guests one memory node")),
    ("vpmu", Only(Off, ARM)),
    ("vpt_align", Refused(HVM)),
    ("vsnd", Only(EmptyList, OTHER_DEVICE)),
    (
        "vtpm",
        Only(
            EmptyList,
            "its backends are TPM 1.2 for xen-tpmfront; a guest's TPM here is a 2.0 one and not given by this key",
        ),
    ),
    ("vuart", Refused(ARM)),
    ("xauthority", Refused(DISPLAY)),
    ("xen_platform_pci", Only(Off, HVM)),
    (
        "xend_suspend_evtchn_compat",
        Only(Off, "domb writes the nodes of the suspend event channel as xl does"),
    ),
];

/// Keys of xl.conf, which people take for keys of a guest.
pub(super) const HOST_KEYS: &[&str] = &[
    "autoballoon",
    "blkdev_start",
    "claim_mode",
    "colo.default.proxyscript",
    "defaultbridge",
    "domid_policy",
    "lockfile",
    "output_format",
    "remus.default.netbufscript",
    "run_hotplug_scripts",
    "vif.default.backend",
    "vif.default.bridge",
    "vif.default.gatewaydev",
    "vif.default.script",
    "vifscript",
    "vm.cpumask",
    "vm.hvm.cpumask",
    "vm.pv.cpumask",
];

/// What becomes of the key of this name; `None` if xl does not know it.
pub(super) fn rule(key: &str) -> Option<Rule> {
    let index = KEYS.binary_search_by(|(name, _)| (*name).cmp(key)).ok()?;
    KEYS.get(index).map(|(_, rule)| *rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_stands_once_and_is_found() {
        assert!(KEYS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (key, expected) in KEYS {
            assert_eq!(rule(key), Some(*expected));
        }
        assert_eq!(rule("memroy"), None);
        assert!(HOST_KEYS.iter().all(|key| rule(key).is_none()));
    }

    #[test]
    fn each_refusal_has_a_reason() {
        for (key, rule) in KEYS {
            if let Only(_, reason) | Refused(reason) = rule {
                assert!(reason.len() > 10, "{key}");
            }
        }
    }
}
