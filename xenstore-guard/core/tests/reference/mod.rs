//! The store's semantics once more, as simply as they can be written: a map from paths to values and permissions, copied
//! whole for each transaction. It shares nothing with the store but the wire's types.
#![allow(unreachable_pub, reason = "a module of a test program")]

use std::collections::{BTreeMap, BTreeSet};

use xenstore_guard_core::{DomId, Permission, StoreError};

pub const PRIVILEGED: u16 = 0;

/// An entry, and whether it named a domain that did not exist.
pub type Entry = (Permission, bool);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub value: Vec<u8>,
    pub permissions: Vec<Entry>,
}

pub type Tree = BTreeMap<String, Node>;

/// What a request asks of nodes.
#[derive(Debug, Clone)]
pub enum Request {
    Read(String),
    Directory(String),
    GetPermissions(String),
    Write(String, Vec<u8>),
    Mkdir(String),
    Rm(String),
    SetPermissions(String, Vec<Permission>),
}

#[derive(Debug, Clone)]
pub enum Effect {
    Changed,
    /// The permissions before.
    Permissions(Vec<Entry>),
    /// What was there, by path.
    Removed(Tree),
}

pub type Answer = Result<Vec<u8>, StoreError>;

#[derive(Debug, Clone)]
pub struct Transaction {
    start: Tree,
    tree: Tree,
    log: Vec<(Request, Answer, Vec<u64>)>,
    /// What only reads holds together whatever happens.
    changed: bool,
}

#[derive(Debug, Clone)]
pub struct Watch {
    pub domid: u16,
    pub path: String,
    pub token: String,
}

/// Events, as `(domid, path, token)`.
pub type Events = BTreeSet<(u16, String, String)>;

#[derive(Debug)]
pub struct Store {
    pub tree: Tree,
    /// Domains of which something is known, and when that began.
    known: BTreeMap<u16, u64>,
    clock: u64,
    pub watches: Vec<Watch>,
    node_quota: usize,
}

fn parent(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) | None => "/",
        Some(slash) => &path[..slash],
    }
}

fn is_below(path: &str, above: &str) -> bool {
    path != above && (above == "/" || path.strip_prefix(above).is_some_and(|rest| rest.starts_with('/')))
}

fn owner(permissions: &[Entry]) -> u16 {
    permissions[0].0.domid.0
}

/// Read, write, own.
fn rights(domid: u16, permissions: &[Entry]) -> (bool, bool, bool) {
    if domid == PRIVILEGED || owner(permissions) == domid {
        return (true, true, true);
    }
    let own = permissions[1..]
        .iter()
        .find(|(entry, stale)| !stale && entry.domid.0 == domid);
    let access = own.unwrap_or(&permissions[0]).0.access;
    (access.read, access.write, false)
}

fn count(tree: &Tree, domid: u16) -> usize {
    tree.values().filter(|node| owner(&node.permissions) == domid).count()
}

impl Store {
    pub fn new(node_quota: usize) -> Self {
        let private = Permission::decode(b"n0").unwrap();
        let node = Node {
            value: Vec::new(),
            permissions: vec![(private, false)],
        };
        let paths = ["/", "/tool", "/tool/xenstored"];
        Self {
            tree: paths.into_iter().map(|path| (path.to_string(), node.clone())).collect(),
            known: BTreeMap::from([(0, 0)]),
            clock: 1,
            watches: Vec::new(),
            node_quota,
        }
    }

    pub fn introduce(&mut self, domid: u16) {
        let clock = self.clock;
        self.known.entry(domid).or_insert(clock);
    }

    pub fn release(&mut self, domid: u16) -> Events {
        self.watches.retain(|watch| watch.domid != domid);
        self.known.remove(&domid);
        self.clock += 1;
        let mut effects = Vec::new();
        let owned: Vec<String> = self
            .tree
            .iter()
            .filter(|(_, node)| owner(&node.permissions) == domid)
            .map(|(path, _)| path.clone())
            .collect();
        for path in owned {
            if self.tree.contains_key(&path) {
                effects.push((path.clone(), Effect::Removed(remove(&mut self.tree, &path))));
            }
        }
        for (path, node) in &mut self.tree {
            let old = node.permissions.clone();
            let mut index = 0;
            node.permissions.retain(|(entry, _)| {
                index += 1;
                index == 1 || entry.domid.0 != domid
            });
            if node.permissions != old {
                effects.push((path.clone(), Effect::Permissions(old)));
            }
        }
        self.events(&effects)
    }

    pub fn execute(&mut self, domid: u16, request: &Request) -> (Answer, Events) {
        let mut tree = self.tree.clone();
        let base = self.tree.clone();
        let (answer, effects, _) = self.apply(domid, request, &mut tree, &base);
        self.tree = tree;
        let events = self.events(&effects);
        (answer, events)
    }

    pub fn begin(&self) -> Transaction {
        Transaction {
            start: self.tree.clone(),
            tree: self.tree.clone(),
            log: Vec::new(),
            changed: false,
        }
    }

    pub fn within(&mut self, domid: u16, transaction: &mut Transaction, request: &Request) -> Answer {
        let start = transaction.start.clone();
        let (answer, effects, witness) = self.apply(domid, request, &mut transaction.tree, &start);
        transaction.changed |= !effects.is_empty();
        transaction.log.push((request.clone(), answer.clone(), witness));
        answer
    }

    /// Whether it holds, and the events if it does.
    pub fn commit(&mut self, domid: u16, transaction: &Transaction) -> (bool, Events) {
        if !transaction.changed {
            return (true, Events::new());
        }
        let mut tree = self.tree.clone();
        let base = self.tree.clone();
        let mut all = Vec::new();
        for (request, answer, witness) in &transaction.log {
            let (again, mut effects, witness_again) = self.apply(domid, request, &mut tree, &base);
            if again != *answer || witness_again != *witness {
                return (false, Events::new());
            }
            all.append(&mut effects);
        }
        self.tree = tree;
        let events = self.events(&all);
        (true, events)
    }

    /// Does a request on a tree. `base` is the tree that charges are counted from.
    fn apply(
        &mut self,
        domid: u16,
        request: &Request,
        tree: &mut Tree,
        base: &Tree,
    ) -> (Answer, Vec<(String, Effect)>, Vec<u64>) {
        let mut effects = Vec::new();
        let mut witness = Vec::new();
        let answer = self.try_apply(domid, request, tree, base, &mut effects, &mut witness);
        (answer, effects, witness)
    }

    fn try_apply(
        &mut self,
        domid: u16,
        request: &Request,
        tree: &mut Tree,
        base: &Tree,
        effects: &mut Vec<(String, Effect)>,
        witness: &mut Vec<u64>,
    ) -> Answer {
        let ok = Ok(b"OK\0".to_vec());
        match request {
            Request::Read(path) => Ok(find(tree, domid, path, |rights| rights.0)?.value.clone()),
            Request::GetPermissions(path) => {
                let node = find(tree, domid, path, |rights| rights.0)?;
                let texts: Vec<String> = node.permissions.iter().map(|(entry, _)| format!("{entry}\0")).collect();
                Ok(texts.concat().into_bytes())
            }
            Request::Directory(path) => {
                find(tree, domid, path, |rights| rights.0)?;
                let children = tree.keys().filter(|child| *child != "/" && parent(child) == path);
                let names: Vec<String> = children
                    .map(|child| format!("{}\0", child.rsplit('/').next().unwrap()))
                    .collect();
                Ok(names.concat().into_bytes())
            }
            Request::Write(path, value) => match find(tree, domid, path, |rights| rights.1) {
                Ok(_) => {
                    tree.get_mut(path).unwrap().value.clone_from(value);
                    effects.push((path.clone(), Effect::Changed));
                    ok
                }
                Err(StoreError::NotFound) => {
                    self.create(domid, path, value, tree, base)?;
                    effects.push((path.clone(), Effect::Changed));
                    ok
                }
                Err(error) => Err(error),
            },
            Request::Mkdir(path) => match find(tree, domid, path, |rights| rights.1) {
                Ok(_) => ok,
                Err(StoreError::NotFound) => {
                    self.create(domid, path, b"", tree, base)?;
                    effects.push((path.clone(), Effect::Changed));
                    ok
                }
                Err(error) => Err(error),
            },
            Request::Rm(path) => {
                match find(tree, domid, path, |rights| rights.1) {
                    Ok(_) => {}
                    Err(StoreError::NotFound) if tree.contains_key(parent(path)) => return ok,
                    Err(error) => return Err(error),
                }
                if path == "/" {
                    return Err(StoreError::Invalid);
                }
                effects.push((path.clone(), Effect::Removed(remove(tree, path))));
                ok
            }
            Request::SetPermissions(path, permissions) => {
                if domid != PRIVILEGED && permissions.len() > 5 {
                    return Err(StoreError::NoSpace);
                }
                let entries: Vec<Entry> = permissions
                    .iter()
                    .map(|&entry| {
                        if domid == PRIVILEGED {
                            self.introduce(entry.domid.0);
                        }
                        let since = self.known.get(&entry.domid.0);
                        witness.push(since.copied().unwrap_or_default());
                        (entry, since.is_none())
                    })
                    .collect();
                let node = match tree.get(path) {
                    Some(node) if rights(domid, &node.permissions).2 => node,
                    Some(_) => return Err(StoreError::Access),
                    None => return Err(missing(tree, domid, path, |rights| rights.1)),
                };
                if domid != PRIVILEGED && owner(&node.permissions) != owner(&entries) {
                    return Err(StoreError::NotPermitted);
                }
                let node = tree.get_mut(path).unwrap();
                let old = std::mem::replace(&mut node.permissions, entries);
                effects.push((path.clone(), Effect::Permissions(old)));
                ok
            }
        }
    }

    fn create(&self, domid: u16, path: &str, value: &[u8], tree: &mut Tree, base: &Tree) -> Result<(), StoreError> {
        let mut made = Vec::new();
        let mut above = path;
        while !tree.contains_key(above) {
            made.push(above.to_string());
            above = parent(above);
        }
        let mut permissions = tree[above].permissions.clone();
        if domid != PRIVILEGED {
            permissions[0].0.domid = DomId(domid);
            // What is there now, and what the transaction adds.
            let there = count(&self.tree, domid) + count(tree, domid) - count(base, domid);
            if there + made.len() > self.node_quota {
                return Err(StoreError::NoSpace);
            }
        }
        for name in made {
            let value = if name == path { value.to_vec() } else { Vec::new() };
            let permissions = permissions.clone();
            tree.insert(name, Node { value, permissions });
        }
        Ok(())
    }

    /// Events of changes, with the tree as it is after them.
    fn events(&self, effects: &[(String, Effect)]) -> Events {
        let mut events = Events::new();
        for watch in &self.watches {
            let mut tell = |path: &str| {
                events.insert((watch.domid, path.to_string(), watch.token.clone()));
            };
            let reads = |permissions: &[Entry]| rights(watch.domid, permissions).0;
            let reads_now = |path: &str| self.tree.get(path).is_some_and(|node| reads(&node.permissions));
            for (path, effect) in effects {
                let there = self.tree.contains_key(path);
                let may = match effect {
                    Effect::Changed => there && (reads_now(path) || reads_now(parent(path))),
                    Effect::Permissions(old) => reads(old) || there && (reads_now(path) || reads_now(parent(path))),
                    Effect::Removed(gone) => {
                        for (below, node) in gone.iter().filter(|(below, _)| *below != path) {
                            let above = &gone[parent(below)];
                            if *below == watch.path && (reads(&node.permissions) || reads(&above.permissions)) {
                                tell(below);
                            }
                        }
                        reads(&gone[path].permissions) || reads_now(path) || reads_now(parent(path))
                    }
                };
                let concerns = *path == watch.path || is_below(path, &watch.path);
                if concerns && (may || watch.domid == PRIVILEGED) {
                    tell(path);
                }
            }
        }
        events
    }
}

/// A node, if its permissions let a domain at it.
fn find<'a>(
    tree: &'a Tree,
    domid: u16,
    path: &str,
    need: impl Fn((bool, bool, bool)) -> bool,
) -> Result<&'a Node, StoreError> {
    match tree.get(path) {
        Some(node) if need(rights(domid, &node.permissions)) => Ok(node),
        Some(_) => Err(StoreError::Access),
        None => Err(missing(tree, domid, path, need)),
    }
}

/// What a domain is told of a node that is not there.
fn missing(tree: &Tree, domid: u16, path: &str, need: impl Fn((bool, bool, bool)) -> bool) -> StoreError {
    let mut above = path;
    while !tree.contains_key(above) {
        above = parent(above);
    }
    if need(rights(domid, &tree[above].permissions)) {
        StoreError::NotFound
    } else {
        StoreError::Access
    }
}

/// Takes a node and all below it out.
fn remove(tree: &mut Tree, path: &str) -> Tree {
    let gone: Vec<String> = tree
        .keys()
        .filter(|name| *name == path || is_below(name, path))
        .cloned()
        .collect();
    gone.into_iter()
        .map(|name| {
            let node = tree.remove(&name).unwrap();
            (name, node)
        })
        .collect()
}
