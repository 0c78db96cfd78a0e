//! Starts an engine, runs every planned Dag on it and reads the outcomes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use ureq::http::Method;

use super::outcome::{self, DagOutcome, Outcomes, RunOutcome};
use super::plan::Plan;
use crate::engine::{Engine, EngineKind, Launch, fresh_home};
use crate::rest::{RestClient, segment};
use crate::updraft::Profile;
use crate::workspace;

/// Dags that run at once: enough to keep two cores busy, few enough that short timeouts in the
/// Dags still mean what they say.
const ACTIVE_MAX: usize = 4;
/// A run that takes longer counts as stuck; its state is compared as it is.
const RUN_MAX: Duration = Duration::from_secs(240);
/// All Dag files must have been read by then.
const LOAD_MAX: Duration = Duration::from_secs(300);
/// The list of Dags counts as complete when it has not grown for so long …
const LOAD_QUIET: Duration = Duration::from_secs(25);
/// … or, when all expected Dags are there, for so long: there may still be one too many.
const LOAD_QUIET_WHEN_COMPLETE: Duration = Duration::from_secs(3);
/// Callbacks run after the run has ended, in another process; this is how long we wait for
/// another line of theirs.
const CALLBACKS_QUIET: Duration = Duration::from_secs(8);
const POLL: Duration = Duration::from_millis(250);

/// What a session is to run.
pub(super) struct Selection<'a> {
    pub(super) plan: &'a Plan,
    /// Only these Dags; empty for all.
    pub(super) only: &'a [String],
    /// The Dags that are known to exist; empty when nothing is known.
    pub(super) expected: BTreeSet<String>,
}

/// Runs the selected Dags and returns what became of them.
pub(super) fn run(kind: EngineKind, selection: &Selection<'_>) -> Result<Outcomes> {
    let Selection {
        plan,
        only,
        expected,
    } = selection;
    kind.prepare(Profile::Dev)?;
    let name = kind.name().to_lowercase();
    let home = fresh_home(&workspace::cache("conformance")?, &name)?;
    copy_folder(
        &workspace::root().join("conformance/dags"),
        &home.join("dags"),
    )?;
    let parallelism = ("AIRFLOW__CORE__PARALLELISM".to_owned(), "8".to_owned());
    let engine = kind.start(&Launch {
        home,
        with_examples: true,
        profile: Profile::Dev,
        settings: vec![parallelism],
    })?;
    println!(
        "{} is ready after {:.1} s",
        kind.name(),
        engine.ready_after.as_secs_f64()
    );

    prepare(&engine.rest, plan)?;
    let loaded = wait_for_dags(&engine.rest, expected)?;
    println!("{} has loaded {} Dags", kind.name(), loaded.len());
    let mut outcomes = Outcomes {
        import_errors: import_errors(&engine.rest)?,
        ..Outcomes::default()
    };
    let is_wanted = |dag_id: &String| {
        !plan.excluded.contains_key(dag_id) && (only.is_empty() || only.contains(dag_id))
    };
    let wanted = loaded
        .keys()
        .filter(|dag_id| is_wanted(dag_id))
        .cloned()
        .collect();
    outcomes.dags = Session {
        engine: &engine,
        plan,
        loaded,
    }
    .run_all(wanted)?;
    Ok(outcomes)
}

/// Creates the pools and variables the Dags ask for.
pub(super) fn prepare(rest: &RestClient, plan: &Plan) -> Result<()> {
    for (name, slots) in &plan.pools {
        rest.post(
            "/api/v2/pools",
            &json!({ "name": name, "slots": slots, "include_deferred": false }),
        )?;
    }
    for (key, value) in &plan.variables {
        rest.post("/api/v2/variables", &json!({ "key": key, "value": value }))?;
    }
    Ok(())
}

/// Waits until no new Dag has turned up for a while; returns the rows of the Dag list by Dag id.
fn wait_for_dags(
    rest: &RestClient,
    expected: &BTreeSet<String>,
) -> Result<BTreeMap<String, Value>> {
    let started = Instant::now();
    let (mut known, mut last_change) = (0, Instant::now());
    while started.elapsed() < LOAD_MAX {
        let mut loaded = BTreeMap::new();
        for dag in rest.list("/api/v2/dags", "dags")? {
            let dag_id = dag["dag_id"].as_str().context("a Dag without `dag_id`")?;
            loaded.insert(dag_id.to_owned(), dag);
        }
        if loaded.len() != known {
            (known, last_change) = (loaded.len(), Instant::now());
        }
        let is_complete =
            !expected.is_empty() && expected.iter().all(|dag_id| loaded.contains_key(dag_id));
        let quiet = if is_complete {
            LOAD_QUIET_WHEN_COMPLETE
        } else {
            LOAD_QUIET
        };
        if known > 0 && last_change.elapsed() > quiet {
            return Ok(loaded);
        }
        std::thread::sleep(POLL);
    }
    bail!("the list of Dags still changes after {LOAD_MAX:?}; {known} are loaded");
}

fn import_errors(rest: &RestClient) -> Result<BTreeSet<String>> {
    let errors = rest.list("/api/v2/importErrors", "import_errors")?;
    let name = |error: &Value| error["filename"].as_str().map(relative_to_bundle);
    errors
        .iter()
        .map(|error| name(error).context("an import error without `filename`"))
        .collect()
}

/// Engines differ in whether they report a path within the bundle or an absolute one.
fn relative_to_bundle(path: &str) -> String {
    let cut = ["/example_dags/", "/dags/"]
        .iter()
        .find_map(|folder| path.rsplit_once(folder));
    cut.map_or(path, |(_, relative)| relative).to_owned()
}

/// A Dag whose runs were asked for.
struct Active {
    dag_id: String,
    since: Instant,
    accepted: Vec<String>,
    refused: Vec<RunOutcome>,
}

struct Session<'a> {
    engine: &'a Engine,
    plan: &'a Plan,
    /// What the Dag list said of each Dag before anything ran.
    loaded: BTreeMap<String, Value>,
}

impl Session<'_> {
    fn run_all(&self, dag_ids: BTreeSet<String>) -> Result<BTreeMap<String, DagOutcome>> {
        let total = dag_ids.len();
        let mut waiting: VecDeque<String> = dag_ids.iter().cloned().collect();
        let mut active: Vec<Active> = Vec::new();
        let mut outcomes: BTreeMap<String, DagOutcome> = BTreeMap::new();
        while outcomes.len() < total {
            let is_due = |dag_id: &String| {
                let before = self.plan.after.get(dag_id).into_iter().flatten();
                before
                    .filter(|other| dag_ids.contains(*other))
                    .all(|other| outcomes.contains_key(other))
            };
            while active.len() < ACTIVE_MAX
                && let Some(next) = waiting.iter().position(is_due)
                && let Some(dag_id) = waiting.remove(next)
            {
                active.push(self.trigger(dag_id)?);
            }
            if active.is_empty() {
                bail!("the plan's `after` goes round in circles: {waiting:?}");
            }
            let mut still_active = Vec::new();
            for dag in active {
                self.answer_questions(&dag)?;
                if dag.since.elapsed() < RUN_MAX && !self.has_ended(&dag)? {
                    still_active.push(dag);
                    continue;
                }
                let seconds = dag.since.elapsed().as_secs_f64();
                let outcome = self.finish(dag)?;
                let states: Vec<&str> = outcome.runs.iter().map(|run| run.state.as_str()).collect();
                let place = outcomes.len() + 1;
                println!(
                    "[{place:3}/{total}] {}: {} after {seconds:.1} s",
                    outcome.dag_id,
                    states.join(", ")
                );
                outcomes.insert(outcome.dag_id.clone(), outcome);
            }
            active = still_active;
            std::thread::sleep(POLL);
        }
        Ok(outcomes)
    }

    /// Unpauses the Dag and asks for its runs. That an engine refuses one is an outcome, too.
    fn trigger(&self, dag_id: String) -> Result<Active> {
        self.pause(&dag_id, false)?;
        let path = format!("/api/v2/dags/{}/dagRuns", segment(&dag_id));
        let (mut accepted, mut refused) = (Vec::new(), Vec::new());
        for run in self.plan.runs_of(&dag_id) {
            let body = json!({
                "dag_run_id": run.run_id,
                "logical_date": run.logical_date,
                "run_after": run.logical_date,
                "conf": run.conf,
            });
            let answer = self.engine.rest.send(Method::POST, &path, Some(&body))?;
            if answer.status == 200 {
                accepted.push(run.run_id);
            } else {
                refused.push(RunOutcome::refused(run.run_id, answer.status));
            }
        }
        Ok(Active {
            dag_id,
            since: Instant::now(),
            accepted,
            refused,
        })
    }

    fn pause(&self, dag_id: &str, paused: bool) -> Result<()> {
        let path = format!("/api/v2/dags/{}", segment(dag_id));
        self.engine
            .rest
            .patch(&path, &json!({ "is_paused": paused }))
            .map(drop)
    }

    fn has_ended(&self, dag: &Active) -> Result<bool> {
        for run_id in &dag.accepted {
            let path = format!(
                "/api/v2/dags/{}/dagRuns/{}",
                segment(&dag.dag_id),
                segment(run_id)
            );
            let state = self.engine.rest.get(&path)?["state"].take();
            if state != "success" && state != "failed" {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Plays the human: answers what tasks that wait have asked, as the plan says.
    fn answer_questions(&self, dag: &Active) -> Result<()> {
        let Some(answers) = self.plan.answers.get(&dag.dag_id) else {
            return Ok(());
        };
        for run_id in &dag.accepted {
            let run = format!(
                "/api/v2/dags/{}/dagRuns/{}",
                segment(&dag.dag_id),
                segment(run_id)
            );
            let open = "hitlDetails?response_received=false&state=awaiting_input";
            for detail in self
                .engine
                .rest
                .list(&format!("{run}/{open}"), "hitl_details")?
            {
                let ti = &detail["task_instance"];
                let (task_id, map_index) = (ti["task_id"].as_str(), &ti["map_index"]);
                let task_id = task_id.context("a task instance without `task_id`")?;
                // Without an answer in the plan the task waits for its timeout.
                if let Some(answer) = answers.get(task_id) {
                    let place = format!(
                        "{run}/taskInstances/{}/{map_index}/hitlDetails",
                        segment(task_id)
                    );
                    self.engine
                        .rest
                        .patch(&place, &serde_json::to_value(answer)?)?;
                }
            }
        }
        Ok(())
    }

    fn finish(&self, dag: Active) -> Result<DagOutcome> {
        let callbacks = self.read_callbacks(&dag.dag_id);
        let mut runs = dag.refused;
        for run_id in &dag.accepted {
            runs.push(outcome::read_run(
                self.engine,
                self.plan,
                &dag.dag_id,
                run_id,
            )?);
        }
        // A schedule would go on making runs; without one the Dag stays ready for those that
        // other Dags trigger.
        let listed = &self.loaded[&dag.dag_id];
        if listed["timetable_summary"].is_string() {
            self.pause(&dag.dag_id, true)?;
        }
        Ok(DagOutcome {
            listed: outcome::listed(listed),
            dag_id: dag.dag_id,
            runs,
            callbacks,
        })
    }

    /// Waits for the Dag's callbacks and reads what they wrote.
    fn read_callbacks(&self, dag_id: &str) -> Vec<String> {
        if !self.plan.callbacks.contains(dag_id) {
            return Vec::new();
        }
        let path = self.engine.home.join(format!("callbacks/{dag_id}.txt"));
        let read = || fs::read_to_string(&path).unwrap_or_default();
        let (mut text, mut last_change) = (read(), Instant::now());
        while last_change.elapsed() < CALLBACKS_QUIET {
            std::thread::sleep(POLL);
            let now = read();
            if now != text {
                (text, last_change) = (now, Instant::now());
            }
        }
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }
}

pub(crate) fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    let named = || format!("failed to copy `{}`", from.display());
    fs::create_dir_all(to).with_context(named)?;
    for entry in fs::read_dir(from).with_context(named)? {
        let entry = entry.with_context(named)?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target).with_context(named)?;
        }
    }
    Ok(())
}
