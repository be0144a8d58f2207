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
    pub(super) fn give(&mut self, limits: PollLimits) -> Vec<Record> {
        let (mut records, mut bytes) = (Vec::new(), 0);
        while let Some(front) = self.held.front() {
            bytes += front.value.len();
            if !records.is_empty() && (records.len() >= limits.records || bytes > limits.bytes) {
                break;
            }
            records.extend(self.held.pop());
        }
        if let Some(last) = records.last() {
            self.next = last.offset + 1;
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
