//! A commit: rows, marks and positions in one entry of a table's log.
//!
//! | positions of the batch                         | outcome                                   |
//! |------------------------------------------------|-------------------------------------------|
//! | the table stands where all of them begin       | [`CommitOutcome::Committed`]              |
//! | the table is at the end of all, or further     | [`CommitOutcome::Known`], nothing written |
//! | anything else                                  | [`LakeError::Position`], nothing written  |
//!
//! The last is what a writer meets whose partition went to another one meanwhile: its rows may be in the
//! table in part, so it has to read again from where the table stands.
//!
//! Data files come first and are in no table until the entry names them. When another writer's entry
//! comes first, positions are compared again and files that the marks rewrote are rewritten again if
//! they are gone; new rows stay as they are written. So an append never fails because of a compaction.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use deltalake::kernel::{Action, Transaction};
use deltalake::protocol::{DeltaOperation, SaveMode};
use dmarcflow_schemas::tables::PARTITION;
use futures::TryStreamExt;

use crate::error::{Cause, LakeError};
use crate::index::{DataFile, removal};
use crate::join::bins;
use crate::layout::{Encoded, now};
use crate::marks::Marks;
use crate::options::Step;
use crate::read;
use crate::replace::sealed;
use crate::rows::{Ordered, Part};
use crate::table::{Entry, Handle, Known};

/// Entries of other writers that a commit may meet, one after the other, before it gives up.
const ATTEMPTS: usize = 100;

/// Partitions that are encoded before they are written.
const DAYS_AT_A_TIME: usize = 64;

/// Where a consumer group stands in a topic's partition. A commit names the positions of the
/// partitions that its rows and marks come from, and of no others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// `group/topic/partition`.
    pub app: String,
    /// The offset that the batch begins at, where the table has to stand; 0 when it never had one.
    pub from: u64,
    /// The next offset: with this commit, everything before it is in the table.
    pub next: u64,
}

/// What became of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitOutcome {
    /// It is in the table.
    Committed(Committed),
    /// Its positions were in the table before: it was committed earlier, and nothing was written now.
    Known { version: u64 },
    /// It held nothing.
    Empty,
}

/// What a commit wrote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Committed {
    /// The table's version.
    pub version: u64,
    /// Rows that were added; of a table of sums, after those of the batch were added up.
    pub rows: u64,
    /// Data files written, rewritten ones among them.
    pub files: usize,
    /// Bytes of them.
    pub bytes: u64,
    /// Marks that found their row.
    pub marked: usize,
    /// Marks whose row is not in the table.
    pub unmarked: usize,
}

/// Files that the marks changed, in their old and new form.
#[derive(Default)]
struct Rewrite {
    old: Vec<(i32, DataFile)>,
    new: Vec<Encoded>,
    found: HashSet<String>,
}

impl Handle {
    pub(crate) async fn commit(
        self: &Arc<Self>,
        rows: Vec<RecordBatch>,
        marks: Vec<RecordBatch>,
        positions: &[Position],
    ) -> Result<CommitOutcome, LakeError> {
        let marks = Marks::new(&self.spec, &marks)?;
        if rows.iter().all(|batch| batch.num_rows() == 0) && marks.len() == 0 && positions.is_empty() {
            return Ok(CommitOutcome::Empty);
        }
        if let Some(version) = self.covered(&mut *self.known().await?, positions).await? {
            return Ok(CommitOutcome::Known { version });
        }
        self.options.step(Step::Begin);
        let (added, found, marks) = self.add(rows, marks).await?;
        let committed = self.settle(&added, &marks, &found, positions).await;
        match &committed {
            Ok(CommitOutcome::Committed(done)) => self.checkpoint(done.version).await,
            Ok(_) | Err(_) => self.abandon(added).await,
        }
        committed
    }

    /// The table's version, if it holds all these positions already; an error unless it holds all or none.
    async fn covered(&self, known: &mut Known, positions: &[Position]) -> Result<Option<u64>, LakeError> {
        if self.position(known, &sealed(&self.options.flow)).await?.is_some() {
            return Err(LakeError::Sealed { table: self.spec.name.to_owned() });
        }
        let mut held = 0;
        let mut misplaced = None;
        for position in positions {
            let stored = self.position(known, &position.app).await?.map_or(0, i64::unsigned_abs);
            if stored >= position.next {
                held += 1;
                misplaced = misplaced.or(Some((position, stored)));
            } else if stored != position.from {
                return Err(self.misplaced(position, stored));
            }
        }
        match misplaced {
            None => Ok(None),
            Some(_) if held == positions.len() => Ok(Some(known.index.version)),
            Some((position, stored)) => Err(self.misplaced(position, stored)),
        }
    }

    fn misplaced(&self, position: &Position, stored: u64) -> LakeError {
        let Position { app, from, next } = position.clone();
        LakeError::Position { table: self.spec.name.to_owned(), app, stored, from, next }
    }

    /// Writes the files of new rows, with the marks that the same commit has for them.
    async fn add(
        self: &Arc<Self>,
        rows: Vec<RecordBatch>,
        marks: Marks,
    ) -> Result<(Vec<Encoded>, HashSet<String>, Arc<Marks>), LakeError> {
        let marks = Arc::new(marks);
        let _turn = self.turn().await;
        let handle = Arc::clone(self);
        let ordered = Arc::new(self.blocking(move || handle.order.order(rows)).await?);
        let (mut written, mut found) = (Vec::with_capacity(ordered.days()), HashSet::new());
        for first in (0..ordered.days()).step_by(DAYS_AT_A_TIME) {
            let days = first..ordered.days().min(first + DAYS_AT_A_TIME);
            let (handle, ordered, marks) = (Arc::clone(self), Arc::clone(&ordered), Arc::clone(&marks));
            let stored = match self.blocking(move || handle.encode_days(&ordered, days, &marks)).await {
                Ok((files, marked)) => self.put(&files).await.map(|()| (files, marked)),
                Err(error) => Err(error),
            };
            match stored {
                Ok((files, marked)) => {
                    written.extend(files.into_iter().map(Encoded::without_bytes));
                    found.extend(marked);
                }
                Err(error) => {
                    self.abandon(written).await;
                    return Err(error);
                }
            }
        }
        self.make_durable(&written).await?;
        Ok((written, found, marks))
    }

    /// Files of some days, with their marks; and the keys of the rows that were marked.
    fn encode_days(
        &self,
        ordered: &Ordered,
        days: Range<usize>,
        marks: &Marks,
    ) -> Result<(Vec<Encoded>, HashSet<String>), LakeError> {
        let (mut files, mut found) = (Vec::with_capacity(days.len()), HashSet::new());
        for day in days {
            let mut part = self.order.part(ordered, day)?;
            marks.find(part.date, &part.rows, &mut found);
            let marked = marks.apply(part.date, &part.rows);
            if let Some(rows) = marked.map_err(|e| self.during("applying marks").rows(e))? {
                part.rows = rows;
            }
            files.push(self.encode(&part, true)?);
        }
        Ok((files, found))
    }

    pub(crate) fn encode(&self, part: &Part, changes: bool) -> Result<Encoded, LakeError> {
        self.layout.encode(part.date, &part.rows, changes).map_err(|e| self.during("encoding rows").rows(e))
    }

    /// Writes the entry, as often as other writers come first.
    async fn settle(
        self: &Arc<Self>,
        added: &[Encoded],
        marks: &Arc<Marks>,
        found: &HashSet<String>,
        positions: &[Position],
    ) -> Result<CommitOutcome, LakeError> {
        let mut rewrite = self.rewrite(marks, found).await?;
        for _ in 0..ATTEMPTS {
            let mut known = self.known().await?;
            if let Some(version) = self.covered(&mut known, positions).await? {
                drop(known);
                self.abandon(rewrite.new).await;
                return Ok(CommitOutcome::Known { version });
            }
            if !rewrite.old.iter().all(|(date, file)| known.index.has(*date, &file.path)) {
                drop(known);
                self.abandon(rewrite.new).await;
                rewrite = self.rewrite(marks, found).await?;
                continue;
            }
            let actions = actions(added, &rewrite);
            let entry = self.enter(&mut known, actions, operation(&rewrite), transactions(positions)).await?;
            if let Entry::Written(version) = entry {
                let files = || added.iter().chain(&rewrite.new);
                let marked = found.union(&rewrite.found).count();
                return Ok(CommitOutcome::Committed(Committed {
                    version,
                    rows: added.iter().map(|file| file.rows).sum(),
                    files: files().count(),
                    bytes: files().map(|file| file.add.size.unsigned_abs()).sum(),
                    marked,
                    unmarked: marks.len() - marked,
                }));
            }
        }
        self.abandon(rewrite.new).await;
        Err(LakeError::Contended { table: self.spec.name.to_owned(), attempts: ATTEMPTS })
    }

    /// Rewrites the files that hold marked rows, as the table is now.
    async fn rewrite(
        self: &Arc<Self>,
        marks: &Arc<Marks>,
        found: &HashSet<String>,
    ) -> Result<Rewrite, LakeError> {
        let mut rewrite = Rewrite::default();
        for date in marks.dates() {
            if marks.keys(date).all(|key| found.contains(key)) {
                continue;
            }
            if let Err(error) = self.rewrite_partition(date, marks, &mut rewrite).await {
                self.abandon(rewrite.new).await;
                return Err(error);
            }
        }
        self.make_durable(&rewrite.new).await?;
        Ok(rewrite)
    }

    async fn rewrite_partition(
        self: &Arc<Self>,
        date: i32,
        marks: &Arc<Marks>,
        rewrite: &mut Rewrite,
    ) -> Result<(), LakeError> {
        let files = self.known().await?.index.partition(date);
        let mut hit = Vec::new();
        for file in files {
            let holds = self.holds_marked(date, &file, marks, &mut rewrite.found).await;
            if holds.map_err(|e| self.during("looking for marked rows").error(e))? {
                hit.push(file);
            }
        }
        for files in bins(hit, self.options.target_file_bytes) {
            let file = self.join(date, &files, Some(marks), true).await?;
            self.put(std::slice::from_ref(&file)).await?;
            rewrite.new.push(file.without_bytes());
            rewrite.old.extend(files.into_iter().map(|file| (date, file)));
        }
        Ok(())
    }

    /// Whether a file holds a marked row. Keys that it holds are added to `found`.
    async fn holds_marked(
        &self,
        date: i32,
        file: &DataFile,
        marks: &Marks,
        found: &mut HashSet<String>,
    ) -> Result<bool, Cause> {
        let mut opened = read::open(&self.place.store, file).await?;
        let keys: Vec<&str> = marks.keys(date).collect();
        if !opened.may_hold(marks.key(), keys.iter().copied()).await? {
            return Ok(false);
        }
        let mut batches = opened.column(marks.key())?;
        let before = found.len();
        while let Some(batch) = batches.try_next().await? {
            marks.find(date, &batch, found);
        }
        Ok(found.len() > before)
    }
}

fn actions(added: &[Encoded], rewrite: &Rewrite) -> Vec<Action> {
    let old = rewrite.old.iter().map(|(date, file)| removal(*date, file, true));
    old.chain(added.iter().chain(&rewrite.new).map(|file| Action::Add(file.add.clone()))).collect()
}

fn operation(rewrite: &Rewrite) -> DeltaOperation {
    if rewrite.old.is_empty() {
        DeltaOperation::Write {
            mode: SaveMode::Append,
            partition_by: Some(vec![PARTITION.to_owned()]),
            predicate: None,
        }
    } else {
        DeltaOperation::Update { predicate: None }
    }
}

fn transactions(positions: &[Position]) -> Vec<Transaction> {
    let next = |position: &Position| i64::try_from(position.next).unwrap_or(i64::MAX);
    positions.iter().map(|p| Transaction::new_with_last_update(&p.app, next(p), Some(now()))).collect()
}
