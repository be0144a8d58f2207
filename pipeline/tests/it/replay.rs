//! Replays: after a change of a reference everything once more, beside the live flow, killed on the way, promoted.

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::serve::Running;
use crate::support::{Deployment, assert_same, files, random, text, world};

const NEW: &str = "version = \"test\"\n[[service]]\nid = \"google-workspace\"\nname = \"Renamed Mailboxes\"\nkind = \"mailbox\"\n";

/// A deployment with a table of services of its own, which says nothing yet.
fn with_services(services: &str) -> Deployment {
    let folder = tempfile::tempdir().unwrap().keep();
    let path = folder.join("services.toml");
    std::fs::write(&path, services).unwrap();
    Deployment::configured(&format!("services = '{}'\n", path.display()))
}

fn change_services(d: &Deployment) {
    let config = std::fs::read_to_string(d.dir.path().join("dmarcflow.toml")).unwrap();
    std::fs::write(config.split('\'').nth(1).unwrap(), NEW).unwrap();
}

fn replay(d: &Deployment) -> Child {
    d.command(&["replay", "run", "again"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Moves half of a world's files to another folder.
fn halves(world: &Path) -> std::path::PathBuf {
    let other = world.join("later");
    std::fs::create_dir(&other).unwrap();
    for (i, file) in files(world).iter().enumerate().filter(|(i, _)| i % 2 == 1) {
        std::fs::rename(file, other.join(format!("{i}-{}", file.file_name().unwrap().to_str().unwrap())))
            .unwrap();
    }
    other
}

#[test]
fn a_replay_with_new_services_is_a_fresh_ingest_and_goes_on_when_promoted() {
    let (first, second) = (world(300, 51), world(60, 52));
    let later = halves(second.path());
    let fresh = with_services(NEW);
    fresh.ingest(&[first.path()]);
    let at_first = fresh.tables();

    let d = with_services("version = \"before\"\n");
    d.ingest(&[first.path()]);
    let before = d.tables();
    let none = d.run(&["replay", "promote", "again"]);
    assert!(text(&none.stderr).contains("`dmarcflow replay run again` begins one"), "{}", text(&none.stderr));
    change_services(&d);

    // Killed some times on the way.
    for i in 0..4 {
        let mut child = replay(&d);
        std::thread::sleep(Duration::from_millis(150 + random(53, i, 700)));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    d.ok(&["replay", "run", "again"]);
    assert_same(&d.tables(), &before, "a replay changes no live table");
    let diff = d.ok(&["replay", "diff", "again"]);
    assert!(diff.contains("days of domains would change"), "{diff}");
    let list = d.ok(&["replay", "list"]);
    assert!(list.lines().any(|l| l.starts_with("again") && l.ends_with("replay")), "{list}");

    // Live reports keep arriving, beside the replay in the same process.
    let inbox = d.dir.path().join("inbox");
    std::fs::create_dir(&inbox).unwrap();
    let running = Running::start(
        &d,
        &["run", "--watch", inbox.to_str().unwrap(), "--replay", "again", "--replay-rate", "500"],
    );
    for (i, file) in files(second.path()).iter().filter(|f| !f.starts_with(&later)).enumerate() {
        std::fs::copy(file, inbox.join(format!("{i}.eml"))).unwrap();
    }
    running.wait("/metrics", "what came is in the live tables", |_, body| {
        body.contains("dmarcflow_records_total{stage=\"parse\"}")
            && body.lines().filter(|l| l.starts_with("dmarcflow_lag_records{")).all(|l| l.ends_with(" 0"))
    });
    drop(running);

    // A promotion that dies between two tables is finished by the next one, and until then nothing else starts.
    let dies =
        d.command(&["replay", "promote", "again"]).env("DMARCFLOW_CRASH_AT", "replaced:3").output().unwrap();
    assert!(!dies.status.success());
    let refused = d.run(&["ingest", first.path().to_str().unwrap()]);
    assert!(text(&refused.stderr).contains("dmarcflow replay promote again"), "{}", text(&refused.stderr));
    d.ok(&["replay", "promote", "again"]);
    assert!(!d.data().join("lake/replays/again").exists(), "its own tables are gone");

    fresh.ingest(&[&inbox]);
    assert_same(&d.tables(), &fresh.tables(), "promoted");
    assert_ne!(d.tables()["daily_senders"], at_first["daily_senders"], "there are later reports");
    assert!(d.number("SELECT count(*) FROM records WHERE service = 'Renamed Mailboxes'") > 0);

    // What comes now is made by the flow that was promoted, once.
    d.ingest(&[&later, first.path()]);
    fresh.ingest(&[&later]);
    assert_same(&d.tables(), &fresh.tables(), "after the promotion");
    let list = d.ok(&["replay", "list"]);
    assert!(list.lines().any(|l| l.starts_with("again") && l.ends_with("live")), "{list}");
    assert_eq!(d.ok(&["replay", "run", "once-more"]).lines().count(), 1);
    assert!(d.ok(&["replay", "diff", "once-more"]).starts_with("nothing would change"));
    d.ok(&["replay", "drop", "once-more"]);
    assert!(!d.ok(&["replay", "list"]).contains("once-more"));
    for (args, said) in [
        (&["replay", "run", "once-more"][..], "give this one another name"),
        (&["replay", "run", "slow", "--rate", "0"], "reports a second or more"),
        (&["replay", "drop", "again"], "is the live flow"),
        (&["replay", "drop", "nothing"], "never was"),
    ] {
        let refused = text(&d.run(args).stderr);
        assert!(refused.contains(said), "{args:?}: {refused}");
    }
}
