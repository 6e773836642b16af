//! The TOML reader: no text makes it panic; what is read either checks or has a place for each problem, and its canonical
//! encoding comes back.

#![no_main]

use libfuzzer_sys::fuzz_target;
use manifest::Manifest;

fuzz_target!(|text: &str| {
    match manifest::toml::read(text, "host.toml") {
        Ok(host_file) => {
            let manifest = host_file.manifest(Vec::new());
            let problems = manifest.check();
            for problem in &problems {
                let error = host_file.place(problem);
                assert!(error.line >= 1 && error.column >= 1);
                assert!(error.to_string().starts_with("host.toml:"));
            }
            if problems.iter().all(|problem| problem.domain.is_some()) {
                assert_eq!(Manifest::decode(&manifest.encode()), Ok(manifest));
            }
        }
        Err(errors) => assert!(!errors.0.is_empty()),
    }
});
