//! The reader of xl's configurations: no bytes make it panic; what is read passes the check, survives being written as TOML
//! and read again, and has the same canonical encoding then; what is not read has errors with places.

#![no_main]

use libfuzzer_sys::fuzz_target;
use manifest::{toml, xl_cfg};

fuzz_target!(|bytes: &[u8]| {
    match xl_cfg::read(bytes, "guest.cfg", "host") {
        Ok(file) => {
            assert_eq!(file.domain.check(), []);
            let text = toml::write_guest(&file.domain, "host");
            let again = toml::read_guest(&text, "guest.toml", "host").unwrap_or_else(|errors| panic!("{text}\n{errors}"));
            assert_eq!(again.domain, file.domain, "{text}");
            assert_eq!(again.domain.canonical(), file.domain.canonical());
        }
        Err(errors) => {
            assert!(!errors.0.is_empty());
            assert!(errors.0.iter().all(|error| error.line >= 1 && error.column >= 1));
            assert!(errors.to_string().starts_with("guest.cfg:"));
        }
    }
});
