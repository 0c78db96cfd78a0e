use insta::assert_snapshot;
use proptest::prelude::*;
use serde_json::{Value, json};
use updraft_model::TaskInstanceState as S;
use uuid::Uuid;

use super::*;
use crate::scenario::instant;
use crate::vectors::{check_vectors, expect_eq};

/// Candidates as `task pool slots weight`, all in one run of a Dag with room for 16.
fn plan(pools: &[(&str, i32)], candidates: &str) -> String {
    let lines = candidates
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    let candidates = lines.zip(1..).map(|(line, id)| {
        let words: Vec<&str> = line.split_whitespace().collect();
        Candidate {
            pool: words[1].into(),
            pool_slots: words[2].parse().unwrap(),
            priority_weight: words[3].parse().unwrap(),
            ..candidate(id, "d", "r", words[0])
        }
    });
    let view = QueueView {
        candidates: candidates.collect(),
        pools: pools
            .iter()
            .map(|(name, slots)| pool(name, *slots))
            .collect(),
        executors: vec![executor("main", 32)],
        capacity: 16,
        ..QueueView::default()
    };
    describe(&view, &plan_queue(&view))
}

fn describe(view: &QueueView, plan: &QueuePlan) -> String {
    let name = |id| {
        let found = view.candidates.iter().find(|candidate| candidate.id == id);
        found.unwrap().task_id.clone()
    };
    let queued = plan
        .queued
        .iter()
        .map(|queued| format!("{}: queued", name(queued.id)));
    let waiting = plan
        .waiting
        .iter()
        .map(|(id, because)| format!("{} waits: {because}", name(*id)));
    queued.chain(waiting).collect::<Vec<_>>().join("\n")
}

fn candidate(id: u128, dag_id: &str, run_id: &str, task_id: &str) -> Candidate {
    Candidate {
        id: TaskInstanceId(Uuid::from_u128(id)),
        dag_id: dag_id.into(),
        run_id: run_id.into(),
        task_id: task_id.into(),
        map_index: MapIndex::UNMAPPED,
        priority_weight: 1,
        logical_date: Some(instant("2026-01-01T00:00:00Z")),
        pool: "default_pool".into(),
        pool_slots: 1,
        executor: None,
        team: None,
        max_active_tasks: 16,
        max_active_tis_per_dag: None,
        max_active_tis_per_dagrun: None,
        held_back: None,
    }
}

fn pool(name: &str, slots: i32) -> PoolView {
    PoolView {
        pool: Pool {
            name: name.into(),
            slots,
            description: None,
            include_deferred: false,
        },
        usage: PoolUsage::default(),
        team: None,
    }
}

fn executor(name: &str, slots_available: i64) -> ExecutorView {
    ExecutorView {
        names: vec![name.into()],
        slots_available,
        team: None,
    }
}

#[test]
fn a_full_pool_holds_back_only_its_own_tasks() {
    let plan = plan(
        &[("etl", 1), ("default", 8)],
        "
        load     etl      1   5
        extract  etl      1   9
        notify   default  1   1
        ",
    );
    assert_snapshot!(plan, @r"
    extract: queued
    notify: queued
    load waits: pool `etl` has 0 of 1 slots open, and the task takes 1
    ");
}

#[test]
fn a_small_task_passes_one_that_is_too_big_for_what_is_open() {
    let plan = plan(
        &[("p", 2)],
        "
        huge   p     3  9
        big    p     2  5
        small  p     1  7
        lost   gone  1  8
        ",
    );
    assert_snapshot!(plan, @r"
    small: queued
    huge waits: pool `p` has 2 slots in all, too few for the task
    lost waits: pool `gone` does not exist
    big waits: pool `p` has 1 of 2 slots open, and the task takes 2
    ");
}

#[test]
fn one_plan_fills_what_airflow_needs_several_loops_for() {
    let candidates = (0..4).map(|number| Candidate {
        pool: "full".into(),
        priority_weight: 100,
        ..candidate(number + 1, "d", "r", &format!("stuck{number}"))
    });
    let ok = (10..13).map(|id| candidate(id, "d", "r", &format!("ok{id}")));
    let view = QueueView {
        candidates: candidates.chain(ok).collect(),
        pools: vec![pool("full", 0), pool("default_pool", 8)],
        executors: vec![executor("main", 32)],
        capacity: 3,
        ..QueueView::default()
    };
    assert_eq!(plan_queue_pass(&view).queued.len(), 3);
    assert_eq!(plan_queue(&view).queued.len(), 3);
    let narrow = QueueView {
        capacity: 2,
        ..view
    };
    assert_eq!(plan_queue(&narrow).queued.len(), 2);
}

#[test]
fn a_task_goes_to_the_executor_of_its_team_first() {
    let mut own = candidate(1, "d", "r", "own");
    own.team = Some("blue".into());
    let foreign = Candidate {
        team: Some("red".into()),
        ..candidate(2, "e", "r", "foreign")
    };
    let mut team_executor = executor("main", 1);
    team_executor.team = Some("blue".into());
    let view = QueueView {
        candidates: vec![own, foreign],
        pools: vec![pool("default_pool", 8)],
        executors: vec![executor("main", 1), team_executor],
        capacity: 8,
        ..QueueView::default()
    };
    let executors: Vec<usize> = plan_queue(&view)
        .queued
        .iter()
        .map(|q| q.executor)
        .collect();
    assert_eq!(executors, [1, 0]);
}

#[test]
fn the_critical_section_queues_as_airflow_does() {
    check_vectors("critical_section", |_| true, &[], check_section);
}

/// A task instance of a vector: Dag, number of its run, task.
type Key = (String, usize, String);

fn check_section(vector: &Value) -> Result<(), String> {
    let (view, keys) = view_of(vector);
    let plan = plan_queue_pass(&view);
    let found: Vec<&Key> = plan
        .queued
        .iter()
        .map(|queued| &keys[usize::try_from(queued.id.0.as_u128()).unwrap()])
        .collect();
    let expected: Vec<Key> = serde_json::from_value(vector["queued_in_order"].clone()).unwrap();
    // Ties are open: compare those of the same weight and date as sets.
    let rank = |key: &Key| {
        let place = keys.iter().position(|other| other == key).unwrap();
        let found = view
            .candidates
            .iter()
            .find(|c| c.id.0.as_u128() == place as u128);
        let candidate = found.unwrap();
        (candidate.priority_weight, candidate.logical_date)
    };
    let ranks = |keys: Vec<&Key>| keys.into_iter().map(rank).collect::<Vec<_>>();
    expect_eq(
        "ranks",
        ranks(found.clone()),
        ranks(expected.iter().collect()),
    )?;
    let count = |keys: Vec<&Key>| {
        let mut runs: Vec<_> = keys.iter().map(|key| (key.0.clone(), key.1)).collect();
        runs.sort();
        runs
    };
    expect_eq("per run", count(found), count(expected.iter().collect()))?;
    let told = plan.queued.len() + plan.waiting.len();
    expect_eq("candidates with a verdict", told, view.candidates.len())
}

fn view_of(vector: &Value) -> (QueueView, Vec<Key>) {
    let mut view = QueueView {
        capacity: u32::try_from(vector["max_tis"].as_u64().unwrap()).unwrap(),
        ..QueueView::default()
    };
    for entry in vector["pools"].as_array().unwrap() {
        let slots = i32::try_from(entry[1].as_i64().unwrap()).unwrap();
        let mut pool = pool(entry[0].as_str().unwrap(), slots);
        pool.pool.include_deferred = entry[2].as_bool().unwrap();
        view.pools.push(pool);
    }
    for entry in vector["executors"].as_array().unwrap() {
        let available = entry["parallelism"].as_i64().unwrap() - entry["busy"].as_i64().unwrap();
        view.executors
            .push(executor(entry["alias"].as_str().unwrap(), available));
    }
    let keys: Vec<Key> = vector["ti_states"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| serde_json::from_value(entry[0].clone()).unwrap())
        .collect();
    for (id, entry) in vector["ti_states"].as_array().unwrap().iter().enumerate() {
        let state: S = entry[1].as_str().unwrap().parse().unwrap();
        let candidate = candidate_of(vector, id as u128, &keys[id]);
        if state == S::Scheduled {
            view.candidates.push(candidate);
        } else {
            count_active(&mut view, &candidate, state);
        }
    }
    (view, keys)
}

fn candidate_of(vector: &Value, id: u128, key: &Key) -> Candidate {
    let (dag_id, run, task_id) = key;
    let dag = &vector["dags"][dag_id];
    let task = &dag["tasks"][task_id];
    let number = |key: &str| task[key].as_i64();
    let limit = |key: &str| number(key).map(|limit| i32::try_from(limit).unwrap());
    let is_paused = vector["paused"]
        .as_array()
        .unwrap()
        .contains(&json!(dag_id));
    let run_states = vector["run_states"].as_array();
    let mut run_states = run_states.into_iter().flatten();
    let is_stopped = run_states.any(|entry| entry == &json!([[dag_id, run], "queued"]));
    Candidate {
        priority_weight: number("priority_weight").unwrap_or(1),
        logical_date: Some(instant(dag["runs"][run].as_str().unwrap())),
        pool: task["pool"].as_str().unwrap_or("default_pool").into(),
        pool_slots: limit("pool_slots").unwrap_or(1),
        executor: task["executor"].as_str().map(SmolStr::new),
        max_active_tasks: i32::try_from(dag["max_active_tasks"].as_i64().unwrap()).unwrap(),
        max_active_tis_per_dag: limit("max_active_tis_per_dag"),
        max_active_tis_per_dagrun: limit("max_active_tis_per_dagrun"),
        held_back: match (is_paused, is_stopped) {
            (true, _) => Some(HeldBack::DagPaused),
            (false, true) => Some(HeldBack::RunNotRunning),
            (false, false) => None,
        },
        ..candidate(id, dag_id, &run.to_string(), task_id)
    }
}

fn count_active(view: &mut QueueView, row: &Candidate, state: S) {
    let pool = view
        .pools
        .iter_mut()
        .find(|pool| pool.pool.name == row.pool)
        .unwrap();
    let slots = i64::from(row.pool_slots);
    match state {
        S::Running => pool.usage.running += slots,
        S::Queued => pool.usage.queued += slots,
        S::Deferred => pool.usage.deferred += slots,
        _ => {}
    }
    let (dag_id, run_id, task_id) = (&row.dag_id, &row.run_id, &row.task_id);
    if state.is_executing() {
        let key = (dag_id.clone(), run_id.clone());
        *view.active_of_run.entry(key).or_default() += 1;
    }
    if state.is_active() {
        let key = (dag_id.clone(), task_id.clone());
        *view.active_of_task.entry(key).or_default() += 1;
        let key = (dag_id.clone(), run_id.clone(), task_id.clone());
        *view.active_of_task_in_run.entry(key).or_default() += 1;
    }
}

prop_compose! {
    fn any_candidate()(
        run in 0..3_u8, task in 0..4_u8, pool in 0..3_u8, slots in 1..4_i32,
        weight in 0..5_i64, limit in proptest::option::of(1..3_i32), index in 0..50_i32,
    ) -> Candidate {
        Candidate {
            pool: format!("p{pool}").as_str().into(),
            pool_slots: slots,
            priority_weight: weight,
            map_index: MapIndex(index),
            max_active_tasks: 3,
            max_active_tis_per_dagrun: limit,
            ..candidate(0, "d", &format!("r{run}"), &format!("t{task}"))
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_limit_is_ever_exceeded_and_nobody_is_forgotten(
        candidates in proptest::collection::vec(any_candidate(), 0..60),
        sizes in proptest::array::uniform2(0..6_i32),
        capacity in 0..20_u32,
        free in 0..10_i64,
    ) {
        let candidates = candidates.into_iter().zip(1..).map(|(mut candidate, id)| {
            candidate.id = TaskInstanceId(Uuid::from_u128(id));
            candidate
        });
        let view = QueueView {
            candidates: candidates.collect(),
            pools: sizes.iter().enumerate().map(|(n, size)| pool(&format!("p{n}"), *size)).collect(),
            executors: vec![executor("main", free)],
            capacity,
            ..QueueView::default()
        };
        let plan = plan_queue(&view);
        prop_assert_eq!(&plan, &plan_queue(&view), "the same view gives the same plan");
        prop_assert_eq!(plan.queued.len() + plan.waiting.len(), view.candidates.len());
        prop_assert!(plan.queued.len() <= capacity as usize);
        prop_assert!(i64::try_from(plan.queued.len()).unwrap() <= free);
        let chosen: Vec<&Candidate> = plan
            .queued
            .iter()
            .map(|queued| view.candidates.iter().find(|c| c.id == queued.id).unwrap())
            .collect();
        for (number, size) in sizes.iter().enumerate() {
            let name = format!("p{number}");
            let used = chosen.iter().filter(|c| c.pool == *name.as_str());
            prop_assert!(used.map(|c| c.pool_slots).sum::<i32>() <= *size);
        }
        for run in ["r0", "r1", "r2"] {
            prop_assert!(chosen.iter().filter(|c| c.run_id == run).count() <= 3);
        }
        prop_assert!(chosen.iter().all(|c| c.pool != "p2"), "there is no such pool");
    }
}
