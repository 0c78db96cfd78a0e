//! What the scheduler reads and writes.

use updraft_model::job::{JobState, JobType};
use updraft_model::{DagRunState, DagRunType, JobId, MapIndex, TaskInstanceState as S};
use updraft_store::{
    Change, NewCallbackRequest, NewJob, RunCreation, RunStateChange, StartedTaskInstance,
    Succession, Tx,
};

use crate::backends::on_each_backend;
use crate::fixtures::{
    at, create_tis, dag, dag_id, new_run, new_ti, run_id, start_run, task, ti_id, update,
    write_dag, write_etl,
};

async fn scheduler_job(tx: &mut Tx) -> JobId {
    let job = NewJob {
        job_type: JobType::Scheduler,
        hostname: "box".to_owned(),
        unixname: "me".to_owned(),
        pid: 42,
    };
    tx.start_job(&job, at(0)).await.unwrap().id
}

#[test]
fn a_run_comes_back_as_it_was_created() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let version = write_etl(&mut tx).await;
        let new = new_run("r1", version, Some(at(0)));
        let creation = tx.create_dag_run(&new, at(5)).await.unwrap();
        let RunCreation::Created(run) = creation else {
            panic!("{creation:?}");
        };
        assert_eq!(run.state, DagRunState::Queued);
        assert_eq!(run.queued_at, Some(at(5)));
        assert_eq!(run.start_date, None);
        assert_eq!(run.conf, new.conf);
        assert_eq!(run.logical_date, Some(at(0)));
        assert_eq!(run.created_dag_version_id, Some(version));
        assert_eq!(
            tx.find_dag_run(&dag_id(), &run_id("r1")).await.unwrap(),
            Some(*run)
        );
    });
}

#[test]
fn a_second_run_of_the_same_id_or_date_is_told_apart() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let version = write_etl(&mut tx).await;
        start_run(&mut tx, "r1", version, Some(at(0))).await;
        let same_id = new_run("r1", version, Some(at(9)));
        assert_eq!(
            tx.create_dag_run(&same_id, at(5)).await.unwrap(),
            RunCreation::RunIdTaken
        );
        let same_date = new_run("r2", version, Some(at(0)));
        assert_eq!(
            tx.create_dag_run(&same_date, at(5)).await.unwrap(),
            RunCreation::LogicalDateTaken
        );
        // No date is no date to share.
        start_run(&mut tx, "r3", version, None).await;
        start_run(&mut tx, "r4", version, None).await;
    });
}

#[test]
fn a_state_change_of_a_run_happens_once() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let version = write_etl(&mut tx).await;
        start_run(&mut tx, "r1", version, Some(at(0))).await;
        let change = RunStateChange {
            from: DagRunState::Running,
            to: DagRunState::Success,
            queued_at: Some(at(0)),
            start_date: Some(at(1)),
            end_date: Some(at(9)),
        };
        let (dag_id, run_id) = (dag_id(), run_id("r1"));
        assert!(
            tx.change_dag_run_state(&dag_id, &run_id, &change, at(9))
                .await
                .unwrap()
        );
        assert!(
            !tx.change_dag_run_state(&dag_id, &run_id, &change, at(9))
                .await
                .unwrap()
        );
        let run = tx.find_dag_run(&dag_id, &run_id).await.unwrap().unwrap();
        assert_eq!(
            (run.state, run.end_date),
            (DagRunState::Success, Some(at(9)))
        );
        assert_eq!(
            tx.load_last_run_states(&dag_id, 5).await.unwrap(),
            [DagRunState::Success]
        );
        assert!(
            tx.load_runs_to_examine(at(99), 10)
                .await
                .unwrap()
                .is_empty()
        );
    });
}

#[test]
fn only_due_runs_of_live_dags_are_examined() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let version = write_etl(&mut tx).await;
        let job = scheduler_job(&mut tx).await;
        start_run(&mut tx, "r1", version, Some(at(0))).await;
        start_run(&mut tx, "r2", version, Some(at(10))).await;
        start_run(&mut tx, "later", version, Some(at(1000))).await;
        tx.note_scheduling_decision(&dag_id(), &run_id("r1"), job, at(11))
            .await
            .unwrap();
        let due = tx.load_runs_to_examine(at(12), 10).await.unwrap();
        let names: Vec<&str> = due.iter().map(|(key, _)| key.run_id.as_str()).collect();
        assert_eq!(
            names,
            ["r2", "r1"],
            "the one that waited longest comes first"
        );
        assert_eq!(
            tx.find_next_run_after(at(12)).await.unwrap(),
            Some(at(1000))
        );

        let after = tx.load_running_runs_after(&dag_id(), at(0), 1).await;
        let after = after.unwrap();
        assert_eq!(after.len(), 1);
        assert_eq!(after[0].0.run_id.as_str(), "r2", "the next one");

        tx.set_paused(&dag_id(), true).await.unwrap();
        assert!(
            tx.load_runs_to_examine(at(12), 10)
                .await
                .unwrap()
                .is_empty()
        );
        create_tis(&mut tx, "r2", version, &[("a", S::Success)]).await;
        let of_paused = tx.load_runs_of_paused_dags(10).await.unwrap();
        assert_eq!(of_paused.len(), 1, "only runs in which something happened");
        assert_eq!(of_paused[0].run_id, "r2");
    });
}

#[test]
fn a_locked_run_brings_the_newest_version_of_its_dag() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let version = write_etl(&mut tx).await;
        start_run(&mut tx, "r1", version, Some(at(0))).await;
        let locked = tx
            .lock_run(&dag_id(), &run_id("r1"))
            .await
            .unwrap()
            .unwrap();
        let stamp = locked.latest_version.unwrap();
        assert_eq!((stamp.id, stamp.dag_hash.as_str()), (version, "one"));
        assert!(!locked.is_paused);
        assert_eq!(tx.lock_run(&dag_id(), &run_id("none")).await.unwrap(), None);
        let seen = tx.find_examined_run(&dag_id(), &run_id("r1")).await;
        assert_eq!(seen.unwrap().unwrap().latest_version, Some(stamp));
        let none = tx.find_examined_run(&dag_id(), &run_id("none")).await;
        assert_eq!(none.unwrap(), None);
        assert!(
            !tx.run_knows_version(&dag_id(), &run_id("r1"), version)
                .await
                .unwrap()
        );
        create_tis(&mut tx, "r1", version, &[("a", S::NoStatus)]).await;
        assert!(
            tx.run_knows_version(&dag_id(), &run_id("r1"), version)
                .await
                .unwrap()
        );
    });
}

#[test]
fn an_update_is_made_only_in_the_state_that_was_seen() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let version = write_etl(&mut tx).await;
        start_run(&mut tx, "r1", version, Some(at(0))).await;
        let tasks = [("a", S::NoStatus), ("b", S::Running), ("c", S::UpForRetry)];
        let ids = create_tis(&mut tx, "r1", version, &tasks).await;
        let mut failed = update(ids[2], S::UpForRetry, S::Failed);
        failed.duration_secs = Some(1.5);
        failed.end_date = Some(at(3));
        let updates = [
            update(ids[0], S::NoStatus, S::Scheduled),
            update(ids[1], S::NoStatus, S::Scheduled),
            failed,
            update(ti_id(), S::NoStatus, S::Scheduled),
        ];
        let mut won = tx.update_task_instances(&updates, at(3)).await.unwrap();
        won.sort();
        assert_eq!(won, [ids[0], ids[2]]);
        let rows = tx
            .load_slim_task_instances(&dag_id(), &run_id("r1"))
            .await
            .unwrap();
        let states: Vec<_> = rows.iter().map(|row| (row.state, row.try_number)).collect();
        assert_eq!(states, [(S::Scheduled, 1), (S::Running, 0), (S::Failed, 1)]);
        let whole = tx.find_task_instance(ids[2]).await.unwrap().unwrap();
        assert_eq!(whole.duration_secs, Some(1.5));
        assert_eq!(whole.scheduled_dttm, Some(at(2)));
        assert_eq!(whole.end_date, Some(at(3)));
        assert!(
            tx.update_task_instances(&updates[..1], at(4))
                .await
                .unwrap()
                .is_empty()
        );
    });
}

#[test]
fn an_expansion_renumbers_a_row_and_adds_the_others() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let version = write_etl(&mut tx).await;
        start_run(&mut tx, "r1", version, Some(at(0))).await;
        let ids = create_tis(&mut tx, "r1", version, &[("m", S::NoStatus)]).await;
        let mut first = update(ids[0], S::NoStatus, S::Scheduled);
        first.map_index = MapIndex(0);
        assert_eq!(
            tx.update_task_instances(&[first], at(2)).await.unwrap(),
            ids
        );
        let others: Vec<_> = (1..3)
            .map(|index| {
                let mut row = StartedTaskInstance::from(new_ti("r1", "m", version));
                row.new.map_index = MapIndex(index);
                row.new.state = S::Scheduled;
                row.try_number = 1;
                row
            })
            .collect();
        assert_eq!(tx.create_task_instances(&others, at(2)).await.unwrap(), 2);
        assert_eq!(
            tx.create_task_instances(&others, at(2)).await.unwrap(),
            0,
            "they exist"
        );
        let rows = tx
            .load_slim_task_instances(&dag_id(), &run_id("r1"))
            .await
            .unwrap();
        let indexes: Vec<i32> = rows.iter().map(|row| row.map_index.0).collect();
        assert_eq!(indexes, [0, 1, 2]);
        assert_eq!(tx.delete_task_instances(&ids).await.unwrap(), 1);
        let rows = tx
            .load_slim_task_instances(&dag_id(), &run_id("r1"))
            .await
            .unwrap();
        assert_eq!(rows.len(), 2);
    });
}

#[test]
fn an_archived_try_keeps_its_id_in_the_history_only() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let version = write_etl(&mut tx).await;
        start_run(&mut tx, "r1", version, Some(at(0))).await;
        let tasks = [("a", S::Running), ("b", S::Success)];
        let ids = create_tis(&mut tx, "r1", version, &tasks).await;
        let successions = ids.iter().map(|old| Succession {
            old: *old,
            new: ti_id(),
        });
        let successions: Vec<_> = successions.collect();
        tx.archive_tries(&successions, at(7)).await.unwrap();
        assert_eq!(tx.find_task_instance(ids[0]).await.unwrap(), None);
        let live = tx
            .find_task_instance(successions[0].new)
            .await
            .unwrap()
            .unwrap();
        assert_eq!((live.state, live.end_date), (S::Running, Some(at(7))));
        let past = tx.find_past_try(ids[0]).await.unwrap().unwrap();
        assert_eq!((past.state, past.end_date), (S::Failed, Some(at(7))));
        let past = tx
            .load_past_tries(&dag_id(), &run_id("r1"), &task("b"), MapIndex::UNMAPPED)
            .await
            .unwrap();
        assert_eq!(past.len(), 1);
        assert_eq!((past[0].id, past[0].state), (ids[1], S::Success));
    });
}

#[test]
fn the_previous_run_may_leave_out_manual_ones() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let version = write_etl(&mut tx).await;
        start_run(&mut tx, "r1", version, Some(at(0))).await;
        let mut manual = new_run("r2", version, Some(at(10)));
        manual.run_type = DagRunType::Manual;
        tx.create_dag_run(&manual, at(10)).await.unwrap();
        start_run(&mut tx, "r3", version, Some(at(20))).await;
        let any = tx
            .find_previous_run(&dag_id(), at(20), None)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(any.run_id, "r2");
        let planned = tx
            .find_previous_run(&dag_id(), at(20), Some(DagRunType::Manual))
            .await;
        assert_eq!(planned.unwrap().unwrap().run_id, "r1");
        assert_eq!(
            tx.find_previous_run(&dag_id(), at(0), None).await.unwrap(),
            None
        );

        create_tis(
            &mut tx,
            "r1",
            version,
            &[("a", S::Success), ("b", S::Failed)],
        )
        .await;
        let states = tx
            .load_states_of_tasks(&dag_id(), &run_id("r1"), &[task("b"), task("x")])
            .await
            .unwrap();
        assert_eq!(states, [(task("b"), S::Failed)]);
        let seen = tx
            .load_tasks_seen_before(&dag_id(), at(20), &[task("a"), task("x")])
            .await
            .unwrap();
        assert_eq!(seen, [task("a")]);
        let latest = tx
            .find_latest_automated_run(&dag_id(), false)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(latest.run_id, "r3");
    });
}

#[test]
fn candidates_come_heaviest_first_and_full_runs_are_left_out() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let mut etl = dag("etl");
        etl.max_active_tasks = 2;
        let version = write_dag(&mut tx, etl).await;
        start_run(&mut tx, "r1", version, Some(at(0))).await;
        start_run(&mut tx, "r2", version, None).await;
        start_run(&mut tx, "full", version, Some(at(5))).await;
        let mut heavy = StartedTaskInstance::from(new_ti("r2", "heavy", version));
        heavy.new.state = S::Scheduled;
        heavy.new.priority_weight = 9;
        tx.create_task_instances(&[heavy], at(2)).await.unwrap();
        create_tis(&mut tx, "r2", version, &[("no_date", S::Scheduled)]).await;
        create_tis(
            &mut tx,
            "r1",
            version,
            &[("a", S::Scheduled), ("b", S::NoStatus)],
        )
        .await;
        let full = [
            ("a", S::Scheduled),
            ("b", S::Running),
            ("c", S::Queued),
            ("d", S::Deferred),
        ];
        create_tis(&mut tx, "full", version, &full).await;
        let candidates = tx.load_queue_candidates(10).await.unwrap();
        let tasks: Vec<&str> = candidates
            .iter()
            .map(|each| each.task_id.as_str())
            .collect();
        assert_eq!(tasks, ["heavy", "a", "no_date"]);
        assert_eq!(candidates[0].max_active_tasks, 2);
        assert_eq!(tx.load_queue_candidates(1).await.unwrap().len(), 1);
        // One that is held back can still be asked for.
        let rows = tx
            .load_task_instances_of_run(&dag_id(), &run_id("full"))
            .await
            .unwrap();
        let (held, is_settling) = tx.find_queue_candidate(rows[0].id).await.unwrap().unwrap();
        assert_eq!((held.id, held.max_active_tasks), (rows[0].id, 2));
        assert!(!is_settling);
        let running = tx.find_queue_candidate(rows[1].id).await.unwrap();
        assert_eq!(running, None, "it is not scheduled");
    });
}

#[test]
fn what_holds_a_slot_or_a_place_is_counted() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let version = write_etl(&mut tx).await;
        start_run(&mut tx, "full", version, Some(at(5))).await;
        let tasks = [
            ("a", S::Scheduled),
            ("b", S::Running),
            ("c", S::Queued),
            ("d", S::Deferred),
            ("e", S::Success),
        ];
        create_tis(&mut tx, "full", version, &tasks).await;
        let counts = tx.load_active_counts().await.unwrap();
        let mut counted: Vec<_> = counts
            .iter()
            .map(|each| {
                (
                    each.run_id.as_str(),
                    each.task_id.as_str(),
                    each.state,
                    each.count,
                )
            })
            .collect();
        counted.sort();
        assert_eq!(
            counted,
            [
                ("full", "b", S::Running, 1),
                ("full", "c", S::Queued, 1),
                ("full", "d", S::Deferred, 1),
            ]
        );
        let usage = tx.load_pool_usage().await.unwrap();
        let default = usage["default_pool"];
        assert_eq!(
            (
                default.running,
                default.queued,
                default.scheduled,
                default.deferred
            ),
            (1, 1, 1, 1)
        );
    });
}

#[test]
fn queueing_is_a_compare_and_set_and_can_be_taken_back() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let version = write_etl(&mut tx).await;
        let job = scheduler_job(&mut tx).await;
        start_run(&mut tx, "r1", version, Some(at(0))).await;
        let tasks = [("a", S::Scheduled), ("b", S::NoStatus)];
        let ids = create_tis(&mut tx, "r1", version, &tasks).await;
        assert!(tx.lock_queueing().await.unwrap());
        assert_eq!(
            tx.queue_task_instances(&ids, job, at(3)).await.unwrap(),
            [ids[0]]
        );
        assert!(
            tx.queue_task_instances(&ids, job, at(3))
                .await
                .unwrap()
                .is_empty()
        );
        let workloads = tx.load_workloads(&[ids[0]]).await.unwrap();
        assert_eq!(workloads[0].relative_fileloc, "etl.py");
        assert_eq!(workloads[0].task_instance.queued_by_job_id, Some(job));
        assert_eq!(tx.load_queued_workloads(&[job]).await.unwrap(), workloads);
        assert_eq!(tx.load_stuck_in_queued(job, at(4)).await.unwrap().len(), 1);
        assert!(
            tx.load_stuck_in_queued(job, at(3))
                .await
                .unwrap()
                .is_empty()
        );
        let other = JobId(job.0 + 1);
        let taken = tx
            .unqueue_task_instances(&ids, S::NoStatus, other, at(4))
            .await
            .unwrap();
        assert_eq!(taken, 0);
        let taken = tx
            .unqueue_task_instances(&ids, S::Scheduled, job, at(4))
            .await
            .unwrap();
        assert_eq!(taken, 1);
        let back = tx.find_task_instance(ids[0]).await.unwrap().unwrap();
        assert_eq!((back.state, back.queued_by_job_id), (S::Scheduled, None));
    });
}

#[test]
fn two_schedulers_never_queue_the_same_task_instance() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let version = write_etl(&mut tx).await;
        start_run(&mut tx, "r1", version, Some(at(0))).await;
        let names: Vec<String> = (0..40).map(|number| format!("t{number}")).collect();
        let tasks: Vec<_> = names
            .iter()
            .map(|name| (name.as_str(), S::Scheduled))
            .collect();
        let ids = create_tis(&mut tx, "r1", version, &tasks).await;
        tx.commit().await.unwrap();
        let mut schedulers = tokio::task::JoinSet::new();
        for job in 1..=4 {
            let (store, ids) = (store.clone(), ids.clone());
            schedulers.spawn(async move {
                store
                    .retry(|| async {
                        let mut tx = store.write().await?;
                        let won = tx.queue_task_instances(&ids, JobId(job), at(3)).await?;
                        tx.commit().await?;
                        Ok(won)
                    })
                    .await
                    .unwrap()
            });
        }
        let mut won = schedulers.join_all().await.concat();
        won.sort();
        let mut all = ids;
        all.sort();
        assert_eq!(won, all, "each exactly once");
    });
}

#[test]
fn due_dags_are_found_and_their_next_run_is_stored() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let version = write_etl(&mut tx).await;
        assert_eq!(tx.find_next_due().await.unwrap(), Some(at(0)));
        assert!(tx.lock_due_dags(at(-1), 10).await.unwrap().is_empty());
        let due = tx.lock_due_dags(at(0), 10).await.unwrap();
        assert_eq!(due.len(), 1);
        assert_eq!(due[0].tags, ["etl", "nightly"]);

        start_run(&mut tx, "r1", version, Some(at(0))).await;
        start_run(&mut tx, "r2", version, Some(at(1))).await;
        assert_eq!(tx.count_active_runs(&dag_id()).await.unwrap(), 2);
        assert_eq!(tx.count_running_runs(&dag_id(), None).await.unwrap(), 2);
        assert_eq!(tx.count_running_runs(&dag_id(), Some(1)).await.unwrap(), 0);
        tx.refresh_exceeds_max_non_backfill(&dag_id())
            .await
            .unwrap();
        assert!(
            tx.lock_due_dags(at(0), 10).await.unwrap().is_empty(),
            "two runs are the most"
        );
        let mut next = due[0].next_dagrun.clone();
        next.run_after = Some(at(86_400));
        tx.set_next_dagrun(&dag_id(), &next).await.unwrap();
        let etl = tx.find_dag(&dag_id()).await.unwrap().unwrap();
        assert_eq!(etl.next_dagrun, next);
        assert!(etl.exceeds_max_non_backfill);
    });
}

#[test]
fn queued_runs_start_when_their_dag_has_room() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let version = write_etl(&mut tx).await;
        for (name, second) in [("r1", 0), ("r2", 1), ("r3", 2)] {
            tx.create_dag_run(&new_run(name, version, Some(at(second))), at(0))
                .await
                .unwrap();
        }
        let waiting = tx.lock_start_candidates(at(1), 20).await.unwrap();
        let names: Vec<_> = waiting
            .iter()
            .map(|each| each.key.run_id.as_str())
            .collect();
        assert_eq!(names, ["r1", "r2"], "r3 is not due");
        assert!(
            tx.start_dag_run(&dag_id(), &run_id("r1"), at(5))
                .await
                .unwrap()
        );
        assert!(
            !tx.start_dag_run(&dag_id(), &run_id("r1"), at(6))
                .await
                .unwrap()
        );
        assert_eq!(
            tx.lock_start_candidates(at(9), 20).await.unwrap()[0].running,
            1
        );
        assert!(
            tx.start_dag_run(&dag_id(), &run_id("r2"), at(5))
                .await
                .unwrap()
        );
        assert!(
            tx.lock_start_candidates(at(9), 20)
                .await
                .unwrap()
                .is_empty(),
            "no room"
        );
    });
}

#[test]
fn orphans_of_a_dead_scheduler_start_over_under_a_new_id() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let version = write_etl(&mut tx).await;
        let dead = scheduler_job(&mut tx).await;
        let alive = scheduler_job(&mut tx).await;
        start_run(&mut tx, "r1", version, Some(at(0))).await;
        let tasks = [
            ("a", S::Scheduled),
            ("b", S::Scheduled),
            ("c", S::Scheduled),
        ];
        let ids = create_tis(&mut tx, "r1", version, &tasks).await;
        tx.queue_task_instances(&ids[..1], dead, at(3))
            .await
            .unwrap();
        tx.queue_task_instances(&ids[1..2], alive, at(3))
            .await
            .unwrap();
        tx.heartbeat_job(alive, at(60)).await.unwrap();
        tx.fail_dead_jobs(JobType::Scheduler, at(30), at(60))
            .await
            .unwrap();
        let orphans = tx.lock_orphans(100).await.unwrap();
        assert_eq!(orphans.iter().map(|ti| ti.id).collect::<Vec<_>>(), [ids[0]]);
        let succession = Succession {
            old: ids[0],
            new: ti_id(),
        };
        assert_eq!(tx.reset_orphans(&[succession], at(61)).await.unwrap(), 1);
        let reset = tx
            .find_task_instance(succession.new)
            .await
            .unwrap()
            .unwrap();
        assert_eq!((reset.state, reset.queued_by_job_id), (S::NoStatus, None));
        assert_eq!(
            tx.find_past_try(ids[0]).await.unwrap().unwrap().state,
            S::Failed
        );
        assert!(tx.lock_orphans(100).await.unwrap().is_empty());

        tx.queue_task_instances(&ids[2..], dead, at(62))
            .await
            .unwrap();
        assert_eq!(tx.adopt_task_instances(&ids[2..], alive).await.unwrap(), 1);
        assert!(tx.lock_orphans(100).await.unwrap().is_empty());
    });
}

#[test]
fn callbacks_are_claimed_by_priority_and_again_when_the_claim_runs_out() {
    on_each_backend(async |store| {
        let mut changes = store.changes().subscribe();
        let mut tx = store.write().await.unwrap();
        for priority in [1, 5, 3] {
            let request = NewCallbackRequest {
                priority_weight: priority,
                bundle_name: "dags-folder".into(),
                bundle_version: None,
                filepath: "etl.py".to_owned(),
                dag_id: dag_id(),
                run_id: run_id("r1"),
                body: serde_json::json!({"type": "DagCallbackRequest"}),
            };
            tx.request_callback(&request, at(0)).await.unwrap();
        }
        let job = processor(&mut tx).await;
        tx.commit().await.unwrap();
        assert_eq!(changes.try_recv().unwrap(), Change::CallbackRequested);
        let mut tx = store.write().await.unwrap();
        let other = ["other".into()];
        let odd = tx.claim_callbacks(&other, job, 9, at(1), at(2));
        assert_eq!(odd.await.unwrap(), []);
        assert_eq!(claim(&mut tx, job, 2, 1).await, [(5, 1), (3, 1)]);
        let bundles = ["dags-folder".into()];
        let claimed = tx.claim_callbacks(&bundles, job, 9, at(30), at(40));
        let five = claimed.await.unwrap()[0].id;
        tx.finish_callbacks(&[five]).await.unwrap();
        assert_eq!(claim(&mut tx, job, 9, 31).await, [], "all are taken");
        assert_eq!(claim(&mut tx, job, 9, 41).await, [(3, 3), (1, 2)]);
    });
}

async fn processor(tx: &mut Tx) -> updraft_model::JobId {
    let new = NewJob {
        job_type: JobType::DagProcessor,
        hostname: "box".to_owned(),
        unixname: "me".to_owned(),
        pid: 1,
    };
    tx.start_job(&new, at(0)).await.unwrap().id
}

/// Weights and attempts of what was claimed for ten seconds.
async fn claim(tx: &mut Tx, job: updraft_model::JobId, limit: i64, now: i64) -> Vec<(i32, i32)> {
    let bundles = ["dags-folder".into()];
    let claimed = tx.claim_callbacks(&bundles, job, limit, at(now), at(now + 10));
    let claimed = claimed.await.unwrap();
    claimed
        .iter()
        .map(|each| (each.priority_weight, each.attempts))
        .collect()
}

#[test]
fn callbacks_of_a_dead_processor_are_taken_at_once_and_those_given_back_too() {
    on_each_backend(async |store| {
        let mut tx = store.write().await.unwrap();
        let request = NewCallbackRequest {
            priority_weight: 1,
            bundle_name: "dags-folder".into(),
            bundle_version: None,
            filepath: "etl.py".to_owned(),
            dag_id: dag_id(),
            run_id: run_id("r1"),
            body: serde_json::json!({"type": "DagCallbackRequest"}),
        };
        tx.request_callback(&request, at(0)).await.unwrap();
        let (dead, alive) = (processor(&mut tx).await, processor(&mut tx).await);
        assert_eq!(claim(&mut tx, dead, 9, 1).await, [(1, 1)]);
        assert_eq!(claim(&mut tx, alive, 9, 1).await, []);
        tx.end_job(dead, JobState::Failed, at(2)).await.unwrap();
        let bundles = ["dags-folder".into()];
        let claimed = tx.claim_callbacks(&bundles, alive, 9, at(2), at(12));
        let id = claimed.await.unwrap()[0].id;
        tx.release_callback_request(id, true).await.unwrap();
        assert_eq!(claim(&mut tx, alive, 9, 3).await, [(1, 3)]);
        tx.release_callback_request(id, false).await.unwrap();
        assert_eq!(claim(&mut tx, alive, 9, 3).await, [(1, 3)]);
    });
}
