//! The words of xl's configuration language (Xen's tools/libs/util/libxlu_cfg_l.l).

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use crate::source::{Report, Wrong};

/// A word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// `[a-z][._0-9a-z]*`: a key.
    Key(String),
    /// `[0-9][0-9a-fx]*`, or what stands between quotes: to the language both are text.
    Text(String),
    /// `,`
    Comma,
    /// `[`
    Open,
    /// `]`
    Close,
    /// `=`
    Assign,
    /// `+=`
    Add,
    /// `;`
    Semicolon,
    /// The end of a line, and of the comment on it.
    Newline,
    /// Bytes that make no word; the report has them.
    Nothing,
    /// The end of the file.
    End,
}

impl Token {
    /// What it is called in errors.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Key(key) => format!("the word {key}"),
            Self::Text(text) => format!("the text {:?}", shortened(text)),
            Self::Comma => "a comma".into(),
            Self::Open => "[".into(),
            Self::Close => "]".into(),
            Self::Assign => "=".into(),
            Self::Add => "+=".into(),
            Self::Semicolon => "a semicolon".into(),
            Self::Newline => "the end of the line".into(),
            Self::Nothing => "nothing".into(),
            Self::End => "the end of the file".into(),
        }
    }
}

/// A text as it can stand in a line of an error.
pub(super) fn shortened(text: &str) -> String {
    const LONGEST: usize = 80;
    let mut characters = text.chars();
    let mut start: String = characters.by_ref().take(LONGEST).collect();
    if characters.next().is_some() {
        start.push('…');
    }
    start
}

/// Splits a file into words.
pub(super) struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next word and the byte at which it begins. What is no word is reported.
    pub(super) fn next(&mut self, report: &mut Report<'_>) -> (usize, Token) {
        self.skip(|byte| matches!(byte, b' ' | b'\t'));
        let at = self.at;
        let token = match self.peek() {
            None => Token::End,
            Some(b'\n') => self.one(Token::Newline),
            Some(b'#') => self.comment(),
            Some(b',') => self.one(Token::Comma),
            Some(b'[') => self.one(Token::Open),
            Some(b']') => self.one(Token::Close),
            Some(b'=') => self.one(Token::Assign),
            Some(b';') => self.one(Token::Semicolon),
            Some(b'+') if self.bytes.get(at.saturating_add(1)) == Some(&b'=') => {
                self.at = at.saturating_add(2);
                Token::Add
            }
            Some(b'a'..=b'z') => Token::Key(self.word(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_'))),
            Some(b'0'..=b'9') => Token::Text(self.word(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'x'))),
            Some(quote @ (b'\'' | b'"')) => self.quoted(quote, report),
            Some(other) => self.nothing(other, report),
        };
        (at, token)
    }

    /// Goes on behind the end of this line.
    pub(super) fn skip_line(&mut self) {
        self.skip(|byte| byte != b'\n');
        self.skip_one();
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_one(&mut self) {
        self.at = self.at.saturating_add(1).min(self.bytes.len());
    }

    fn skip(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|byte| !wanted(*byte)).unwrap_or(rest.len());
        self.at = self.at.saturating_add(length);
        rest.get(..length).unwrap_or_default()
    }

    fn one(&mut self, token: Token) -> Token {
        self.skip_one();
        token
    }

    /// A word of ASCII characters.
    fn word(&mut self, wanted: impl Fn(u8) -> bool) -> String {
        self.skip(wanted).iter().copied().map(char::from).collect()
    }

    /// A comment and the end of its line. xl takes none that the file ends in; here it is one.
    fn comment(&mut self) -> Token {
        self.skip(|byte| byte != b'\n');
        if self.peek().is_none() {
            return Token::End;
        }
        self.one(Token::Newline)
    }

    /// Reports bytes that begin no word, up to the next blank or end of the line.
    fn nothing(&mut self, first: u8, report: &mut Report<'_>) -> Token {
        let at = self.at;
        let bytes = self.skip(|byte| !matches!(byte, b' ' | b'\t' | b'\n'));
        let text = shortened(&String::from_utf8_lossy(bytes));
        let what = match first {
            b'\r' => "a carriage return; accepted: lines that end in a line feed alone".to_string(),
            b'A'..=b'Z' | b'_' => {
                format!("{text:?}; accepted: keys of a-z 0-9 . _ that begin with a-z, text in quotes")
            }
            b'+' | b'-' | b'.' | b'(' | b')' | b':' => {
                format!("{text:?}; accepted: numbers without a sign, text in quotes, lists; no Python")
            }
            _ => format!("{text:?}; accepted: keys, numbers, text in quotes, lists"),
        };
        report.add(at, "", Wrong::Syntax(what));
        Token::Nothing
    }

    /// Text in quotes, which end on the same line.
    fn quoted(&mut self, quote: u8, report: &mut Report<'_>) -> Token {
        let start = self.at;
        self.skip_one();
        let first = self.at;
        loop {
            self.skip(|byte| byte != quote && !matches!(byte, b'\\' | b'\n'));
            match self.peek() {
                Some(b'\\') if !matches!(self.bytes.get(self.at.saturating_add(1)), None | Some(b'\n')) => {
                    self.skip_one();
                    self.skip_one();
                }
                Some(byte) if byte == quote => break,
                _ => {
                    self.skip(|byte| byte != b'\n');
                    let what = "text that does not end on its line; accepted: a quote at its end, on the same line";
                    report.add(start, "", Wrong::Syntax(what.into()));
                    return Token::Nothing;
                }
            }
        }
        let quoted = self.bytes.get(first..self.at).unwrap_or_default();
        self.skip_one();
        match dequoted(quoted) {
            Ok(text) => Token::Text(text),
            Err((at, what)) => {
                report.add(first.saturating_add(at), "", Wrong::Syntax(what.into()));
                Token::Nothing
            }
        }
    }
}

/// What a text in quotes says, or the byte at which it is wrong.
///
/// xl knows characters by number as well, but takes each `\x` for an error and leaves the others out of the text.
fn dequoted(quoted: &[u8]) -> Result<String, (usize, &'static str)> {
    const ESCAPES: &str = "a backslash before another character; accepted: \\\\ \\\" \\' \\a \\b \\f \\n \\r \\t \\v";
    const NUMBER: &str = "a character by its number, which xl refuses or leaves out; accepted: the character itself";
    let mut text = Vec::new();
    let mut bytes = quoted.iter().copied().enumerate();
    while let Some((at, byte)) = bytes.next() {
        text.push(match byte {
            0 => return Err((at, "a zero byte in text; accepted: none")),
            b'\\' => match bytes.next() {
                Some((_, byte @ (b'"' | b'\'' | b'\\'))) => byte,
                Some((_, b'a')) => 7,
                Some((_, b'b')) => 8,
                Some((_, b'f')) => 12,
                Some((_, b'n')) => b'\n',
                Some((_, b'r')) => b'\r',
                Some((_, b't')) => b'\t',
                Some((_, b'v')) => 11,
                Some((_, b'x' | b'0'..=b'7')) => return Err((at, NUMBER)),
                _ => return Err((at, ESCAPES)),
            },
            other => other,
        });
    }
    String::from_utf8(text).map_err(|_| (0, "text that is no UTF-8; accepted: UTF-8"))
}
