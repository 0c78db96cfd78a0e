//! What a running try asks for and reports.

use serde_json::json;
use updraft_model::{DagRunState, DagVersionId, MapIndex, TaskInstanceId, TaskInstanceState as S};
use updraft_store::{
    AwaitInput, DagRunQuery, Defer, Finish, Heartbeat, Liveness, Reschedule, Retry, RunStateChange,
    Runner, Start, StartedTry, TaskInstanceQuery, Transition, TriggerKwargs, Tx,
};

use crate::backends::on_each_backend;
use crate::fixtures::{at, create_tis, dag_id, run_id, start_run, task, ti_id, write_etl};

fn runner(pid: i32) -> Runner {
    Runner {
        hostname: "box".to_owned(),
        unixname: "me".to_owned(),
        pid,
    }
}

fn finish(state: S) -> Finish {
    Finish {
        state,
        end_date: at(15),
        rendered_map_index: None,
        outlets: Vec::new(),
        outlet_events: Vec::new(),
        clears_state_store: false,
    }
}

fn retry() -> Retry {
    Retry {
        end_date: at(15),
        new_id: ti_id(),
        rendered_map_index: None,
        delay_secs: Some(7.5),
        reason: Some("flaky".to_owned()),
    }
}

/// A run `r1` with one task instance `a` in this state.
async fn one_ti(tx: &mut Tx, state: S) -> TaskInstanceId {
    let version = write_etl(tx).await;
    start_run(tx, "r1", version, Some(at(0))).await;
    create_tis(tx, "r1", version, &[("a", state)]).await[0]
}

async fn started(tx: &mut Tx, id: TaskInstanceId) -> StartedTry {
    match tx.start_try(id, &runner(7), at(10), at(10)).await.unwrap() {
        Start::Started(started) => *started,
        refused => panic!("{refused:?}"),
    }
}

#[test]
fn a_try_starts_once_and_the_same_process_may_ask_again() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let id = one_ti(&mut tx, S::Queued).await;
        let first = started(&mut tx, id).await;
        assert_eq!(first.task_instance.start_date, Some(at(10)));
        assert_eq!(first.dag_run.conf, json!({"a": 1}));
        assert!(first.should_retry, "one retry, no try before");
        let again = tx.start_try(id, &runner(7), at(11), at(11)).await.unwrap();
        let Start::Started(again) = again else {
            panic!("{again:?}");
        };
        assert_eq!(
            again.task_instance,
            tx.find_task_instance(id).await.unwrap().unwrap()
        );
        assert_eq!(again.task_instance.start_date, Some(at(10)));
        let other = tx.start_try(id, &runner(8), at(11), at(11)).await.unwrap();
        assert_eq!(other, Start::InvalidState(S::Running));
        let unknown = tx
            .start_try(ti_id(), &runner(7), at(11), at(11))
            .await
            .unwrap();
        assert_eq!(unknown, Start::NotFound);
    });
}

#[test]
fn only_queued_and_restarting_tries_start() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let version = write_etl(&mut tx).await;
        start_run(&mut tx, "r1", version, Some(at(0))).await;
        for state in S::ALL {
            let id = create_tis(&mut tx, "r1", version, &[(state.as_str(), *state)]).await[0];
            let start = tx.start_try(id, &runner(7), at(10), at(10)).await.unwrap();
            match state {
                S::Queued | S::Restarting => assert!(matches!(start, Start::Started(_))),
                state => assert_eq!(start, Start::InvalidState(*state)),
            }
        }
    });
}

#[test]
fn a_report_ends_a_running_try_once() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let id = one_ti(&mut tx, S::Queued).await;
        let success = finish(S::Success);
        let early = tx.finish_try(id, &success, at(15)).await.unwrap();
        assert_eq!(early, Transition::InvalidState(S::Queued));
        started(&mut tx, id).await;
        let done = tx.finish_try(id, &success, at(15)).await.unwrap();
        assert!(matches!(done, Transition::Done(_)));
        assert_eq!(
            tx.finish_try(id, &success, at(16)).await.unwrap(),
            Transition::AlreadySo
        );
        let late = tx.finish_try(id, &finish(S::Failed), at(16)).await.unwrap();
        assert_eq!(late, Transition::InvalidState(S::Success));
        let ti = tx.find_task_instance(id).await.unwrap().unwrap();
        assert_eq!(
            (ti.state, ti.end_date, ti.duration_secs),
            (S::Success, Some(at(15)), Some(5.0))
        );
    });
}

#[test]
fn after_a_retry_the_old_try_changes_nothing() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let id = one_ti(&mut tx, S::Queued).await;
        started(&mut tx, id).await;
        let retry = retry();
        assert!(matches!(
            tx.retry_try(id, &retry, at(15)).await.unwrap(),
            Transition::Done(_)
        ));
        let live = tx.find_task_instance(retry.new_id).await.unwrap().unwrap();
        assert_eq!(live.state, S::UpForRetry);
        assert_eq!(live.retry_delay_override_secs, Some(7.5));
        assert_eq!(live.retry_reason.as_deref(), Some("flaky"));
        let past = tx.find_past_try(id).await.unwrap().unwrap();
        assert_eq!((past.state, past.end_date), (S::Failed, Some(at(15))));

        let late = tx
            .finish_try(id, &finish(S::Success), at(16))
            .await
            .unwrap();
        assert_eq!(late, Transition::NotFound);
        // The same report again is one whose answer was lost; another one is of somebody else.
        assert_eq!(
            tx.retry_try(id, &retry, at(16)).await.unwrap(),
            Transition::AlreadySo
        );
        let other = Retry {
            end_date: at(16),
            ..retry.clone()
        };
        assert_eq!(
            tx.retry_try(id, &other, at(16)).await.unwrap(),
            Transition::NotFound
        );
        let beat = tx.heartbeat_try(id, "box", 7, at(16)).await.unwrap();
        assert_eq!(beat, Heartbeat::Superseded);
        assert_eq!(
            tx.set_rendered_fields(id, "{}").await.unwrap(),
            Liveness::Superseded
        );
        assert!(!tx.set_rendered_map_index(id, "x").await.unwrap());
        assert!(!tx.skip_downstream(id, &[], at(16)).await.unwrap());
        assert_eq!(
            tx.find_task_instance(retry.new_id).await.unwrap().unwrap(),
            live
        );
    });
}

#[test]
fn the_next_start_forgets_what_the_retry_wished_for() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let id = one_ti(&mut tx, S::Queued).await;
        started(&mut tx, id).await;
        let retry = retry();
        tx.retry_try(id, &retry, at(15)).await.unwrap();
        let mut update = crate::fixtures::update(retry.new_id, S::UpForRetry, S::Queued);
        update.try_number = 2;
        tx.update_task_instances(&[update], at(20)).await.unwrap();
        let second = started(&mut tx, retry.new_id).await;
        assert_eq!(second.task_instance.retry_delay_override_secs, None);
        assert_eq!(second.task_instance.retry_reason, None);
        assert!(!second.should_retry, "the second of two tries");
    });
}

#[test]
fn heartbeats_tell_apart_why_a_process_must_stop() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let id = one_ti(&mut tx, S::Queued).await;
        started(&mut tx, id).await;
        assert_eq!(
            tx.heartbeat_try(id, "box", 7, at(12)).await.unwrap(),
            Heartbeat::Alive
        );
        let ti = tx.find_task_instance(id).await.unwrap().unwrap();
        assert_eq!(ti.last_heartbeat_at, Some(at(12)));
        assert_eq!(
            tx.heartbeat_try(id, "box", 8, at(13)).await.unwrap(),
            Heartbeat::RunningElsewhere {
                hostname: "box".to_owned(),
                pid: Some(7)
            }
        );
        let unknown = tx.heartbeat_try(ti_id(), "box", 7, at(13)).await.unwrap();
        assert_eq!(unknown, Heartbeat::NotFound);
        tx.finish_try(id, &finish(S::Success), at(15))
            .await
            .unwrap();
        let marked = tx.heartbeat_try(id, "box", 7, at(16)).await.unwrap();
        assert_eq!(marked, Heartbeat::NotRunning(S::Success));
    });
}

#[test]
fn a_deferred_try_keeps_its_start_and_resumes_without_clearing_xcoms() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let id = one_ti(&mut tx, S::Queued).await;
        started(&mut tx, id).await;
        let defer = Defer {
            classpath: "airflow.triggers.T".to_owned(),
            kwargs: TriggerKwargs::Plain(r#"{"moment": 1}"#.to_owned()),
            timeout_at: Some(at(60)),
            next_method: "execute_complete".to_owned(),
            next_kwargs: Some(r#"{"a": 1.0}"#.to_owned()),
            trigger_queue: None,
            rendered_map_index: None,
        };
        tx.defer_try(id, &defer, at(12)).await.unwrap();
        let deferred = tx.find_task_instance(id).await.unwrap().unwrap();
        assert_eq!(deferred.state, S::Deferred);
        assert!(deferred.trigger_id.is_some());
        assert_eq!(
            deferred.next_kwargs, defer.next_kwargs,
            "kept to the letter"
        );
        assert!(tx.load_trigger_timeouts(at(60)).await.unwrap().is_empty());
        assert_eq!(tx.load_trigger_timeouts(at(61)).await.unwrap().len(), 1);

        let queued = crate::fixtures::update(id, S::Deferred, S::Queued);
        let mut queued = vec![queued];
        queued[0].start_date = Some(at(10));
        tx.update_task_instances(&queued, at(20)).await.unwrap();
        let again = tx.start_try(id, &runner(9), at(30), at(30)).await.unwrap();
        let Start::Started(again) = again else {
            panic!("{again:?}");
        };
        assert_eq!(again.task_instance.start_date, Some(at(10)));
        assert_eq!(
            again.task_instance.next_method.as_deref(),
            Some("execute_complete")
        );
        assert!(again.xcom_keys_to_clear.is_empty());
    });
}

#[test]
fn reschedules_are_counted_until_the_try_is_over() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let id = one_ti(&mut tx, S::Queued).await;
        started(&mut tx, id).await;
        let later = Reschedule {
            reschedule_date: at(60),
            end_date: at(11),
        };
        tx.reschedule_try(id, &later, at(12)).await.unwrap();
        assert_eq!(tx.find_first_reschedule(id).await.unwrap(), Some(at(12)));
        let rows = tx
            .load_slim_task_instances(&dag_id(), &run_id("r1"))
            .await
            .unwrap();
        assert_eq!(rows[0].state, S::UpForReschedule);
        assert_eq!(rows[0].reschedule_date, Some(at(60)));
        let queued = crate::fixtures::update(id, S::UpForReschedule, S::Queued);
        tx.update_task_instances(&[queued], at(61)).await.unwrap();
        assert_eq!(started(&mut tx, id).await.task_reschedule_count, 1);
        let retry = retry();
        tx.retry_try(id, &retry, at(62)).await.unwrap();
        assert_eq!(tx.find_first_reschedule(retry.new_id).await.unwrap(), None);
    });
}

#[test]
fn a_try_that_awaits_input_holds_no_trigger() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let id = one_ti(&mut tx, S::Queued).await;
        started(&mut tx, id).await;
        let wait = AwaitInput {
            timeout_at: Some(at(300)),
            next_method: "execute_complete".to_owned(),
            next_kwargs: None,
            rendered_map_index: None,
        };
        tx.await_input(id, &wait, at(12)).await.unwrap();
        let ti = tx.find_task_instance(id).await.unwrap().unwrap();
        assert_eq!((ti.state, ti.trigger_id), (S::AwaitingInput, None));
        assert_eq!(ti.trigger_timeout, Some(at(300)));
    });
}

#[test]
fn skipping_downstream_leaves_alone_what_runs_or_ran() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let id = one_ti(&mut tx, S::Queued).await;
        let version = tx.find_latest_version(&dag_id()).await.unwrap().unwrap().id;
        let others = [
            ("b", S::NoStatus),
            ("c", S::Success),
            ("d", S::Scheduled),
            ("e", S::Running),
        ];
        create_tis(&mut tx, "r1", version, &others).await;
        started(&mut tx, id).await;
        let names = ["b", "c", "e", "none"];
        let skipped: Vec<_> = names.map(|name| (task(name), MapIndex::UNMAPPED)).into();
        assert!(tx.skip_downstream(id, &skipped, at(12)).await.unwrap());
        let crumbs = tx.load_breadcrumbs(&dag_id(), &run_id("r1")).await.unwrap();
        let crumbs: Vec<_> = crumbs
            .iter()
            .map(|crumb| (crumb.task_id.as_str(), crumb.state))
            .collect();
        assert_eq!(crumbs, [("b", S::Skipped), ("c", S::Success)]);
    });
}

#[test]
fn rendered_fields_may_be_overwritten_while_the_try_lives() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let id = one_ti(&mut tx, S::Running).await;
        for fields in [r#"{"sql": "select 1"}"#, r#"{"sql": "select 2"}"#] {
            assert_eq!(
                tx.set_rendered_fields(id, fields).await.unwrap(),
                Liveness::Live
            );
            assert_eq!(
                tx.find_rendered_fields(id).await.unwrap().as_deref(),
                Some(fields)
            );
        }
        assert!(tx.set_rendered_map_index(id, "Zürich").await.unwrap());
        let ti = tx.find_task_instance(id).await.unwrap().unwrap();
        assert_eq!(ti.rendered_map_index.as_deref(), Some("Zürich"));
        assert_eq!(
            tx.set_rendered_fields(ti_id(), "{}").await.unwrap(),
            Liveness::NotFound
        );
    });
}

/// Three runs with a finished and a fresh task instance each; the first run is over.
async fn three_runs(tx: &mut Tx, version: DagVersionId) {
    for (name, second) in [("r1", 0), ("r2", 10), ("r3", 20)] {
        start_run(tx, name, version, Some(at(second))).await;
        create_tis(tx, name, version, &[("a", S::Success), ("b", S::NoStatus)]).await;
    }
    let over = RunStateChange {
        from: DagRunState::Running,
        to: DagRunState::Success,
        queued_at: None,
        start_date: Some(at(1)),
        end_date: Some(at(9)),
    };
    tx.change_dag_run_state(&dag_id(), &run_id("r1"), &over, at(9))
        .await
        .unwrap();
}

#[test]
fn a_try_may_ask_about_other_runs_and_instances() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let version = write_etl(&mut tx).await;
        three_runs(&mut tx, version).await;
        let all = TaskInstanceQuery::default();
        assert_eq!(tx.count_task_instances(&dag_id(), &all).await.unwrap(), 6);
        let some = TaskInstanceQuery {
            run_ids: vec![run_id("r1"), run_id("r2")],
            logical_dates: vec![at(10), at(20)],
            states: vec![S::NoStatus],
            ..TaskInstanceQuery::default()
        };
        assert_eq!(tx.count_task_instances(&dag_id(), &some).await.unwrap(), 1);
        let states = tx.load_task_states(&dag_id(), &some).await.unwrap();
        assert_eq!(
            (states[0].run_id.as_str(), states[0].task_id.as_str()),
            ("r2", "b")
        );
    });
}

#[test]
fn a_try_may_ask_about_earlier_runs() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let version = write_etl(&mut tx).await;
        three_runs(&mut tx, version).await;
        let running = DagRunQuery {
            states: vec![DagRunState::Running],
            ..DagRunQuery::default()
        };
        assert_eq!(tx.count_dag_runs(&dag_id(), &running).await.unwrap(), 2);
        let before = tx
            .find_previous_run_in_state(&dag_id(), at(20), None)
            .await
            .unwrap();
        assert_eq!(before.unwrap().run_id, "r2");
        let success = Some(DagRunState::Success);
        let before = tx
            .find_previous_run_in_state(&dag_id(), at(20), success)
            .await
            .unwrap();
        assert_eq!(before.unwrap().run_id, "r1");
        let newest = tx
            .find_task_instance_of(&dag_id(), &run_id("r3"), &task("a"), MapIndex::UNMAPPED)
            .await
            .unwrap()
            .unwrap();
        let before = tx.find_previous_successful_run(newest.id).await.unwrap();
        assert_eq!(before.unwrap().run_id, "r1");
        let before = tx
            .find_previous_task_instance(
                &dag_id(),
                &task("a"),
                MapIndex::UNMAPPED,
                Some(at(20)),
                Some(S::Success),
            )
            .await
            .unwrap();
        assert_eq!(before.unwrap().run_id, "r2");
    });
}

#[test]
fn two_workers_never_start_the_same_try() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let id = one_ti(&mut tx, S::Queued).await;
        tx.commit().await.unwrap();
        let mut workers = tokio::task::JoinSet::new();
        for pid in 1..=6 {
            let store = store.clone();
            workers.spawn(async move {
                store
                    .retry(|| async {
                        let mut tx = store.write().await?;
                        let start = tx.start_try(id, &runner(pid), at(10), at(10)).await?;
                        tx.commit().await?;
                        Ok(matches!(start, Start::Started(_)))
                    })
                    .await
                    .unwrap()
            });
        }
        let winners = workers
            .join_all()
            .await
            .into_iter()
            .filter(|won| *won)
            .count();
        assert_eq!(winners, 1);
    });
}
