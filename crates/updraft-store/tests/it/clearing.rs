//! What users do to rows: clear, mark, delete.

use serde_json::json;
use updraft_model::{DagRunState, TaskInstanceState as S};
use updraft_store::{ResetFields, RunClear, RunStateChange, StateChange, TaskInstanceClear};

use crate::backends::on_each_backend;
use crate::fixtures::{at, create_tis, dag_id, run_id, start_run, ti_id, write_etl};

pub(crate) fn reset() -> ResetFields {
    ResetFields {
        has_custom_weight: false,
        pool: "other".into(),
        pool_slots: 2,
        queue: "fast".to_owned(),
        priority_weight: 9,
        executor: Some("LocalExecutor".to_owned()),
        executor_config: json!({"image": "x"}),
        dag_version_id: None,
    }
}

#[test]
fn a_cleared_instance_starts_over_and_a_running_one_stops_first() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let version = write_etl(&mut tx).await;
        start_run(&mut tx, "r1", version, Some(at(0))).await;
        let tasks = [("a", S::Failed), ("b", S::Running), ("c", S::Success)];
        let ids = create_tis(&mut tx, "r1", version, &tasks).await;
        let clears = [
            TaskInstanceClear {
                id: ids[0],
                from: S::Failed,
                new_id: ti_id(),
                state: S::NoStatus,
                max_tries: 3,
                reset: Some(reset()),
            },
            TaskInstanceClear {
                id: ids[1],
                from: S::Running,
                new_id: ti_id(),
                state: S::Restarting,
                max_tries: 1,
                reset: None,
            },
            TaskInstanceClear {
                id: ids[2],
                from: S::Failed,
                new_id: ti_id(),
                state: S::NoStatus,
                max_tries: 3,
                reset: Some(reset()),
            },
        ];
        let cleared = tx.clear_task_instances(&clears, at(9)).await.unwrap();
        assert_eq!(cleared, [ids[0], ids[1]], "c was not failed any more");
        let a = tx
            .find_task_instance(clears[0].new_id)
            .await
            .unwrap()
            .unwrap();
        assert_eq!((a.state, a.max_tries, a.pool_slots), (S::NoStatus, 3, 2));
        assert_eq!(
            (a.pool.as_str(), a.queue.as_str(), a.priority_weight),
            ("other", "fast", 9)
        );
        assert_eq!(a.dag_version_id, Some(version));
        let b = tx
            .find_task_instance(clears[1].new_id)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (b.state, b.max_tries, b.pool.as_str()),
            (S::Restarting, 1, "default_pool")
        );
        assert_eq!(
            tx.find_past_try(ids[1]).await.unwrap().unwrap().state,
            S::Failed
        );
        assert!(tx.find_task_instance(ids[2]).await.unwrap().is_some());
        assert!(tx.restart_cleared(b.id, 4, at(10)).await.unwrap());
        assert!(!tx.restart_cleared(b.id, 4, at(10)).await.unwrap());
    });
}

#[test]
fn a_finished_run_is_queued_again_by_a_clear() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let version = write_etl(&mut tx).await;
        start_run(&mut tx, "r1", version, Some(at(0))).await;
        let over = RunStateChange {
            from: DagRunState::Running,
            to: DagRunState::Failed,
            queued_at: Some(at(0)),
            start_date: Some(at(1)),
            end_date: Some(at(5)),
        };
        tx.change_dag_run_state(&dag_id(), &run_id("r1"), &over, at(5))
            .await
            .unwrap();
        let clear = RunClear {
            from: DagRunState::Failed,
            state: DagRunState::Queued,
            queued_at: Some(at(9)),
            start_date: None,
            end_date: None,
            clear_number: 1,
            forget_last_scheduling_decision: true,
        };
        assert!(
            tx.clear_dag_run(&dag_id(), &run_id("r1"), &clear, at(9))
                .await
                .unwrap()
        );
        assert!(
            !tx.clear_dag_run(&dag_id(), &run_id("r1"), &clear, at(9))
                .await
                .unwrap()
        );
        let run = tx
            .find_dag_run(&dag_id(), &run_id("r1"))
            .await
            .unwrap()
            .unwrap();
        assert_eq!((run.state, run.clear_number), (DagRunState::Queued, 1));
        assert_eq!((run.queued_at, run.start_date), (Some(at(9)), None));
    });
}

#[test]
fn a_marked_instance_keeps_its_id() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let version = write_etl(&mut tx).await;
        start_run(&mut tx, "r1", version, Some(at(0))).await;
        let ids = create_tis(
            &mut tx,
            "r1",
            version,
            &[("a", S::NoStatus), ("b", S::Failed)],
        )
        .await;
        let changes = ids.iter().map(|id| StateChange {
            id: *id,
            from: S::NoStatus,
            to: S::Success,
            start_date: Some(at(2)),
            end_date: Some(at(4)),
            duration_secs: Some(2.0),
        });
        let changes: Vec<_> = changes.collect();
        let won = tx
            .change_task_instance_states(&dag_id(), &run_id("r1"), &changes, at(4))
            .await
            .unwrap();
        assert_eq!(won, [ids[0]]);
        let marked = tx.find_task_instance(ids[0]).await.unwrap().unwrap();
        assert_eq!(
            (marked.state, marked.duration_secs),
            (S::Success, Some(2.0))
        );
    });
}

#[test]
fn a_deleted_run_takes_its_rows_with_it() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let version = write_etl(&mut tx).await;
        start_run(&mut tx, "r1", version, Some(at(0))).await;
        let ids = create_tis(&mut tx, "r1", version, &[("a", S::Success)]).await;
        tx.set_rendered_fields(ids[0], "{}").await.unwrap();
        assert!(tx.delete_dag_run(&dag_id(), &run_id("r1")).await.unwrap());
        assert!(!tx.delete_dag_run(&dag_id(), &run_id("r1")).await.unwrap());
        assert_eq!(tx.find_task_instance(ids[0]).await.unwrap(), None);
        start_run(&mut tx, "r1", version, Some(at(0))).await;
    });
}
