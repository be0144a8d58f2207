//! The tables on an S3 server: the same as on disk, also after the process was killed.

use std::process::Stdio;
use std::time::Duration;

use crate::s3_server::{BUCKET, MISSING, SECRET, Server, USER};
use crate::support::{Deployment, assert_same, random, skip, world};

/// The configuration of a lake on that server.
pub(crate) fn lake(server: &Server) -> String {
    format!(
        "[lake]\nurl = 's3://{BUCKET}/mail/lake'\n[lake.storage]\naws_access_key_id = '{USER}'\n\
         aws_secret_access_key = '{SECRET}'\naws_region = 'us-east-1'\naws_endpoint = 'http://{}'\n\
         aws_allow_http = 'true'\n",
        server.address
    )
}

#[test]
fn tables_on_an_s3_server_are_those_on_disk() {
    let Some(server) = Server::start() else { return skip(MISSING) };
    let world = world(200, 19);
    let on_disk = Deployment::new();
    on_disk.ingest(&[world.path()]);
    let on_s3 = Deployment::configured(&lake(&server));
    for i in 0..3 {
        let mut child = on_s3
            .command(&["ingest", "--quiet", world.path().to_str().unwrap()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(500 + random(5, i, 3_000)));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let said = on_s3.ingest(&[world.path()]);
    assert_same(&on_s3.tables(), &on_disk.tables(), &said);
    assert!(!on_s3.data().join("lake").exists(), "nothing of the tables is on disk");
}
