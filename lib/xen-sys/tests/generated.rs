//! Writes the bindings from the installed headers and compares them with the committed ones.

use std::path::Path;

/// The headers that the committed bindings were made from: interface version of `XEN_DOMCTL`.
const HEADERS: &str = "XEN_DOMCTL_INTERFACE_VERSION 0x00000015";

#[test]
fn bindings_are_what_bindgen_makes_of_the_headers() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let domctl = std::fs::read_to_string("/usr/include/xen/domctl.h").expect("package libxen-dev is installed");
    if !domctl.contains(HEADERS) {
        println!("skipped: the installed headers are not those of Xen 4.17 ({HEADERS})");
        return;
    }
    let made = bindgen::Builder::default()
        .header(root.join("wrapper.h").to_str().expect("a path in UTF-8"))
        .use_core()
        .generate_comments(false)
        .layout_tests(false)
        .derive_default(true)
        .prepend_enum_name(false)
        .allowlist_file(".*/xen/.*")
        .generate()
        .expect("bindgen reads the headers")
        .to_string();
    let path = root.join("src/generated.rs");
    if std::env::var_os("XEN_SYS_UPDATE").is_some() {
        std::fs::write(&path, &made).expect("generated.rs can be written");
    }
    let committed = std::fs::read_to_string(&path).expect("generated.rs is there");
    assert!(
        committed == made,
        "src/generated.rs differs: run XEN_SYS_UPDATE=1 cargo test -p xen-sys"
    );
}
