use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use xen::DomId;

use super::*;

const STAMP: Stamp = Stamp::new(1, DomId(0));

fn path(text: &str) -> Path<'_> {
    Path::new(text).unwrap()
}

fn create(tree: &mut Tree, text: &str, value: &str) {
    create_counting(tree, text, value, &mut 0);
}

fn create_counting(tree: &mut Tree, text: &str, value: &str, copied: &mut usize) {
    let missing = tree.find(path(text)).missing;
    tree.create(
        path(text),
        missing,
        value.as_bytes(),
        &permissions::private(),
        STAMP,
        copied,
    );
}

fn paths(tree: &Tree) -> Vec<String> {
    let mut walk = tree.walk();
    let mut paths = Vec::new();
    while walk.next().is_some() {
        paths.push(walk.path());
    }
    paths
}

#[test]
fn a_new_tree_holds_what_xenstored_begins_with() {
    assert_eq!(paths(&Tree::new()), ["/", "/tool", "/tool/xenstored"]);
    assert_eq!(paths(&Tree::empty()), ["/"]);
}

#[test]
fn missing_parents_are_made_without_values() {
    let mut tree = Tree::empty();
    create(&mut tree, "/a/b/c", "value");
    assert_eq!(paths(&tree), ["/", "/a", "/a/b", "/a/b/c"]);
    assert_eq!(tree.get(path("/a/b")).unwrap().value(), b"");
    assert_eq!(tree.get(path("/a/b/c")).unwrap().value(), b"value");
    let found = tree.find(path("/a/x/y"));
    assert_eq!(
        (found.node.is_some(), found.above.name(), found.missing),
        (false, "a", 2)
    );
}

#[test]
fn a_snapshot_stays_as_it_was() {
    let mut tree = Tree::empty();
    create(&mut tree, "/a/b", "1");
    create(&mut tree, "/c", "1");
    let snapshot = tree.clone();
    let mut copied = 0;
    tree.set_value(path("/a/b"), b"2", STAMP, &mut copied);
    tree.remove(path("/c"), STAMP, &mut copied).unwrap();
    assert!(copied > 0);
    assert_eq!(paths(&snapshot), ["/", "/a", "/a/b", "/c"]);
    assert_eq!(snapshot.get(path("/a/b")).unwrap().value(), b"1");
    assert_eq!(paths(&tree), ["/", "/a", "/a/b"]);
}

#[test]
fn without_a_snapshot_nothing_is_copied() {
    let mut tree = Tree::empty();
    let mut copied = 0;
    for number in 0..100 {
        let text = format!("/a/{number}/b");
        create_counting(&mut tree, &text, "", &mut copied);
        tree.set_value(path(&text), b"value", STAMP, &mut copied);
    }
    tree.remove(path("/a"), STAMP, &mut copied);
    assert_eq!(copied, 0);
}

#[test]
fn the_root_cannot_be_removed_and_special_names_have_no_place_in_the_tree() {
    let mut tree = Tree::empty();
    assert!(tree.remove(Path::ROOT, STAMP, &mut 0).is_none());
    assert!(tree.remove(path("@releaseDomain"), STAMP, &mut 0).is_none());
    assert!(tree.get(path("@releaseDomain")).is_some());
    assert!(tree.get(path("@other")).is_none());
    assert_eq!(paths(&tree), ["/"]);
}

#[test]
fn a_walk_leaves_out_what_is_skipped() {
    let mut tree = Tree::empty();
    for text in ["/a/b/c", "/a/d", "/e/f"] {
        create(&mut tree, text, "");
    }
    let mut walk = tree.walk();
    let mut seen = Vec::new();
    while walk.next().is_some() {
        seen.push(walk.path());
        if seen.last().is_some_and(|path| path == "/a/b" || path == "/e") {
            walk.skip_children();
        }
    }
    assert_eq!(seen, ["/", "/a", "/a/b", "/a/d", "/e"]);
}

#[test]
fn xsa_418_a_thousand_levels_need_no_stack() {
    // A thread with a stack that recursion over the levels would overrun.
    let work = || {
        let mut tree = Tree::empty();
        let text = "/a".repeat(1500);
        create(&mut tree, &text, "deep");
        let snapshot = tree.clone();
        tree.set_value(path(&text), b"other", STAMP, &mut 0);
        assert_eq!(snapshot.get(path(&text)).unwrap().value(), b"deep");
        assert_eq!(paths(&tree).len(), 1501);
        drop(snapshot);
        tree.remove(path("/a"), STAMP, &mut 0).unwrap();
        assert_eq!(paths(&tree).len(), 1);
    };
    std::thread::Builder::new()
        .stack_size(32 * 1024)
        .spawn(work)
        .unwrap()
        .join()
        .unwrap();
}
