//! A table made by an older program gains the columns that are new; any other difference is refused.

use arrow::array::Array;
use dmarcflow_lake::{Lake, LakeError};
use dmarcflow_schemas::column::{Column, Type};
use dmarcflow_schemas::tables::Table;

use crate::data::{Home, at, committed, fast, read, rows, table};

/// The table with its columns changed.
fn changed(table: &Table, change: impl FnOnce(&mut Vec<Column>)) -> Table {
    let mut columns = table.columns.to_vec();
    change(&mut columns);
    Table { columns: columns.leak(), ..*table }
}

async fn reopen(home: &Home, table: Table) -> Result<Lake, LakeError> {
    Lake::open_tables(home.folder.path().to_str().unwrap(), &fast(), &[table]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn new_columns_that_may_be_absent_are_added_also_nested_and_old_rows_read_on() {
    let home = Home::new(&fast()).await;
    let records = table("records");
    committed(
        home.lake.commit(records, vec![rows(records, [(0, 1), (0, 2)])], vec![], &at("write/t/0", 1)).await,
    );
    let newer = changed(records, |columns| {
        columns.push(Column::optional("tls", Type::Utf8, "meaning", "source"));
        let dkim = columns.iter_mut().find(|column| column.name == "dkim").unwrap();
        let Type::StructList(nested) = dkim.r#type else { panic!("a list of structs") };
        let mut nested = nested.to_vec();
        nested.push(Column::optional("key_size", Type::Int64, "meaning", "source"));
        dkim.r#type = Type::StructList(nested.leak());
    });
    let lake = reopen(&home, newer).await.unwrap();
    assert_eq!(lake.position(&newer, "write/t/0").await.unwrap(), Some(1));
    committed(lake.commit(&newer, vec![rows(&newer, [(0, 3)])], vec![], &at("write/t/0", 2)).await);
    lake.compact(&newer, true).await.unwrap();
    let all = read(&lake, &newer).await;
    assert_eq!((all.num_rows(), all.column_by_name("tls").unwrap().null_count()), (3, 2));
    // The older program goes on beside it: what it does not know is absent in its rows.
    let older = reopen(&home, *records).await.unwrap();
    committed(older.commit(records, vec![rows(records, [(1, 4)])], vec![], &at("write/t/0", 3)).await);
    assert_eq!(reopen(&home, newer).await.unwrap().position(&newer, "write/t/0").await.unwrap(), Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_differences_are_refused_with_table_column_and_remedy() {
    let home = Home::new(&fast()).await;
    let daily = table("daily");
    let required =
        changed(daily, |columns| columns.insert(1, Column::required("tenant", Type::Utf8, "m", "s")));
    let retyped = changed(daily, |columns| columns[1].r#type = Type::Int64);
    let optional = changed(daily, |columns| columns[1].nullable = true);
    let without = changed(daily, |columns| {
        columns.remove(1);
    });
    for (table, column, problem) in [
        (required, "tenant", "missing, and required"),
        (retyped, "policy_domain", "Utf8"),
        (optional, "policy_domain", "may be absent now"),
        (without, "policy_domain", "not known to this program"),
    ] {
        let table = Table { sort: &[], ..table };
        let refused = reopen(&home, table).await.err().unwrap();
        let LakeError::Schema { table, column: found, .. } = &refused else { panic!("{refused}") };
        assert_eq!((table.as_str(), found.as_str()), ("daily", column));
        assert!(refused.to_string().contains(problem), "{refused}");
        assert!(!refused.is_transient());
    }
}
