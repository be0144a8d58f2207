//! What a running process tells over HTTP, asked as a probe and Prometheus ask.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Deployment, files, world};

/// A running process, killed when the test ends.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) address: String,
}

impl Running {
    /// Starts it and waits until it says where it listens.
    pub(crate) fn start(deployment: &Deployment, args: &[&str]) -> Self {
        let mut child =
            deployment.command(args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = Vec::new();
        let address = loop {
            let line = lines.next().unwrap_or_else(|| panic!("it ended: {said:?}")).unwrap();
            if let Some((_, rest)) = line.split_once("http://") {
                let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':'));
                break rest[..end.unwrap_or(rest.len())].to_owned();
            }
            said.push(line);
        };
        // What else it says is read, so that it never waits for us.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }

    /// The status and the body of an answer.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// Asks until an answer is as it should be.
    pub(crate) fn wait(&self, path: &str, what: &str, is: impl Fn(u16, &str) -> bool) -> String {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let (status, body) = self.get(path);
            if is(status, &body) {
                return body;
            }
            assert!(Instant::now() < until, "{what}: {status} {body}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn a_running_process_tells_how_it_is() {
    let deployment = Deployment::new();
    let (world, inbox) = (world(30, 5), tempfile::tempdir().unwrap());
    for (i, file) in files(world.path()).iter().enumerate() {
        std::fs::copy(file, inbox.path().join(format!("{i}.eml"))).unwrap();
    }
    let running = Running::start(&deployment, &["run", "--watch", inbox.path().to_str().unwrap()]);
    assert_eq!(running.get("/health"), (200, r#"{"status":"ok"}"#.to_owned()));
    running.wait("/ready", "nothing stands in the way", |status, _| status == 200);
    let figures = running.wait("/metrics", "everything is in the tables", |_, body| {
        let behind: Vec<_> = body.lines().filter(|l| l.starts_with("dmarcflow_lag_records{")).collect();
        body.contains("dmarcflow_lake_commit_seconds_count{table=\"daily\"}")
            && !behind.is_empty()
            && behind.iter().all(|l| l.ends_with(" 0"))
    });
    for figure in [
        "dmarcflow_records_total{stage=\"parse\"}",
        "dmarcflow_log_commit_seconds_bucket{worker=\"aggregate\",le=\"0.1\"}",
        "dmarcflow_lag_records{group=\"write:reports.distinct\",topic=\"reports.distinct\",partition=\"0\"}",
        "process_resident_memory_bytes",
        "dmarcflow_build_info{version=",
        "# HELP dmarcflow_records_total",
    ] {
        assert!(figures.contains(figure), "{figure} in {figures}");
    }
    assert_eq!(running.get("/nothing").0, 404);

    let taken = Deployment::new().run(&["run", "--listen", &running.address]);
    let said = String::from_utf8_lossy(&taken.stderr).into_owned();
    assert!(!taken.status.success() && said.contains("choose another with --listen"), "{said}");
}
