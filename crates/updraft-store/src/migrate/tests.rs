use std::collections::BTreeSet;

use sqlx::Row;

use crate::test_support::backends::{on_each_backend, on_postgres_if_any, open, sqlite_url};
use crate::{Error, SchemaState, Store};

#[test]
fn a_database_of_a_newer_version_is_left_alone() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        sqlx::raw_sql("UPDATE _sqlx_migrations SET version = 900 WHERE version = 1")
            .execute(tx.connection())
            .await
            .unwrap();
        tx.commit().await.unwrap();
        assert_eq!(
            store.check().await.unwrap(),
            SchemaState::Ahead { found: 900 }
        );
        let error = store.migrate().await.unwrap_err();
        assert!(
            matches!(error, Error::SchemaAhead { found: 900, .. }),
            "{error}"
        );
        assert!(error.to_string().contains("newer version"), "{error}");
    });
}

/// Every column with whether it may be NULL. Types differ by dialect and are not compared.
async fn columns_of(store: &Store, sql: &'static str) -> BTreeSet<(String, String, bool)> {
    let mut reader = store.read().await.unwrap();
    let rows = sqlx::raw_sql(sql)
        .fetch_all(reader.connection())
        .await
        .unwrap();
    rows.iter()
        .map(|row| (row.get(0), row.get(1), row.get::<i32, _>(2) != 0))
        .collect()
}

#[test]
fn both_dialects_have_the_same_tables_and_columns() {
    on_postgres_if_any(async |postgres| {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = open(&sqlite_url(&folder)).await;
        sqlite.migrate().await.unwrap();
        // SQLite lets a `TEXT PRIMARY KEY` say nothing of NULL; STRICT tables refuse it all the same
        // only when they are WITHOUT ROWID, so primary keys count as NOT NULL on both sides.
        let here = columns_of(
            &sqlite,
            "SELECT t.name, c.name, c.\"notnull\" OR c.pk > 0
               FROM sqlite_schema AS t, pragma_table_info(t.name) AS c
              WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'
                AND t.name <> '_sqlx_migrations'",
        )
        .await;
        let there = columns_of(
            &postgres,
            "SELECT table_name::TEXT, column_name::TEXT, (is_nullable = 'NO')::INTEGER
               FROM information_schema.columns
              WHERE table_schema = 'public' AND table_name <> '_sqlx_migrations'",
        )
        .await;
        assert!(here.len() > 300, "{}", here.len());
        let different: Vec<_> = here.symmetric_difference(&there).collect();
        assert!(different.is_empty(), "{different:#?}");
        sqlite.close().await;
    });
}
