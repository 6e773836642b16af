//! Taking values out of TOML tables, with a report of what is wrong.

use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use ::toml::Spanned;
use ::toml::de::{DeTable, DeValue};

use super::{Places, Report, Wrong};

/// A table whose keys are taken one by one; what is left in the end is unknown.
pub(super) struct Keys<'t> {
    path: String,
    table: &'t DeTable<'t>,
    start: usize,
    known: Vec<&'static str>,
    places: Places,
}

impl<'t> Keys<'t> {
    /// The table at byte `start`, called `path` (empty for the whole document) in errors.
    pub(super) fn new(path: &str, table: &'t DeTable<'_>, start: usize, report: &Report<'_>) -> Self {
        let places = Places {
            table: report.place(start),
            values: alloc::collections::BTreeMap::new(),
            items: alloc::collections::BTreeMap::new(),
        };
        Self {
            path: path.to_owned(),
            table,
            start,
            known: Vec::new(),
            places,
        }
    }

    /// The value of a key that may be left out.
    pub(super) fn get(&mut self, key: &'static str, report: &Report<'_>) -> Option<Value<'t>> {
        self.known.push(key);
        let value = self.table.get(key)?;
        self.places.values.insert(key, report.place(value.span().start));
        if let Some(items) = value.get_ref().as_array() {
            let items = items.iter().map(|item| report.place(item.span().start)).collect();
            self.places.items.insert(key, items);
        }
        Some(Value {
            path: self.path_of(key),
            value,
        })
    }

    /// The value of a key that must be there; `example` is what to write.
    pub(super) fn required(&mut self, key: &'static str, example: &str, report: &mut Report<'_>) -> Option<Value<'t>> {
        let value = self.get(key, report);
        if value.is_none() {
            report.add(
                self.start,
                &self.path_of(key),
                Wrong::Missing {
                    accepted: example.to_owned(),
                },
            );
        }
        value
    }

    /// Reports the keys that nobody asked for. Gives the places of the others.
    pub(super) fn finish(self, report: &mut Report<'_>) -> Places {
        for key in self.table.keys() {
            let name: &str = key.get_ref();
            if !self.known.contains(&name) {
                let accepted = self.known.join(", ");
                report.add(key.span().start, &self.path_of(name), Wrong::UnknownKey { accepted });
            }
        }
        self.places
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }
}

/// One value and the path of its key.
pub(super) struct Value<'t> {
    path: String,
    value: &'t Spanned<DeValue<'t>>,
}

impl<'t> Value<'t> {
    /// A value of an array or of a table of tables.
    pub(super) fn new(path: String, value: &'t Spanned<DeValue<'t>>) -> Self {
        Self { path, value }
    }

    pub(super) fn start(&self) -> usize {
        self.value.span().start
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn get(&self) -> &'t DeValue<'t> {
        self.value.get_ref()
    }

    /// Reports that the type is wrong.
    pub(super) fn wrong_type(&self, accepted: &str, report: &mut Report<'_>) {
        let found = match self.get() {
            DeValue::String(_) => "text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        report.add(
            self.start(),
            &self.path,
            Wrong::Type {
                found,
                accepted: accepted.to_owned(),
            },
        );
    }

    /// Reports that the value is not accepted.
    pub(super) fn wrong_value(&self, found: String, accepted: &str, report: &mut Report<'_>) {
        report.add(
            self.start(),
            &self.path,
            Wrong::Value {
                found,
                accepted: accepted.to_owned(),
            },
        );
    }

    pub(super) fn table(&self, accepted: &str, report: &mut Report<'_>) -> Option<&'t DeTable<'t>> {
        let table = self.get().as_table();
        if table.is_none() {
            self.wrong_type(accepted, report);
        }
        table
    }

    pub(super) fn text(&self, accepted: &str, report: &mut Report<'_>) -> Option<&'t str> {
        let text = self.get().as_str();
        if text.is_none() {
            self.wrong_type(accepted, report);
        }
        text
    }

    pub(super) fn boolean(&self, report: &mut Report<'_>) -> Option<bool> {
        let boolean = self.get().as_bool();
        if boolean.is_none() {
            self.wrong_type("true, false", report);
        }
        boolean
    }

    /// A whole number that fits `T`.
    pub(super) fn number<T: TryFrom<u64>>(&self, accepted: &str, report: &mut Report<'_>) -> Option<T> {
        let Some(integer) = self.get().as_integer() else {
            self.wrong_type(accepted, report);
            return None;
        };
        let number = u64::from_str_radix(integer.as_str(), integer.radix())
            .ok()
            .and_then(|number| T::try_from(number).ok());
        if number.is_none() {
            self.wrong_value(integer.to_string(), accepted, report);
        }
        number
    }

    /// One of the texts in `choices`.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&str, T)], report: &mut Report<'_>) -> Option<T> {
        let accepted: Vec<String> = choices.iter().map(|(name, _)| format!("{name:?}")).collect();
        let accepted = accepted.join(", ");
        let text = self.text(&accepted, report)?;
        let choice = choices
            .iter()
            .find(|(name, _)| *name == text)
            .map(|(_, choice)| *choice);
        if choice.is_none() {
            self.wrong_value(format!("{text:?}"), &accepted, report);
        }
        choice
    }

    /// A list of texts in `choices`.
    pub(super) fn choices<T: Copy>(&self, choices: &[(&str, T)], report: &mut Report<'_>) -> Vec<T> {
        let names: Vec<String> = choices.iter().map(|(name, _)| format!("{name:?}")).collect();
        self.list(&format!("a list of {}", names.join(", ")), report)
            .iter()
            .filter_map(|value| value.choice(choices, report))
            .collect()
    }

    /// The values of a list.
    pub(super) fn list(&self, accepted: &str, report: &mut Report<'_>) -> Vec<Value<'t>> {
        let Some(array) = self.get().as_array() else {
            self.wrong_type(accepted, report);
            return Vec::new();
        };
        array.iter().map(|value| Value::new(self.path.clone(), value)).collect()
    }
}
