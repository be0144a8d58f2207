//! The lake on an S3 server: commits are conditional writes, a server that is away is waited for.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dmarcflow_lake::{CommitOutcome, Lake, LakeError, Options};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::data::{at, committed, marks, read, rows, skip, sum, table};

/// Long enough for a Python program to start on a busy machine.
const START: Duration = Duration::from_secs(60);

/// An S3 server on loopback, with one bucket.
struct Server {
    process: Child,
    address: SocketAddr,
}

impl Server {
    async fn start() -> Option<Self> {
        let python = std::env::var("DMARCFLOW_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let have = Command::new(&python).args(["-c", "import moto.server, flask"]).output();
        if !have.is_ok_and(|out| out.status.success()) {
            return None;
        }
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let mut server = Command::new(&python);
        server.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &address.port().to_string()]);
        let process = server.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let server = Self { process, address };
        let started = Instant::now();
        while server.request("PUT /lake-bucket").await != Some(200) {
            assert!(started.elapsed() < START, "the S3 server did not start");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Some(server)
    }

    /// Sends a request without a body; its status, once there is a server.
    async fn request(&self, line: &str) -> Option<u16> {
        let mut stream = TcpStream::connect(self.address).await.ok()?;
        let head = format!(
            "{line} HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\nConnection: close\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential=test/20240101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0\r\n\r\n",
            self.address
        );
        stream.write_all(head.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        answer.split(' ').nth(1)?.parse().ok()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

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
        ("access_key_id", "test".to_owned()),
        ("secret_access_key", "test".to_owned()),
    ];
    let storage = storage.map(|(name, value)| (name.to_owned(), value)).into();
    Options { storage, checkpoint_every: 4, store_timeout: Duration::from_millis(500), ..Options::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn commits_marks_compaction_and_writers_at_once_work_on_an_s3_server() {
    let Some(server) = Server::start().await else {
        return skip(
            "python with moto[server], an S3 server, is not here (DMARCFLOW_PYTHON names the interpreter)",
        );
    };
    let url = "s3://lake-bucket/some/prefix";
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
    let Some(server) = Server::start().await else {
        return skip(
            "python with moto[server], an S3 server, is not here (DMARCFLOW_PYTHON names the interpreter)",
        );
    };
    let way = Way::to(server.address).await;
    let daily = table("daily");
    let lake = Lake::open_tables("s3://lake-bucket/away", &options(way.address), &[*daily]).await.unwrap();
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
    let Some(server) = Server::start().await else {
        return skip(
            "python with moto[server], an S3 server, is not here (DMARCFLOW_PYTHON names the interpreter)",
        );
    };
    let missing =
        Lake::open_tables("s3://no-such-bucket/x", &options(server.address), &[*table("daily")]).await;
    let error = missing.err().unwrap();
    assert!(!error.is_transient(), "{error}");
}
