//! The lake on an S3 server: commits are conditional writes, a server that is away is waited for.

use std::net::SocketAddr;
use std::time::Duration;

use dmarcflow_lake::{CommitOutcome, Lake, LakeError, Options};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::data::{at, committed, marks, read, rows, skip, sum, table};
use crate::s3_server::{BUCKET, MISSING, SECRET, Server, USER};

/// A way to the server that can be cut: what is under way then gets no answer.
struct Way {
    address: SocketAddr,
    cut: watch::Sender<bool>,
}

impl Way {
    async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let way = Self { address: listener.local_addr().unwrap(), cut: watch::Sender::new(false) };
        let cut = way.cut.subscribe();
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut cut = cut.clone();
                tokio::spawn(async move {
                    let mut far = TcpStream::connect(server).await.unwrap();
                    tokio::select! {
                        biased;
                        _ = cut.wait_for(|cut| *cut) => {}
                        // An end of either side is the end of the connection, which is all that counts here.
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                    }
                });
            }
        });
        way
    }
}

fn options(address: SocketAddr) -> Options {
    let storage = [
        ("endpoint", format!("http://{address}")),
        ("allow_http", "true".to_owned()),
        ("region", "us-east-1".to_owned()),
        ("access_key_id", USER.to_owned()),
        ("secret_access_key", SECRET.to_owned()),
    ];
    let storage = storage.map(|(name, value)| (name.to_owned(), value)).into();
    Options { storage, checkpoint_every: 4, store_timeout: Duration::from_millis(500), ..Options::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn commits_marks_compaction_and_writers_at_once_work_on_an_s3_server() {
    let Some(server) = Server::start() else {
        return skip(MISSING);
    };
    let url = &format!("s3://{BUCKET}/some/prefix");
    let options = options(server.address);
    let (daily, reports) = (table("daily"), table("reports"));
    let tables = [*daily, *reports];
    let first = Lake::open_tables(url, &options, &tables).await.unwrap();
    let mut writers = Vec::new();
    for writer in 0..3_u64 {
        let lake = Lake::open_tables(url, &options, &tables).await.unwrap();
        writers.push(tokio::spawn(async move {
            let app = format!("write/t/{writer}");
            for n in 0..5 {
                let batch = rows(daily, [(0, 5), (1, 5)]);
                committed(lake.commit(daily, vec![batch.clone()], vec![], &at(&app, n + 1)).await);
                let again = lake.commit(daily, vec![batch], vec![], &at(&app, n + 1)).await.unwrap();
                assert!(matches!(again, CommitOutcome::Known { .. }));
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(first.compact(daily, true).await.unwrap().partitions, 2);
    assert_eq!(sum(&read(&first, daily).await, "messages"), 3 * 5 * 2 * 5);
    committed(first.commit(reports, vec![rows(reports, [(0, 1)])], vec![], &at("write/t/0", 1)).await);
    let marked =
        committed(first.commit(reports, vec![], vec![marks([(0, 1, 9, true)])], &at("write/t/0", 2)).await);
    assert_eq!(marked.marked, 1);
    assert_eq!(first.vacuum(reports, Duration::ZERO).await.unwrap(), 1);
    let reopened = Lake::open_tables(url, &options, &tables).await.unwrap();
    assert_eq!(sum(&read(&reopened, reports).await, "copies"), 9);
    assert_eq!(reopened.position(daily, "write/t/2").await.unwrap(), Some(5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_is_away_is_an_error_that_passes() {
    let Some(server) = Server::start() else {
        return skip(MISSING);
    };
    let way = Way::to(server.address).await;
    let daily = table("daily");
    let lake =
        Lake::open_tables(&format!("s3://{BUCKET}/away"), &options(way.address), &[*daily]).await.unwrap();
    committed(lake.commit(daily, vec![rows(daily, [(0, 5)])], vec![], &at("write/t/0", 1)).await);
    way.cut.send_replace(true);
    for _ in 0..2 {
        let away =
            lake.commit(daily, vec![rows(daily, [(0, 5)])], vec![], &at("write/t/0", 2)).await.unwrap_err();
        assert!(matches!(away, LakeError::Away { .. }) && away.is_transient(), "{away}");
    }
    way.cut.send_replace(false);
    committed(lake.commit(daily, vec![rows(daily, [(0, 5)])], vec![], &at("write/t/0", 2)).await);
    assert_eq!(sum(&read(&lake, daily).await, "messages"), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_or_a_missing_bucket_do_not_look_like_a_store_that_is_away() {
    let Some(server) = Server::start() else {
        return skip(MISSING);
    };
    let missing =
        Lake::open_tables("s3://no-such-bucket/x", &options(server.address), &[*table("daily")]).await;
    let error = missing.err().unwrap();
    assert!(!error.is_transient(), "{error}");
    let mut wrong = options(server.address);
    wrong.storage.insert("secret_access_key".to_owned(), "guessed".to_owned());
    let refused = Lake::open_tables(&format!("s3://{BUCKET}/x"), &wrong, &[*table("daily")]).await;
    let error = refused.err().unwrap();
    assert!(!error.is_transient(), "{error}");
}
