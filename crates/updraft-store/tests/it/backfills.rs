//! Backfills: their entries, their runs, and when they are over.

use jiff::Timestamp;
use serde_json::json;
use updraft_model::backfill::{
    Backfill, BackfillEntry, BackfillOutcome, BackfillTick, NewBackfill, ReprocessBehavior,
};
use updraft_model::dag_run::{DagRun, NewDagRun};
use updraft_model::filter::Page;
use updraft_model::{DagRunState, DagRunTriggeredBy, DagRunType, DagVersionId};
use updraft_store::listing::BackfillFilter;
use updraft_store::{RunCreation, RunStateChange, Tx};

use crate::backends::{on_each_backend, on_postgres_if_any};
use crate::fixtures::{at, dag_id, new_run, run_id, start_run, write_etl};

fn new_backfill() -> NewBackfill {
    NewBackfill {
        dag_id: dag_id(),
        from_date: at(0),
        to_date: at(100),
        dag_run_conf: Some(json!({"k": 1})),
        reprocess_behavior: ReprocessBehavior::Failed,
        max_active_runs: 1,
        run_on_latest_version: true,
        triggering_user_name: Some("ann".to_owned()),
    }
}

fn entry(sort_ordinal: i32, date: Timestamp) -> BackfillEntry {
    BackfillEntry {
        sort_ordinal,
        tick: BackfillTick {
            run_after: date,
            data_interval: Some((date, date)),
            partition_key: None,
            partition_date: None,
        },
    }
}

async fn create(tx: &mut Tx, entries: i32) -> Backfill {
    let entries: Vec<BackfillEntry> = (1..=entries)
        .map(|ordinal| entry(ordinal, at(ordinal.into())))
        .collect();
    let created = tx.create_backfill(&new_backfill(), &entries, at(200)).await;
    created.unwrap().unwrap()
}

/// A queued run for an entry, as the filling makes it.
async fn make_run(tx: &mut Tx, backfill: &Backfill, ordinal: i32, version: DagVersionId) -> DagRun {
    let name = format!("backfill__{ordinal}");
    let new = NewDagRun {
        run_type: DagRunType::Backfill,
        triggered_by: DagRunTriggeredBy::Backfill,
        backfill_id: Some(backfill.id),
        ..new_run(&name, version, Some(at(ordinal.into())))
    };
    let RunCreation::Created(run) = tx.create_dag_run(&new, at(201)).await.unwrap() else {
        panic!("{name} exists");
    };
    tx.settle_entries(
        backfill.id,
        &[(ordinal, BackfillOutcome::Run(Some(run.id)))],
    )
    .await
    .unwrap();
    *run
}

async fn end(tx: &mut Tx, run: &DagRun) {
    let change = RunStateChange {
        from: DagRunState::Running,
        to: DagRunState::Success,
        queued_at: None,
        start_date: Some(at(210)),
        end_date: Some(at(220)),
    };
    let ended = tx
        .change_dag_run_state(&run.dag_id, &run.run_id, &change, at(220))
        .await;
    assert!(ended.unwrap());
}

async fn candidates(tx: &mut Tx) -> Vec<String> {
    let found = tx.lock_start_candidates(at(300), 20).await.unwrap();
    found
        .iter()
        .map(|each| each.key.run_id.to_string())
        .collect()
}

#[test]
fn a_dag_has_one_active_backfill_and_entries_are_settled_one_by_one() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let version = write_etl(&mut tx).await;
        let backfill = create(&mut tx, 3).await;
        assert_eq!(
            (
                backfill.is_paused,
                backfill.completed_at,
                backfill.created_at
            ),
            (false, None, at(200))
        );
        assert_eq!(backfill.dag_run_conf, Some(json!({"k": 1})));
        let second = tx.create_backfill(&new_backfill(), &[], at(201)).await;
        assert_eq!(second.unwrap(), None);
        assert_eq!(
            tx.find_active_backfill(&dag_id()).await.unwrap(),
            Some(backfill.clone())
        );
        assert_eq!(
            tx.lock_backfill(backfill.id).await.unwrap(),
            Some(backfill.clone())
        );
        assert_eq!(tx.load_backfills_to_fill().await.unwrap(), [backfill.id]);
        let pending = tx.load_pending_entries(backfill.id, 2).await.unwrap();
        assert_eq!(pending, [entry(1, at(1)), entry(2, at(2))]);

        let run = make_run(&mut tx, &backfill, 1, version).await;
        let skipped = BackfillOutcome::Skipped("in flight".to_owned());
        tx.settle_entries(backfill.id, &[(2, skipped.clone())])
            .await
            .unwrap();
        let outcomes = tx.load_backfill_outcomes(backfill.id).await.unwrap();
        let outcomes: Vec<_> = outcomes.into_iter().map(|(_, outcome)| outcome).collect();
        assert_eq!(
            outcomes,
            [
                BackfillOutcome::Run(Some(run.id)),
                skipped,
                BackfillOutcome::Pending
            ]
        );
        tx.delete_dag_run(&run.dag_id, &run.run_id).await.unwrap();
        let outcomes = tx.load_backfill_outcomes(backfill.id).await.unwrap();
        assert_eq!(outcomes[0].1, BackfillOutcome::Run(None));

        tx.delete_dag(&dag_id()).await.unwrap();
        assert_eq!(tx.find_backfill(backfill.id).await.unwrap(), None);
    });
}

#[test]
fn runs_of_a_backfill_start_after_ordinary_ones_in_their_order_and_within_their_own_limit() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let version = write_etl(&mut tx).await;
        // The Dag's own limit of two is reached by ordinary runs.
        for (name, second) in [("r1", 50), ("r2", 51)] {
            start_run(&mut tx, name, version, Some(at(second))).await;
        }
        let backfill = create(&mut tx, 2).await;
        let first = make_run(&mut tx, &backfill, 1, version).await;
        make_run(&mut tx, &backfill, 2, version).await;
        tx.create_dag_run(&new_run("r3", version, Some(at(52))), at(201))
            .await
            .unwrap();
        assert_eq!(candidates(&mut tx).await, ["backfill__1", "backfill__2"]);
        let r1 = tx.find_dag_run(&dag_id(), &run_id("r1")).await.unwrap();
        end(&mut tx, &r1.unwrap()).await;
        assert_eq!(
            candidates(&mut tx).await,
            ["r3", "backfill__1", "backfill__2"]
        );
        assert!(
            tx.set_backfill_paused(backfill.id, true, at(202))
                .await
                .unwrap()
        );
        assert!(
            !tx.set_backfill_paused(backfill.id, true, at(203))
                .await
                .unwrap()
        );
        assert_eq!(candidates(&mut tx).await, ["r3"]);
        assert!(
            tx.set_backfill_paused(backfill.id, false, at(204))
                .await
                .unwrap()
        );
        let found = tx.lock_start_candidates(at(300), 20).await.unwrap();
        let of_second = found[2].backfill.unwrap();
        assert_eq!(
            (
                of_second.id,
                of_second.sort_ordinal,
                of_second.max_active_runs
            ),
            (backfill.id, 2, 1)
        );
        let (dag_id, run) = (&first.dag_id, &first.run_id);
        tx.start_dag_run(dag_id, run, at(205)).await.unwrap();
        assert_eq!(candidates(&mut tx).await, ["r3"], "one at a time");
        let locked = tx.lock_run(dag_id, run).await.unwrap().unwrap();
        assert_eq!(locked.backfill_sort_ordinal, Some(1));
        let examined = tx.load_runs_to_examine(at(300), 10).await.unwrap();
        let examined: Vec<_> = examined
            .iter()
            .map(|(key, of_backfill)| (key.run_id.as_str(), *of_backfill))
            .collect();
        assert_eq!(examined, [("r2", false), ("backfill__1", true)]);
    });
}

#[test]
fn a_backfill_is_complete_when_nothing_of_it_is_left() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let version = write_etl(&mut tx).await;
        let backfill = create(&mut tx, 2).await;
        let run = make_run(&mut tx, &backfill, 1, version).await;
        tx.start_dag_run(&run.dag_id, &run.run_id, at(210))
            .await
            .unwrap();
        assert!(!tx.complete_backfill(backfill.id, at(211)).await.unwrap());
        end(&mut tx, &run).await;
        assert!(
            !tx.complete_backfill(backfill.id, at(221)).await.unwrap(),
            "an entry is pending"
        );
        let skipped = BackfillOutcome::Skipped("already exists".to_owned());
        tx.settle_entries(backfill.id, &[(2, skipped)])
            .await
            .unwrap();
        assert_eq!(tx.complete_backfills(at(222)).await.unwrap(), [backfill.id]);
        assert_eq!(
            tx.complete_backfills(at(223)).await.unwrap(),
            [] as [i64; 0]
        );
        let found = tx.find_backfill(backfill.id).await.unwrap().unwrap();
        assert_eq!(found.completed_at, Some(at(222)));
        assert!(
            !tx.set_backfill_paused(backfill.id, true, at(224))
                .await
                .unwrap()
        );
        assert!(
            !tx.cancel_backfill(backfill.id, "unknown", at(224))
                .await
                .unwrap()
        );
        assert_eq!(
            create(&mut tx, 1).await.max_active_runs,
            1,
            "the next may begin"
        );
    });
}

#[test]
fn a_cancelled_backfill_fails_its_queued_runs_and_lets_the_others_go_on() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let version = write_etl(&mut tx).await;
        let backfill = create(&mut tx, 3).await;
        let running = make_run(&mut tx, &backfill, 1, version).await;
        let queued = make_run(&mut tx, &backfill, 2, version).await;
        tx.start_dag_run(&running.dag_id, &running.run_id, at(210))
            .await
            .unwrap();
        assert!(
            tx.cancel_backfill(backfill.id, "unknown", at(212))
                .await
                .unwrap()
        );
        let found = tx.find_backfill(backfill.id).await.unwrap().unwrap();
        assert_eq!((found.is_paused, found.completed_at), (true, Some(at(212))));
        let outcomes = tx.load_backfill_outcomes(backfill.id).await.unwrap();
        assert_eq!(
            outcomes[2].1,
            BackfillOutcome::Skipped("unknown".to_owned())
        );
        let queued = tx
            .find_dag_run(&dag_id(), &queued.run_id)
            .await
            .unwrap()
            .unwrap();
        assert_eq!((queued.state, queued.end_date), (DagRunState::Failed, None));
        let running = tx
            .find_dag_run(&dag_id(), &running.run_id)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(running.state, DagRunState::Running);
        assert_eq!(tx.load_backfills_to_fill().await.unwrap(), [] as [i64; 0]);
    });
}

#[test]
fn an_existing_run_becomes_one_of_a_backfill_and_dates_find_their_runs() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let version = write_etl(&mut tx).await;
        let run = start_run(&mut tx, "r1", version, Some(at(1))).await;
        for (name, started) in [("p1", true), ("p2", false)] {
            let new = NewDagRun {
                partition_date: Some(at(1)),
                partition_key: Some("k".to_owned()),
                ..new_run(name, version, None)
            };
            tx.create_dag_run(&new, at(0)).await.unwrap();
            if started {
                tx.start_dag_run(&dag_id(), &run_id(name), at(3))
                    .await
                    .unwrap();
            }
        }
        let backfill = create(&mut tx, 1).await;
        tx.adopt_into_backfill(&dag_id(), &run.run_id, backfill.id, None)
            .await
            .unwrap();
        let dates = [at(1), at(2)];
        let by_date = tx.load_runs_of_dates(&dag_id(), &dates).await.unwrap();
        let found = &by_date[&at(1)];
        assert_eq!(by_date.len(), 1);
        assert_eq!(
            (found.run_type, found.backfill_id, found.triggered_by),
            (
                DagRunType::Backfill,
                Some(backfill.id),
                Some(DagRunTriggeredBy::Backfill)
            )
        );
        assert_eq!(found.conf, json!({"a": 1}), "kept");
        let conf = json!({"b": 2});
        tx.adopt_into_backfill(&dag_id(), &run.run_id, backfill.id, Some(&conf))
            .await
            .unwrap();
        let run = tx
            .find_dag_run(&dag_id(), &run.run_id)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(run.conf, conf);
        let by_partition = tx.load_runs_of_partitions(&dag_id(), &dates).await.unwrap();
        assert_eq!(
            by_partition[&at(1)].run_id.as_str(),
            "p1",
            "the one that started"
        );
    });
}

#[test]
fn backfills_are_listed_by_dag_and_by_completion() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        write_etl(&mut tx).await;
        let first = create(&mut tx, 1).await;
        tx.cancel_backfill(first.id, "unknown", at(201))
            .await
            .unwrap();
        let second = create(&mut tx, 1).await;
        let page = |order_by: &str| Page {
            limit: 10,
            offset: 0,
            order_by: order_by.split_whitespace().map(str::to_owned).collect(),
        };
        for (is_completed, order, expected) in [
            (None, "-id", vec![second.id, first.id]),
            (None, "", vec![first.id, second.id]),
            (Some(true), "id", vec![first.id]),
            (Some(false), "id", vec![second.id]),
        ] {
            let filter = BackfillFilter {
                dag_id: Some(dag_id()),
                is_completed,
            };
            let listed = tx.list_backfills(&filter, &page(order)).await.unwrap();
            let ids: Vec<i64> = listed.rows.iter().map(|each| each.id).collect();
            assert_eq!(ids, expected);
        }
        let filter = BackfillFilter::default();
        assert!(tx.list_backfills(&filter, &page("dag_id")).await.is_err());
    });
}

#[test]
fn only_one_scheduler_starts_runs_at_a_time() {
    on_postgres_if_any(async |store| {
        let mut first = store.write().await.unwrap();
        first.lock_starting().await.unwrap();
        let second = async {
            let mut tx = store.write().await.unwrap();
            tx.lock_starting().await.unwrap();
        };
        let mut second = std::pin::pin!(second);
        let limit = std::time::Duration::from_millis(100);
        assert!(tokio::time::timeout(limit, &mut second).await.is_err());
        drop(first);
        second.await;
    });
}
