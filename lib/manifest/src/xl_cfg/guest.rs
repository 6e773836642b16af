//! From settings to a guest's configuration.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use super::reader::Reader;
use super::syntax::{Content, MAX_ERRORS, Settings, Value};
use super::{disk, vif};
use crate::source::{Report, Wrong};
use crate::toml::key_of;
use crate::{
    Action, Console, DeviceKind, Disk, Domain, Error, Interface, Kind, MAX_VCPUS, ManagementSettings, StoreQuota, uuid,
};

/// Makes the configuration of a guest on the host of this name; the report has what is wrong.
pub(super) fn read<'a>(settings: &Settings, host: &str, report: &mut Report<'a>, notes: &mut Report<'a>) -> Domain {
    let mut reader = Reader {
        settings,
        report,
        notes,
    };
    for (key, setting) in settings {
        if reader.report.count() >= MAX_ERRORS {
            let what = "too many errors; other keys were not looked at";
            reader.report.add(setting.at, "", Wrong::Syntax(what.into()));
            break;
        }
        reader.judge(key, setting);
    }
    let domain = reader.domain(host);
    // What is wrong with a value has no place in the domain, which has a default there.
    let places: Vec<_> = domain.check().iter().filter_map(|error| reader.place(error)).collect();
    for (at, key, error) in places {
        reader.report.add(at, key, Wrong::Name(error));
    }
    domain
}

impl Reader<'_, '_, '_> {
    fn domain(&mut self, host: &str) -> Domain {
        let name = self.text("name").unwrap_or_default().to_string();
        if !self.settings.contains_key("name") {
            self.missing("name", "the guest's name, such as name = \"web\"");
        }
        let uuid = self.uuid().unwrap_or_else(|| uuid::derive(host, &name));
        let kind = self.kind();
        let kernel = self.path("kernel").unwrap_or_default();
        let loaders = ["kernel", "bootloader", "firmware"];
        if !loaders.iter().any(|key| self.settings.contains_key(*key)) {
            self.missing("kernel", "the kernel's file, such as kernel = \"/boot/vmlinuz\"");
        }
        let (memory_kib, maxmem_kib) = self.memory();
        let vcpus = self.vcpus("vcpus");
        let max_vcpus = self.vcpus("maxvcpus");
        let vcpus = vcpus.unwrap_or(1);
        self.affinity("cpus");
        self.affinity("cpus_soft");
        let [on_poweroff, on_reboot, on_crash] = self.actions();
        Domain {
            uuid,
            kind,
            kernel,
            ramdisk: self.path("ramdisk"),
            command_line: self.command_line(),
            memory_kib,
            maxmem_kib,
            vcpus,
            max_vcpus: max_vcpus.unwrap_or(vcpus),
            autostart: false,
            needs: Vec::new(),
            on_poweroff,
            on_reboot,
            on_crash,
            console: Console::Log,
            roles: Vec::new(),
            serves: Vec::new(),
            store_quota: StoreQuota::default(),
            store_access: Vec::new(),
            disks: self.disks(),
            interfaces: self.interfaces(&uuid),
            management: ManagementSettings::default(),
            name,
        }
    }

    fn kind(&mut self) -> Kind {
        const HVM: &str = "domb builds no HVM guests, which need a device model; accepted: \"pvh\", \"pv\"";
        let kind = self.text_at("type");
        let builder = self.text_at("builder");
        let mut found = None;
        match kind {
            Some((_, "pv")) => found = Some(Kind::Pv),
            Some((_, "pvh")) => found = Some(Kind::Pvh),
            Some((at, "hvm")) => self.refuse(at, "type", HVM.into()),
            Some((at, other)) => self.wrong_value(at, "type", other, "\"pvh\", \"pv\""),
            None => {}
        }
        match builder {
            Some((at, "generic")) if found == Some(Kind::Pvh) => {
                self.refuse(
                    at,
                    "builder",
                    "it says pv and type says pvh; accepted: one of them".into(),
                );
            }
            Some((_, "generic")) | None => {}
            Some((at, "hvm")) => self.refuse(at, "builder", HVM.into()),
            Some((at, other)) => self.wrong_value(at, "builder", other, "\"generic\"; or type instead"),
        }
        // xl's default on x86.
        found.unwrap_or(Kind::Pv)
    }

    fn uuid(&mut self) -> Option<[u8; 16]> {
        let (at, text) = self.text_at("uuid")?;
        let uuid = uuid::parse(text);
        if uuid.is_none() {
            self.wrong_value(
                at,
                "uuid",
                text,
                "text such as \"01234567-89ab-cdef-0123-456789abcdef\"",
            );
        }
        uuid
    }

    /// A file. xl would look for a relative one where it happens to be started.
    fn path(&mut self, key: &str) -> Option<String> {
        const ACCEPTED: &str = "an absolute path";
        let (at, text) = self.text_at(key)?;
        if !text.starts_with('/') || text.chars().any(char::is_control) {
            self.wrong_value(at, key, text, ACCEPTED);
        }
        Some(text.to_string())
    }

    /// `memory` and `maxmem`; each stands for the other that is missing.
    fn memory(&mut self) -> (u64, u64) {
        let mut amount = |key| {
            let mib = self.number(key, "a number of MiB")?;
            let kib = mib.checked_mul(1 << 10);
            if kib.is_none() {
                let (at, text) = self.text_at(key)?;
                self.wrong_value(at, key, text, "a number of MiB");
            }
            kib
        };
        let memory = amount("memory");
        let maxmem = amount("maxmem");
        let given = |key: &str| self.settings.contains_key(key);
        if !given("memory") && !given("maxmem") {
            self.missing("memory", "the memory in MiB, such as memory = 128");
        }
        // What is wrong is told already; the check must not tell it again.
        let fallback = 128 << 10;
        match (memory, maxmem) {
            (Some(memory), Some(maxmem)) => (memory, maxmem),
            (Some(kib), None) | (None, Some(kib)) => (kib, kib),
            (None, None) => (fallback, fallback),
        }
    }

    fn vcpus(&mut self, key: &str) -> Option<u16> {
        let accepted = format!("1 to {MAX_VCPUS}");
        let number = self.number(key, &accepted)?;
        let fits = u16::try_from(number).ok();
        if fits.is_none() {
            let (at, text) = self.text_at(key)?;
            self.wrong_value(at, key, text, &accepted);
        }
        fits
    }

    /// `cpus` and `cpus_soft`: only that all vCPUs may run everywhere.
    fn affinity(&mut self, key: &str) {
        let Some(setting) = self.settings.get(key) else {
            return;
        };
        let is_all = |value: &Value| matches!(&value.content, Content::Text(text) if text == "all");
        let all = match &setting.value.content {
            Content::Text(_) => is_all(&setting.value),
            Content::List(items) => items.iter().all(is_all),
        };
        if !all {
            let reason = "domb pins no vCPUs; accepted: \"all\"";
            self.refuse(setting.value.at, key, reason.into());
        }
    }

    /// The command line as xl makes it: `cmdline`, else `root` and `extra`.
    fn command_line(&mut self) -> String {
        let root = self.text_at("root");
        let extra = self.text_at("extra");
        if let Some(command_line) = self.text("cmdline") {
            for (key, given) in [("root", root), ("extra", extra)] {
                if let Some((at, _)) = given {
                    let note = "says nothing beside cmdline, as with xl";
                    self.notes.add(at, key, Wrong::Note(note.into()));
                }
            }
            return command_line.to_string();
        }
        match (root, extra) {
            (Some((_, root)), Some((_, extra))) => format!("root={root} {extra}"),
            (Some((_, root)), None) => format!("root={root}"),
            (None, Some((_, extra))) => extra.to_string(),
            (None, None) => String::new(),
        }
    }

    /// What happens on poweroff, reboot and crash. domb takes a watchdog's end and a soft reset for crashes.
    fn actions(&mut self) -> [Action; 3] {
        let mut action = |key, default| self.action(key).unwrap_or(default);
        let actions = [
            action("on_poweroff", Action::Destroy),
            action("on_reboot", Action::Restart),
            action("on_crash", Action::Destroy),
        ];
        let [_, _, on_crash] = actions;
        for key in ["on_watchdog", "on_soft_reset"] {
            let Some(action) = self.action(key) else {
                continue;
            };
            if action != on_crash
                && let Some((at, _)) = self.text_at(key)
            {
                let reason = format!("domb takes it for a crash, and on_crash is {on_crash}; accepted: \"{on_crash}\"");
                self.refuse(at, key, reason);
            }
        }
        if let Some(setting) = self.settings.get("on_crash")
            && on_crash != Action::Destroy
            && !self.settings.contains_key("on_watchdog")
        {
            let note = format!("{on_crash} also when its watchdog fires, where xl would destroy it");
            self.notes.add(setting.value.at, "on_crash", Wrong::Note(note));
        }
        actions
    }

    fn action(&mut self, key: &str) -> Option<Action> {
        const ACCEPTED: &str = "\"destroy\", \"restart\", \"preserve\"";
        let (at, text) = self.text_at(key)?;
        let reason = match text {
            "destroy" => return Some(Action::Destroy),
            "restart" => return Some(Action::Restart),
            "preserve" => return Some(Action::Preserve),
            "rename-restart" => "domb keeps a guest or starts it again, not both",
            "coredump-destroy" | "coredump-restart" => "a guest's memory is written nowhere",
            "soft-reset" => "only HVM guests are reset",
            other => {
                self.wrong_value(at, key, other, ACCEPTED);
                return None;
            }
        };
        self.refuse(at, key, format!("{reason}; accepted: {ACCEPTED}"));
        None
    }

    fn disks(&mut self) -> Vec<Disk> {
        self.devices("disk", DeviceKind::Disk, |item, _| disk::read(item))
    }

    fn interfaces(&mut self, uuid: &[u8; 16]) -> Vec<Interface> {
        self.devices("vif", DeviceKind::Interface, |item, index| vif::read(item, index, uuid))
    }

    /// Something that the check of the domain found, with the key that it is about, unless that is told to be wrong.
    fn place(&self, error: &Error) -> Option<(usize, &'static str, Error)> {
        let key = match key_of(error, true) {
            Some("interface") => "vif",
            Some("cmdline") if !self.settings.contains_key("cmdline") => {
                if self.settings.contains_key("extra") {
                    "extra"
                } else {
                    "root"
                }
            }
            // One stands for the other.
            Some("memory") if !self.settings.contains_key("memory") => "maxmem",
            Some(key) => key,
            None => "",
        };
        if self.report.is_about(key) {
            return None;
        }
        let value = self.settings.get(key).map(|setting| &setting.value);
        let at = match (error, value.map(|value| &value.content)) {
            (Error::Device { index, .. }, Some(Content::List(items))) => items.get(*index).map(|item| item.at),
            _ => None,
        };
        let at = at.or(value.map(|value| value.at)).unwrap_or_default();
        Some((at, key, error.clone()))
    }
}
