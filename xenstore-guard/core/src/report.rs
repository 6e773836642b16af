//! Log lines that a client can cause: each kind of them once in a while for each domain.

/// A domain's lines about one thing come at most this often, in nanoseconds.
const INTERVAL: u64 = 10_000_000_000;

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Topic {
    Denial,
    Quota,
}

/// When a domain's lines came last, and how many were left out since.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reports {
    denial: Line,
    quota: Line,
}

#[derive(Debug, Clone, Copy, Default)]
struct Line {
    /// None before the first.
    last: Option<u64>,
    left_out: u32,
}

impl Reports {
    /// Whether a line may be written now, and if so, how many were left out before it.
    pub(crate) fn may_tell(&mut self, topic: Topic, now: u64) -> Option<u32> {
        let line = match topic {
            Topic::Denial => &mut self.denial,
            Topic::Quota => &mut self.quota,
        };
        if line.last.is_some_and(|last| now.saturating_sub(last) < INTERVAL) {
            line.left_out = line.left_out.saturating_add(1);
            return None;
        }
        line.last = Some(now);
        Some(core::mem::take(&mut line.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_once_in_an_interval_and_tell_how_many_were_left_out() {
        let mut reports = Reports::default();
        assert_eq!(reports.may_tell(Topic::Quota, 5), Some(0));
        assert_eq!(reports.may_tell(Topic::Quota, 6), None);
        assert_eq!(reports.may_tell(Topic::Quota, 7), None);
        assert_eq!(reports.may_tell(Topic::Denial, 7), Some(0));
        assert_eq!(reports.may_tell(Topic::Quota, 5 + INTERVAL), Some(2));
    }
}
