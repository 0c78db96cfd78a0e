use updraft_model::variable::Variable;

use crate::test_support::backends::on_sqlite;
use crate::{Error, Store};

async fn write_variable(store: &Store, key: &str, bytes: usize) -> Result<(), Error> {
    let mut tx = store.write().await?;
    tx.set_variable(&Variable {
        key: key.to_owned(),
        value: "x".repeat(bytes),
        description: None,
        team_name: None,
    })
    .await?;
    tx.commit().await
}

async fn forbid_growth(store: &Store) {
    let mut tx = store.write().await.unwrap();
    let limit = sqlx::raw_sql("PRAGMA max_page_count = 1");
    limit.execute(tx.connection()).await.unwrap();
    tx.commit().await.unwrap();
}

#[test]
fn a_full_disk_is_named_and_loses_nothing() {
    on_sqlite(async |store| {
        write_variable(&store, "before", 10).await.unwrap();
        // The limit lasts as long as the connection, which the error ends.
        // SQLite answers a file that may not grow as it answers a disk that is full.
        forbid_growth(&store).await;
        let error = write_variable(&store, "huge", 1_000_000).await.unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("updraft.db` (the disk is full)"),
            "{error}"
        );
        assert!(!error.is_transient());
        write_variable(&store, "after", 10).await.unwrap();
        let keys = store
            .read()
            .await
            .unwrap()
            .load_variable_keys()
            .await
            .unwrap();
        assert_eq!(keys, ["after", "before"]);
    });
}

#[test]
fn readers_cannot_write_and_do_not_wait_for_the_writer() {
    on_sqlite(async |store| {
        write_variable(&store, "old", 10).await.unwrap();
        let mut tx = store.write().await.unwrap();
        tx.delete_variable("old").await.unwrap();
        let mut reader = store.read().await.unwrap();
        assert_eq!(reader.load_variable_keys().await.unwrap(), ["old"]);
        tx.commit().await.unwrap();
        assert!(reader.load_variable_keys().await.unwrap().is_empty());
        let refused = sqlx::query("DELETE FROM variable")
            .execute(reader.connection())
            .await;
        assert!(refused.is_err());
    });
}
