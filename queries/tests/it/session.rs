//! The session: newest versions, one version a query, views, parameters, limits, errors.

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use dmarcflow_queries::{Options, Params, QueryError, Session};

use crate::world::{self, params, shared};

async fn number(session: &Session, sql: &str, pairs: &[(&str, &str)]) -> i64 {
    let answer = session.sql(sql, &params(pairs)).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    let batches = answer.collect().await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    let batch = batches.iter().find(|batch| batch.num_rows() > 0).unwrap();
    batch.column(0).as_primitive::<Int64Type>().value(0)
}

async fn refused(session: &Session, sql: &str, pairs: &[(&str, &str)]) -> QueryError {
    match session.sql(sql, &params(pairs)).await {
        Err(error) => error,
        Ok(answer) => answer.collect().await.err().unwrap_or_else(|| panic!("{sql} has an answer")),
    }
}

#[tokio::test]
async fn a_session_sees_new_tables_and_new_commits() {
    let lake = tempfile::tempdir().unwrap();
    let session = world::open(lake.path());
    let sql = "SELECT coalesce(sum(messages), 0) FROM daily";
    assert_eq!(number(&session, sql, &[]).await, 0);
    let row = |date: &str, messages: i64| {
        serde_json::json!({
            "date": date, "policy_domain": "a.example", "dkim_aligned": true, "spf_aligned": true, "dmarc_pass": true,
            "disposition": "none", "messages": messages, "apportioned_messages": 0,
        })
    };
    world::append(lake.path(), "daily", &[row("2026-03-01", 5)]).await;
    assert_eq!(number(&session, sql, &[]).await, 5);
    for day in 2..=4 {
        world::append(lake.path(), "daily", &[row(&format!("2026-03-0{day}"), 10)]).await;
    }
    assert_eq!(number(&session, sql, &[]).await, 35);
    assert_eq!(
        number(&session, "SELECT sum(messages) FROM daily WHERE date = $day", &[("day", "newest-3")]).await,
        5
    );
}

#[tokio::test]
async fn every_part_of_a_query_sees_the_same_version() {
    let session = shared().await;
    let sql = "SELECT count(*) FROM records JOIN record_dkim USING (report_key, record_index)";
    assert_eq!(number(&session, sql, &[]).await, 24);
}

#[tokio::test]
async fn views_have_a_row_for_each_element() {
    let session = shared().await;
    assert_eq!(number(&session, "SELECT count(*) FROM record_dkim", &[]).await, 24);
    assert_eq!(
        number(&session, "SELECT count(*) FROM record_dkim WHERE selector = 's1' AND result = 'pass'", &[])
            .await,
        7
    );
    assert_eq!(number(&session, "SELECT count(*) FROM record_spf", &[]).await, 12);
    assert_eq!(
        number(&session, "SELECT count(*) FROM record_reasons WHERE type = 'mailing_list'", &[]).await,
        1
    );
    assert_eq!(number(&session, "SELECT sum(repairs) FROM report_repairs", &[]).await, 2);
}

#[tokio::test]
async fn parameters_of_an_own_text_are_declared_or_guessed() {
    let session = shared().await;
    let declared = "-- Own.\n-- parameters:\n--   least int 100 messages\nSELECT count(*) FROM records WHERE messages >= $least";
    assert_eq!(number(&session, declared, &[]).await, 2);
    assert_eq!(number(&session, declared, &[("least", "80")]).await, 3);
    let guessed = "SELECT sum(messages) FROM daily WHERE date >= $since AND policy_domain = $domain";
    assert_eq!(number(&session, guessed, &[("since", "2026-03-31"), ("domain", "a.example")]).await, 113);

    let error = refused(&session, guessed, &[("since", "2026-03-31")]).await.to_string();
    assert_eq!(error, "parameter `domain` has no value; give domain=VALUE");
    let error = refused(&session, guessed, &[("since", "2026-03-31"), ("domain", "x"), ("domian", "x")])
        .await
        .to_string();
    assert_eq!(
        error,
        "there is no parameter `domian`, did you mean `domain`?; the query takes domain, since"
    );
    let error = refused(&session, declared, &[("least", "1 OR 1=1")]).await.to_string();
    assert_eq!(error, "parameter `least`: `1 OR 1=1` is not a whole number");
    let error = refused(&session, "SELECT 1", &[("x", "1")]).await.to_string();
    assert_eq!(error, "there is no parameter `x`; the query takes none");
}

#[tokio::test]
async fn errors_name_the_place_and_the_remedy() {
    let session = shared().await;
    let table = refused(&session, "SELECT * FROM reprots", &[]).await.to_string();
    assert!(
        table.starts_with(
            "there is no table `reprots`, did you mean `reports`?; the tables are reports, records,"
        ),
        "{table}"
    );
    let column = refused(&session, "SELECT mesages FROM daily", &[]).await.to_string();
    assert!(column.starts_with("No field named mesages. Did you mean 'daily.messages'?"), "{column}");
    let syntax = refused(&session, "SELECT *\nFORM daily WHERE x = 1", &[]).await.to_string();
    assert!(
        syntax.starts_with("syntax error: ") && syntax.contains("Line: 2") && syntax.ends_with('^'),
        "{syntax}"
    );
    let function = refused(&session, "SELECT summ(messages) FROM daily", &[]).await.to_string();
    assert!(function.contains("Did you mean 'sum'?"), "{function}");
    let division = refused(&session, "SELECT messages / 0 FROM daily", &[]).await;
    assert!(matches!(division, QueryError::Failed(_)), "{division}");
    let two = refused(&session, "SELECT 1; SELECT 2", &[]).await.to_string();
    assert_eq!(two, "2 statements were given; give one");
    let write =
        refused(&session, "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 'x'", &[]).await.to_string();
    assert!(write.starts_with("CREATE EXTERNAL TABLE is refused: the lake is read-only here"), "{write}");
}

#[tokio::test]
async fn memory_is_limited_and_the_error_says_so() {
    let lake = tempfile::tempdir().unwrap();
    let options = Options { memory_bytes: 1 << 20, spill_bytes: 1 << 20, ..Options::default() };
    let session = Session::open(lake.path().to_str().unwrap(), &options).unwrap();
    let hungry = "SELECT count(*) FROM (SELECT DISTINCT value, cast(value AS text) || 'xxxxxxxxxxxxxxxx' FROM generate_series(1, 3000000))";
    let error = refused(&session, hungry, &[]).await;
    assert!(matches!(error, QueryError::Memory(_)), "{error}");
}

/// The partition, the address and the report key must narrow down what is read.
#[tokio::test]
async fn filters_reach_the_files() {
    let session = shared().await;
    let plan = async |sql: &str, pairs: &[(&str, &str)]| {
        let batches = session.sql(sql, &params(pairs)).await.unwrap().collect().await.unwrap();
        arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string()
    };
    let library = dmarcflow_queries::Library::new().unwrap();
    let address = format!("EXPLAIN {}", library.get("address").unwrap().sql);
    let text = plan(&address, &[("ip", "192.0.2.1"), ("days", "2"), ("until", "2026-03-30")]).await;
    assert!(text.contains("predicate=") && text.contains("192.0.2.1"), "{text}");
    assert_eq!(text.matches("date=2026-").count(), 2, "{text}");
}

#[tokio::test]
async fn an_empty_parameter_is_absent() {
    let session = shared().await;
    let sql =
        "-- T\n-- parameters:\n--   domain text x one\nSELECT count(*) FROM daily WHERE $domain IS NULL";
    assert_eq!(number(&session, sql, &[]).await, 0);
    assert!(number(&session, sql, &[("domain", "")]).await > 0);
    let _: Params = Params::new();
}
