//! A stage's worker: poll, process, commit; one poison record never blocks its neighbours.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use dmarcflow_log::{Consumer, LogError, PollLimits, Transaction};
use dmarcflow_schemas::message::header;
use dmarcflow_schemas::{Message, Record};
use dmarcflow_stages::{Fault, Output, Stage, Tally, topics};

use super::overlay::{Changes, Overlay};
use super::{Context, RunError, backoff};
use crate::crash;
use crate::topology::StageSpec;

/// What one batch holds at most.
const BATCH: PollLimits = PollLimits { records: 512, bytes: 4 << 20 };
/// How long a poll waits for records.
pub(super) const POLL: Duration = Duration::from_millis(250);

/// Works until the pipeline stops.
pub(super) fn work(context: &Context, spec: &StageSpec) -> Result<(), RunError> {
    let mut stage = (spec.make)();
    let Some(mut consumer) = context.join(stage.name(), spec.input)? else { return Ok(()) };
    while !context.progress.is_stopping() {
        if !has_room(context, spec)? {
            context.progress.wait_for_commit(context.progress.commits(), POLL);
            continue;
        }
        let records = consumer.poll(BATCH, POLL)?;
        if records.is_empty() {
            continue;
        }
        let span = tracing::debug_span!("batch", stage = stage.name(), source = %records[0].source, offset = records[0].offset);
        let _entered = span.enter();
        let (transaction, mut tally) = process(context, &mut *stage, &*consumer, &records);
        tracing::debug!(records = records.len(), messages = transaction.messages.len(), "processed");
        if commit(context, stage.name(), &mut *consumer, &transaction)? {
            metrics::counter!("dmarcflow_records_total", "stage" => stage.name())
                .increment(records.len() as u64);
            tally.add(&format!("in/{}", stage.name()), records.len() as u64);
            context.progress.committed(stage.name(), &tally);
        } else {
            consumer.rewind()?;
        }
    }
    Ok(())
}

/// Whether every topic that the stage writes is at most so far ahead of its readers.
fn has_room(context: &Context, spec: &StageSpec) -> Result<bool, RunError> {
    for topic in spec.outputs {
        match context.log.furthest_behind(topic) {
            Ok(behind) if behind <= context.settings.ahead => {}
            Ok(_) => return Ok(false),
            // A log that is away comes back: until then there is no room.
            Err(e) if e.is_transient() => return Ok(false),
            Err(e) => return Err(e.into()),
        }
    }
    Ok(true)
}

/// The whole batch at once, or record by record where that fails.
fn process(
    context: &Context,
    stage: &mut dyn Stage,
    consumer: &dyn Consumer,
    records: &[Record],
) -> (Transaction, Tally) {
    let mut state = Overlay::new(consumer, records[0].source.partition);
    if let Ok(output) = attempt(stage, records, &mut state) {
        return finish(output, state, records, records.len());
    }
    state.restore(&Changes::default());
    let mut all = Output::default();
    for (i, record) in records.iter().enumerate() {
        let Some(output) = one(context, stage, record, &mut state) else {
            return finish(all, state, records, i);
        };
        all.messages.extend(output.messages);
        all.tally.merge(&output.tally);
    }
    finish(all, state, records, records.len())
}

/// The transaction of the first `done` records.
fn finish(output: Output, state: Overlay<'_>, records: &[Record], done: usize) -> (Transaction, Tally) {
    let next = records.get(done).map_or_else(|| records[records.len() - 1].offset + 1, |r| r.offset);
    let offsets = vec![(records[0].source.clone(), next)];
    (Transaction { messages: output.messages, offsets, state: state.into_changes() }, output.tally)
}

/// One record by itself: its output, or its dead letter. None when the pipeline stops before that.
fn one(context: &Context, stage: &mut dyn Stage, record: &Record, state: &mut Overlay<'_>) -> Option<Output> {
    let before = state.changes().clone();
    let mut attempts = 0;
    loop {
        attempts += 1;
        let fault = match attempt(stage, std::slice::from_ref(record), state) {
            Ok(output) => return Some(output),
            Err(fault) => fault,
        };
        // A record that fails leaves no change of state behind.
        state.restore(&before);
        match &fault {
            Fault::Transient(error) if attempts < backoff::ATTEMPTS => {
                context.progress.troubled(stage.name(), attempts, &format!("{}: {error}", record.position()));
                context.progress.pause(backoff::wait(attempts, backoff::jitter()));
                if context.progress.is_stopping() {
                    return None;
                }
            }
            _ => return Some(dead(stage.name(), record, &fault, attempts)),
        }
    }
}

/// A stage's output, a panic being a fault of the input.
fn attempt(stage: &mut dyn Stage, records: &[Record], state: &mut Overlay<'_>) -> Result<Output, Fault> {
    catch_unwind(AssertUnwindSafe(|| stage.process(records, state))).unwrap_or_else(|panic| {
        let what = panic.downcast_ref::<String>().map(String::as_str);
        let what = what.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        Err(Fault::Poison {
            reason: "defect",
            detail: format!("the stage panicked: {what}; please report this"),
        })
    })
}

/// A record as a dead letter, with its bytes and its own headers.
pub(super) fn dead(stage: &'static str, record: &Record, fault: &Fault, attempts: u32) -> Output {
    let (reason, detail) = match fault {
        Fault::Poison { reason, detail } => (*reason, detail.clone()),
        Fault::Transient(error) => ("transient", error.clone()),
    };
    tracing::warn!(stage, position = record.position(), reason, detail, attempts, "dead letter");
    let mut message = Message::new(topics::DEAD_LETTERS, record.key.to_vec(), record.value.to_vec());
    message.headers = record.headers.clone();
    let message = message
        .with(header::STAGE, stage)
        .with(header::REASON, reason)
        .with(header::DETAIL, detail)
        .with(header::ATTEMPTS, attempts.to_string())
        .with(header::POSITION, record.position());
    let mut tally = Tally::default();
    tally.add(&format!("dead/{reason}"), 1);
    Output { messages: vec![message], tally }
}

/// Commits, waiting for as long as the log has no room. False when the partition is no longer ours.
pub(super) fn commit(
    context: &Context,
    worker: &str,
    consumer: &mut dyn Consumer,
    transaction: &Transaction,
) -> Result<bool, RunError> {
    crash::point("stage-before-commit");
    let (mut attempts, started) = (0, Instant::now());
    loop {
        match consumer.commit(transaction) {
            Ok(()) => break,
            Err(LogError::Fenced { partition, .. }) => {
                metrics::counter!("dmarcflow_fenced_total", "worker" => worker.to_owned()).increment(1);
                tracing::info!(worker, %partition, "the partition went to another worker");
                context.progress.recovered(worker);
                return Ok(false);
            }
            Err(e) if e.is_transient() && !context.progress.is_stopping() => {
                attempts += 1;
                context.progress.troubled(worker, attempts, &e.to_string());
                context.progress.pause(backoff::wait(attempts, backoff::jitter()));
            }
            Err(e) => return Err(e.into()),
        }
    }
    metrics::histogram!("dmarcflow_log_commit_seconds", "worker" => worker.to_owned())
        .record(started.elapsed());
    crash::point("stage-after-commit");
    Ok(true)
}
