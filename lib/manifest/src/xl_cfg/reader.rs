//! Taking values out of settings, with a report of what is wrong.

use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use super::keys::{Accepted, HOST_KEYS, KEYS, Rule, rule};
use super::syntax::{Content, Setting, Settings};
use super::token::shortened;
use crate::source::{Report, Wrong};
use crate::{DeviceKind, Error};

/// The most bytes of an item of `disk` or `vif`.
const MAX_ITEM: usize = 4096;
/// The most that is told about one item.
const MAX_WRONG: usize = 16;

/// The settings of a file, and what is wrong with them so far.
pub(super) struct Reader<'r, 's, 't> {
    pub(super) settings: &'s Settings,
    pub(super) report: &'r mut Report<'t>,
    /// What is not wrong and should be known.
    pub(super) notes: &'r mut Report<'t>,
}

impl<'s> Reader<'_, 's, '_> {
    /// Reports a key that is unknown, refused, or there with a value that is refused.
    pub(super) fn judge(&mut self, key: &str, setting: &Setting) {
        match rule(key) {
            Some(Rule::Honoured) => {}
            Some(Rule::Refused(reason)) => self.refuse(setting.at, key, reason.to_owned()),
            Some(Rule::Only(accepted, reason)) => {
                if !accepted.accepts(setting) {
                    let reason = format!("{reason}; accepted: {}", accepted.name());
                    self.refuse(setting.value.at, key, reason);
                }
            }
            None if HOST_KEYS.contains(&key) => {
                self.refuse(setting.at, key, "it is a key of xl.conf, not of a guest".into());
            }
            None => {
                let honoured = KEYS.iter().filter(|(_, rule)| *rule == Rule::Honoured);
                let names: Vec<&str> = honoured.map(|(key, _)| *key).collect();
                let accepted = names.join(", ");
                self.report
                    .add(setting.at, &shortened(key), Wrong::UnknownKey { accepted });
            }
        }
    }

    pub(super) fn refuse(&mut self, at: usize, key: &str, reason: String) {
        self.report.add(at, key, Wrong::Refused { reason });
    }

    pub(super) fn missing(&mut self, key: &str, accepted: &str) {
        let accepted = accepted.to_owned();
        self.report.add(0, key, Wrong::Missing { accepted });
    }

    pub(super) fn wrong_value(&mut self, at: usize, key: &str, found: &str, accepted: &str) {
        let wrong = Wrong::Value {
            found: format!("{:?}", shortened(found)),
            accepted: accepted.to_owned(),
        };
        self.report.add(at, key, wrong);
    }

    pub(super) fn wrong_type(&mut self, at: usize, key: &str, found: &'static str, accepted: &str) {
        let accepted = accepted.to_owned();
        self.report.add(at, key, Wrong::Type { found, accepted });
    }

    /// The text of a key and the byte at which it begins.
    pub(super) fn text_at(&mut self, key: &str) -> Option<(usize, &'s str)> {
        let value = &self.settings.get(key)?.value;
        match &value.content {
            Content::Text(text) => Some((value.at, text)),
            Content::List(_) => {
                self.wrong_type(value.at, key, "a list", "text");
                None
            }
        }
    }

    pub(super) fn text(&mut self, key: &str) -> Option<&'s str> {
        self.text_at(key).map(|(_, text)| text)
    }

    /// The number of a key. xl passes over a key that has none.
    pub(super) fn number(&mut self, key: &str, accepted: &str) -> Option<u64> {
        let added = self.settings.get(key)?.added;
        let (at, text) = self.text_at(key)?;
        let number = number(text).and_then(|number| u64::try_from(number).ok());
        if added {
            self.wrong_value(at, key, text, "a number assigned with =, not with +=");
            return None;
        }
        if number.is_none() {
            self.wrong_value(at, key, text, accepted);
        }
        number
    }

    /// The items of a list. One that is wrong leaves a gap, so that the others keep their places: then the list is of no use.
    pub(super) fn devices<T>(
        &mut self,
        key: &str,
        kind: DeviceKind,
        read: impl Fn(&str, usize) -> Result<T, Vec<Wrong>>,
    ) -> Vec<T> {
        let Some(setting) = self.settings.get(key) else {
            return Vec::new();
        };
        let Content::List(items) = &setting.value.content else {
            self.wrong_type(setting.value.at, key, "text", "a list of texts");
            return Vec::new();
        };
        if items.len() > kind.limit() {
            let count = items.len();
            let error = Error::TooManyDevices { kind, count };
            self.report.add(setting.value.at, key, Wrong::Name(error));
            return Vec::new();
        }
        let mut devices = Vec::new();
        let mut whole = true;
        for (index, item) in items.iter().enumerate() {
            let Content::Text(text) = &item.content else {
                self.wrong_type(item.at, key, "a list", "text");
                whole = false;
                continue;
            };
            if text.len() > MAX_ITEM {
                self.wrong_value(item.at, key, text, &format!("at most {MAX_ITEM} bytes"));
                whole = false;
                continue;
            }
            match read(text, index) {
                Ok(device) => devices.push(device),
                Err(wrong) => {
                    whole = false;
                    wrong
                        .into_iter()
                        .take(MAX_WRONG)
                        .for_each(|wrong| self.report.add(item.at, key, wrong));
                }
            }
        }
        if whole { devices } else { Vec::new() }
    }
}

impl Accepted {
    /// Whether a setting says only what is so anyway.
    fn accepts(self, setting: &Setting) -> bool {
        match (&setting.value.content, self) {
            (Content::List(items), Self::EmptyList) => items.is_empty(),
            (Content::List(_), _) => false,
            (Content::Text(text), Self::Texts(texts)) => texts.contains(&text.as_str()),
            // xl passes over a number that was added to.
            (Content::Text(_), _) if setting.added => false,
            (Content::Text(_), Self::EmptyList) => false,
            (Content::Text(text), _) => number(text).is_some_and(|number| match self {
                Self::Off => number == 0,
                Self::On => number != 0,
                Self::Number(accepted) => number == accepted,
                _ => true,
            }),
        }
    }

    fn name(self) -> String {
        match self {
            Self::Off => "0".into(),
            Self::On => "1".into(),
            Self::Flag => "a number".into(),
            Self::Number(number) => number.to_string(),
            Self::Texts(texts) => {
                let texts: Vec<String> = texts.iter().map(|text| format!("{text:?}")).collect();
                texts.join(", ")
            }
            Self::EmptyList => "[]".into(),
        }
    }
}

/// A number as C's strtol with base 0 reads it, of the whole text.
pub(super) fn number(text: &str) -> Option<i64> {
    let text = text.trim_start_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']);
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (digits, radix) = match (
        digits.strip_prefix("0x").or(digits.strip_prefix("0X")),
        digits.strip_prefix('0'),
    ) {
        (Some(digits), _) => (digits, 16),
        (None, Some(octal)) if !octal.is_empty() => (octal, 8),
        _ => (digits, 10),
    };
    if !digits.bytes().all(|digit| digit.is_ascii_alphanumeric()) {
        return None;
    }
    let number = i64::from_str_radix(digits, radix).ok()?;
    if negative { number.checked_neg() } else { Some(number) }
}
