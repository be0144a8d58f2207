//! A table worker: gathers rows of a topic and commits them to the lake with their positions.
//!
//! The lake is the judge of what is in it: each table's commit carries, for every partition, the next
//! offset to write. On start, and after a failure, records below a table's own position are passed over for
//! that table, so that a crash between the commits of two tables, or before the log's, doubles nothing.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use dmarcflow_lake::{LakeError, Position};
use dmarcflow_log::{Consumer, PollLimits, Transaction};
use dmarcflow_schemas::tables::Merge;
use dmarcflow_schemas::{Message, Record, Table, TopicPartition};
use dmarcflow_stages::{Tally, write};

use super::stage::{POLL, commit, dead};
use super::{Context, RunError, backoff};
use crate::topology::writers;
use crate::{crash, memory};

/// What one poll gives at most.
const BATCH: PollLimits = PollLimits { records: 64, bytes: 8 << 20 };
/// Commits after which small files are put together.
const COMPACT_EVERY: u32 = 16;

/// Works until the pipeline stops.
pub(super) fn work(context: &Context, topic: &'static str) -> Result<(), RunError> {
    let Some(mut consumer) = context.join(&writers(topic), topic)? else { return Ok(()) };
    let mut worker = Worker {
        context,
        topic,
        name: writers(topic),
        positions: Positions::default(),
        began: None,
        commits: 0,
    };
    let mut gathered = Gathered::default();
    loop {
        let stopping = context.progress.is_stopping();
        let wait = if gathered.is_empty() { POLL } else { context.settings.commit_after.min(POLL) };
        let records = if stopping { Vec::new() } else { consumer.poll(BATCH, wait)? };
        for record in &records {
            worker.gather(record, &mut gathered)?;
        }
        if gathered.bytes >= context.settings.commit_bytes {
            gathered.fold(context)?;
        }
        let caught_up = records.is_empty();
        if gathered.is_due(context, caught_up) || stopping && !gathered.is_empty() {
            if !worker.write(&mut *consumer, std::mem::take(&mut gathered))? {
                consumer.rewind()?;
            }
        } else if stopping {
            return Ok(());
        }
    }
}

/// What waits to be committed.
#[derive(Default)]
struct Gathered {
    rows: HashMap<&'static str, Vec<RecordBatch>>,
    marks: HashMap<&'static str, Vec<RecordBatch>>,
    /// The next offset to read, by partition.
    next: BTreeMap<TopicPartition, u64>,
    dead: Vec<Message>,
    tally: Tally,
    records: u64,
    /// What the rows take.
    bytes: usize,
    /// Whether there is no room for more.
    full: bool,
    since: Option<Instant>,
}

impl Gathered {
    fn is_empty(&self) -> bool {
        self.next.is_empty()
    }

    /// Makes room: rows of tables of sums are added up, so that more of them wait and fewer files are
    /// written. Where that gives little, it is time to commit.
    fn fold(&mut self, context: &Context) -> Result<(), RunError> {
        let mut bytes = 0;
        let mut sums = false;
        for (name, rows) in &mut self.rows {
            let table = named(name)?;
            if table.merge == Merge::Sum {
                *rows = context.lake.fold(table, std::mem::take(rows))?;
                bytes += rows.iter().map(RecordBatch::get_array_memory_size).sum::<usize>();
                sums = true;
            }
        }
        if sums {
            self.bytes = bytes;
        }
        self.full = self.bytes > context.settings.commit_bytes / 2;
        Ok(())
    }

    /// Whether it is time to commit: by size, by age when nothing more comes, by a greater age in any case.
    fn is_due(&self, context: &Context, caught_up: bool) -> bool {
        let Some(since) = self.since else { return false };
        let age: Duration = since.elapsed();
        let s = &context.settings;
        self.full
            || age >= s.commit_at_latest
            || caught_up && (age >= s.commit_after || context.progress.is_draining())
    }
}

/// The positions of the tables, as the lake has them.
#[derive(Default)]
struct Positions(HashMap<(&'static str, u32), u64>);

struct Worker<'a> {
    context: &'a Context,
    topic: &'static str,
    name: String,
    positions: Positions,
    /// The group's offsets when this worker began.
    began: Option<BTreeMap<TopicPartition, u64>>,
    commits: u32,
}

impl Worker<'_> {
    /// Takes a record's rows, for those tables that do not have them yet.
    fn gather(&mut self, record: &Record, gathered: &mut Gathered) -> Result<(), RunError> {
        gathered.since.get_or_insert_with(Instant::now);
        gathered.next.insert(record.source.clone(), record.offset + 1);
        gathered.records += 1;
        let additions = match write::additions(record) {
            Ok(additions) => additions,
            Err(fault) => {
                let output = dead("write", record, &fault, 1);
                gathered.dead.extend(output.messages);
                gathered.tally.merge(&output.tally);
                return Ok(());
            }
        };
        // What was decoded shares the record's bytes: they are what it takes.
        gathered.bytes += record.value.len();
        for addition in additions {
            if record.offset < self.position(addition.table, record.source.partition)? {
                continue;
            }
            let to = if addition.marks { &mut gathered.marks } else { &mut gathered.rows };
            to.entry(addition.table).or_default().push(addition.batch);
        }
        Ok(())
    }

    /// The offset from which on a table lacks a partition's records.
    fn position(&mut self, table: &'static str, partition: u32) -> Result<u64, RunError> {
        if let Some(position) = self.positions.0.get(&(table, partition)) {
            return Ok(*position);
        }
        let app = position(&self.context.settings.flow, self.topic, partition);
        let found =
            self.retry(|context| context.runtime.block_on(context.lake.position(named(table)?, &app)))?;
        let found = found.map_or(0, i64::unsigned_abs);
        self.check(table, partition, found)?;
        self.positions.0.insert((table, partition), found);
        Ok(found)
    }

    /// Refuses tables that were made from another log, or brought back from a backup without this one: what the log
    /// has would be taken for what they hold, or what they lack for what nobody wrote.
    fn check(&mut self, table: &'static str, partition: u32, stored: u64) -> Result<(), RunError> {
        let partition = TopicPartition::new(self.topic, partition);
        let marks = self.retry(|context| context.log.watermarks(&partition))?;
        let tables = || self.context.lake.url().to_owned();
        if stored > marks.high {
            return Err(RunError::Foreign { table, tables: tables(), stored, partition, end: marks.high });
        }
        let committed = self.committed(&partition)?;
        if stored >= committed {
            return Ok(());
        }
        // Over Kafka nothing but marks of transactions may stand between the two.
        let one = PollLimits { records: 1, bytes: 1 };
        let next = self.retry(|context| context.log.read(&partition, stored, one))?;
        let lacks = next.first().is_some_and(|record| record.offset < committed);
        if lacks || marks.low > stored && !self.context.log.has_gaps() {
            return Err(RunError::Behind { table, tables: tables(), stored, partition, committed });
        }
        Ok(())
    }

    /// The group's offset in a partition when this worker began.
    fn committed(&mut self, partition: &TopicPartition) -> Result<u64, RunError> {
        if self.began.is_none() {
            let groups = self.retry(|context| context.log.groups())?;
            let ours = groups.into_iter().filter(|(group, ..)| *group == self.name);
            self.began = Some(ours.map(|(_, partition, offset)| (partition, offset)).collect());
        }
        Ok(self.began.as_ref().and_then(|began| began.get(partition)).copied().unwrap_or_default())
    }

    /// Commits what was gathered: every table with its positions, then the offsets. False when the
    /// partitions went to another worker, which may have written some of it: it is to be read again.
    fn write(&mut self, consumer: &mut dyn Consumer, gathered: Gathered) -> Result<bool, RunError> {
        // The lake must never be ahead of a log that a power cut took back.
        self.context.log.sync()?;
        for table in write::tables_of(self.topic) {
            let positions = self.new_positions(table, &gathered.next)?;
            if positions.is_empty() {
                continue;
            }
            let rows = gathered.rows.get(table).cloned().unwrap_or_default();
            let marks = gathered.marks.get(table).cloned().unwrap_or_default();
            crash::point("table-before-commit");
            let started = Instant::now();
            let committed = self.retry(|context| {
                let commit = context.lake.commit(named(table)?, rows.clone(), marks.clone(), &positions);
                context.runtime.block_on(commit).map(drop)
            });
            match committed {
                Ok(()) => {}
                Err(RunError::Lake(moved @ LakeError::Position { .. })) => {
                    tracing::info!(worker = self.name, "{moved}");
                    self.positions = Positions::default();
                    return Ok(false);
                }
                Err(other) => return Err(other),
            }
            metrics::histogram!("dmarcflow_lake_commit_seconds", "table" => *table).record(started.elapsed());
            crash::point("table-after-commit");
            for (partition, next) in &gathered.next {
                let position = self.positions.0.entry((table, partition.partition)).or_default();
                *position = (*position).max(*next);
            }
        }
        let transaction = Transaction {
            messages: gathered.dead,
            offsets: gathered.next.into_iter().collect(),
            state: Vec::new(),
        };
        drop((gathered.rows, gathered.marks));
        memory::give_back();
        let ours = commit(self.context, &self.name, consumer, &transaction)?;
        if ours {
            metrics::counter!("dmarcflow_records_total", "stage" => self.name.clone())
                .increment(gathered.records);
            self.context.progress.committed(&self.name, &gathered.tally);
        }
        self.commits += 1;
        if self.commits.is_multiple_of(COMPACT_EVERY) {
            self.compact()?;
        }
        Ok(ours)
    }

    /// The positions that a table does not have yet.
    fn new_positions(
        &mut self,
        table: &'static str,
        next: &BTreeMap<TopicPartition, u64>,
    ) -> Result<Vec<Position>, RunError> {
        let mut positions = Vec::new();
        for (partition, next) in next {
            let from = self.position(table, partition.partition)?;
            if *next > from {
                positions.push(Position {
                    app: position(&self.context.settings.flow, self.topic, partition.partition),
                    from,
                    next: *next,
                });
            }
        }
        Ok(positions)
    }

    /// Puts small files of the topic's tables together.
    fn compact(&self) -> Result<(), RunError> {
        for table in write::tables_of(self.topic) {
            self.retry(|context| {
                context.runtime.block_on(context.lake.compact(named(table)?, false)).map(drop)
            })?;
        }
        Ok(())
    }

    /// Tries until the log or the lake can, or cannot for good; stops trying when the pipeline stops.
    fn retry<T, E>(&self, mut f: impl FnMut(&Context) -> Result<T, E>) -> Result<T, RunError>
    where
        E: Into<RunError>,
    {
        let mut attempts = 0;
        loop {
            match f(self.context).map_err(Into::into) {
                Err(e) if e.is_transient() && !self.context.progress.is_stopping() => {
                    attempts += 1;
                    self.context.progress.troubled(&self.name, attempts, &e.to_string());
                    self.context.progress.pause(backoff::wait(attempts, backoff::jitter()));
                }
                outcome => return outcome,
            }
        }
    }
}

/// What a flow's position in a partition is called in its tables.
pub fn position(flow: &str, topic: &str, partition: u32) -> String {
    let name = format!("{}/{partition}", writers(topic));
    if flow.is_empty() { name } else { format!("{flow}/{name}") }
}

fn named(table: &'static str) -> Result<&'static Table, LakeError> {
    Table::named(table).ok_or_else(|| LakeError::UnknownTable(table.to_owned()))
}
