//! Opens a box: finds the last state, and what was in flight. Nothing in it is believed.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::flight::Flights;
use super::frame::{self, FrameProblem, Kind};
use super::item::{self, Item};
use super::region::{Area, LIVE, LOST, Layout, MAGIC, RecoveryBox, SIZE, read_u64};
use super::replay::Replay;
use super::report::Report;
use super::slot::{Found, Progress, Slot};
use crate::state::{ConnectionId, Peer, PermissionState, State};
use crate::stream::{self, Fields};

/// Generations from here on are taken for damage.
const MAX_GENERATION: u64 = 1 << 62;

/// What was found.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) state: Option<State>,
    pub(super) flights: Flights,
    pub(super) report: Report,
    /// The area that the state is from.
    pub(super) area: Area,
    /// Generation of the next snapshot.
    pub(super) next_generation: u64,
}

/// Reads everything.
pub(super) fn contents(memory: &impl RecoveryBox, layout: &Layout) -> Contents {
    let mut report = Report::default();
    let fresh = read_header(memory, &mut report);
    let (area, generation) = Area::of_live(read_u64(memory, LIVE));
    let candidates = candidates(memory, layout, (area, generation), fresh, &mut report);
    let highest = candidates.iter().map(|&(_, generation, _)| generation).max();
    let mut contents = Contents {
        state: None,
        flights: Flights::new(slots(memory, layout, fresh, &mut report)),
        report,
        area: Area::Second,
        next_generation: highest.unwrap_or_default() + 1,
    };
    if fresh {
        return contents;
    }
    contents.report.lost = read_u64(memory, LOST);
    // The best that there is: the first whole one, else what there is of the first.
    let mut reader = Reader { memory, layout };
    for partial in [false, true] {
        for &(area, generation, end) in &candidates {
            if let Some(state) = reader.area((area, generation), end, partial, &mut contents) {
                contents.state = Some(state);
                contents.area = area;
                contents.report.generation = generation;
                return contents;
            }
        }
    }
    if generation != 0 {
        contents.report.damage(LIVE, &"no state that can be read");
    }
    contents
}

/// Looks at the header; whether the box was never used.
fn read_header(memory: &impl RecoveryBox, report: &mut Report) -> bool {
    let mut magic = [0; MAGIC.len()];
    memory.read(0, &mut magic);
    let (size, live) = (read_u64(memory, SIZE), read_u64(memory, LIVE));
    if magic == [0; MAGIC.len()] && live == 0 {
        return true;
    }
    if magic != MAGIC {
        report.damage(0, &format_args!("it begins with {magic:02x?}, expected {MAGIC:02x?}"));
    }
    if usize::try_from(size) != Ok(memory.size()) {
        report.damage(
            SIZE,
            &format_args!("made for {size} bytes, there are {}", memory.size()),
        );
    }
    false
}

/// The areas that may hold a state, the likeliest first: area, generation, where its published bytes end.
fn candidates(
    memory: &impl RecoveryBox,
    layout: &Layout,
    live: (Area, u64),
    fresh: bool,
    report: &mut Report,
) -> Vec<(Area, u64, usize)> {
    let mut candidates = Vec::new();
    if fresh {
        return candidates;
    }
    for area in [live.0, live.0.other()] {
        let published = read_u64(memory, area.length());
        let end = match usize::try_from(published) {
            Ok(end) if end <= layout.area_bytes => end,
            _ => {
                let most = layout.area_bytes;
                report.damage(area.length(), &format_args!("{published} bytes published of {most}"));
                // The frames' check values say where it ends.
                layout.area_bytes
            }
        };
        match start(memory, layout, area, end) {
            Ok(generation) => candidates.push((area, generation, end)),
            // The other area may be unused, or in the middle of being written.
            Err(problem) if area == live.0 && live.1 != 0 => report.damage(layout.area(area), &problem),
            Err(_) => {}
        }
    }
    if live.1 != 0
        && !candidates
            .iter()
            .any(|&(area, generation, _)| (area, generation) == live)
    {
        report.damage(
            LIVE,
            &format_args!("generation {} is not in area {}", live.1, live.0.number()),
        );
        candidates.sort_by_key(|&(_, generation, _)| core::cmp::Reverse(generation));
    }
    candidates
}

/// Generation of an area.
fn start(memory: &impl RecoveryBox, layout: &Layout, area: Area, end: usize) -> Result<u64, FrameProblem> {
    let at = frame::FRAME_HEADER_BYTES;
    let mut start = [0; 9];
    memory.read(layout.area(area) + at, &mut start);
    let [_, generation @ ..] = start;
    let generation = u64::from_le_bytes(generation);
    let mut body = Vec::new();
    let (kind, _) = frame::read(memory, layout, (area, generation), 0, end, &mut body)?;
    if kind != Kind::Start || body != start || generation >= MAX_GENERATION {
        return Err(FrameProblem::Kind(kind as u8));
    }
    Ok(generation)
}

/// The slots of connections, each connection's first one.
fn slots(
    memory: &impl RecoveryBox,
    layout: &Layout,
    fresh: bool,
    report: &mut Report,
) -> BTreeMap<ConnectionId, (Slot, Progress)> {
    let mut slots = BTreeMap::new();
    for index in (0..layout.slots).take_while(|_| !fresh) {
        match Slot::read(memory, layout, index) {
            Found::Free => {}
            Found::Used(slot, owner, progress) => {
                if slots.insert(owner.connection, (slot, progress)).is_some() {
                    let id = owner.connection.number();
                    report.damage(layout.slot(index), &format_args!("a second slot of connection {id}"));
                }
            }
            Found::Damaged => report.damage(layout.slot(index), &"a slot that makes no sense"),
        }
    }
    slots
}

struct Reader<'a, B> {
    memory: &'a B,
    layout: &'a Layout,
}

impl<B: RecoveryBox> Reader<'_, B> {
    /// The state of an area; none where its snapshot is damaged, unless a part is enough.
    fn area(
        &mut self,
        (area, generation): (Area, u64),
        end: usize,
        partial: bool,
        contents: &mut Contents,
    ) -> Option<State> {
        let (memory, layout) = (self.memory, self.layout);
        let base = layout.area(area);
        let mut body = Vec::new();
        let (mut offset, mut snapshot, mut whole) = (0, Vec::new(), false);
        let mut damage = None;
        while !whole && damage.is_none() {
            match frame::read(memory, layout, (area, generation), offset, end, &mut body) {
                Ok((Kind::Start, next)) if offset == 0 => offset = next,
                Ok((Kind::Snapshot, next)) if offset > 0 => {
                    snapshot.extend_from_slice(body.get(1..).unwrap_or_default());
                    offset = next;
                }
                Ok((Kind::SnapshotEnd, next)) if offset > 0 => {
                    whole = true;
                    offset = next;
                }
                Ok((kind, _)) => damage = Some(FrameProblem::Kind(kind as u8)),
                Err(problem) => damage = Some(problem),
            }
        }
        let report = &mut contents.report;
        if let (Some(problem), false) = (damage, partial) {
            report.damage(base + offset, &format_args!("in the snapshot: {problem}"));
        }
        let (stream, problem) = stream::read_part(&snapshot);
        if let (Some(problem), false) = (&problem, partial) {
            report.damage(base, &format_args!("the snapshot: {problem}"));
        }
        if (!whole || problem.is_some()) && !partial {
            return None;
        }
        let mut replay = Replay::new(stream?.state);
        if whole {
            self.journal((area, generation), offset, end, &mut replay, contents);
        }
        Some(without_sockets(replay.finish()))
    }

    /// Replays the journal, up to its end or to the first damage.
    fn journal(
        &mut self,
        area: (Area, u64),
        mut offset: usize,
        end: usize,
        replay: &mut Replay,
        contents: &mut Contents,
    ) {
        let (memory, layout) = (self.memory, self.layout);
        let report = &mut contents.report;
        let mut body = Vec::new();
        while offset < end {
            let at = layout.area(area.0) + offset;
            match frame::read(memory, layout, area, offset, end, &mut body) {
                Ok((Kind::Journal, next)) => offset = next,
                Ok((kind, _)) => return report.damage(at, &FrameProblem::Kind(kind as u8)),
                // Behind the last frame, where the published length was not to be believed.
                Err(_) if end == layout.area_bytes && !report.damages.is_empty() => return,
                Err(problem) => return report.damage(at, &format_args!("in the journal: {problem}")),
            }
            let items = body.get(1..).unwrap_or_default();
            // All of it or nothing.
            if let Err(problem) = each_item(items, |_| {}) {
                return report.damage(at, &format_args!("in the journal: {problem}"));
            }
            report.frames += 1;
            let flights = &mut contents.flights;
            let done = each_item(items, |item| {
                flights.note(item);
                if let Item::Change(change) = item {
                    report.changes += 1;
                    if let Err(misfit) = replay.apply(change) {
                        report.damage(at, &misfit);
                    }
                }
            });
            debug_assert!(done.is_ok());
        }
    }
}

fn each_item(items: &[u8], mut then: impl FnMut(&Item<'_>)) -> Result<(), stream::Problem> {
    let mut fields = Fields::new(items);
    let mut list: Vec<PermissionState> = Vec::new();
    while let Some(item) = item::next(&mut fields, &mut list)? {
        then(&item);
    }
    Ok(())
}

/// Sockets end with the process, and nothing of them remains. What rings had in flight comes from the journal.
fn without_sockets(mut state: State) -> State {
    state
        .connections
        .retain(|connection| matches!(connection.peer, Peer::Domain { .. }));
    for connection in &mut state.connections {
        connection.input.clear();
        connection.output.clear();
        connection.partial_output = 0;
    }
    state
}
