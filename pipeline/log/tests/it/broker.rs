//! Apache Kafka for tests: brokers of their own on loopback, that can be killed, frozen and started again.
//!
//! They end with the test, however it ends: each runs under a shell that kills it when this process's end of a
//! pipe closes. The jars come from `DMARCFLOW_KAFKA_LIBS`; where they or Java are missing, tests are skipped.
#![allow(dead_code)]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long a broker may take to start.
const START: Duration = Duration::from_secs(120);
/// Time between two looks at a condition.
const LOOK: Duration = Duration::from_millis(20);
/// Runs what it is given until its input ends.
const GUARD: &str = r#""$@" >>"$KAFKA_TEST_LOG" 2>&1 </dev/null & p=$!; echo $p; cat >/dev/null; kill -9 $p"#;
/// Removes the folder when its input ends.
const CLEANER: &str = r#"cat >/dev/null; until rm -rf "$1"; do :; done"#;

/// Brokers that know each other.
pub(crate) struct Cluster {
    nodes: Vec<Node>,
    /// Ends with us, and then removes the folder.
    _cleaner: Child,
    /// Certificates, of a secured broker.
    secured: Option<tempfile::TempDir>,
}

struct Node {
    port: u16,
    config: PathBuf,
    log: PathBuf,
    running: Option<Running>,
}

struct Running {
    guard: Child,
    pid: u32,
}

impl Cluster {
    /// Starts brokers and waits until they answer. None, with a line that says why, where that cannot be.
    pub(crate) fn start(brokers: usize) -> Option<Self> {
        Self::launch(brokers, None)
    }

    /// Starts a broker that lets in who proves who he is, over TLS, by a certificate of a CA of its own
    /// ([`Cluster::authority`]): `user` with the password `secret`, by PLAIN or SCRAM-SHA-512, or any bearer.
    pub(crate) fn start_secured() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        certify(dir.path());
        Self::launch(1, Some(dir))
    }

    /// The certificate to trust, of a secured broker.
    pub(crate) fn authority(&self) -> PathBuf {
        self.secured.as_ref().unwrap().path().join("ca.pem")
    }

    fn launch(brokers: usize, secured: Option<tempfile::TempDir>) -> Option<Self> {
        let libs = libs()?;
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("dmarcflow-kafka-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&dir).unwrap();
        let cleaner = Command::new("sh")
            .args(["-c", CLEANER, "cleaner"])
            .arg(&dir)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let ports: Vec<_> = (0..brokers).map(|_| (free_port(), free_port())).collect();
        let voters: Vec<_> = (1..).zip(&ports).map(|(id, (_, c))| format!("{id}@127.0.0.1:{c}")).collect();
        let certificates = secured.as_ref().map(tempfile::TempDir::path);
        let nodes = (1..)
            .zip(&ports)
            .map(|(id, ports)| Node::format(&dir, &libs, id, *ports, &voters.join(","), certificates));
        let mut cluster = Self { nodes: nodes.collect(), _cleaner: cleaner, secured };
        (0..brokers).for_each(|n| cluster.spawn(n));
        (0..brokers).for_each(|n| cluster.wait(n));
        Some(cluster)
    }

    /// Where the brokers listen.
    pub(crate) fn brokers(&self) -> String {
        self.nodes.iter().map(|n| format!("127.0.0.1:{}", n.port)).collect::<Vec<_>>().join(",")
    }

    /// Stops a broker as its operator does.
    pub(crate) fn stop(&mut self, n: usize) {
        if let Some(mut running) = self.nodes[n].running.take() {
            signal("TERM", running.pid);
            let until = Instant::now() + START;
            while is_alive(running.pid) {
                assert!(Instant::now() < until, "the broker did not stop");
                std::thread::park_timeout(LOOK);
            }
            drop(running.guard.stdin.take());
            running.guard.wait().unwrap();
        }
    }

    /// Kills a broker as a power cut would.
    pub(crate) fn kill(&mut self, n: usize) {
        if let Some(mut running) = self.nodes[n].running.take() {
            signal("KILL", running.pid);
            drop(running.guard.stdin.take());
            running.guard.wait().unwrap();
        }
    }

    /// Starts a broker that was killed, with its data.
    pub(crate) fn restart(&mut self, n: usize) {
        self.spawn(n);
        self.wait(n);
    }

    /// Freezes a broker.
    pub(crate) fn freeze(&self, n: usize) {
        signal("STOP", self.nodes[n].running.as_ref().unwrap().pid);
    }

    /// Lets a frozen broker go on.
    pub(crate) fn thaw(&self, n: usize) {
        signal("CONT", self.nodes[n].running.as_ref().unwrap().pid);
    }

    fn spawn(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        let mut guard = Command::new("sh")
            .args(["-c", GUARD, "guard", "java", "-Xms128m", "-Xmx384m", "-cp"])
            .arg(libs().unwrap().join("*"))
            .arg("kafka.Kafka")
            .arg(&node.config)
            .env("KAFKA_TEST_LOG", &node.log)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(guard.stdout.take().unwrap()).read_line(&mut line).unwrap();
        node.running = Some(Running { pid: line.trim().parse().unwrap(), guard });
    }

    fn wait(&self, n: usize) {
        let node = &self.nodes[n];
        let (address, until) = (SocketAddr::from(([127, 0, 0, 1], node.port)), Instant::now() + START);
        while TcpStream::connect(address).is_err() {
            let said = || std::fs::read_to_string(&node.log).unwrap_or_default();
            assert!(Instant::now() < until, "the broker did not start:\n{}", said());
            std::thread::park_timeout(LOOK);
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        (0..self.nodes.len()).for_each(|n| self.kill(n));
    }
}

impl Node {
    /// Makes a broker's data folder.
    fn format(
        dir: &Path,
        libs: &Path,
        id: u32,
        (port, controller): (u16, u16),
        voters: &str,
        secured: Option<&Path>,
    ) -> Self {
        let (config, log) = (dir.join(format!("{id}.properties")), dir.join(format!("{id}.log")));
        let listener = match secured {
            None => format!("PLAINTEXT://127.0.0.1:{port}"),
            Some(_) => format!("SASL_SSL://127.0.0.1:{port},PLAINTEXT://127.0.0.1:{}", free_port()),
        };
        let mut text = format!(
            "process.roles=broker,controller\nnode.id={id}\ncontroller.quorum.voters={voters}\n\
             listeners={listener},CONTROLLER://127.0.0.1:{controller}\ninter.broker.listener.name=PLAINTEXT\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL\n\
             controller.listener.names=CONTROLLER\nlog.dirs={}\n",
            dir.join(id.to_string()).display()
        );
        if let Some(certificates) = secured {
            let module = "org.apache.kafka.common.security";
            let bearer = format!("{module}.oauthbearer.OAuthBearerLoginModule required");
            for (key, value) in [
                ("ssl.keystore.type", "PEM".to_owned()),
                ("ssl.keystore.location", certificates.join("broker.pem").display().to_string()),
                ("sasl.enabled.mechanisms", "PLAIN,SCRAM-SHA-512,OAUTHBEARER".to_owned()),
                (
                    "listener.name.sasl_ssl.plain.sasl.jaas.config",
                    format!("{module}.plain.PlainLoginModule required user_user=\"secret\";"),
                ),
                (
                    "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config",
                    format!("{module}.scram.ScramLoginModule required;"),
                ),
                (
                    "listener.name.sasl_ssl.oauthbearer.sasl.jaas.config",
                    format!("{bearer} unsecuredLoginStringClaim_sub=\"broker\";"),
                ),
            ] {
                writeln!(text, "{key}={value}").unwrap();
            }
        }
        let copies = voters.split(',').count().min(3);
        let majority = copies / 2 + 1;
        for (key, value) in [
            ("default.replication.factor", copies),
            ("offsets.topic.replication.factor", copies),
            ("transaction.state.log.replication.factor", copies),
            ("share.coordinator.state.topic.replication.factor", copies),
            ("transaction.state.log.min.isr", majority),
            ("share.coordinator.state.topic.min.isr", majority),
            ("min.insync.replicas", majority),
            ("offsets.topic.num.partitions", 4),
            ("transaction.state.log.num.partitions", 4),
            ("group.initial.rebalance.delay.ms", 0),
            ("group.min.session.timeout.ms", 500),
            ("transaction.abort.timed.out.transaction.cleanup.interval.ms", 500),
            ("broker.session.timeout.ms", 3000),
            ("broker.heartbeat.interval.ms", 500),
            ("log.cleaner.dedupe.buffer.size", 16 << 20),
        ] {
            writeln!(text, "{key}={value}").unwrap();
        }
        std::fs::write(&config, text).unwrap();
        let formatted = Command::new("java")
            .args(["-Xmx128m", "-cp"])
            .arg(libs.join("*"))
            .args(["kafka.tools.StorageTool", "format", "-t", "AAAAAAAAQACAAAAAAAAAAA"])
            .args(["--add-scram", "SCRAM-SHA-512=[name=user,password=secret]", "-c"])
            .arg(&config)
            .output()
            .unwrap();
        assert!(formatted.status.success(), "{}", String::from_utf8_lossy(&formatted.stderr));
        Self { port, config, log, running: None }
    }
}

/// A CA, and a key and a certificate of it for loopback.
fn certify(dir: &Path) {
    let openssl = |args: &str| {
        let done = Command::new("openssl").args(args.split(' ')).current_dir(dir).output().unwrap();
        assert!(done.status.success(), "{args}: {}", String::from_utf8_lossy(&done.stderr));
    };
    openssl("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test-ca -keyout ca.key -out ca.pem");
    openssl("req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout key.pem -out broker.csr");
    std::fs::write(dir.join("names"), "subjectAltName=IP:127.0.0.1,DNS:localhost").unwrap();
    openssl(
        "x509 -req -in broker.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out cert.pem",
    );
    let both =
        ["key.pem", "cert.pem", "ca.pem"].map(|f| std::fs::read_to_string(dir.join(f)).unwrap()).concat();
    std::fs::write(dir.join("broker.pem"), both).unwrap();
}

/// The jars, where they and Java are.
pub(crate) fn libs() -> Option<PathBuf> {
    let cached = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/dmarcflow-peers/kafka/libs"));
    let found = std::env::var_os("DMARCFLOW_KAFKA_LIBS").map(PathBuf::from).or_else(cached);
    let found = found.filter(|path| path.is_dir());
    let java = Command::new("java").arg("-version").output().is_ok_and(|o| o.status.success());
    if found.is_none() || !java {
        let why = "Apache Kafka's jars (DMARCFLOW_KAFKA_LIBS) or Java are not here";
        assert!(std::env::var_os("CI").is_none(), "{why}");
        println!("skipped: {why}");
        return None;
    }
    found
}

/// Whether a process still runs; one that ended and was not waited for does not.
fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// Sends a signal to a process that we started.
pub(crate) fn signal(name: &str, pid: u32) {
    let done = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status().unwrap();
    assert!(done.success(), "kill -{name} {pid}");
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}
