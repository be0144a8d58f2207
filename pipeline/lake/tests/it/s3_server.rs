//! An S3 server on loopback: the Versity S3 gateway over a folder that ends with the test.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) const BUCKET: &str = "lake-bucket";
pub(crate) const USER: &str = "user";
pub(crate) const SECRET: &str = "its-secret";
pub(crate) const MISSING: &str = "versitygw, an S3 server, is not here: \
     go install github.com/versity/versitygw/cmd/versitygw@v1.8.0, and name it with DMARCFLOW_S3_SERVER";

/// Long enough for a program to start on a busy machine.
const START: Duration = Duration::from_secs(60);

/// A running server with one bucket.
pub(crate) struct Server {
    process: Child,
    pub(crate) address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Server {
    /// Starts one, where the program is.
    pub(crate) fn start() -> Option<Self> {
        let program = std::env::var("DMARCFLOW_S3_SERVER").unwrap_or_else(|_| "versitygw".to_owned());
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let mut command = Command::new(program);
        command.env("ROOT_ACCESS_KEY", USER).env("ROOT_SECRET_KEY", SECRET);
        command.args(["--port", &address.to_string(), "posix"]).arg(folder.path());
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
        let server = Self { process, address, _folder: folder };
        let started = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(started.elapsed() < START, "the S3 server did not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}
