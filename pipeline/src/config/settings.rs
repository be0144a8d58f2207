//! Every setting: name, kind, default, documentation.

use super::value::Kind;

/// A setting.
#[derive(Debug)]
pub struct Setting {
    /// Name in the file, dots between tables. As a variable: upper case, `DMARCFLOW_` before it, `__` for a dot.
    pub key: &'static str,
    pub kind: Kind,
    /// As it is written in the file; empty means not given.
    pub default: &'static str,
    pub doc: &'static str,
}

const fn setting(key: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Setting {
    Setting { key, kind, default, doc }
}

/// All of them, in the order of the reference.
pub const SETTINGS: &[Setting] = &[
    setting(
        "data",
        Kind::Text,
        "data",
        "Folder of everything that dmarcflow keeps: the log, the state and, unless `lake.url` says otherwise, the tables. Also `--data`.",
    ),
    setting(
        "partitions",
        Kind::Number,
        "4",
        "Partitions of every topic. Fixed when the data folder is made.",
    ),
    setting(
        "workers",
        Kind::Number,
        "",
        "Threads that parse reports. Default: as many as the machine has cores.",
    ),
    setting(
        "watch",
        Kind::List,
        "",
        "Folders that `run` watches for reports. A file that was taken is moved to `done/` in its folder.",
    ),
    setting("watch_interval", Kind::Span, "1s", "Time between two looks at the watched folders."),
    setting(
        "listen",
        Kind::Text,
        "",
        "Where a running process tells how things are, `host:port`: /health, /ready, /metrics (for Prometheus). Default: `127.0.0.1:8080` for `run`, nowhere for `worker`. Also `--listen`.",
    ),
    setting(
        "log",
        Kind::OneOf(&["embedded", "kafka"]),
        "embedded",
        "Where topics are kept: in the data folder, by one process, or on Apache Kafka, shared by as many workers as there are. Also `--log`.",
    ),
    setting("embedded.memory", Kind::Size, "96 MiB", "Memory for the embedded log's buffers and caches."),
    setting(
        "embedded.reserve",
        Kind::Size,
        "64 MiB",
        "Space on the disk that the log leaves free. With less, intake and stages wait until there is room again.",
    ),
    setting(
        "retention.age",
        Kind::Span,
        "",
        "Age after which reports.raw and dead.letters forget what every stage has read. Default: never, so that everything can be replayed.",
    ),
    setting(
        "retention.bytes",
        Kind::Size,
        "",
        "Bytes that each partition of reports.raw and dead.letters keeps of what every stage has read. Default: no limit.",
    ),
    setting(
        "kafka.brokers",
        Kind::Text,
        "localhost:9092",
        "Brokers of the cluster, `host:port`, several separated by commas.",
    ),
    setting(
        "kafka.prefix",
        Kind::Text,
        "dmarcflow.",
        "Put before the name of every topic, group and transaction, so that deployments share a cluster.",
    ),
    setting(
        "kafka.properties",
        Kind::Map,
        "",
        "Passed through to librdkafka, such as `security.protocol`, `sasl.mechanism` (PLAIN, SCRAM-SHA-512, OAUTHBEARER), `sasl.username`, `sasl.password`, `ssl.ca.location`. A value may be `file:PATH` or `env:NAME`: what stands there. Never printed.",
    ),
    setting(
        "kafka.replication",
        Kind::Number,
        "3",
        "Copies of each partition, for topics that are created. 1 for a single broker.",
    ),
    setting(
        "kafka.worker",
        Kind::Text,
        "",
        "A stable name of this worker, its own: it keeps its partitions over a restart. Default: none; a worker that stops leaves its partitions to the others at once.",
    ),
    setting(
        "kafka.cache",
        Kind::Text,
        "",
        "Folder for local copies of state, which may be deleted at any time. Workers of one machine may share it. Default: `cache` in the data folder.",
    ),
    setting(
        "kafka.transaction_timeout",
        Kind::Span,
        "10s",
        "How long a transaction may stay open before the brokers abort it.",
    ),
    setting(
        "kafka.session_timeout",
        Kind::Span,
        "10s",
        "How long a worker may be silent before its partitions go to others.",
    ),
    setting(
        "kafka.message_bytes",
        Kind::Size,
        "1 MiB",
        "Largest message on a topic; a larger report travels in pieces.",
    ),
    setting(
        "lake.url",
        Kind::Text,
        "",
        "Where the tables are: a folder or an object store's URL (`s3://bucket/prefix`). Default: `lake` in the data folder.",
    ),
    setting(
        "lake.storage",
        Kind::Map,
        "",
        "Options of the object store, such as `aws_access_key_id`, `aws_secret_access_key`, `aws_region`, `aws_endpoint`, `aws_allow_http`.",
    ),
    setting(
        "lake.commit_bytes",
        Kind::Size,
        "12 MiB",
        "Rows gathered in memory before they are committed, for each of the three groups of tables.",
    ),
    setting("lake.commit_after", Kind::Span, "1s", "How long a row waits for others before it is committed."),
    setting("lake.commit_at_latest", Kind::Span, "30s", "How long rows wait while more of them keep coming."),
    setting(
        "lake.file_bytes",
        Kind::Size,
        "64 MiB",
        "Size towards which compaction puts small files together.",
    ),
    setting("parse.raw_bytes", Kind::Size, "64 MiB", "Largest file or mail that is read."),
    setting("parse.attachment_bytes", Kind::Size, "64 MiB", "Largest archive or mail attachment, packed."),
    setting(
        "parse.unpacked_bytes",
        Kind::Size,
        "256 MiB",
        "Everything that is unpacked from one file or mail, added up.",
    ),
    setting(
        "parse.ratio",
        Kind::Number,
        "500",
        "How many times larger a compressed layer may become by unpacking, beyond its first 16 MiB.",
    ),
    setting(
        "parse.entries",
        Kind::Number,
        "65536",
        "Archive entries, mail parts and compressed layers that one file or mail may have.",
    ),
    setting("parse.nesting", Kind::Number, "12", "Archives, compressed layers and mails inside each other."),
    setting("parse.reports", Kind::Number, "65536", "Reports that one file or mail may hold."),
    setting(
        "parse.failures",
        Kind::Number,
        "256",
        "Dead letters that one file or mail may become; the last one holds it whole.",
    ),
    setting("parse.records", Kind::Number, "10000000", "Records that one report may have."),
    setting("parse.record_bytes", Kind::Size, "256 KiB", "Text of one record, all its elements."),
    setting("parse.field_bytes", Kind::Size, "16 KiB", "Text of one element."),
    setting("parse.xml_depth", Kind::Number, "64", "XML elements inside each other."),
    setting(
        "geo.country",
        Kind::Text,
        "",
        "A database in MaxMind's format with countries (GeoLite2 Country or City). Default: data that is built in.",
    ),
    setting(
        "geo.asn",
        Kind::Text,
        "",
        "A database in MaxMind's format with autonomous systems (GeoLite2 ASN). Default: a built-in table of large senders, clouds and networks; addresses of others have none.",
    ),
    setting(
        "services",
        Kind::Text,
        "",
        "A file with sending services of your own, in the format of `stages/data/services.toml`; they go before those that are built in.",
    ),
    setting(
        "aggregate.horizon",
        Kind::Span,
        "400d",
        "How long after its last copy a report is known, so that a further copy does not count.",
    ),
    setting("query.memory", Kind::Size, "256 MiB", "Memory that a query may use before it spills to disk."),
];

/// Whether a setting is a table whose keys are not settings.
pub(super) fn is_map(key: &str) -> bool {
    SETTINGS.iter().any(|s| s.key == key && s.kind == Kind::Map)
}

/// The table that a key is an entry of, and the entry's name there.
pub(super) fn entry_of(key: &str) -> Option<(&str, &str)> {
    key.match_indices('.').map(|(at, _)| (&key[..at], &key[at + 1..])).find(|(map, _)| is_map(map))
}

/// The setting whose name is nearest to a misspelt one, if one is near.
pub(super) fn nearest(key: &str) -> Option<String> {
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    SETTINGS
        .iter()
        .map(|s| {
            (
                strsim::jaro_winkler(s.key, key).max(strsim::jaro_winkler(&last(s.key), &last(key)) - 0.05),
                s.key,
            )
        })
        .filter(|(similarity, _)| *similarity > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, key)| key.to_owned())
}
