//! A replay's rows in the place of the live ones: whole, once, and no late writer changes them.

use dmarcflow_lake::{LakeError, Options};

use crate::data::{Home, committed, fast, open, read, rows, span, table};

fn flow(name: &str) -> Options {
    Options { flow: name.to_owned(), ..fast() }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_flows_rows_take_the_place_of_all_and_late_writers_are_refused() {
    let (home, other) = (Home::new(&fast()).await, Home::new(&flow("again")).await);
    for table in [table("records"), table("daily")] {
        let of = |seeds: std::ops::Range<u64>| vec![rows(table, seeds.map(|seed| (seed % 3, seed)))];
        committed(home.lake.commit(table, of(0..9), vec![], &span("write/t/0", 0, 9)).await);
        for (from, next) in [(0, 5), (5, 12)] {
            let batch = of(from..next);
            committed(other.lake.commit(table, batch, vec![], &span("again/write/t/0", from, next)).await);
        }
        let replayed = read(&other.lake, table).await;
        let apps = ["again/write/t/0".to_owned(), "again/write/t/1".to_owned()];
        home.lake.replace(table, &other.lake, &apps).await.unwrap();
        assert_eq!(read(&home.lake, table).await, replayed);

        // Whoever still writes for the flow that was live is refused, also one who has seen nothing of it.
        let late = home.lake.commit(table, of(9..10), vec![], &span("write/t/0", 9, 10)).await;
        assert!(matches!(late, Err(LakeError::Sealed { .. })), "{late:?}");
        let zombie = open(home.folder.path(), &fast()).await;
        let late = zombie.commit(table, of(9..10), vec![], &span("write/t/0", 9, 10)).await;
        assert!(matches!(late, Err(LakeError::Sealed { .. })), "{late:?}");
        // And so is whoever writes to where the replay's rows were.
        let late = other.lake.commit(table, of(12..13), vec![], &span("again/write/t/0", 12, 13)).await;
        assert!(matches!(late, Err(LakeError::Sealed { .. })), "{late:?}");

        // Its positions came along: the flow goes on here, and a batch that it committed there is known.
        let live = open(home.folder.path(), &flow("again")).await;
        assert_eq!(live.position(table, "again/write/t/0").await.unwrap(), Some(12));
        assert_eq!(live.position(table, "again/write/t/1").await.unwrap(), None);
        committed(live.commit(table, of(12..13), vec![], &span("again/write/t/0", 12, 13)).await);
        let before = read(&live, table).await;
        // Replacing again, as after a crash behind the entry, changes nothing.
        home.lake.replace(table, &other.lake, &apps).await.unwrap();
        assert_eq!(read(&live, table).await, before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_comes_first_is_replaced_too() {
    let (home, other) = (Home::new(&fast()).await, Home::new(&flow("again")).await);
    let daily = table("daily");
    let writer = open(home.folder.path(), &fast()).await;
    committed(other.lake.commit(daily, vec![rows(daily, [(0, 1)])], vec![], &span("again/w/0", 0, 1)).await);
    // This lake knows the table as it was before the other writer's entry.
    committed(writer.commit(daily, vec![rows(daily, [(0, 2), (1, 3)])], vec![], &span("w/0", 0, 2)).await);
    home.lake.replace(daily, &other.lake, &["again/w/0".to_owned()]).await.unwrap();
    assert_eq!(read(&home.lake, daily).await, read(&other.lake, daily).await);
}
