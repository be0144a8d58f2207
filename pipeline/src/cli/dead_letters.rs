//! `dead-letters`: what could not be processed: list it, look at it, try it again, put it aside.
//!
//! The letters are messages of `dead.letters`. What a person does with one is a message too, appended
//! together with the retried record, so that a letter is retried once however often a command is interrupted.

use std::collections::{BTreeMap, HashMap};
use std::io::{Write, stdout};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, bail};
use dmarcflow_log::{Log, PollLimits};
use dmarcflow_schemas::message::{Header, header};
use dmarcflow_schemas::tables::letter_state;
use dmarcflow_schemas::{Message, Record, TopicPartition};
use dmarcflow_stages::topics::{DEAD_LETTERS, DISTINCT, ENRICHED, PARSED, RAW, ROLLUPS};
use dmarcflow_stages::write::{DIED, LETTER, letter_id};

use super::summary::grouped;
use crate::app::App;
use crate::runner::Runner;

/// Records read at a time.
const PAGE: PollLimits = PollLimits { records: 256, bytes: 16 << 20 };
/// Bytes of a letter that `show` prints unless it is asked for all of them.
const SHOWN: usize = 4_096;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List the letters that nobody dealt with yet
    List {
        /// List those that were retried or discarded too
        #[arg(long)]
        all: bool,
        /// Only letters with this reason
        #[arg(long)]
        reason: Option<String>,
    },
    /// Show a letter: why it died, where it stood, its bytes
    Show {
        letter: String,
        /// Print the bytes as they are, all of them, and nothing else
        #[arg(long)]
        raw: bool,
    },
    /// Send letters back to the topic that they come from
    Retry(Which),
    /// Put letters aside; the topic keeps their bytes
    Discard(Which),
}

#[derive(Debug, clap::Args)]
struct Which {
    /// Letters, as `list` names them
    #[arg(required_unless_present_any = ["all", "reason"])]
    letters: Vec<String>,
    /// All that nobody dealt with yet
    #[arg(long)]
    all: bool,
    /// All of this reason that nobody dealt with yet
    #[arg(long)]
    reason: Option<String>,
}

pub(super) async fn main(app: &App, args: Args) -> Result<ExitCode> {
    let (log, topology) = app.open()?;
    match args.action {
        Action::List { all, reason } => list(&*log, all, reason.as_deref())?,
        Action::Show { letter, raw } => show(&*log, &letter, raw)?,
        Action::Retry(which) => {
            let n = act(&*log, &which, letter_state::RETRIED)?;
            if n > 0 {
                let runner =
                    Runner::start(topology, Arc::clone(&log), app.lake().await?, app.runner_settings())?;
                tokio::task::block_in_place(|| runner.drain(|_| {}))?;
                let progress = tokio::task::block_in_place(|| runner.stop())?;
                let dead: u64 = progress.tally().under("dead/").map(|(_, n)| n).sum();
                println!(
                    "{} retried: {} reports read, {dead} dead letters",
                    grouped(n),
                    progress.tally().get("reports")
                );
            } else {
                println!("nothing to retry");
            }
        }
        Action::Discard(which) => {
            let n = act(&*log, &which, letter_state::DISCARDED)?;
            println!("{} discarded; the tables show it after the next run", grouped(n));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Calls `each` with every letter and its state, a page of records at a time.
fn letters(log: &dyn Log, each: &mut dyn FnMut(&Record, &str) -> Result<()>) -> Result<()> {
    let states = states(log)?;
    scan(log, &mut |record| {
        if record.header(LETTER).is_some() {
            return Ok(());
        }
        let id = letter_id(record.source.partition, record.offset);
        each(record, states.get(&id).map_or(letter_state::OPEN, String::as_str))
    })
}

/// What was done with letters, by letter: the last act of each.
fn states(log: &dyn Log) -> Result<HashMap<String, String>> {
    let mut states = HashMap::new();
    scan(log, &mut |record| {
        if let (Some(letter), Some(state)) = (record.header(LETTER), record.header(header::KIND)) {
            states.insert(letter.to_owned(), state.to_owned());
        }
        Ok(())
    })?;
    Ok(states)
}

fn scan(log: &dyn Log, each: &mut dyn FnMut(&Record) -> Result<()>) -> Result<()> {
    let partitions = log.topics().iter().find(|t| t.name == DEAD_LETTERS).map_or(0, |t| t.partitions);
    for p in 0..partitions {
        let partition = TopicPartition::new(DEAD_LETTERS, p);
        let mut next = log.watermarks(&partition)?.low;
        loop {
            let page = log.read(&partition, next, PAGE)?;
            let Some(last) = page.last() else { break };
            next = last.offset + 1;
            page.iter().try_for_each(&mut *each)?;
        }
    }
    Ok(())
}

fn list(log: &dyn Log, all: bool, reason: Option<&str>) -> Result<()> {
    let mut out = stdout().lock();
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    letters(log, &mut |record, state| {
        let why = record.header(header::REASON).unwrap_or_default();
        if state != letter_state::OPEN && !all || reason.is_some_and(|r| r != why) {
            return Ok(());
        }
        *counts.entry(why.to_owned()).or_default() += 1;
        let id = letter_id(record.source.partition, record.offset);
        let entry = record
            .header(header::ENTRY)
            .filter(|e| !e.is_empty())
            .map_or_else(String::new, |e| format!(" > {e}"));
        let note = if state == letter_state::OPEN { String::new() } else { format!(" ({state})") };
        writeln!(out, "{id:<10} {why:<24} {}{entry}{note}", record.header(header::ORIGIN).unwrap_or("?"))?;
        Ok(())
    })?;
    let counts: Vec<_> = counts.iter().map(|(why, n)| format!("{} {why}", grouped(*n))).collect();
    writeln!(out, "{}", if counts.is_empty() { "no dead letters".to_owned() } else { counts.join(", ") })?;
    Ok(())
}

fn show(log: &dyn Log, letter: &str, raw: bool) -> Result<()> {
    let record = find(log, letter)?;
    let mut out = stdout().lock();
    if raw {
        out.write_all(&record.value)?;
        return Ok(());
    }
    for name in [
        header::REASON,
        header::DETAIL,
        header::ORIGIN,
        header::ENTRY,
        header::STAGE,
        header::ATTEMPTS,
        header::POSITION,
    ] {
        if let Some(value) = record.header(name).filter(|v| !v.is_empty()) {
            writeln!(out, "{name:<10}{value}")?;
        }
    }
    writeln!(out, "{:<10}{}\n", "bytes", grouped(record.value.len() as u64))?;
    let shown = &record.value[..record.value.len().min(SHOWN)];
    writeln!(
        out,
        "{}",
        shown.escape_ascii().to_string().replace("\\n", "\n").replace("\\r", "").replace("\\t", "\t")
    )?;
    if shown.len() < record.value.len() {
        writeln!(out, "... all of it: dmarcflow dead-letters show {letter} --raw")?;
    }
    Ok(())
}

fn find(log: &dyn Log, letter: &str) -> Result<Record> {
    let place =
        letter.split_once('/').and_then(|(p, o)| Some((p.parse::<u32>().ok()?, o.parse::<u64>().ok()?)));
    let Some((partition, offset)) = place else {
        bail!("`{letter}` is no letter; `dmarcflow dead-letters list` names them, such as 0/17");
    };
    let one = PollLimits { records: 1, bytes: usize::MAX };
    let found = log.read(&TopicPartition::new(DEAD_LETTERS, partition), offset, one)?;
    match found.into_iter().next().filter(|r| r.offset == offset && r.header(LETTER).is_none()) {
        Some(record) => Ok(record),
        None => bail!("there is no letter {letter}; `dmarcflow dead-letters list` names them"),
    }
}

/// Retries or discards letters. Returns how many.
fn act(log: &dyn Log, which: &Which, state: &'static str) -> Result<u64> {
    let mut open = Vec::new();
    letters(log, &mut |record, now| {
        if now == letter_state::OPEN {
            let why = record.header(header::REASON).unwrap_or_default().to_owned();
            open.push((letter_id(record.source.partition, record.offset), why));
        }
        Ok(())
    })?;
    let wanted = |id: &String, why: &String| match &which.reason {
        _ if !which.letters.is_empty() => which.letters.contains(id),
        Some(reason) => reason == why,
        None => true,
    };
    if let Some(id) = which.letters.iter().find(|id| !open.iter().any(|(o, _)| o == *id)) {
        find(log, id)?;
        bail!("the letter {id} was dealt with before; `dmarcflow dead-letters list --all` shows how");
    }
    let chosen: Vec<_> = open.iter().filter(|(id, why)| wanted(id, why)).map(|(id, _)| id).collect();
    for id in &chosen {
        let letter = find(log, id)?;
        let mut messages = vec![act_message(&letter, id, state)];
        if state == letter_state::RETRIED {
            messages.push(again(&letter, id)?);
        }
        log.append(messages, None)?;
    }
    Ok(chosen.len() as u64)
}

fn act_message(letter: &Record, id: &str, state: &str) -> Message {
    Message::new(DEAD_LETTERS, letter.key.to_vec(), Vec::new())
        .with(LETTER, id)
        .with(header::KIND, state)
        .with(DIED, letter.timestamp.to_string())
}

/// The record as it goes back to its topic.
fn again(letter: &Record, id: &str) -> Result<Message> {
    if letter.value.is_empty() {
        bail!("the letter {id} has no bytes to retry: {}", letter.header(header::DETAIL).unwrap_or_default());
    }
    let position = letter.header(header::POSITION).unwrap_or(RAW);
    let from = position.split('/').next().unwrap_or(RAW);
    let Some(topic) = [RAW, PARSED, ENRICHED, DISTINCT, ROLLUPS].into_iter().find(|t| *t == from) else {
        bail!("the letter {id} comes from `{position}`, which takes nothing back");
    };
    let mut message = Message::new(topic, letter.key.to_vec(), letter.value.to_vec());
    let added =
        [header::STAGE, header::REASON, header::DETAIL, header::ATTEMPTS, header::POSITION, header::ENTRY];
    message.headers =
        letter.headers.iter().filter(|h: &&Header| !added.contains(&h.name.as_str())).cloned().collect();
    Ok(message)
}
