//! The sentences of xl's configuration language (Xen's tools/libs/util/libxlu_cfg_y.y).

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::token::{Lexer, Token};
use crate::source::{Report, Wrong};

/// The most bytes of a file.
pub(super) const MAX_FILE: usize = 1 << 20;
/// How deep lists may be in lists. `vsnd` needs three.
const MAX_DEPTH: usize = 8;
/// The most errors after which more are not looked for.
pub(super) const MAX_ERRORS: usize = 100;

/// What is assigned to a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Value {
    /// The byte at which it begins.
    pub(super) at: usize,
    pub(super) content: Content,
}

/// Text or a list. A number is text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    Text(String),
    List(Vec<Value>),
}

/// The last assignment to a key, with what was added to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    /// The byte at which the key stands.
    pub(super) at: usize,
    pub(super) value: Value,
    /// Whether it was written with `+=`, which numbers must not be.
    pub(super) added: bool,
}

/// The settings of a file by their keys.
pub(super) type Settings = BTreeMap<String, Setting>;

/// Reads a file. What is no sentence is reported, line by line.
pub(super) fn parse(bytes: &[u8], report: &mut Report<'_>) -> Settings {
    let mut settings = Settings::new();
    if bytes.len() > MAX_FILE {
        let what = format!("a file of {} bytes; accepted: at most {MAX_FILE}", bytes.len());
        report.add(0, "", Wrong::Syntax(what));
        return settings;
    }
    let mut parser = Parser {
        lexer: Lexer::new(bytes),
        token: (0, Token::Newline),
        depth: 0,
    };
    parser.advance(report);
    while parser.token.1 != Token::End {
        if report.count() >= MAX_ERRORS {
            report.add(
                parser.token.0,
                "",
                Wrong::Syntax("too many errors; the rest was not read".into()),
            );
            break;
        }
        if matches!(parser.token.1, Token::Newline | Token::Semicolon) {
            parser.advance(report);
        } else if parser.assignment(&mut settings, report).is_none() {
            parser.recover(report);
        }
    }
    settings
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    token: (usize, Token),
    /// In how many lists the parser is.
    depth: usize,
}

impl Parser<'_> {
    /// Takes the word and goes on to the next.
    fn advance(&mut self, report: &mut Report<'_>) -> (usize, Token) {
        let next = self.lexer.next(report);
        core::mem::replace(&mut self.token, next)
    }

    /// Reports that another word was expected, unless there is none and that is reported already.
    fn expected<T>(&self, accepted: &str, report: &mut Report<'_>) -> Option<T> {
        let (at, token) = &self.token;
        if *token != Token::Nothing {
            report.add(
                *at,
                "",
                Wrong::Syntax(format!("{}; accepted: {accepted}", token.name())),
            );
        }
        None
    }

    /// `KEY = VALUE` or `KEY += VALUE`, up to the end of the line, a semicolon or the end of the file.
    fn assignment(&mut self, settings: &mut Settings, report: &mut Report<'_>) -> Option<()> {
        let Token::Key(_) = self.token.1 else {
            return self.expected("a key", report);
        };
        let (at, Token::Key(key)) = self.advance(report) else {
            return None;
        };
        let added = match self.token.1 {
            Token::Assign => false,
            Token::Add => true,
            _ => return self.expected("= or +=", report),
        };
        self.advance(report);
        let value = self.value(report)?;
        if !matches!(self.token.1, Token::Newline | Token::Semicolon | Token::End) {
            return self.expected("the end of the line, a semicolon", report);
        }
        store(settings, key, Setting { at, value, added }, report);
        Some(())
    }

    /// Text, or a list.
    fn value(&mut self, report: &mut Report<'_>) -> Option<Value> {
        match &self.token.1 {
            Token::Text(_) => {
                let (at, Token::Text(text)) = self.advance(report) else {
                    return None;
                };
                let content = Content::Text(text);
                Some(Value { at, content })
            }
            Token::Open => self.list(report),
            _ => self.expected("text in quotes, a number, a list", report),
        }
    }

    /// `[ VALUE, VALUE, … ]`, with ends of lines behind the bracket, a value and a comma.
    fn list(&mut self, report: &mut Report<'_>) -> Option<Value> {
        if self.depth == MAX_DEPTH {
            return self.expected(&format!("at most {MAX_DEPTH} lists in each other"), report);
        }
        self.depth = self.depth.saturating_add(1);
        let (at, _) = self.advance(report);
        let mut items = Vec::new();
        self.newlines(report);
        while self.token.1 != Token::Close {
            items.push(self.value(report)?);
            self.newlines(report);
            match self.token.1 {
                Token::Comma => {
                    self.advance(report);
                    self.newlines(report);
                }
                Token::Close => {}
                _ => return self.expected("a comma, ]", report),
            }
        }
        self.depth = self.depth.saturating_sub(1);
        self.advance(report);
        let content = Content::List(items);
        Some(Value { at, content })
    }

    fn newlines(&mut self, report: &mut Report<'_>) {
        while self.token.1 == Token::Newline {
            self.advance(report);
        }
    }

    /// Goes on behind the line of an error, and behind the list that it is in.
    fn recover(&mut self, report: &mut Report<'_>) {
        while self.token.1 != Token::End && report.count() < MAX_ERRORS {
            match self.token.1 {
                Token::Newline if self.depth == 0 => break,
                Token::Open => self.depth = self.depth.saturating_add(1),
                Token::Close => self.depth = self.depth.saturating_sub(1),
                // Anything may stand behind an error that is on no list.
                Token::Nothing if self.depth == 0 => {
                    self.lexer.skip_line();
                    self.token.1 = Token::Newline;
                    break;
                }
                _ => {}
            }
            self.advance(report);
        }
        self.depth = 0;
    }
}

/// Keeps a setting: the last one of a key, and what `+=` adds to it.
fn store(settings: &mut Settings, key: String, setting: Setting, report: &mut Report<'_>) {
    let before = settings.get_mut(&key).filter(|_| setting.added);
    let Some(before) = before else {
        settings.insert(key, setting);
        return;
    };
    before.added = true;
    match (&mut before.value.content, setting.value.content) {
        (Content::Text(text), Content::Text(more)) => text.push_str(&more),
        (Content::List(list), Content::List(more)) => list.extend(more),
        (Content::Text(_), Content::List(_)) => {
            report.add(
                setting.value.at,
                &key,
                Wrong::Syntax("a list is added to text; accepted: text".into()),
            );
        }
        (Content::List(_), Content::Text(_)) => {
            report.add(
                setting.value.at,
                &key,
                Wrong::Syntax("text is added to a list; accepted: a list".into()),
            );
        }
    }
}
