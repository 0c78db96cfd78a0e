use insta::assert_snapshot;
use updraft_model::pool::{Pool, PoolUsage};
use updraft_model::serialized::SerializedDag;
use updraft_model::{DagRunState, DagRunType, TaskInstanceId};

use super::*;
use crate::queueing::{Candidate, ExecutorView, PoolView};
use crate::run::PreviousRun;
use crate::run_start::{BackfillOfRun, QueuedRun};
use crate::scenario::{NOW, dag, instant, rows, task_instance, view};

const BEFORE: &str = "2026-03-01T11:59:00Z";
const LATER: &str = "2026-03-01T13:00:00Z";

/// A view of the first row of `row_text`, of a running run of a Dag that is awake.
fn of<'a>(dag: &'a SerializedDag, row_text: &str) -> ExplainView<'a> {
    let run = view(dag, rows(row_text));
    let seen = run.task_instances[0].clone();
    let row = TaskInstance {
        try_number: 1,
        max_tries: 2,
        start_date: Some(instant(BEFORE)),
        end_date: Some(instant(NOW)),
        queued_dttm: Some(instant(BEFORE)),
        hostname: "box".to_owned(),
        ..task_instance(&seen)
    };
    ExplainView {
        task_id: seen.task_id,
        map_index: seen.map_index,
        look: LookView {
            state: run.run.state,
            dag_is_stale: false,
            run_after: instant("2026-01-01T00:00:00Z"),
            logical_date: run.run.logical_date,
        },
        run,
        row: Some(row),
        dag_is_paused: false,
        start: StartView::default(),
        queue: QueueView::default(),
        is_settling: false,
        trigger: None,
        slots: SlotFacts {
            total: 32,
            running: 3,
            queued: 1,
        },
        scheduler: RoleFacts {
            is_alive: true,
            last_heartbeat: Some(instant(NOW)),
        },
    }
}

fn sentence(view: &ExplainView<'_>) -> String {
    explain(view, instant(NOW)).to_string()
}

/// What the first row is told, with no more than its Dag and its run.
fn plain(dag_text: &str, row_text: &str) -> String {
    sentence(&of(&dag(dag_text), row_text))
}

fn queued_run<'a>(dag: &'a SerializedDag, running: u32) -> ExplainView<'a> {
    let mut view = of(dag, "a");
    view.look.state = DagRunState::Queued;
    view.start = StartView {
        queued: vec![QueuedRun {
            id: 0,
            dag_id: "d".into(),
            run_after: instant("2026-01-01T00:00:00Z"),
            last_scheduling_decision: None,
            dag_max_active_runs: Some(16),
            dag_is_paused: false,
            dag_is_stale: false,
            backfill: None,
        }],
        running: [(("d".into(), None), running)].into(),
        examine_max: 1,
    };
    view
}

/// A scheduled instance that competes for what `capacity` leaves.
fn scheduled<'a>(dag: &'a SerializedDag, usage: i64, capacity: u32) -> ExplainView<'a> {
    let mut view = of(dag, "a scheduled");
    let id = view.row.as_ref().unwrap().id;
    view.queue = QueueView {
        candidates: vec![candidate(id, 1)],
        pools: vec![PoolView {
            pool: Pool {
                name: "etl".into(),
                slots: 16,
                description: None,
                include_deferred: false,
            },
            usage: PoolUsage {
                running: usage,
                ..PoolUsage::default()
            },
            team: None,
        }],
        executors: vec![ExecutorView {
            names: vec!["LocalExecutor".into()],
            slots_available: i64::from(capacity),
            team: None,
        }],
        capacity,
        ..QueueView::default()
    };
    view
}

fn candidate(id: TaskInstanceId, priority_weight: i64) -> Candidate {
    Candidate {
        id,
        dag_id: "d".into(),
        run_id: "r".into(),
        task_id: "a".into(),
        map_index: MapIndex::UNMAPPED,
        priority_weight,
        logical_date: None,
        pool: "etl".into(),
        pool_slots: 1,
        executor: None,
        team: None,
        max_active_tasks: 16,
        max_active_tis_per_dag: Some(4),
        max_active_tis_per_dagrun: Some(2),
        held_back: None,
    }
}

#[test]
fn a_task_that_waits_for_others_says_for_how_many_and_for_which() {
    let dag_text = "a, b, c >> d";
    let of_d = |states: &str| plain(dag_text, &format!("d\n{states}"));
    assert_snapshot!(
        of_d("a success\nb running\nc"),
        @"`d` waits for 2 of 3 upstream task instances (`b`, `c`), as its trigger rule is all_success."
    );
    let any = "a, b >> d\nd: rule=one_success";
    assert_snapshot!(
        plain(any, "d\na\nb running"),
        @"`d` waits for 2 of 2 upstream task instances (`a`, `b`), as its trigger rule is one_success."
    );
    let many = "a, b, c, e, f >> d";
    assert_snapshot!(
        plain(many, "d\na\nb\nc\ne\nf"),
        @"`d` waits for 5 of 5 upstream task instances (`a`, `b`, `c`, …), as its trigger rule is all_success."
    );
}

#[test]
fn times_are_named_and_given_for_a_program() {
    let dag = dag("a: retries=2");
    let mut retry = of(&dag, "a up_for_retry try=1");
    retry.run.task_instances[0].end_date = Some(instant(NOW));
    let explained = explain(&retry, instant(NOW));
    assert_snapshot!(explained, @"`a` waits: its next try is due after 2026-03-01T12:05:00Z.");
    assert_eq!(
        explained.until(),
        Some(instant("2026-03-01T12:05:00.000001Z"))
    );
    let mut sensor = of(&dag, "a up_for_reschedule try=1");
    sensor.run.task_instances[0].reschedule_date = Some(instant(LATER));
    assert_snapshot!(sentence(&sensor), @"`a` waits: it looks again at 2026-03-01T13:00:00Z.");
    let mut early = of(&dag, "a");
    early.look.run_after = instant(LATER);
    assert_snapshot!(sentence(&early), @"`a` waits: the Dag run is due at 2026-03-01T13:00:00Z.");
    let mut ahead = of(&dag, "a");
    ahead.look.logical_date = Some(instant(LATER));
    assert_snapshot!(sentence(&ahead), @"`a` waits: the logical date of the Dag run, 2026-03-01T13:00:00Z, lies in the future.");
    assert_eq!(explain(&ahead, instant(NOW)).until(), Some(instant(LATER)));
}

#[test]
fn the_dag_and_its_past_may_hold_a_task_back() {
    let past = dag("a: past");
    let mut view = of(&past, "a");
    view.run.past.previous = Some(PreviousRun {
        logical_date: None,
        states: vec![("a".into(), S::Failed)],
    });
    assert_snapshot!(sentence(&view), @"`a` waits: it depends on past, where 1 instances are not successful.");
    view.dag_is_paused = true;
    assert_snapshot!(sentence(&view), @"`a` waits: the Dag is paused.");
    view.look.dag_is_stale = true;
    assert_snapshot!(sentence(&view), @"`a` waits: the Dag is stale: its file no longer has it.");
    view.look.state = DagRunState::Failed;
    assert_snapshot!(sentence(&view), @"`a` waits: the Dag run has ended as failed.");
}

#[test]
fn a_queued_run_keeps_its_tasks_waiting() {
    let dag = dag("a");
    assert_snapshot!(sentence(&queued_run(&dag, 16)), @"`a` waits: its Dag run is queued, and 16 runs are running, the limit `max_active_runs`.");
    assert_snapshot!(sentence(&queued_run(&dag, 3)), @"`a` is next: its Dag run is queued and about to start.");
    let mut paused = queued_run(&dag, 0);
    paused.start.queued[0].dag_is_paused = true;
    assert_snapshot!(sentence(&paused), @"`a` waits: the Dag is paused.");
    let mut early = queued_run(&dag, 0);
    early.start.queued[0].run_after = instant(LATER);
    assert_snapshot!(sentence(&early), @"`a` waits: its Dag run is queued, and it is due at 2026-03-01T13:00:00Z.");
    assert_eq!(explain(&early, instant(NOW)).until(), Some(instant(LATER)));
    let mut backfill = queued_run(&dag, 0);
    backfill.start.queued[0].backfill = Some(BackfillOfRun {
        backfill_id: 7,
        max_active_runs: 2,
        sort_ordinal: 3,
        is_paused: true,
    });
    assert_snapshot!(sentence(&backfill), @"`a` waits: its Dag run is queued, and its backfill is paused.");
}

#[test]
fn a_scheduled_task_says_which_limit_it_has_met() {
    let dag = dag("a");
    let full = scheduled(&dag, 16, 8);
    assert_snapshot!(sentence(&full), @"`a` waits: pool `etl` has 0 of 16 slots open, and the task takes 1.");
    let mut gone = scheduled(&dag, 0, 8);
    gone.queue.pools[0].pool.name = "other".into();
    assert_snapshot!(sentence(&gone), @"`a` waits: pool `etl` does not exist.");
    let mut run = scheduled(&dag, 0, 8);
    run.queue.active_of_run = [(("d".into(), "r".into()), 16)].into();
    assert_snapshot!(sentence(&run), @"`a` waits: the run has 16 active tasks, its limit.");
    let mut task = scheduled(&dag, 0, 8);
    task.queue.active_of_task = [(("d".into(), "a".into()), 4)].into();
    assert_snapshot!(sentence(&task), @"`a` waits: the task has 4 active instances, its limit.");
    let mut in_run = scheduled(&dag, 0, 8);
    in_run.queue.active_of_task_in_run = [(("d".into(), "r".into(), "a".into()), 2)].into();
    assert_snapshot!(sentence(&in_run), @"`a` waits: the task has 2 active instances in this run, its limit.");
    let mut unknown = scheduled(&dag, 0, 8);
    unknown.queue.candidates[0].executor = Some("Nobody".into());
    assert_snapshot!(sentence(&unknown), @"`a` waits: no executor is named `Nobody`.");
    let mut busy = scheduled(&dag, 0, 0);
    busy.slots.running = 32;
    assert_snapshot!(sentence(&busy), @"`a` waits: all 32 slots of `[core] parallelism` are taken (32 running, 1 queued).");
    let mut light = scheduled(&dag, 0, 1);
    let heavy = candidate(TaskInstanceId(uuid::Uuid::from_u128(99)), 9);
    light.queue.candidates.push(heavy);
    assert_snapshot!(sentence(&light), @"`a` waits: heavier tasks get the 1 free slots of this scheduler.");
    let mut unsettled = scheduled(&dag, 0, 8);
    unsettled.is_settling = true;
    assert_snapshot!(sentence(&unsettled), @"`a` waits: Python is still asked about it, by a weight rule or `task_instance_mutation_hook`.");
    assert_snapshot!(sentence(&scheduled(&dag, 0, 8)), @"`a` is about to become queued: all dependencies are met.");
}

#[test]
fn what_is_left_to_a_scheduler_needs_one() {
    let dag = dag("a");
    let mut ready = of(&dag, "a");
    assert_snapshot!(sentence(&ready), @"`a` is about to become scheduled: all dependencies are met.");
    ready.scheduler.is_alive = false;
    assert_snapshot!(sentence(&ready), @"`a` is ready, but no scheduler is alive, the last one was heard of at 2026-03-01T12:00:00Z.");
    ready.dag_is_paused = true;
    assert_snapshot!(sentence(&ready), @"`a` waits: the Dag is paused.");
}

#[test]
fn what_is_under_way_says_where() {
    let dag = dag("a");
    assert_snapshot!(sentence(&of(&dag, "a running")), @"`a` is running since 2026-03-01T11:59:00Z on `box`, try 1 of 3.");
    assert_snapshot!(sentence(&of(&dag, "a restarting")), @"`a` was cleared while it ran, and begins again once its process on `box` has ended.");
    let mut queued = of(&dag, "a queued");
    assert_snapshot!(sentence(&queued), @"`a` is queued since 2026-03-01T11:59:00Z, and a worker is about to begin with it.");
    queued.slots.running = 32;
    assert_snapshot!(sentence(&queued), @"`a` is queued since 2026-03-01T11:59:00Z and waits for its executor: all 32 slots of `[core] parallelism` are taken (32 running, 1 queued).");
    let mut deferred = of(&dag, "a deferred");
    assert_snapshot!(sentence(&deferred), @"`a` is deferred, and its trigger has fired.");
    deferred.trigger = Some(TriggerFacts {
        classpath: "m.T".to_owned(),
        is_taken: false,
    });
    deferred.row.as_mut().unwrap().trigger_timeout = Some(instant(LATER));
    assert_snapshot!(sentence(&deferred), @"`a` is deferred and waits for trigger `m.T`, which no triggerer has taken, at most until 2026-03-01T13:00:00Z.");
    let asking = of(&dag, "a awaiting_input");
    assert_snapshot!(sentence(&asking), @"`a` waits for somebody's answer.");
    assert!(explain(&asking, instant(NOW)).is_waiting());
}

#[test]
fn what_has_ended_says_why_where_rows_still_tell() {
    assert_snapshot!(plain("a", "a success"), @"`a` ended as success at 2026-03-01T12:00:00Z.");
    assert_snapshot!(
        plain("b >> a", "a upstream_failed\nb failed"),
        @"`a` ended as upstream_failed at 2026-03-01T12:00:00Z: trigger rule all_success, upstream: 1 of 1 done, 1 failed."
    );
    // It skipped itself, or somebody did.
    assert_snapshot!(
        plain("b >> a", "a skipped\nb success"),
        @"`a` ended as skipped at 2026-03-01T12:00:00Z."
    );
}

#[test]
fn what_is_not_there_says_where_to_look() {
    let dag = dag("
        up >> m
        m: map=up
        a
        late: start_date=1767225600
        ");
    let mut view = of(&dag, "m[0] success\nm[1] success\nup success\na");
    view.row = None;
    let mut ask = |task_id: &str, map_index: i32| {
        view.task_id = task_id.into();
        view.map_index = MapIndex(map_index);
        let explained = explain(&view, instant(NOW));
        assert!(!explained.is_waiting());
        explained.to_string()
    };
    assert_snapshot!(ask("m", -1), @"`m` is mapped and has 2 instances here: ask for map index 0 to 1.");
    assert_snapshot!(ask("a", 3), @"`a`[3] has no such map index here: ask without one.");
    assert_snapshot!(ask("x", -1), @"`x` is no task of the Dag.");
    assert_snapshot!(ask("late", -1), @"`late` has no instance in the run, which began without it.");
    view.run.run.logical_date = Some(instant("2025-12-31T00:00:00Z"));
    view.run.run.run_type = DagRunType::Scheduled;
    view.task_id = "late".into();
    view.map_index = MapIndex::UNMAPPED;
    assert_snapshot!(sentence(&view), @"`late` takes no part in the run: its start date 2026-01-01T00:00:00Z is after the logical date 2025-12-31T00:00:00Z.");
}
