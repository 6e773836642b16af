//! Where two stores differ.

use std::fmt;

use super::action::{Action, Request, SOCKETS};
use super::known::{KNOWN, Known};
use super::player::Observation;
use crate::client::{Answer, Event};
use crate::store::StoreKind;

/// A difference that nobody explains.
#[derive(Clone, PartialEq, Eq)]
pub struct Difference {
    /// The stock store.
    pub stock: StoreKind,
    /// What was done.
    pub action: Action,
    /// What this project's store did.
    pub ours: Observation,
    /// What the stock one did.
    pub theirs: Observation,
}

impl Difference {
    /// What kind of step it is, and what kind of answer each store gave.
    pub fn kind(&self) -> String {
        let who = if self.action.client < SOCKETS {
            "socket"
        } else {
            "domain"
        };
        let what = match &self.action.request {
            Request::Plain(operation, _) => operation.name(),
            Request::Unknown(..) => "unknown",
            Request::Begin(_) => "TRANSACTION_START",
            Request::End(..) => "TRANSACTION_END",
        };
        let answer = |answer: &Answer| match answer {
            Answer::Done(_) => "done".to_owned(),
            Answer::Refused(error) => error.clone(),
        };
        let events = if self.ours.events == self.theirs.events {
            ""
        } else {
            ", other events"
        };
        let (ours, theirs) = (answer(&self.ours.answer), answer(&self.theirs.answer));
        format!("{who} {what}: {ours} against {theirs}{events}")
    }
}

impl fmt::Debug for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{:?}", self.action)?;
        writeln!(
            formatter,
            "  xenstore-guard: {:?} {:?}",
            self.ours.answer, self.ours.events
        )?;
        write!(
            formatter,
            "  {}: {:?} {:?}",
            self.stock, self.theirs.answer, self.theirs.events
        )
    }
}

/// Compares what two stores did in one step: nothing, a known way in which they differ, or a difference.
pub fn compare(
    stock: StoreKind,
    action: &Action,
    ours: &Observation,
    theirs: &Observation,
) -> Result<Option<&'static Known>, Box<Difference>> {
    if same(action, ours, theirs) {
        return Ok(None);
    }
    let known = KNOWN
        .iter()
        .find(|known| known.stores.contains(&stock) && (known.explains)(action, ours, theirs));
    known.map(Some).ok_or_else(|| {
        Box::new(Difference {
            stock,
            action: action.clone(),
            ours: ours.clone(),
            theirs: theirs.clone(),
        })
    })
}

fn same(action: &Action, ours: &Observation, theirs: &Observation) -> bool {
    let events = |observation: &Observation| -> Vec<Vec<Event>> {
        let mut events = observation.events.clone();
        // A commit changes many nodes at once: in which order is nobody's business.
        if matches!(action.request, Request::End(..)) {
            events.iter_mut().for_each(|events| events.sort());
        }
        events
    };
    ours.answer == theirs.answer && events(ours) == events(theirs)
}
