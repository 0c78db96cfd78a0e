//! Opening, migrating, committing, retrying, hinting.

use std::sync::atomic::{AtomicI32, Ordering};

use updraft_model::pool::Pool;
use updraft_store::{Change, Error, SchemaState, Store};

use crate::backends::{on_each_backend, on_sqlite, open, options, runtime, sqlite_url};

fn pool(name: &str, slots: i32) -> Pool {
    Pool {
        name: name.into(),
        slots,
        description: None,
        include_deferred: false,
    }
}

async fn create_pool(store: &Store, pool: &Pool) -> bool {
    store
        .retry(|| async {
            let mut tx = store.write().await?;
            let created = tx.create_pool(pool).await?;
            tx.commit().await?;
            Ok(created)
        })
        .await
        .unwrap()
}

async fn pool_names(store: &Store) -> Vec<String> {
    let pools = store.read().await.unwrap().load_pools().await.unwrap();
    pools.iter().map(|pool| pool.name.to_string()).collect()
}

#[test]
fn migrating_twice_is_harmless_and_a_reset_empties_everything() {
    on_each_backend(async |store| {
        assert_eq!(store.check().await.unwrap(), SchemaState::Current);
        store.migrate().await.unwrap();
        create_pool(&store, &pool("etl", 3)).await;
        store.reset().await.unwrap();
        assert_eq!(store.check().await.unwrap(), SchemaState::Current);
        assert!(pool_names(&store).await.is_empty());
    });
}

#[test]
fn two_processes_may_migrate_a_new_database_at_once() {
    runtime().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (
            open(&sqlite_url(&folder)).await,
            open(&sqlite_url(&folder)).await,
        );
        let before = one.check().await.unwrap();
        assert!(matches!(before, SchemaState::Behind { .. }), "{before:?}");
        let (first, second) = tokio::join!(one.migrate(), other.migrate());
        first.unwrap();
        second.unwrap();
        assert_eq!(one.check().await.unwrap(), SchemaState::Current);
    });
}

#[test]
fn a_dropped_transaction_leaves_nothing() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        assert!(tx.create_pool(&pool("etl", 3)).await.unwrap());
        drop(tx);
        assert!(pool_names(&store).await.is_empty());
    });
}

#[test]
fn hints_arrive_after_the_commit_and_once() {
    on_each_backend(async |store| {
        let mut changes = store.changes().subscribe();
        let mut tx = store.write().await.unwrap();
        tx.create_pool(&pool("etl", 3)).await.unwrap();
        tx.create_pool(&pool("web", 3)).await.unwrap();
        assert!(changes.try_recv().is_err(), "told before the commit");
        tx.commit().await.unwrap();
        assert_eq!(changes.try_recv().unwrap(), Change::Capacity);
        assert!(changes.try_recv().is_err(), "told twice");
    });
}

#[test]
fn a_step_that_loses_a_race_is_run_again() {
    on_each_backend(async |store| {
        let attempts = AtomicI32::new(0);
        store
            .retry(|| async {
                let attempt = attempts.fetch_add(1, Ordering::Relaxed) + 1;
                let mut tx = store.write().await?;
                tx.create_pool(&pool("etl", attempt)).await?;
                if attempt < 3 {
                    return Err(Error::Database {
                        doing: "test",
                        place: "nowhere".to_owned(),
                        source: sqlx::Error::PoolTimedOut,
                    });
                }
                tx.commit().await
            })
            .await
            .unwrap();
        let pools = store.read().await.unwrap().load_pools().await.unwrap();
        assert_eq!(pools, [pool("etl", 3)]);
    });
}

#[test]
fn a_transaction_may_run_inside_a_spawned_task() {
    on_each_backend(async |store| {
        let mut tasks = tokio::task::JoinSet::new();
        for slots in 0..20 {
            let store = store.clone();
            tasks.spawn(async move {
                let pool = pool(&format!("pool_{slots:02}"), slots);
                create_pool(&store, &pool).await
            });
        }
        assert!(tasks.join_all().await.into_iter().all(|created| created));
        assert_eq!(pool_names(&store).await.len(), 20);
    });
}

#[test]
fn an_unusable_file_is_named_with_the_reason() {
    runtime().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("no/such/folder/updraft.db");
        let error = Store::open(options(&format!("sqlite://{}", missing.display())))
            .await
            .unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("no/such/folder` cannot be read"),
            "{error}"
        );

        let garbage = folder.path().join("garbage.db");
        std::fs::write(
            &garbage,
            "not a database, but long enough to be read as one".repeat(99),
        )
        .unwrap();
        let error = Store::open(options(&format!("sqlite://{}", garbage.display())))
            .await
            .unwrap_err();
        assert!(error.to_string().contains("garbage.db"), "{error}");
        assert!(
            error
                .to_string()
                .ends_with("(the file is damaged or is not an SQLite database)"),
            "{error}"
        );
    });
}

#[test]
fn a_file_that_another_process_locks_gives_a_transient_error_that_says_so() {
    on_sqlite(async |store| {
        let path = store.place().split('`').nth(1).unwrap().to_owned();
        let url = format!("sqlite://{path}");
        let other = open(&url).await;
        let held = other.write().await.unwrap();
        let error = store.write().await.err().unwrap();
        assert!(error.is_transient());
        assert!(
            error
                .to_string()
                .ends_with("(another process holds the lock on the file)"),
            "{error}"
        );
        drop(held);
        create_pool(&store, &pool("etl", 1)).await;
        other.close().await;
    });
}

#[test]
fn a_deleted_file_is_noticed() {
    on_sqlite(async |store| {
        store.ping().await.unwrap();
        let path = store.place().split('`').nth(1).unwrap().to_owned();
        std::fs::remove_file(path).unwrap();
        let error = store.ping().await.unwrap_err();
        assert!(matches!(error, Error::FileGone { .. }), "{error}");
    });
}

#[test]
fn a_server_that_does_not_answer_is_named_without_its_password() {
    runtime().block_on(async {
        let error = Store::open(options("postgresql://me:s3cret@127.0.0.1:1/airflow"))
            .await
            .unwrap_err();
        assert!(error.is_transient());
        assert!(
            error.to_string().starts_with(
                "failed to open a connection: PostgreSQL database `postgresql://me@127.0.0.1:1/airflow`"
            ),
            "{error}"
        );
    });
}
