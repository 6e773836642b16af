//! The language itself: Xen's tools/libs/util/libxlu_cfg_{l.l,y.y}.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use alloc::{format, vec};

use proptest::prelude::*;

use super::{error, errors, guest, read_text, with};
use crate::source::Report;
use crate::xl_cfg::read;
use crate::xl_cfg::reader::number;
use crate::xl_cfg::syntax::{Content, Settings, parse};

/// The settings of a text, or its errors.
fn settings(text: &[u8]) -> Result<Settings, String> {
    let mut report = Report::new(text, "f");
    let settings = parse(text, &mut report);
    report.finish().map_or(Ok(settings), |errors| Err(errors.to_string()))
}

/// A setting as text: `a`, `[a, [b]]`.
fn show(content: &Content) -> String {
    match content {
        Content::Text(text) => text.clone(),
        Content::List(items) => {
            let items: Vec<String> = items.iter().map(|item| show(&item.content)).collect();
            format!("[{}]", items.join(", "))
        }
    }
}

#[track_caller]
fn value(text: &str) -> String {
    let settings = settings(text.as_bytes()).unwrap_or_else(|errors| panic!("{errors}"));
    show(&settings["a"].value.content)
}

#[test]
fn values() {
    for (text, expected) in [
        ("a=1", "1"),
        ("a = 0x1f\n", "0x1f"),
        ("a='x y'", "x y"),
        ("a=\"it's\"", "it's"),
        ("a='say \"x\"'", "say \"x\""),
        (r#"a="\"\'\\\a\b\f\n\r\t\v""#, "\"'\\\u{7}\u{8}\u{c}\n\r\t\u{b}"),
        ("a='ä # no comment'", "ä # no comment"),
        ("a=''", ""),
        ("a=[]", "[]"),
        ("a=[\n\n]", "[]"),
        ("a=['x',1]", "[x, 1]"),
        ("a = [ 'x' , # first\n 'y'\n , 'z', \n ]", "[x, y, z]"),
        ("a=[['x',[1]],[]]", "[[x, [1]], []]"),
        ("a=1;;a=2 # the last counts\n\n;", "2"),
        ("\n\t a\t=\t'x'\t\n# comment\n", "x"),
        ("# a comment without an end", ""),
        ("a='x'\na+='y';a += 'z'", "xyz"),
        ("a=['x']\na+=['y',\n'z']\na+=[]", "[x, y, z]"),
        ("a+='x'", "x"),
        ("a=['x']\na='y'", "y"),
        ("# \u{ff}\na.b_c1 = 3; a = 4", "4"),
    ] {
        let text = if expected.is_empty() {
            [text, "\na=''"].concat()
        } else {
            text.to_string()
        };
        assert_eq!(value(&text), expected, "{text}");
    }
    // Comments may be in any encoding.
    assert!(settings(b"# Gr\xf6\xdfe\na=1").is_ok());
}

#[test]
fn what_is_no_sentence_is_told_line_by_line() {
    for (text, expected) in [
        ("a", "1:2: the end of the file; accepted: = or +="),
        ("a\n", "1:2: the end of the line; accepted: = or +="),
        (
            "a=",
            "1:3: the end of the file; accepted: text in quotes, a number, a list",
        ),
        ("a=b", "1:3: the word b; accepted: text in quotes, a number, a list"),
        (
            "a=1 2",
            "1:5: the text \"2\"; accepted: the end of the line, a semicolon",
        ),
        ("1=1", "1:1: the text \"1\"; accepted: a key"),
        ("=1", "1:1: =; accepted: a key"),
        ("a=[1 2]", "1:6: the text \"2\"; accepted: a comma, ]"),
        ("a=[,]", "1:4: a comma; accepted: text in quotes, a number, a list"),
        ("a=[1,,]", "1:6: a comma; accepted: text in quotes, a number, a list"),
        ("a=[\n1", "2:2: the end of the file; accepted: a comma, ]"),
        ("a=]", "1:3: ]; accepted: text in quotes, a number, a list"),
        (
            "a=\n1",
            "1:3: the end of the line; accepted: text in quotes, a number, a list\nf:2:1: the text \"1\"; accepted: a key",
        ),
        (
            "a='x",
            "1:3: text that does not end on its line; accepted: a quote at its end, on the same line",
        ),
        (
            "a='x\\\ny'",
            "1:3: text that does not end on its line; accepted: a quote at its end, on the same line\nf:2:2: text that does not end on its line; accepted: a quote at its end, on the same line",
        ),
        (
            "a='x\\q'",
            "1:5: a backslash before another character; accepted: \\\\ \\\" \\' \\a \\b \\f \\n \\r \\t \\v",
        ),
        (
            "a='\\x41'",
            "1:4: a character by its number, which xl refuses or leaves out; accepted: the character itself",
        ),
        (
            "a='\\101'",
            "1:4: a character by its number, which xl refuses or leaves out; accepted: the character itself",
        ),
        ("a='x\0'", "1:5: a zero byte in text; accepted: none"),
        (
            "a=1\r\n",
            "1:4: a carriage return; accepted: lines that end in a line feed alone",
        ),
        (
            "Name='x'\na=1",
            "1:1: \"Name='x'\"; accepted: keys of a-z 0-9 . _ that begin with a-z, text in quotes",
        ),
        (
            "a=-1",
            "1:3: \"-1\"; accepted: numbers without a sign, text in quotes, lists; no Python",
        ),
        (
            "a=(1)",
            "1:3: \"(1)\"; accepted: numbers without a sign, text in quotes, lists; no Python",
        ),
        ("a={}", "1:3: \"{}\"; accepted: keys, numbers, text in quotes, lists"),
        (
            "a=1\nb=c\n\nd=2 3",
            "2:3: the word c; accepted: text in quotes, a number, a list\nf:4:5: the text \"3\"; accepted: the end of the line, a semicolon",
        ),
        // One error a list.
        (
            "a=[ 'x' 'y',\n 'z',\n ]\nb=1",
            "1:9: the text \"y\"; accepted: a comma, ]",
        ),
        ("a='x'\na+=['y']", "2:4: a: a list is added to text; accepted: text"),
        ("a=['x']\na+='y'", "2:4: a: text is added to a list; accepted: a list"),
    ] {
        assert_eq!(settings(text.as_bytes()), Err(["f:", expected].concat()), "{text:?}");
    }
    assert_eq!(
        settings(b"a='\xff'"),
        Err("f:1:4: text that is no UTF-8; accepted: UTF-8".into())
    );
}

#[test]
fn hostile_files_have_bounds() {
    let nested = ["a=", &"[".repeat(100_000)].concat();
    assert_eq!(
        settings(nested.as_bytes()),
        Err("f:1:11: [; accepted: at most 8 lists in each other".into())
    );
    let wrong = "x\n".repeat(100_000);
    let errors = settings(wrong.as_bytes()).unwrap_err();
    assert_eq!(errors.lines().count(), 101);
    assert!(errors.ends_with("too many errors; the rest was not read"), "{errors}");
    let large = vec![b'\n'; (1 << 20) + 1];
    assert_eq!(
        settings(&large),
        Err("f:1:1: a file of 1048577 bytes; accepted: at most 1048576".into())
    );
    // One line of unknown keys, and of items that are wrong.
    let unknown: String = (0..100_000).map(|key| format!("x{key}=1;")).collect();
    let errors = read_text(&unknown).unwrap_err();
    assert!(errors.0.len() < 110 && errors.to_string().contains("too many errors"));
    let items = "'x',".repeat(64);
    assert_eq!(errors_of(&format!("vif = [{items}]")), 64);
    assert_eq!(errors_of(&format!("vif = [{items}{items}]")), 1);
    assert_eq!(errors_of(&format!("vif = ['{}']", "a,".repeat(2000))), 16);
    assert_eq!(errors_of(&format!("vif = ['{}']", "a,".repeat(100_000))), 1);
    let sums = ["a=''\n", &"a+='x'\n".repeat(100_000)].concat();
    assert_eq!(value(&sums).len(), 100_000);
    let long = "x".repeat(1000);
    assert!(error(&format!("type = '{long}'")).len() < 200);
}

/// How many errors these lines have.
fn errors_of(lines: &str) -> usize {
    read_text(&with(lines)).unwrap_err().0.len()
}

#[test]
fn numbers_are_those_of_c() {
    for (text, expected) in [
        ("0", 0),
        ("10", 10),
        ("010", 8),
        ("0x10", 16),
        ("0X1f", 31),
        (" 7", 7),
        ("-1", -1),
        ("+1", 1),
        ("00", 0),
    ] {
        assert_eq!(number(text), Some(expected), "{text}");
    }
    for text in ["", "x", "0x", "08", "1 ", "1k", "--1", "99999999999999999999", "1_000"] {
        assert_eq!(number(text), None, "{text}");
    }
    assert_eq!(guest("memory = 0x80").memory_kib, 128 << 10);
    assert_eq!(guest("memory = \"128\"").memory_kib, 128 << 10);
}

#[test]
fn numbers_that_xl_passes_over_are_errors() {
    assert_eq!(
        error("maxmem = '1G'"),
        "4:10: maxmem: \"1G\"; accepted: a number of MiB"
    );
    assert_eq!(
        error("maxmem = '-1'"),
        "4:10: maxmem: \"-1\"; accepted: a number of MiB"
    );
    assert_eq!(error("maxmem = [64]"), "4:10: maxmem: is a list; accepted: text");
    assert_eq!(
        error("vcpus = 1\nvcpus += 1"),
        "4:9: vcpus: \"11\"; accepted: a number assigned with =, not with +="
    );
    assert_eq!(error("vcpus = 70000"), "4:9: vcpus: \"70000\"; accepted: 1 to 64");
    assert_eq!(
        error("maxmem = 36028797018963968"),
        "4:10: maxmem: \"36028797018963968\"; accepted: a number of MiB"
    );
}

#[test]
fn all_errors_are_told_in_the_order_of_the_lines() {
    assert_eq!(
        errors("vcpus = 'two'\nmemroy = 1\npci = [ '01:00.0' ]\nvif = [ 'mac=1', 'bridge=a b' ]\ntype = 'hvm'"),
        "g.cfg:4:9: vcpus: \"two\"; accepted: 1 to 64\n\
         g.cfg:5:1: memroy: unknown key; accepted here: builder, cmdline, cpus, cpus_soft, disk, extra, kernel, maxmem, maxvcpus, \
         memory, name, on_crash, on_poweroff, on_reboot, on_soft_reset, on_watchdog, ramdisk, root, type, uuid, vcpus, vif\n\
         g.cfg:6:7: pci: cannot be honoured: domb gives guests no hardware yet; accepted: []\n\
         g.cfg:7:9: vif: mac \"1\"; accepted: 00:16:3e:01:23:45 and the like\n\
         g.cfg:8:8: type: cannot be honoured: domb builds no HVM guests, which need a device model; accepted: \"pvh\", \"pv\""
    );
    // Errors of the language come alone: what else the file says is not known then.
    assert_eq!(errors("memroy = 1\nvcpus = two").lines().count(), 1);
}

/// Lines that are mostly right, so that much of the reader is reached.
fn any_file() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "name", "kernel", "memory", "maxmem", "vcpus", "type", "disk", "vif", "extra", "root", "cmdline", "uuid",
        "on_crash", "pci", "cpus", "nx", "x",
    ]);
    let text = "[ -~]{0,12}|[a-z0-9:=,/.]{0,30}".prop_map(|text| format!("{text:?}"));
    let atom = prop_oneof![text, "[0-9]{1,5}", "\\PC{0,4}"];
    let list = prop::collection::vec(atom.clone(), 0..3).prop_map(|items| format!("[{}]", items.join(",\n")));
    let value = prop_oneof![atom, list];
    let operator = prop::sample::select(vec!["=", "=", " += ", " "]);
    let line = (key, operator, value).prop_map(|(key, operator, value)| [key, operator, &value].concat());
    prop::collection::vec(line, 0..8).prop_map(|lines| with(&lines.join("\n")))
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes, "g.cfg", "h");
    }

    #[test]
    fn what_is_read_survives_being_written(text in any_file()) {
        if let Ok(file) = read_text(&text) {
            let toml = crate::toml::write_guest(&file.domain, "h");
            let again = crate::toml::read_guest(&toml, "g.toml", "h");
            prop_assert_eq!(again.map(|guest| guest.domain), Ok(file.domain), "{}", toml);
        }
    }

    #[test]
    fn text_in_quotes_comes_back(text in "\\PC{0,20}") {
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
        prop_assert_eq!(value(&format!("a = \"{quoted}\"")), text);
    }

    #[test]
    fn lists_come_back(items in prop::collection::vec(prop::collection::vec("[a-z ]{0,5}", 0..4), 0..4)) {
        let list = |items: &[String]| format!("[{}]", items.join(", "));
        let quoted: Vec<String> = items.iter().map(|items| {
            list(&items.iter().map(|item| format!("'{item}'")).collect::<Vec<_>>())
        }).collect();
        let plain: Vec<String> = items.iter().map(|items| list(items)).collect();
        prop_assert_eq!(value(&format!("a = {}", list(&quoted))), list(&plain));
    }

    #[test]
    fn each_error_has_a_place_in_the_file(text in any_file()) {
        if let Err(errors) = read_text(&text) {
            prop_assert!(!errors.0.is_empty());
            let lines = text.split('\n').count();
            prop_assert!(errors.0.iter().all(|error| (1..=lines).contains(&error.line) && error.column >= 1));
        }
    }
}
