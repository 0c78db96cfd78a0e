//! `kill -9` at random moments of a running set of Dags.
//!
//! The tasks write down themselves what they do (`tests/dags/survival/recorder.py`); that and what
//! the API says must agree, whatever was killed when. Times are random, the outcome is not.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use updraft_testkit::{Random, RestClient, SECOND, Standalone, wait_until};

use super::record;

/// Kills of one test.
const KILLS: usize = 50;

/// Kills on PostgreSQL, where a dead scheduler is only known by its silence.
const POSTGRES_KILLS: usize = 5;

/// Runs that are kept going while the process is killed: enough to be always busy, and few enough
/// that two cores finish them.
const UNFINISHED_RUNS: usize = 5;

/// Every how many kills the next process is killed before it is ready.
const KILLS_PER_KILL_WHILE_STARTING: usize = 5;

/// Every shape once, and how its task instances must end. Bare names are not mapped.
const EXPECTED: &[(&str, &str, &str)] = &[
    ("interrupted", "success", "takes_long_at_first done"),
    (
        "chain",
        "success",
        "first plus_one plus_one__1 plus_one__2 plus_one__3 must_be",
    ),
    (
        "fan_out",
        "success",
        "start branch_0 branch_1 branch_2 branch_3 branch_4 end",
    ),
    (
        "mapped",
        "success",
        "numbers square[0] square[1] square[2] square[3] total",
    ),
    ("shell", "success", "sleep done"),
    ("retried", "success", "fails_once done"),
    ("branched", "success", "choose taken not_taken:skipped end"),
    (
        "failing",
        "failed",
        "fails:failed never_runs:upstream_failed",
    ),
];

/// Tasks that no child runs: they end in the scheduler and write nothing down.
const WITHOUT_CHILD: &[&str] = &[
    "start",
    "end",
    "done",
    "taken",
    "not_taken",
    "never_runs",
    "sleep",
];

#[test]
fn fifty_kills_lose_nothing_and_run_nothing_twice() {
    let mut survival = Survival::start(super::installation(&[]));
    survival.kill_and_restart(KILLS);
    survival.require_expected_ends();
}

#[test]
fn kills_lose_nothing_on_postgresql() {
    let Some(database) = super::postgres::database() else {
        return;
    };
    let updraft = super::installation(&[])
        .with("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", &database.url)
        // Silence is noticed within seconds, not half a minute.
        .with("AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC", "1")
        .with("AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD", "3")
        .with("AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL", "1");
    let mut survival = Survival::start(updraft);
    survival.kill_and_restart(POSTGRES_KILLS);
    survival.require_expected_ends();
}

/// An installation that is killed again and again, and what was seen of it.
struct Survival {
    updraft: Standalone,
    client: RestClient,
    random: Random,
    /// Every run that was ever acknowledged: Dag and run id.
    runs: Vec<(&'static str, String)>,
    /// Ended task instances and runs as the API showed them: what is shown once must stay.
    acknowledged: BTreeMap<String, String>,
}

impl Survival {
    fn start(mut updraft: Standalone) -> Self {
        updraft.home().write_dag(
            "recorder.py",
            include_str!("../../dags/survival/recorder.py"),
        );
        updraft.home().write_dag(
            "survival.py",
            include_str!("../../dags/survival/survival.py"),
        );
        std::fs::create_dir(updraft.home().path().join("record")).unwrap();
        let random = Random::from_environment();
        let client = updraft.start();
        for (dag_id, _, _) in EXPECTED {
            client.wait_for_dag(dag_id, 60 * SECOND);
        }
        let (runs, acknowledged) = (Vec::new(), BTreeMap::new());
        Self {
            updraft,
            client,
            random,
            runs,
            acknowledged,
        }
    }

    fn kill_and_restart(&mut self, kills: usize) {
        for kill in 1..=kills {
            self.keep_busy();
            let life = if kill % 2 == 0 {
                self.live_some_time()
            } else {
                self.live_until_busy()
            };
            self.note_what_is_acknowledged();
            self.updraft.kill();
            if kill % KILLS_PER_KILL_WHILE_STARTING == 0 {
                self.updraft.spawn();
                std::thread::sleep(self.random.duration(Duration::ZERO, SECOND / 2));
                self.updraft.kill();
            }
            self.client = self.updraft.start();
            self.note_what_is_acknowledged();
            record::require_one_try_at_a_time(self.home());
            println!(
                "kill {kill}: lived {life:?}; {} of {} runs unfinished; {} tries, {} interrupted",
                self.unfinished(),
                self.runs.len(),
                record::starts(self.home()),
                record::interrupted(self.home()),
            );
        }
        assert!(
            record::interrupted(self.home()) > 0,
            "no kill met a running task: nothing proved"
        );
    }

    /// Any moment after the start: of the Python runtime, of the first look for orphans.
    fn live_some_time(&mut self) -> Duration {
        let life = self.random.duration(Duration::from_millis(300), 3 * SECOND);
        std::thread::sleep(life);
        life
    }

    /// Any moment while tasks run.
    fn live_until_busy(&mut self) -> Duration {
        let began = Instant::now();
        let before = record::starts(self.home());
        wait_until("a task runs", 60 * SECOND, || {
            match record::starts(self.home()) - before {
                0 if self.unfinished() > 0 => Err(self.all_states()),
                _ => Ok(()),
            }
        });
        std::thread::sleep(self.random.duration(Duration::ZERO, SECOND / 2));
        began.elapsed()
    }

    /// Triggers runs until enough are unfinished. The first ones are one of each shape.
    fn keep_busy(&mut self) {
        for _ in self.unfinished()..UNFINISHED_RUNS {
            let (dag_id, _, _) = match EXPECTED.get(self.runs.len()) {
                Some(expected) => expected,
                None => self.random.choose(EXPECTED),
            };
            let run_id = self.client.trigger(dag_id);
            self.runs.push((dag_id, run_id));
        }
    }

    fn unfinished(&self) -> usize {
        let unfinished = "/api/v2/dags/~/dagRuns?state=queued&state=running";
        self.client.list(unfinished, "dag_runs").len()
    }

    /// Everything that has ended stays as it ended, and no run is forgotten.
    fn note_what_is_acknowledged(&mut self) {
        let mut seen = BTreeMap::new();
        for run in self.client.list("/api/v2/dags/~/dagRuns", "dag_runs") {
            let state = run["state"].as_str().unwrap().to_owned();
            seen.insert(format!("{} {}", run["dag_id"], run["dag_run_id"]), state);
        }
        let tis = "/api/v2/dags/~/dagRuns/~/taskInstances";
        for ti in self.client.list(tis, "task_instances") {
            let key = format!(
                "{} {} {} {}",
                ti["dag_id"], ti["dag_run_id"], ti["task_id"], ti["map_index"]
            );
            let state = ti["state"].as_str().unwrap_or("none");
            seen.insert(key, format!("{state} try {}", ti["try_number"]));
        }
        for (key, ended) in &self.acknowledged {
            assert_eq!(
                seen.get(key),
                Some(ended),
                "{key} had ended so, and changed later"
            );
        }
        let ended = ["success", "failed", "skipped", "upstream_failed"];
        seen.retain(|_, state| ended.iter().any(|ended| state.starts_with(ended)));
        // A failed try of a task with retries is never shown as failed.
        self.acknowledged = seen;
    }

    /// Every run ends by itself now, with every task instance in the state it must have.
    fn require_expected_ends(&mut self) {
        wait_until("no run is unfinished", 60 * SECOND, || {
            match self.unfinished() {
                0 => Ok(()),
                unfinished => Err((unfinished, self.all_states())),
            }
        });
        record::require_one_try_at_a_time(self.home());
        for (dag_id, run_id) in &self.runs {
            let (_, run_state, tasks) = EXPECTED
                .iter()
                .find(|(expected, _, _)| expected == dag_id)
                .unwrap();
            assert_eq!(
                &self.client.run_state(dag_id, run_id),
                run_state,
                "{dag_id} {run_id}"
            );
            let mut expected: Vec<_> = tasks.split_whitespace().map(expected_state).collect();
            expected.sort();
            let found = self.client.states(dag_id, run_id);
            let without_try: Vec<_> = found
                .iter()
                .map(|state| state.split(", try").next().unwrap())
                .collect();
            assert_eq!(without_try, expected, "{dag_id} {run_id}: {found:#?}");
            self.require_record_of(dag_id, run_id);
        }
    }

    /// What the API calls a success has really been done.
    fn require_record_of(&self, dag_id: &str, run_id: &str) {
        for ti in self.client.task_instances(dag_id, run_id) {
            let task_id = ti["task_id"].as_str().unwrap();
            let map_index = ti["map_index"].as_i64().unwrap();
            let is_done = WITHOUT_CHILD.contains(&task_id)
                || record::has_ended(self.home(), run_id, task_id, map_index);
            assert!(
                is_done,
                "{dag_id} {run_id} {task_id} {map_index}: no try came to its end"
            );
        }
    }

    fn all_states(&self) -> Vec<Vec<String>> {
        self.runs
            .iter()
            .map(|(dag_id, run_id)| self.client.states(dag_id, run_id))
            .collect()
    }

    fn home(&self) -> &Path {
        self.updraft.home().path()
    }
}

/// From `task`, `task[index]` or `task:state` to `task[index]: state`.
fn expected_state(task: &str) -> String {
    let (task, state) = task.split_once(':').unwrap_or((task, "success"));
    let index = if task.ends_with(']') { "" } else { "[-1]" };
    format!("{task}{index}: {state}")
}
