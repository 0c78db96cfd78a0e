//! Deadlines of runs and their callbacks.

use jiff::Timestamp;
use serde_json::{Value, json};
use updraft_model::callback::{Callback, CallbackState as C};
use updraft_model::dag_run::DagRun;
use updraft_model::job::{JobState, JobType};
use updraft_model::{DagRunState, DagVersionId};
use updraft_store::{
    CallbackReport, Change, NewCallbackTrigger, NewDeadlineAlert, NewJob, ParsedDag, RunClear,
    RunStateChange, Tx,
};
use uuid::Uuid;

use crate::backends::{on_each_backend, on_postgres_if_any};
use crate::fixtures::{at, dag, dag_id, file, new_run, parsed, run_id};

fn alert(reference: Value, seconds: f64, is_async: bool) -> NewDeadlineAlert {
    let class = if is_async {
        "AsyncCallback"
    } else {
        "SyncCallback"
    };
    let interval =
        json!({"__classname__": "datetime.timedelta", "__version__": 2, "__data__": seconds});
    NewDeadlineAlert {
        id: Uuid::now_v7(),
        name: Some("late".to_owned()),
        reference: reference.to_string(),
        interval: interval.to_string(),
        callback: json!({
            "__classname__": format!("airflow.sdk.definitions.callback.{class}"),
            "__version__": 0,
            "__data__": {"path": "mod.fn", "kwargs": {"text": "x"}, "executor": null},
        })
        .to_string(),
    }
}

fn builtin(name: &str) -> Value {
    json!({"reference_type": name})
}

fn logical(seconds: f64) -> NewDeadlineAlert {
    alert(builtin("DagRunLogicalDateDeadline"), seconds, false)
}

fn queued(seconds: f64) -> NewDeadlineAlert {
    alert(builtin("DagRunQueuedAtDeadline"), seconds, false)
}

fn with_alerts(hash: &str, alerts: &[NewDeadlineAlert]) -> ParsedDag {
    ParsedDag {
        deadlines: alerts.to_vec(),
        ..parsed(dag("etl"), hash)
    }
}

async fn write(tx: &mut Tx, parsed: ParsedDag) -> DagVersionId {
    tx.sync_bundles(&["dags-folder".into()]).await.unwrap();
    tx.persist_parse(&file(vec![parsed]), at(0)).await.unwrap();
    tx.find_latest_version(&dag_id()).await.unwrap().unwrap().id
}

async fn create(tx: &mut Tx, name: &str, version: DagVersionId, date: Option<Timestamp>) -> DagRun {
    tx.create_dag_run(&new_run(name, version, date), at(100))
        .await
        .unwrap();
    let found = tx.find_dag_run(&dag_id(), &run_id(name)).await;
    found.unwrap().unwrap()
}

async fn times(tx: &mut Tx, run: &DagRun) -> Vec<Option<i64>> {
    let start = at(0);
    let deadlines = tx.load_deadlines(run).await.unwrap();
    let since = |time: Timestamp| time.duration_since(start).as_millis() as i64;
    deadlines
        .iter()
        .map(|deadline| deadline.deadline_time.map(since))
        .collect()
}

async fn end(tx: &mut Tx, name: &str, to: DagRunState, from_secs: i64, to_secs: i64) {
    let run = tx.find_dag_run(&dag_id(), &run_id(name)).await.unwrap();
    let change = RunStateChange {
        from: run.unwrap().state,
        to,
        queued_at: Some(at(0)),
        start_date: Some(at(from_secs)),
        end_date: Some(at(to_secs)),
    };
    assert!(
        tx.change_dag_run_state(&dag_id(), &run_id(name), &change, at(to_secs))
            .await
            .unwrap()
    );
}

#[test]
fn a_new_run_gets_the_deadlines_that_mean_something_for_it() {
    on_each_backend(async |store| {
        let mut changes = store.changes().subscribe();
        let mut tx = store.write().await.unwrap();
        let fixed = json!({"reference_type": "FixedDatetimeDeadline",
                           "datetime": at(500).as_second()});
        let average = json!({"reference_type": "AverageRuntimeDeadline",
                             "max_runs": 2, "min_runs": 2});
        let alerts = [
            logical(3600.5),
            queued(-5.0),
            alert(fixed, 60.0, true),
            alert(average, 10.0, false),
            in_variable(),
            custom(1.0),
        ];
        let version = write(&mut tx, with_alerts("one", &alerts)).await;
        let dated = create(&mut tx, "dated", version, Some(at(10))).await;
        assert_eq!(
            times(&mut tx, &dated).await,
            [Some(95_000), Some(560_000), Some(3_610_500), None, None]
        );
        let undated = create(&mut tx, "undated", version, None).await;
        assert_eq!(
            times(&mut tx, &undated).await,
            [Some(95_000), Some(560_000), None, None]
        );
        end(&mut tx, "dated", DagRunState::Success, 0, 20).await;
        end(&mut tx, "undated", DagRunState::Failed, 0, 1000).await;
        let third = create(&mut tx, "third", version, None).await;
        assert_eq!(times(&mut tx, &third).await.len(), 4, "one run is too few");
        end(&mut tx, "third", DagRunState::Success, 0, 40).await;
        let fourth = create(&mut tx, "fourth", version, None).await;
        let average = times(&mut tx, &fourth).await;
        assert_eq!(average[1], Some(140_000), "now, 30 s on average, and 10 s");
        assert_eq!(average.len(), 5);
        tx.commit().await.unwrap();
        let mut told = std::iter::from_fn(|| changes.try_recv().ok());
        assert!(told.any(|change| change == Change::Deadline));
    });
}

#[test]
fn equal_definitions_keep_their_rows_and_may_be_renamed() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let version = write(&mut tx, with_alerts("one", &[logical(1.0), queued(2.0)])).await;
        let first = tx.load_deadline_alerts(version).await.unwrap();
        let run = create(&mut tx, "r1", version, Some(at(10))).await;
        let renamed = NewDeadlineAlert {
            name: None,
            ..logical(1.0)
        };
        let again = write(&mut tx, with_alerts("one", &[queued(2.0), renamed])).await;
        assert_eq!(again, version);
        let second = tx.load_deadline_alerts(version).await.unwrap();
        let ids = |alerts: &[updraft_model::deadline::DeadlineAlert]| {
            alerts.iter().map(|alert| alert.id).collect::<Vec<_>>()
        };
        assert_eq!(ids(&second), ids(&first));
        assert_eq!(second[0].name, None);
        assert_eq!(second[1].name.as_deref(), Some("late"));

        // Nobody ran it yet, so the version is overwritten: once the same, once another.
        let same = write(&mut tx, with_alerts("two", &[logical(1.0), queued(2.0)])).await;
        assert_eq!(same, version);
        let third = tx.load_deadline_alerts(version).await.unwrap();
        assert_eq!(ids(&third), ids(&first));
        write(&mut tx, with_alerts("three", &[logical(9.0)])).await;
        let fourth = tx.load_deadline_alerts(version).await.unwrap();
        assert_eq!(fourth.len(), 1);
        assert!(!ids(&first).contains(&fourth[0].id));
        let left = tx.load_deadlines(&run).await.unwrap();
        assert_eq!(left.len(), 2, "deadlines outlive their definition");
        assert!(left.iter().all(|each| each.deadline_alert_id.is_none()));
        write(&mut tx, with_alerts("four", &[])).await;
        assert_eq!(tx.load_deadline_alerts(version).await.unwrap(), []);
    });
}

#[test]
fn success_in_time_forgets_deadlines_and_nothing_else_does() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let alerts = [logical(100.0), logical(200.0), logical(300.0)];
        let version = write(&mut tx, with_alerts("one", &alerts)).await;
        let won = create(&mut tx, "won", version, Some(at(0))).await;
        let lost = create(&mut tx, "lost", version, Some(at(1))).await;
        end(&mut tx, "won", DagRunState::Success, 0, 200).await;
        end(&mut tx, "lost", DagRunState::Failed, 0, 50).await;
        assert_eq!(times(&mut tx, &won).await, [Some(100_000)]);
        assert_eq!(times(&mut tx, &lost).await.len(), 3);
        let due = tx.lock_due_deadlines(at(1000), 10).await.unwrap();
        assert_eq!(due.len(), 4);
        tx.delete_dag_run(&dag_id(), &run_id("lost")).await.unwrap();
        let due = tx.lock_due_deadlines(at(1000), 10).await.unwrap();
        assert_eq!(due.len(), 1);
        assert_eq!(tx.load_callbacks(&dag_id(), 10).await.unwrap().len(), 1);
    });
}

#[test]
fn a_cleared_run_has_its_time_from_queueing_again() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let alerts = [queued(10.0), logical(20.0), queued(5000.0)];
        let version = write(&mut tx, with_alerts("one", &alerts)).await;
        let run = create(&mut tx, "r1", version, Some(at(0))).await;
        assert_eq!(
            times(&mut tx, &run).await,
            [Some(20_000), Some(110_000), Some(5_100_000)]
        );
        for due in tx.lock_due_deadlines(at(115), 10).await.unwrap() {
            if due.deadline.deadline_time == Some(at(110)) {
                tx.miss_deadline(&due, &json!({}), C::Pending, at(115))
                    .await
                    .unwrap();
            }
        }
        let clear = RunClear {
            from: DagRunState::Queued,
            state: DagRunState::Queued,
            queued_at: Some(at(700)),
            start_date: None,
            end_date: None,
            clear_number: 1,
            forget_last_scheduling_decision: true,
        };
        assert!(
            tx.clear_dag_run(&dag_id(), &run_id("r1"), &clear, at(700))
                .await
                .unwrap()
        );
        assert_eq!(
            times(&mut tx, &run).await,
            [Some(20_000), Some(110_000), Some(5_700_000)],
            "what was missed, or counts from elsewhere, stays"
        );
    });
}

/// One run with one deadline that has passed; gives the callback's id.
async fn missed(tx: &mut Tx, name: &str, alert: NewDeadlineAlert, state: C) -> Uuid {
    let version = write(tx, with_alerts(name, &[alert])).await;
    create(tx, name, version, None).await;
    let due = tx.lock_due_deadlines(at(1000), 10).await.unwrap();
    let [due] = due.as_slice() else {
        panic!("{due:?}");
    };
    let mut data = due.callback.data.clone();
    data.insert("deadline_id".to_owned(), due.deadline.id.to_string().into());
    tx.miss_deadline(due, &data.into(), state, at(1000))
        .await
        .unwrap();
    assert_eq!(tx.lock_due_deadlines(at(1000), 10).await.unwrap(), []);
    due.callback.id
}

async fn job(tx: &mut Tx) -> updraft_model::JobId {
    let job = NewJob {
        job_type: JobType::Scheduler,
        hostname: "here".to_owned(),
        unixname: "me".to_owned(),
        pid: 7,
    };
    tx.start_job(&job, at(0)).await.unwrap().id
}

async fn row(tx: &mut Tx, id: Uuid) -> Callback {
    tx.find_callback(id).await.unwrap().unwrap()
}

fn report(state: C, output: Option<&str>) -> CallbackReport {
    CallbackReport {
        state,
        output: output.map(str::to_owned),
    }
}

#[test]
fn a_missed_deadline_hands_its_callback_to_an_executor() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let job = job(&mut tx).await;
        assert_eq!(tx.find_next_deadline().await.unwrap(), None);
        let id = missed(&mut tx, "r1", queued(10.0), C::Pending).await;
        assert_eq!(tx.find_next_deadline().await.unwrap(), None);
        let waiting = row(&mut tx, id).await;
        assert_eq!((waiting.state, waiting.attempts), (C::Pending, 0));
        assert_eq!(waiting.data["path"], "mod.fn");
        assert_eq!(waiting.data["dag_id"], "etl");
        assert_eq!(waiting.data["kwargs"], json!({"text": "x"}));
        assert_eq!(waiting.data["executor"], Value::Null);
        assert_eq!(tx.queue_callbacks(job, 0, at(1001)).await.unwrap(), []);
        let queued = tx.queue_callbacks(job, 5, at(1001)).await.unwrap();
        assert_eq!(queued.len(), 1);
        assert!(tx.start_callback(id, at(1002)).await.unwrap());
        assert!(!tx.start_callback(id, at(1002)).await.unwrap(), "twice");
        let done = report(C::Failed, Some("why"));
        assert!(tx.finish_callback(id, &done, at(1003)).await.unwrap());
        assert!(!tx.finish_callback(id, &done, at(1003)).await.unwrap());
        let over = row(&mut tx, id).await;
        assert_eq!((over.state, over.attempts), (C::Failed, 1));
        assert_eq!(over.output.as_deref(), Some("why"));
    });
}

#[test]
fn callbacks_of_a_dead_scheduler_start_over_a_few_times() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let id = missed(&mut tx, "r1", queued(10.0), C::Pending).await;
        for attempt in 1..=3 {
            let dead = job(&mut tx).await;
            let queued = tx.queue_callbacks(dead, 5, at(1001)).await.unwrap();
            assert_eq!(queued.len(), 1, "attempt {attempt}");
            assert!(tx.start_callback(id, at(1002)).await.unwrap());
            let kept = tx.release_orphaned_callbacks(3, at(1003)).await.unwrap();
            assert_eq!((kept.released, kept.failed), (0, 0), "it lives");
            tx.end_job(dead, JobState::Failed, at(1004)).await.unwrap();
            let found = tx.release_orphaned_callbacks(3, at(1005)).await.unwrap();
            let expected = if attempt < 3 { (1, 0) } else { (0, 1) };
            assert_eq!((found.released, found.failed), expected);
        }
        let given_up = row(&mut tx, id).await;
        assert_eq!(given_up.state, C::Failed);
        assert_eq!(given_up.output.as_deref(), Some("its process died 3 times"));
    });
}

#[test]
fn a_callback_that_could_not_run_waits_again_without_an_attempt() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let job = job(&mut tx).await;
        let id = missed(&mut tx, "r1", queued(10.0), C::Pending).await;
        tx.queue_callbacks(job, 5, at(1001)).await.unwrap();
        assert!(tx.start_callback(id, at(1002)).await.unwrap());
        assert!(tx.release_callback(id, at(1003)).await.unwrap());
        assert!(!tx.release_callback(id, at(1003)).await.unwrap());
        let waiting = row(&mut tx, id).await;
        assert_eq!((waiting.state, waiting.attempts), (C::Pending, 0));
    });
}

#[test]
fn a_callback_of_the_triggerer_goes_as_its_trigger_says() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let late = alert(builtin("DagRunQueuedAtDeadline"), 10.0, true);
        let id = missed(&mut tx, "r1", late, C::Queued).await;
        let new = NewCallbackTrigger {
            callback_id: id,
            kwargs: r#"{"callback_path":"mod.fn","callback_kwargs":{}}"#,
            priority_weight: 1,
        };
        let trigger = tx.create_callback_trigger(&new, at(1000)).await.unwrap();
        let running = report(C::Running, None);
        assert_eq!(tx.note_callback(trigger, &running).await.unwrap(), Some(id));
        assert_eq!(row(&mut tx, id).await.state, C::Running);
        let done = report(C::Success, Some("fine"));
        assert_eq!(tx.note_callback(trigger, &done).await.unwrap(), Some(id));
        let over = row(&mut tx, id).await;
        assert_eq!(
            (over.state, over.output.as_deref()),
            (C::Success, Some("fine"))
        );
        assert_eq!(tx.find_callback_report(id).await.unwrap(), None, "served");
        assert_eq!(tx.note_callback(trigger, &done).await.unwrap(), None);
    });
}

fn in_variable() -> NewDeadlineAlert {
    NewDeadlineAlert {
        interval: json!({"__classname__": "airflow.sdk.definitions.deadline.VariableInterval",
                         "__version__": 0, "__data__": {"key": "dl"}})
        .to_string(),
        ..queued(0.0)
    }
}

fn custom(seconds: f64) -> NewDeadlineAlert {
    let reference = json!({"reference_type": "Mine", "__class_path": "mod.Mine"});
    alert(reference, seconds, false)
}

#[test]
fn a_deadline_without_a_length_waits_until_somebody_looks_it_up() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        assert!(!tx.has_unresolved_deadlines().await.unwrap());
        let version = write(&mut tx, with_alerts("one", &[in_variable(), in_variable()])).await;
        create(&mut tx, "r1", version, None).await;
        assert!(tx.has_unresolved_deadlines().await.unwrap());
        assert_eq!(tx.load_asked_deadlines(10).await.unwrap(), []);
        let found = tx.lock_unresolved_deadlines(10).await.unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].run.run_id, run_id("r1"));
        assert!(found[0].alert.is_some());
        assert_eq!(found[0].reference_time, at(100));
        let id = found[0].deadline.id;
        assert!(tx.resolve_deadline(id, at(900), at(101)).await.unwrap());
        assert!(!tx.resolve_deadline(id, at(901), at(101)).await.unwrap());
        tx.delete_deadline(found[1].deadline.id).await.unwrap();
        assert!(!tx.has_unresolved_deadlines().await.unwrap());
        assert_eq!(tx.find_next_deadline().await.unwrap(), Some(at(900)));
    });
}

#[test]
fn a_deadline_that_a_class_knows_waits_for_its_word_even_after_its_run() {
    on_each_backend(async |store| {
        let mut changes = store.changes().subscribe();
        let mut tx = store.write().await.unwrap();
        let version = write(&mut tx, with_alerts("one", &[custom(1.0)])).await;
        let run = create(&mut tx, "r1", version, None).await;
        assert!(!tx.has_unresolved_deadlines().await.unwrap());
        assert_eq!(tx.lock_unresolved_deadlines(10).await.unwrap(), []);
        end(&mut tx, "r1", DagRunState::Success, 0, 20).await;
        assert_eq!(times(&mut tx, &run).await, [None]);
        assert_eq!(tx.load_asked_deadlines(0).await.unwrap(), []);
        let asked = tx.load_asked_deadlines(10).await.unwrap();
        assert_eq!(asked.len(), 1);
        assert_eq!(asked[0].run_id, run_id("r1"));
        let alert = asked[0].alert.as_ref().unwrap();
        assert_eq!(alert.reference["__class_path"], "mod.Mine");
        let id = asked[0].id;
        assert!(tx.set_deadline_reference(id, at(5), at(30)).await.unwrap());
        assert!(!tx.set_deadline_reference(id, at(6), at(30)).await.unwrap());
        assert_eq!(tx.load_asked_deadlines(10).await.unwrap(), []);
        let found = tx.lock_unresolved_deadlines(10).await.unwrap();
        assert_eq!((found.len(), found[0].reference_time), (1, at(5)));
        tx.commit().await.unwrap();
        let told: Vec<Change> = std::iter::from_fn(|| changes.try_recv().ok()).collect();
        assert!(told.contains(&Change::PythonWanted) && told.contains(&Change::Deadline));
    });
}

#[test]
fn two_schedulers_never_deal_with_the_same_deadline_or_callback() {
    on_postgres_if_any(async |store| {
        let mut tx = store.write().await.unwrap();
        let job = job(&mut tx).await;
        missed(&mut tx, "r1", queued(10.0), C::Pending).await;
        let version = write(&mut tx, with_alerts("two", &[queued(5.0)])).await;
        create(&mut tx, "r2", version, None).await;
        tx.commit().await.unwrap();
        let mut one = store.write().await.unwrap();
        let mut other = store.write().await.unwrap();
        assert_eq!(one.lock_due_deadlines(at(2000), 9).await.unwrap().len(), 1);
        assert_eq!(other.lock_due_deadlines(at(2000), 9).await.unwrap(), []);
        assert_eq!(
            one.queue_callbacks(job, 9, at(2000)).await.unwrap().len(),
            1
        );
        assert_eq!(other.queue_callbacks(job, 9, at(2000)).await.unwrap(), []);
    });
}
