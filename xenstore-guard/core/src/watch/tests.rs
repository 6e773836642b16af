use alloc::format;
use alloc::string::{String, ToString};

use super::*;

const CONNECTION: ConnectionId = ConnectionId::from_number(1);

fn path(text: &str) -> Path<'_> {
    Path::new(text).unwrap()
}

fn watches(set: &[(&str, Option<u32>)]) -> Watches {
    let mut watches = Watches::default();
    for &(text, depth) in set {
        watches.add(CONNECTION, path(text), 0, b"token", depth);
    }
    watches
}

fn told(watches: &Watches, ids: &[WatchId]) -> String {
    let paths: Vec<_> = ids
        .iter()
        .map(|&id| watches.get(id).unwrap().path.to_string())
        .collect();
    paths.join(" ")
}

fn concerned(watches: &Watches, text: &str) -> String {
    let mut ids = Vec::new();
    watches.concerned(path(text), &mut ids);
    told(watches, &ids)
}

#[test]
fn a_change_concerns_watches_on_the_node_and_above_it() {
    let watches = watches(&[
        ("/a/b", None),
        ("/", None),
        ("/a", None),
        ("/a/b/c", None),
        ("/ab", None),
    ]);
    assert_eq!(concerned(&watches, "/a/b"), "/a/b / /a");
    assert_eq!(concerned(&watches, "/"), "/");
    assert_eq!(concerned(&watches, "/other"), "/");
    assert_eq!(concerned(&watches, "@releaseDomain"), "");
}

#[test]
fn a_depth_limits_how_far_below_changes_count() {
    let watches = watches(&[("/a", Some(0)), ("/a", Some(1)), ("/", Some(1))]);
    assert_eq!(concerned(&watches, "/a"), "/a /a /");
    assert_eq!(concerned(&watches, "/a/b"), "/a");
    assert_eq!(concerned(&watches, "/a/b/c"), "");
}

#[test]
fn special_names_are_told_with_or_without_the_domain() {
    let watches = watches(&[
        ("@releaseDomain", None),
        ("@releaseDomain", Some(1)),
        ("@releaseDomain/7", None),
        ("@releaseDomain/8", None),
        ("/", None),
    ]);
    let mut ids = Vec::new();
    watches.concerned_by_any_domain(path("@releaseDomain"), &mut ids);
    assert_eq!(ids, [WatchId(0)]);
    watches.concerned_by_domain(path("@releaseDomain/7"), &mut ids);
    assert_eq!(ids, [WatchId(1), WatchId(2)]);
}

#[test]
fn what_is_below_is_found() {
    let watches = watches(&[("/a", None), ("/a/b/c", None), ("/a/d", None), ("/e", None)]);
    let mut ids = Vec::new();
    watches.below(path("/a"), &mut ids);
    assert_eq!(told(&watches, &ids), "/a/b/c /a/d");
    watches.below(Path::ROOT, &mut ids);
    assert_eq!(told(&watches, &ids), "/a /a/b/c /a/d /e");
    watches.below(path("/x"), &mut ids);
    assert!(ids.is_empty());
}

#[test]
fn xsa_330_watches_that_come_and_go_leave_nothing() {
    let mut watches = watches(&[("/a", None)]);
    for number in 0..10_000 {
        let text = format!("/a/{}/{number}", number % 7);
        let id = watches.add(CONNECTION, path(&text), 0, b"token", None);
        assert_eq!(watches.find(CONNECTION, path(&text), b"token"), Some(id));
        watches.remove(id).unwrap();
        assert_eq!(watches.find(CONNECTION, path(&text), b"token"), None);
    }
    assert_eq!(watches.watches.len(), 2);
    assert_eq!(watches.trie.size(), 5);
}

#[test]
fn relative_paths_are_told_as_the_client_wrote_them() {
    let mut watches = Watches::default();
    let id = watches.add(
        CONNECTION,
        path("/local/domain/7/device"),
        "/local/domain/7/".len(),
        b"",
        None,
    );
    assert_eq!(
        watches.get(id).unwrap().as_told(path("/local/domain/7/device/vif")),
        "device/vif"
    );
}
