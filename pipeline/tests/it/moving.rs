//! Moving what one log took in to another: nothing lost, nothing twice.

use crate::support::{Deployment, assert_same, text, world};

#[test]
fn what_one_log_took_in_is_in_the_next_once() {
    let world = world(300, 61);
    let old = Deployment::new();
    old.ingest(&[world.path()]);
    let new = Deployment::new();
    let from = old.data();
    let args = ["move", "--from", from.to_str().unwrap()];
    let nothing = new.run(&["move", "--from", "/nowhere"]);
    assert!(text(&nothing.stderr).contains("--from names the data folder"), "{}", text(&nothing.stderr));
    if cfg!(debug_assertions) {
        let dies = new.command(&args).env("DMARCFLOW_CRASH_AT", "moved:2").output().unwrap();
        assert!(!dies.status.success());
    }
    let said = new.ok(&args);
    assert!(said.contains("the stages make tables of them"), "{said}");
    // The same again, and the same files again: all known.
    assert_eq!(new.ok(&args), said);
    new.ingest(&[world.path()]);
    assert_same(&new.tables(), &old.tables(), "moved");
    for counted in ["SELECT sum(copies) FROM reports", "SELECT count(*) FROM dead_letters"] {
        assert_eq!(new.number(counted), old.number(counted), "{counted}");
    }
}
