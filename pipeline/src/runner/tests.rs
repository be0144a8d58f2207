use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use dmarcflow_lake::{Lake, Options};
use dmarcflow_log::{Log, MemoryLog, PollLimits};
use dmarcflow_schemas::message::header;
use dmarcflow_schemas::{Message, Record, TopicPartition};
use dmarcflow_stages::{Fault, Output, Stage, State, topics};

use super::*;
use crate::topology::{Keep, Topology};

/// Copies to another topic; some records it cannot bear.
struct Copy {
    transient: Arc<AtomicU32>,
}

impl Stage for Copy {
    fn name(&self) -> &'static str {
        "copy"
    }

    fn process(&mut self, input: &[Record], state: &mut dyn State) -> Result<Output, Fault> {
        let mut output = Output::default();
        for record in input {
            state.put(record.key.to_vec(), Some(record.value.to_vec()));
            match &record.value[..] {
                b"poison" => return Err(Fault::Poison { reason: "test", detail: "it is poison".to_owned() }),
                b"panic" => panic!("a defect"),
                b"transient" if self.transient.fetch_add(1, Ordering::Relaxed) < 3 => {
                    return Err(Fault::Transient("not now".to_owned()));
                }
                value => {
                    output.messages.push(Message::new(topics::PARSED, record.key.to_vec(), value.to_vec()))
                }
            }
        }
        output.tally.add("copied", input.len() as u64);
        Ok(output)
    }
}

fn read(log: &dyn Log, topic: &str) -> Vec<Record> {
    log.read(&TopicPartition::new(topic, 0), 0, PollLimits { records: 1_000, bytes: 1 << 20 }).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_poison_record_never_blocks_its_neighbours() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Arc::new(Lake::open(dir.path().to_str().unwrap(), &Options::default()).await.unwrap());
    let log: Arc<dyn Log> = Arc::new(MemoryLog::new().unwrap());
    let transient = Arc::new(AtomicU32::new(0));
    let made = Arc::clone(&transient);
    let topology = Topology::new(1)
        .topic(topics::RAW, Keep::AsConfigured)
        .topic(topics::PARSED, Keep::AsConfigured)
        .topic(topics::DEAD_LETTERS, Keep::AsConfigured)
        .stage(topics::RAW, 2, &[topics::PARSED], move || Copy { transient: Arc::clone(&made) })
        .tables(topics::DEAD_LETTERS);
    log.create_topics(&topology.specs()).unwrap();
    let values: [&[u8]; 7] = [b"1", b"poison", b"2", b"panic", b"transient", b"3", b"4"];
    let messages =
        values.iter().map(|v| Message::new(topics::RAW, *b"k", v.to_vec()).with("origin", "here")).collect();
    log.append(messages, None).unwrap();
    let settings = Settings { commit_after: Duration::from_millis(10), ..Settings::default() };
    let runner = Runner::start(topology, Arc::clone(&log), lake, settings).unwrap();
    let progress = tokio::task::block_in_place(|| {
        runner.drain(|_| {}).unwrap();
        runner.stop().unwrap()
    });
    let copied: Vec<_> = read(&*log, topics::PARSED).iter().map(|r| r.value.to_vec()).collect();
    assert_eq!(copied, [&b"1"[..], b"2", b"transient", b"3", b"4"], "in order, each once");
    let letters = read(&*log, topics::DEAD_LETTERS);
    let reasons: Vec<_> = letters.iter().map(|r| r.header(header::REASON).unwrap()).collect();
    assert_eq!(reasons, ["test", "defect"]);
    assert_eq!(
        (&*letters[0].value, letters[0].header(header::POSITION)),
        (&b"poison"[..], Some("reports.raw/0/1"))
    );
    assert_eq!(letters[0].header("origin"), Some("here"));
    assert!(transient.load(Ordering::Relaxed) >= 4, "it was tried again until it went");
    assert_eq!(progress.tally().get("copied"), 5);
    assert!(progress.trouble().is_empty());
}
