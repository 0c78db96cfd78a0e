//! Hot queries must find their rows by index, however many there are.

use sqlx::Row;
use updraft_model::TaskInstanceState as S;

use super::{apply, lost, queueing, view};
use crate::execution::start::lock_try_sql;
use crate::pool::usage_sql;
use crate::row::assembled;
use crate::test_support::{backends, fixtures};
use crate::{Dialect, Reader};

/// Runs, and tasks in each: enough for statistics that mean something.
const RUNS: usize = 40;
const TASKS: usize = 100;

fn hot_statements(dialect: Dialect) -> Vec<String> {
    vec![
        view::SLIM_SQL.to_owned(),
        view::lock_run_sql(dialect),
        apply::alike_sql(dialect),
        apply::singular_sql(dialect),
        queueing::candidates_sql(),
        queueing::active_counts_sql(),
        queueing::queue_sql(dialect),
        lost::orphans_sql(dialect),
        lost::silent_sql(),
        lost::stuck_sql(),
        lock_try_sql(dialect),
        usage_sql(),
    ]
}

async fn plan_of(reader: &mut Reader, sql: &str) -> Vec<String> {
    let connection = reader.connection();
    let explain = match connection.backend_name() {
        "SQLite" => format!("EXPLAIN QUERY PLAN {sql}"),
        // With placeholders, as the statement cache plans it after a few calls.
        _ => {
            let prepare = format!("DEALLOCATE ALL; PREPARE hot AS {sql}");
            sqlx::raw_sql(assembled(prepare))
                .execute(&mut *connection)
                .await
                .unwrap();
            let parameters = (1..20)
                .filter(|number| sql.contains(&format!("${number}")))
                .count();
            let nulls = vec!["NULL"; parameters].join(", ");
            match parameters {
                0 => "EXPLAIN EXECUTE hot".to_owned(),
                _ => format!("EXPLAIN EXECUTE hot ({nulls})"),
            }
        }
    };
    let rows = sqlx::raw_sql(assembled(explain))
        .fetch_all(connection)
        .await
        .unwrap();
    rows.iter().map(|row| row.get(row.len() - 1)).collect()
}

fn reads_whole_table(dialect: Dialect, line: &str) -> bool {
    let line = line.trim();
    match dialect {
        Dialect::Sqlite => {
            (line.starts_with("SCAN ti") || line.starts_with("SCAN task_instance"))
                && !line.contains("task_instance_busy")
        }
        Dialect::Postgres => line.contains("Seq Scan on task_instance"),
    }
}

#[test]
fn hot_statements_read_no_whole_table() {
    backends::on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let version = fixtures::write_etl(&mut tx).await;
        let names: Vec<String> = (0..RUNS.max(TASKS))
            .map(|number| format!("n{number}"))
            .collect();
        let tasks: Vec<_> = names[..TASKS]
            .iter()
            .map(|name| (name.as_str(), S::Success))
            .collect();
        for run in &names[..RUNS] {
            fixtures::start_run(&mut tx, run, version, None).await;
            fixtures::create_tis(&mut tx, run, version, &tasks).await;
            fixtures::create_tis(&mut tx, run, version, &[("busy", S::Scheduled)]).await;
        }
        tx.commit().await.unwrap();

        let mut reader = store.read().await.unwrap();
        if store.dialect() == Dialect::Postgres {
            // Among so few rows a scan may be the cheapest plan; that there is another one counts.
            sqlx::raw_sql(
                "ANALYZE; SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan",
            )
            .execute(reader.connection())
            .await
            .unwrap();
        }
        for sql in hot_statements(store.dialect()) {
            let plan = plan_of(&mut reader, &sql).await;
            let whole = plan
                .iter()
                .find(|line| reads_whole_table(store.dialect(), line));
            assert_eq!(whole, None, "{sql}\n{}", plan.join("\n"));
        }
    });
}
