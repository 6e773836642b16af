//! The canonical encoding: no bytes make the decoder, the checks or the ordering panic; what decodes is canonical; each
//! domain either starts behind all that it needs or is refused.

#![no_main]

use libfuzzer_sys::fuzz_target;
use manifest::Manifest;

fuzz_target!(|bytes: &[u8]| {
    let Ok(manifest) = Manifest::decode(bytes) else {
        return;
    };
    assert_eq!(manifest.encode(), bytes);
    let front = Manifest::decode_unchecked(bytes).expect("what stands before the policy decodes alone");
    assert_eq!(front.domains, manifest.domains);

    let problems = manifest.check();
    assert!(problems.iter().all(|problem| problem.domain.is_some() && !problem.to_string().is_empty()));
    let (order, refused) = manifest.start_order();
    assert_eq!(order.len() + refused.len(), manifest.domains.len());
    for (index, _) in &refused {
        assert!(problems.iter().any(|problem| problem.domain == Some(*index)));
    }
    let mut up = std::collections::BTreeSet::new();
    for index in &order {
        let domain = &manifest.domains[*index];
        assert!(domain.needs.iter().all(|need| up.contains(need.as_str())));
        assert!(manifest.image(&domain.kernel).is_some());
        up.insert(domain.name.as_str());
        assert!(!domain.canonical().is_empty());
    }
    let (boot, _) = manifest.boot_order();
    assert!(boot.iter().all(|index| order.contains(index)));
});
