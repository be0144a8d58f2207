//! Parsing: bytes to Arrow columns, repairs included, against a bare quick-xml event loop over the same
//! bytes and against mail-auth's report parser, in CPU time of one run.
//!
//! `cargo bench -p dmarcflow-benches --features peer --bench parse`. Measures on the corpus of real reports where it is, and
//! on a generated world.

use std::hint::black_box;
use std::time::Duration;

use dmarcflow_benches::{corpus, files, median, timed};
use dmarcflow_demo::{Day, World, WorldConfig, Wrapping};
use dmarcflow_schemas::{Record, TopicPartition};
use dmarcflow_stages::parse::{Limits, Parse};
use dmarcflow_stages::{Fault, Stage, State};
use quick_xml::Reader;
use quick_xml::events::Event;

/// Rounds; the candidates take turns in each.
const ROUNDS: usize = 9;
/// Records that the stage is given at a time, as the runner does.
const BATCH: usize = 512;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    if let Some(corpus) = corpus() {
        let mut texts = Vec::new();
        for file in files(&corpus)? {
            texts.push(std::fs::read(file)?);
        }
        // What all three can read at all: plain XML.
        texts.retain(|t| t.trim_ascii_start().starts_with(b"<"));
        measure("real reports", &texts)?;
    } else {
        println!("the corpus of real reports is not here: not measured");
    }
    let world = World::new(WorldConfig::sized(1, Day::new(2026, 6, 30).ok_or("no day")?, 2_000));
    measure("a generated world", &world.reports().map(|r| Wrapping::Xml.wrap(&r)).collect::<Vec<_>>())
}

fn measure(what: &str, texts: &[Vec<u8>]) -> Outcome<()> {
    let bytes: usize = texts.iter().map(Vec::len).sum();
    let records = raw_records(texts);
    let rows = ours(&records)?;
    println!("\n{what}: {} reports, {rows} records, {:.1} MB", texts.len(), bytes as f64 / 1e6);
    let (mut loops, mut peers, mut stages) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        loops.push(timed(|| black_box(event_loop(texts)))?.1);
        if let Some(parse) = PEER {
            peers.push(timed(|| black_box(parse(texts)))?.1);
        }
        let (rows, time) = timed(|| ours(&records))?;
        black_box(rows?);
        stages.push(time);
    }
    let floor = median(loops);
    let show = |name: &str, time: Duration| {
        let (seconds, ratio) = (time.as_secs_f64(), time.as_secs_f64() / floor.as_secs_f64());
        println!(
            "{name:<28}{:>7.1} ns a record {:>7.2} ns a byte {:>7.1} us a report {ratio:>6.2} x the loop",
            seconds * 1e9 / rows as f64,
            seconds * 1e9 / bytes as f64,
            seconds * 1e6 / texts.len() as f64,
        );
    };
    show("bare quick-xml event loop", floor);
    if !peers.is_empty() {
        show("mail-auth's report parser", median(peers));
    }
    show("dmarcflow, bytes to columns", median(stages));
    Ok(())
}

fn raw_records(texts: &[Vec<u8>]) -> Vec<Record> {
    let source = TopicPartition::new("reports.raw", 0);
    let record = |(i, text): (usize, &Vec<u8>)| Record {
        source: source.clone(),
        offset: i as u64,
        timestamp: 0,
        key: Vec::new().into(),
        headers: Vec::new(),
        value: text.clone().into(),
    };
    texts.iter().enumerate().map(record).collect()
}

/// The floor: every event of every text, looked at by nobody.
fn event_loop(texts: &[Vec<u8>]) -> u64 {
    let mut events = 0;
    for text in texts {
        let mut reader = Reader::from_reader(text.as_slice());
        reader.config_mut().check_end_names = false;
        loop {
            match reader.read_event() {
                Ok(Event::Eof) | Err(_) => break,
                Ok(event) => {
                    black_box(&event);
                    events += 1;
                }
            }
        }
    }
    events
}

/// The peer's parser over all texts: the records that it found.
type Peer = fn(&[Vec<u8>]) -> usize;

#[cfg(feature = "peer")]
const PEER: Option<Peer> = Some(|texts| {
    texts.iter().filter_map(|t| mail_auth::report::Report::parse_xml(t).ok()).map(|r| r.records().len()).sum()
});
#[cfg(not(feature = "peer"))]
const PEER: Option<Peer> = None;

/// The parse stage, as the runner calls it; the records it counted.
fn ours(records: &[Record]) -> Result<u64, Fault> {
    let mut stage = Parse::new(Limits::default(), 4);
    let mut rows = 0;
    for batch in records.chunks(BATCH) {
        let output = stage.process(batch, &mut NoState)?;
        rows += output.tally.get("records");
        black_box(output.messages);
    }
    Ok(rows)
}

/// The parse stage keeps no state.
struct NoState;

impl State for NoState {
    fn get(&self, _: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        Ok(None)
    }
    fn put(&mut self, _: Vec<u8>, _: Option<Vec<u8>>) {}
    fn scan(&self, _: &[u8], _: usize) -> Result<Vec<Vec<u8>>, Fault> {
        Ok(Vec::new())
    }
}
