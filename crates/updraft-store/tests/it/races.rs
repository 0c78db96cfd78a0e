//! Several processes at once: schedulers on PostgreSQL, a command beside a scheduler on SQLite.

use std::time::Duration;

use updraft_model::TaskInstanceState as S;
use updraft_store::{Change, RunCreation, Store};

use crate::backends::{on_each_backend, on_postgres_if_any, on_sqlite, open};
use crate::fixtures::{
    at, create_tis, dag, dag_id, new_run, run_id, start_run, write_dag, write_etl,
};

#[test]
fn what_one_scheduler_holds_the_other_leaves_to_it() {
    on_postgres_if_any(async |store| {
        let mut tx = store.write().await.unwrap();
        let version = write_etl(&mut tx).await;
        start_run(&mut tx, "r1", version, Some(at(0))).await;
        start_run(&mut tx, "r2", version, Some(at(1))).await;
        tx.commit().await.unwrap();

        let mut first = store.write().await.unwrap();
        let mut second = store.write().await.unwrap();
        assert!(
            first
                .lock_run(&dag_id(), &run_id("r1"))
                .await
                .unwrap()
                .is_some()
        );
        assert!(
            second
                .lock_run(&dag_id(), &run_id("r1"))
                .await
                .unwrap()
                .is_none()
        );
        assert!(
            second
                .lock_run(&dag_id(), &run_id("r2"))
                .await
                .unwrap()
                .is_some()
        );
        assert!(first.lock_queueing().await.unwrap());
        assert!(!second.lock_queueing().await.unwrap());
        assert_eq!(first.lock_due_dags(at(0), 9).await.unwrap().len(), 1);
        assert!(second.lock_due_dags(at(0), 9).await.unwrap().is_empty());
        first.commit().await.unwrap();
        assert!(second.lock_queueing().await.unwrap());
        assert!(
            second
                .lock_run(&dag_id(), &run_id("r1"))
                .await
                .unwrap()
                .is_some()
        );
    });
}

#[test]
fn of_many_who_create_the_same_run_one_succeeds() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let version = write_etl(&mut tx).await;
        tx.commit().await.unwrap();
        let mut creators = tokio::task::JoinSet::new();
        for number in 0..8 {
            let store = store.clone();
            creators.spawn(async move {
                // Half of them fight for the id, half for the date.
                let name = format!("r{}", number / 4 * number);
                let run = new_run(&name, version, Some(at(0)));
                store
                    .retry(|| async {
                        let mut tx = store.write().await?;
                        let creation = tx.create_dag_run(&run, at(0)).await?;
                        tx.commit().await?;
                        Ok(matches!(creation, RunCreation::Created(_)))
                    })
                    .await
                    .unwrap()
            });
        }
        let created = creators
            .join_all()
            .await
            .into_iter()
            .filter(|won| *won)
            .count();
        assert_eq!(created, 1);
    });
}

#[test]
fn a_deadlock_is_resolved_by_running_one_side_again() {
    on_postgres_if_any(async |store| {
        let mut tx = store.write().await.unwrap();
        let version = write_etl(&mut tx).await;
        start_run(&mut tx, "r1", version, Some(at(0))).await;
        let tasks = [("a", S::Running), ("b", S::Running)];
        let ids = create_tis(&mut tx, "r1", version, &tasks).await;
        tx.commit().await.unwrap();
        let mut sides = tokio::task::JoinSet::new();
        let both_hold_one = std::sync::Arc::new(tokio::sync::Barrier::new(2));
        for order in [[ids[0], ids[1]], [ids[1], ids[0]]] {
            let (store, barrier) = (store.clone(), both_hold_one.clone());
            let is_first_attempt = std::sync::atomic::AtomicBool::new(true);
            sides.spawn(async move {
                store
                    .retry(|| async {
                        let mut tx = store.write().await?;
                        tx.lock_task_instance(order[0]).await?;
                        if is_first_attempt.swap(false, std::sync::atomic::Ordering::Relaxed) {
                            barrier.wait().await;
                        }
                        tx.lock_task_instance(order[1]).await?;
                        tx.commit().await
                    })
                    .await
            });
        }
        for side in sides.join_all().await {
            side.unwrap();
        }
    });
}

#[test]
fn hints_travel_between_processes() {
    on_postgres_if_any(async |store| {
        let mut tx = store.write().await.unwrap();
        write_etl(&mut tx).await;
        write_dag(&mut tx, dag("other")).await;
        tx.commit().await.unwrap();

        let url = store.place().split('`').nth(1).unwrap().to_owned();
        let other = open(&url).await;
        let mut heard = other.changes().subscribe();
        let mut own = store.changes().subscribe();
        let forwarding = {
            let other = other.clone();
            let mut tasks = tokio::task::JoinSet::new();
            tasks.spawn(async move { other.forward_notifications().await });
            tasks
        };
        let wait = Duration::from_secs(10);
        // Whatever came before the connection is lost, so it begins with a look at everything.
        let first = tokio::time::timeout(wait, heard.recv())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(first, Change::Everything);
        let mut tx = store.write().await.unwrap();
        tx.set_paused(&dag_id(), true).await.unwrap();
        tx.commit().await.unwrap();
        let expected = Change::Dag { dag_id: dag_id() };
        let second = tokio::time::timeout(wait, heard.recv())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(second, expected);
        assert_eq!(own.recv().await.unwrap(), expected);
        drop(forwarding);
        other.close().await;
    });
}

#[test]
fn a_write_of_another_process_is_noticed_on_sqlite_and_an_own_one_only_told() {
    on_sqlite(async |store| {
        let place = store.place().split('`').nth(1).unwrap().to_owned();
        let other = open(&format!("sqlite://{place}")).await;
        let mut tx = store.write().await.unwrap();
        write_etl(&mut tx).await;
        tx.commit().await.unwrap();
        let mut heard = store.changes().subscribe();
        let mut tasks = tokio::task::JoinSet::new();
        let watching = store.clone();
        tasks.spawn(async move { watching.forward_notifications().await });

        let pause = async |store: &Store, is_paused| {
            let mut tx = store.write().await.unwrap();
            tx.set_paused(&dag_id(), is_paused).await.unwrap();
            tx.commit().await.unwrap();
        };
        let own = Change::Dag { dag_id: dag_id() };
        // Its first look may come after the first write.
        for attempt in 0..100 {
            pause(&other, attempt % 2 == 0).await;
            let hint = tokio::time::timeout(Duration::from_millis(500), heard.recv()).await;
            if let Ok(hint) = hint {
                assert_eq!(hint.unwrap(), Change::Everything);
                break;
            }
            assert!(attempt < 99, "nothing was noticed");
        }
        let quiet = Duration::from_secs(1);
        while tokio::time::timeout(quiet, heard.recv()).await.is_ok() {}
        pause(&store, true).await;
        assert_eq!(heard.recv().await.unwrap(), own);
        let more = tokio::time::timeout(quiet, heard.recv()).await;
        assert!(more.is_err(), "{more:?}");
        drop(tasks);
        other.close().await;
    });
}
