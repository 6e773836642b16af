//! The tables `[[class]]`.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec;
use alloc::vec::Vec;

use super::key::bytes_of;
use crate::policy::NO_IMAGE;
use crate::source::Report;
use crate::toml::keys::{Keys, Value};
use crate::toml::{Places, size};
use crate::{CommandLineRule, GuestBox, GuestClass, ImageRule, Kind, MAX_CLASS_DEVICES, MAX_CLASS_GUESTS, MAX_VCPUS};

const KINDS: [(&str, Kind); 2] = [("pvh", Kind::Pvh), ("pv", Kind::Pv)];
const BOXES: [(&str, GuestBox); 2] = [("open", GuestBox::Open), ("closed", GuestBox::Closed)];

/// Reads one class.
pub(super) fn read(value: &Value<'_>, report: &mut Report<'_>) -> Option<(GuestClass, Places)> {
    let table = value.table("tables [[class]]", report)?;
    let mut keys = Keys::new(value.path(), table, value.start(), report);
    let name = keys
        .required("name", "the class's name, such as name = \"web\"", report)
        .and_then(|value| value.text("text", report))
        .unwrap_or_default();
    let kinds = keys
        .get("types", report)
        .map_or_else(|| vec![Kind::Pvh, Kind::Pv], |value| value.choices(&KINDS, report));
    let kernels = keys
        .required(
            "kernels",
            "the kernels, such as kernels = [\"signed-by:release\"]",
            report,
        )
        .map(|value| read_images(&value, report))
        .unwrap_or_default();
    let ramdisks = keys
        .get("ramdisks", report)
        .map_or_else(|| vec![ImageRule::None], |value| read_images(&value, report));
    let command_lines = keys
        .get("command-lines", report)
        .map(|value| read_command_lines(&value, report))
        .unwrap_or_default();
    let memory_max_kib = keys
        .required(
            "memory-max",
            "the most memory of one guest, such as memory-max = \"2 GiB\"",
            report,
        )
        .and_then(|value| size::read(&value, report))
        .unwrap_or_default();
    let memory_total_kib = keys
        .get("memory-total", report)
        .and_then(|value| size::read(&value, report));
    let vcpus_max = number(keys.get("vcpus-max", report), 1, MAX_VCPUS, report).unwrap_or(1);
    let guests_max = number(keys.get("guests-max", report), 0, MAX_CLASS_GUESTS, report).unwrap_or(1);
    let backends = keys
        .get("backends", report)
        .map(|value| read_names(&value, report))
        .unwrap_or_default();
    let devices_max = number(keys.get("devices-max", report), 0, MAX_CLASS_DEVICES, report).unwrap_or(8);
    let guest_box = keys
        .get("box", report)
        .and_then(|value| value.choice(&BOXES, report))
        .unwrap_or_default();
    let class = GuestClass {
        name: name.to_string(),
        kinds,
        kernels,
        ramdisks,
        command_lines,
        memory_max_kib,
        // What so many guests can have anyway, which is no further limit.
        memory_total_kib: memory_total_kib.unwrap_or_else(|| all_of(memory_max_kib, guests_max)),
        vcpus_max,
        guests_max,
        backends,
        devices_max,
        guest_box,
    };
    Some((class, keys.finish(report)))
}

/// What as many guests as the class may have take together, within what the manifest accepts; a class without guests has
/// the least that is accepted.
fn all_of(memory_max_kib: u64, guests_max: u16) -> u64 {
    let guests = u64::from(guests_max.max(1));
    memory_max_kib
        .saturating_mul(guests)
        .min(crate::MAX_MEMORY_KIB)
        .max(memory_max_kib)
}

fn number(value: Option<Value<'_>>, least: u16, most: u16, report: &mut Report<'_>) -> Option<u16> {
    value?.number(&format!("{least} to {most}"), report)
}

fn read_images(value: &Value<'_>, report: &mut Report<'_>) -> Vec<ImageRule> {
    const LIST: &str = "a list of \"sha256:DIGITS\", \"signed-by:KEY\", \"image:NAME\", \"none\"";
    const ITEM: &str = "\"sha256:\" and 64 hexadecimal digits, \"signed-by:\" and a key's name, \"image:\" and an image's name, \"none\"";
    let items = value.list(LIST, report);
    let read = |item: &Value<'_>| {
        let text = item.text(ITEM, report)?;
        let rule = image_rule(text);
        if rule.is_none() {
            item.wrong_value(format!("{text:?}"), ITEM, report);
        }
        rule
    };
    items.iter().filter_map(read).collect()
}

fn image_rule(text: &str) -> Option<ImageRule> {
    if text == NO_IMAGE {
        return Some(ImageRule::None);
    }
    let (kind, value) = text.split_once(':')?;
    match kind {
        "sha256" => bytes_of(value).map(ImageRule::Sha256),
        "signed-by" => Some(ImageRule::SignedBy(value.into())),
        "image" => Some(ImageRule::Image(value.into())),
        _ => None,
    }
}

fn read_command_lines(value: &Value<'_>, report: &mut Report<'_>) -> Vec<CommandLineRule> {
    const LIST: &str = "a list of command lines, with * at the end where more may follow";
    let rule = |text: &str| match text.strip_suffix('*') {
        Some(beginning) => CommandLineRule::Beginning(beginning.into()),
        None => CommandLineRule::Exact(text.into()),
    };
    let items = value.list(LIST, report);
    items
        .iter()
        .filter_map(|item| item.text("text", report))
        .map(rule)
        .collect()
}

fn read_names(value: &Value<'_>, report: &mut Report<'_>) -> Vec<String> {
    const LIST: &str = "a list of names of domains";
    value
        .list(LIST, report)
        .iter()
        .filter_map(|name| name.text(LIST, report))
        .map(String::from)
        .collect()
}
