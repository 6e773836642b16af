//! In which order domains start, and which cannot start at all.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::{Error, Manifest};

/// How far the walk over the dependencies has come with a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Visit {
    NotYet,
    /// On the path from a domain to what it needs.
    Open,
    Done,
}

impl Manifest {
    /// All domains that may start, as indices into [`Manifest::domains`], each after those that it needs; and each other
    /// domain with one reason why it is refused ([`Manifest::check`] has all reasons).
    ///
    /// Where no dependency says otherwise, the order is the manifest's. A domain that needs a refused one is refused.
    /// Every domain needs the store, if there is one ([`Manifest::needs`]).
    #[must_use]
    pub fn start_order(&self) -> (Vec<usize>, Vec<(usize, Error)>) {
        self.resolve(&self.own_errors())
    }

    /// [`Manifest::start_order`] of the domains that start with the host: those marked `autostart` and all that they need.
    #[must_use]
    pub fn boot_order(&self) -> (Vec<usize>, Vec<(usize, Error)>) {
        let wanted = self.wanted_at_boot();
        let wants = |index: usize| wanted.get(index).is_some_and(|wanted| *wanted);
        let (mut order, mut refused) = self.start_order();
        order.retain(|index| wants(*index));
        refused.retain(|(index, _)| wants(*index));
        (order, refused)
    }

    /// For each domain whether it, or one that needs it, is marked `autostart`.
    fn wanted_at_boot(&self) -> Vec<bool> {
        let indices = self.indices();
        let store = self.store();
        let mut wanted = vec![false; self.domains.len()];
        let mut found: Vec<usize> = self
            .domains
            .iter()
            .enumerate()
            .filter(|(_, domain)| domain.autostart)
            .map(|(index, _)| index)
            .collect();
        while let Some(index) = found.pop() {
            if let Some(mark @ false) = wanted.get_mut(index) {
                *mark = true;
                found.extend(self.needs_with(index, store).filter_map(|need| indices.get(need)));
            }
        }
        wanted
    }

    /// The first domain of each name.
    fn indices(&self) -> BTreeMap<&str, usize> {
        let mut indices = BTreeMap::new();
        for (index, domain) in self.domains.iter().enumerate() {
            indices.entry(domain.name.as_str()).or_insert(index);
        }
        indices
    }

    /// Orders the domains, given what is wrong with each of them already.
    ///
    /// A depth-first walk that keeps its path in a vector: the depth is the manifest's choice, the stack is not.
    pub(crate) fn resolve(&self, own: &[Vec<Error>]) -> (Vec<usize>, Vec<(usize, Error)>) {
        let indices = self.indices();
        let store = self.store();
        let needs: Vec<Vec<usize>> = (0..self.domains.len())
            .map(|index| {
                self.needs_with(index, store)
                    .filter_map(|need| indices.get(need).copied())
                    .collect()
            })
            .collect();
        let mut walk = Walk {
            manifest: self,
            refused: own.iter().map(|errors| errors.first().cloned()).collect(),
            visits: vec![Visit::NotYet; self.domains.len()],
            path: Vec::new(),
            order: Vec::new(),
        };
        for start in 0..self.domains.len() {
            walk.enter(start);
            while let Some((index, next)) = walk.path.last_mut() {
                let (index, at) = (*index, *next);
                *next = next.saturating_add(1);
                match needs.get(index).and_then(|needs| needs.get(at)) {
                    Some(need) => walk.enter(*need),
                    None => walk.leave(index, needs.get(index).map_or(&[], Vec::as_slice)),
                }
            }
        }
        let refused = walk
            .refused
            .into_iter()
            .enumerate()
            .filter_map(|(index, error)| Some((index, error?)))
            .collect();
        (walk.order, refused)
    }
}

/// The state of the walk in [`Manifest::resolve`].
struct Walk<'a> {
    manifest: &'a Manifest,
    refused: Vec<Option<Error>>,
    visits: Vec<Visit>,
    /// Each domain on the path, with the position of the need to look at next.
    path: Vec<(usize, usize)>,
    order: Vec<usize>,
}

impl Walk<'_> {
    /// Steps on to a domain that was not visited yet. One that is open closes a cycle.
    fn enter(&mut self, index: usize) {
        match self.visits.get_mut(index) {
            Some(visit @ Visit::NotYet) => {
                *visit = Visit::Open;
                self.path.push((index, 0));
            }
            Some(Visit::Open) => self.refuse_cycle(index),
            Some(Visit::Done) | None => {}
        }
    }

    /// Refuses each domain of the cycle that begins at `first` and ends at the end of the path.
    fn refuse_cycle(&mut self, first: usize) {
        let from = self
            .path
            .iter()
            .position(|(index, _)| *index == first)
            .unwrap_or_default();
        let cycle: Vec<usize> = self.path.iter().skip(from).map(|(index, _)| *index).collect();
        for (position, index) in cycle.iter().enumerate() {
            if let Some(refused @ None) = self.refused.get_mut(*index) {
                // Each domain is told the cycle beginning with itself.
                let around = cycle.iter().cycle().skip(position).take(cycle.len().saturating_add(1));
                let names: Vec<String> = around
                    .filter_map(|index| self.manifest.domains.get(*index))
                    .map(|domain| domain.name.clone())
                    .collect();
                *refused = Some(Error::Cycle(names));
            }
        }
    }

    /// Steps back from a domain all of whose needs are decided. In a cycle, the need that closes it is not, but then both
    /// are refused already.
    fn leave(&mut self, index: usize, needs: &[usize]) {
        self.path.pop();
        if let Some(visit) = self.visits.get_mut(index) {
            *visit = Visit::Done;
        }
        let bad = needs
            .iter()
            .find(|need| self.refused.get(**need).is_none_or(Option::is_some));
        let reason = bad
            .and_then(|need| self.manifest.domains.get(*need))
            .map(|domain| Error::NeedsRefused(domain.name.clone()));
        match self.refused.get_mut(index) {
            Some(refused @ None) if reason.is_some() => *refused = reason,
            Some(None) => self.order.push(index),
            Some(Some(_)) | None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use proptest::prelude::*;

    use super::*;
    use crate::{Role, samples};

    /// A manifest of domains "a", "b", … with these needs, and the names that start and that are refused.
    fn order(needs: &[(&str, &[&str])]) -> (Vec<String>, Vec<String>) {
        let manifest = samples::manifest_with_needs(needs);
        let (order, refused) = manifest.start_order();
        let name = |index: usize| manifest.domains[index].name.clone();
        (
            order.into_iter().map(name).collect(),
            refused
                .into_iter()
                .map(|(index, error)| alloc::format!("{}: {error}", name(index)))
                .collect(),
        )
    }

    #[test]
    fn without_needs_the_order_is_the_manifests() {
        assert_eq!(order(&[("c", &[]), ("a", &[]), ("b", &[])]).0, ["c", "a", "b"]);
    }

    #[test]
    fn needs_come_first() {
        let (order, refused) = order(&[
            ("guest", &["net", "store"]),
            ("net", &["store"]),
            ("store", &[]),
            ("other", &[]),
        ]);
        assert_eq!(order, ["store", "net", "guest", "other"]);
        assert!(refused.is_empty());
    }

    #[test]
    fn the_store_comes_first_without_being_named() {
        let mut manifest =
            samples::manifest_with_needs(&[("guest", &["net"]), ("net", &[]), ("store", &[]), ("idle", &[])]);
        manifest.domains[2].roles.push(Role::Store);
        manifest.domains[0].autostart = true;
        assert_eq!(manifest.start_order(), (vec![2, 1, 0, 3], vec![]));
        assert_eq!(manifest.boot_order(), (vec![2, 1, 0], vec![]));
        assert_eq!(manifest.needs(0).collect::<Vec<_>>(), ["net", "store"]);
        assert_eq!(manifest.needs(2).count(), 0);
        manifest.domains[2].vcpus = 0;
        let (order, refused) = manifest.start_order();
        assert_eq!(order, []);
        let need = Error::NeedsRefused("store".into());
        assert_eq!(refused.iter().filter(|(_, error)| *error == need).count(), 2);
    }

    #[test]
    fn a_cycle_is_named_and_the_others_start() {
        let (order, refused) = order(&[("a", &["b"]), ("b", &["c"]), ("c", &["a"]), ("d", &["a"]), ("e", &[])]);
        assert_eq!(order, ["e"]);
        assert_eq!(
            refused,
            [
                r#"a: dependency cycle: "a" -> "b" -> "c" -> "a""#,
                r#"b: dependency cycle: "b" -> "c" -> "a" -> "b""#,
                r#"c: dependency cycle: "c" -> "a" -> "b" -> "c""#,
                r#"d: needs "a", which is refused"#,
            ]
        );
    }

    #[test]
    fn a_domain_that_needs_itself_is_a_cycle() {
        assert_eq!(order(&[("a", &["a"])]).1, [r#"a: dependency cycle: "a" -> "a""#]);
    }

    #[test]
    fn two_cycles_through_one_domain_leave_none_of_them() {
        let (order, refused) = order(&[("a", &["b", "c"]), ("b", &["a"]), ("c", &["b"])]);
        assert!(order.is_empty());
        assert_eq!(
            refused,
            [
                r#"a: dependency cycle: "a" -> "b" -> "a""#,
                r#"b: dependency cycle: "b" -> "a" -> "b""#,
                r#"c: needs "b", which is refused"#,
            ]
        );
    }

    #[test]
    fn refusal_reaches_along_needs() {
        let mut manifest = samples::manifest_with_needs(&[("c", &["b"]), ("b", &["a"]), ("a", &[]), ("d", &[])]);
        manifest.domains[2].vcpus = 0;
        let (order, refused) = manifest.start_order();
        assert_eq!(order, [3]);
        let texts: Vec<String> = refused
            .iter()
            .map(|(index, error)| alloc::format!("{index} {error}"))
            .collect();
        assert_eq!(
            texts,
            [
                r#"0 needs "b", which is refused"#,
                r#"1 needs "a", which is refused"#,
                "2 0 vcpus; accepted: 1 to 64"
            ]
        );
    }

    #[test]
    fn a_long_chain_takes_no_stack() {
        let names: Vec<String> = (0..1024).map(|index| alloc::format!("d{index}")).collect();
        let needs: Vec<Vec<&str>> = (0..1024)
            .map(|index| names.get(index + 1).map(String::as_str).into_iter().collect())
            .collect();
        let chain: Vec<(&str, &[&str])> = names
            .iter()
            .zip(&needs)
            .map(|(name, needs)| (name.as_str(), needs.as_slice()))
            .collect();
        let (order, refused) = order(&chain);
        assert_eq!(order.first().map(String::as_str), Some("d1023"));
        assert_eq!((order.len(), refused.len()), (1024, 0));
    }

    #[test]
    fn boot_starts_what_is_marked_and_what_that_needs() {
        let mut manifest = samples::manifest_with_needs(&[
            ("guest", &["net"]),
            ("idle", &["net"]),
            ("net", &["store"]),
            ("store", &[]),
            ("bad", &[]),
        ]);
        manifest
            .domains
            .iter_mut()
            .for_each(|domain| domain.autostart = domain.name == "guest");
        manifest.domains[4].vcpus = 0;
        assert_eq!(manifest.boot_order(), (vec![3, 2, 0], vec![]));
        manifest.domains[3].vcpus = 0;
        let (order, refused) = manifest.boot_order();
        assert!(order.is_empty());
        assert_eq!(refused.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [0, 2, 3]);
    }

    proptest! {
        #[test]
        fn every_domain_is_ordered_behind_its_needs_or_refused(manifest in samples::any_manifest()) {
            let (order, refused) = manifest.start_order();
            let mut all: Vec<usize> = order.iter().copied().chain(refused.iter().map(|(index, _)| *index)).collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..manifest.domains.len()).collect::<Vec<_>>());
            for (position, index) in order.iter().enumerate() {
                for need in manifest.needs(*index) {
                    let before = order[..position].iter().any(|earlier| manifest.domains[*earlier].name == need);
                    prop_assert!(before, "{} starts before {need}", manifest.domains[*index].name);
                }
            }
            for (index, error) in &refused {
                prop_assert!(!error.to_string().is_empty());
                prop_assert!(manifest.check().iter().any(|problem| problem.domain == Some(*index)));
            }
        }
    }
}
