//! A partition that a member owns: how ready it is, what waits to be given, how far it was given and committed.

use dmarcflow_schemas::Record;

use super::chunks::Assembler;
use super::copy::{Part, Ticket};
use crate::PollLimits;

/// How far a partition is on its way to being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The group's offset has to be asked for, and the state to be restored.
    New,
    /// The state is being restored.
    Restoring,
    /// Reading has to go back to the group's offset; what comes until then is of no use.
    Rewinding,
    /// Records are given.
    Ready,
}

/// How the end of a partition, where no records are but marks of transactions, becomes the group's offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Not met since the last record.
    Ahead,
    /// Met: there may be marks between the last record and the end.
    Met,
    /// Reading began again behind the last record. When the end is met before a record, nothing stands before
    /// this offset.
    Asked(u64),
    /// That was so: to be committed.
    Known(u64),
    /// Committed, or nothing to commit.
    Settled,
}

pub(super) struct Owned {
    /// Rises whenever the partition comes to this member.
    pub(super) epoch: u64,
    pub(super) phase: Phase,
    pub(super) part: Part,
    pub(super) ticket: Ticket,
    pub(super) held: Assembler,
    /// The group's offset.
    pub(super) committed: u64,
    /// Behind the last record that was given.
    pub(super) next: u64,
    pub(super) end: End,
}

impl Owned {
    /// Takes a message that came.
    pub(super) fn take(&mut self, message: Record) {
        if self.phase != Phase::Rewinding {
            self.end = End::Ahead;
            self.held.push(message);
        }
    }

    /// The end was met.
    pub(super) fn met_end(&mut self) {
        self.end = match self.end {
            End::Asked(offset) | End::Known(offset) => End::Known(offset),
            End::Ahead | End::Met | End::Settled => End::Met,
        };
    }

    /// Whether everything that came was given and committed.
    pub(super) fn is_done(&self) -> bool {
        self.phase == Phase::Ready && self.held.is_empty() && self.next == self.committed
    }

    /// The next records, as many as fit and at least one where there is one.
    ///
    /// What stands before the group's offset, or was given, is passed over: librdkafka begins anew at the oldest
    /// record when a broker that is just starting does not know the offset yet.
    pub(super) fn give(&mut self, limits: PollLimits) -> Vec<Record> {
        let (mut records, mut bytes) = (Vec::new(), 0);
        while let Some(front) = self.held.front() {
            if front.offset < self.next {
                self.held.pop();
                continue;
            }
            bytes += front.value.len();
            if !records.is_empty() && (records.len() >= limits.records || bytes > limits.bytes) {
                break;
            }
            self.next = front.offset + 1;
            records.extend(self.held.pop());
        }
        records
    }

    /// Forgets what was given and not committed; it is to be given again.
    pub(super) fn rewind(&mut self) {
        if self.phase == Phase::Ready {
            self.phase = Phase::Rewinding;
        }
        if self.phase == Phase::Rewinding {
            self.held = Assembler::default();
            self.end = End::Ahead;
        }
    }
}

#[cfg(test)]
mod tests {
    use dmarcflow_schemas::TopicPartition;

    use super::*;
    use crate::store::Space;

    #[test]
    fn what_was_given_or_stands_before_the_groups_offset_is_not_given() {
        let part = Part { space: Space::State, prefix: Vec::new(), changelog: "c".to_owned(), partition: 0 };
        let (held, end, phase) = (Assembler::default(), End::Ahead, Phase::Ready);
        let mut owned =
            Owned { epoch: 1, phase, part, ticket: Ticket::default(), held, committed: 3, next: 3, end };
        let record = |offset| {
            let source = TopicPartition::new("t", 0);
            Record { source, offset, timestamp: 0, key: [].into(), headers: Vec::new(), value: [0].into() }
        };
        let two = PollLimits { records: 2, bytes: 100 };
        // Read from the beginning, twice.
        (0..6).chain(0..8).for_each(|offset| owned.take(record(offset)));
        let given: Vec<_> =
            std::iter::repeat_with(|| owned.give(two)).take(3).flatten().map(|r| r.offset).collect();
        assert_eq!(given, [3, 4, 5, 6, 7]);
    }
}
