//! Plays scenarios on an engine, many at a time, and notes what becomes of them.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use ureq::http::Method;

use super::observe::{self, Lines, Standing};
use super::scenario::{Act, Scenario};
use super::stories::Rest;
use crate::conformance::copy_folder;
use crate::conformance::plan::Plan;
use crate::engine::{Engine, EngineKind, Launch, fresh_home};
use crate::rest::segment;
use crate::updraft::Profile;
use crate::workspace;

/// Scenarios that are played at once. They have no deadlines that a busy machine could break.
const ACTIVE_MAX: usize = 16;
/// Scenarios that take longer are named: they may be stuck.
const SLOW: Duration = Duration::from_secs(90);
/// How often an engine is asked that does not answer.
const ASKS_MAX: usize = 4;
/// All Dag files must have been read by then.
const LOAD_MAX: Duration = Duration::from_secs(600);

/// How an engine is asked for news: real Airflow is slow to answer, and then slow to work.
struct Pace {
    poll: Duration,
    /// Callbacks come from another process; so long after the last line there are no more.
    callbacks_quiet: Duration,
    /// So long after all runs have ended no other run comes.
    settled: Duration,
    /// So long after the last change, runs that have not ended never will.
    blocked: Duration,
    /// After so long a scenario that is not at rest counts as stuck and is read as it is.
    stuck: Duration,
    /// So many seconds do triggers wait. After less, real Airflow now and then takes the end of
    /// what deferred a task for a failure of what goes on.
    pulse: &'static str,
}

impl Pace {
    fn of(kind: EngineKind) -> Self {
        let [poll, callbacks_quiet, settled, blocked, stuck] = match kind {
            EngineKind::Updraft => [100, 2_000, 1_500, 4_000, 120_000],
            EngineKind::Airflow => [3_000, 8_000, 12_000, 25_000, 900_000],
        }
        .map(Duration::from_millis);
        let pulse = match kind {
            EngineKind::Updraft => "0.1",
            EngineKind::Airflow => "4",
        };
        Self {
            poll,
            callbacks_quiet,
            settled,
            blocked,
            stuck,
            pulse,
        }
    }
}

/// Plays the scenarios and returns what was seen, by seed.
pub(super) fn play(
    kind: EngineKind,
    plan: &Plan,
    scenarios: &[Scenario],
) -> Result<BTreeMap<u64, Lines>> {
    kind.prepare(Profile::Dev)?;
    let name = format!("random-{}", kind.name().to_lowercase());
    let home = fresh_home(&workspace::cache("conformance")?, &name)?;
    for scenario in scenarios {
        let path = home
            .join("dags")
            .join(format!("{}.py", scenario.dag_ids[0]));
        fs::write(&path, &scenario.text)
            .with_context(|| format!("failed to write `{}`", path.display()))?;
    }
    copy_folder(
        &workspace::root().join("conformance/plugins"),
        &home.join("plugins"),
    )?;
    let settings = [
        ("AIRFLOW__CORE__PARALLELISM", "12"),
        // Hundreds of files that never change would keep a core busy.
        ("AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL", "3600"),
        (
            "AIRFLOW__DAG_PROCESSOR__FILE_PARSING_SORT_MODE",
            "alphabetical",
        ),
        ("AIRFLOW__SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL", "3"),
        // So soon does a supervisor of real Airflow notice that its task has ended.
        ("AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL", "1"),
        ("CONFORMANCE_PULSE_SECONDS", Pace::of(kind).pulse),
    ];
    let engine = kind.start(&Launch {
        home,
        with_examples: false,
        profile: Profile::Dev,
        settings: settings
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .to_vec(),
    })?;
    crate::conformance::session::prepare(&engine.rest, plan)?;
    let player = Player {
        engine: &engine,
        plan,
        pace: Pace::of(kind),
        started: Instant::now(),
    };
    player.play_all(scenarios)
}

struct Player<'a> {
    engine: &'a Engine,
    plan: &'a Plan,
    pace: Pace,
    started: Instant,
}

impl Player<'_> {
    fn play_all(&self, scenarios: &[Scenario]) -> Result<BTreeMap<u64, Lines>> {
        let next = AtomicUsize::new(0);
        let seen = Mutex::new(BTreeMap::new());
        let work = || -> Result<()> {
            loop {
                let place = next.fetch_add(1, Ordering::Relaxed);
                let Some(scenario) = scenarios.get(place) else {
                    return Ok(());
                };
                let since = Instant::now();
                let lines = self
                    .play_one(scenario)
                    .with_context(|| format!("failed to play seed {}", scenario.seed))?;
                let mut seen = seen.lock().expect("no player panics with the lock");
                seen.insert(scenario.seed, lines);
                if since.elapsed() > SLOW {
                    println!(
                        "{}: seed {} took {:.0} s",
                        self.engine.kind.name(),
                        scenario.seed,
                        since.elapsed().as_secs_f64()
                    );
                }
                if seen.len().is_multiple_of(25) || seen.len() == scenarios.len() {
                    println!(
                        "{}: {} of {} random Dags after {:.0} s",
                        self.engine.kind.name(),
                        seen.len(),
                        scenarios.len(),
                        self.started.elapsed().as_secs_f64()
                    );
                }
            }
        };
        std::thread::scope(|scope| {
            let players: Vec<_> = (0..ACTIVE_MAX).map(|_| scope.spawn(work)).collect();
            for player in players {
                player.join().expect("a player returns its errors")?;
            }
            anyhow::Ok(())
        })?;
        Ok(seen.into_inner().expect("no player panics with the lock"))
    }

    fn play_one(&self, scenario: &Scenario) -> Result<Lines> {
        let rest = &self.engine.rest;
        for dag_id in &scenario.dag_ids {
            if let Some(error) = self.wait_until_loaded(dag_id)? {
                return Ok(Lines::from([("1 is imported".to_owned(), error)]));
            }
            let path = format!("/api/v2/dags/{}", segment(dag_id));
            let body = serde_json::json!({ "is_paused": false });
            patiently(|| rest.patch(&path, &body))?;
        }
        let mut lines = Lines::new();
        for (index, phase) in scenario.phases.iter().enumerate() {
            let number = index + 1;
            for act in &phase.acts {
                let status = self.act(act)?;
                if status != 200 {
                    lines.insert(format!("{number} {}", act.says), format!("status {status}"));
                }
            }
            if !self.wait_for_rest(scenario, phase.rest)? {
                lines.insert(format!("{number} comes to rest"), "no".to_owned());
            }
            let read = || observe::read(self.engine, self.plan, scenario, number);
            lines.extend(patiently(read)?);
        }
        if scenario.text.contains("note(\"") {
            self.wait_for_callbacks(scenario);
            observe::read_callbacks(self.engine, scenario, &mut lines);
        }
        Ok(lines)
    }

    /// Returns the reason if the Dag file cannot be imported.
    fn wait_until_loaded(&self, dag_id: &str) -> Result<Option<String>> {
        let path = format!("/api/v2/dags/{}", segment(dag_id));
        while self.started.elapsed() < LOAD_MAX {
            let answer = patiently(|| self.engine.rest.send(Method::GET, &path, None))?;
            if answer.status == 200 {
                return Ok(None);
            }
            if let Some(error) = patiently(|| self.import_error(dag_id))? {
                return Ok(Some(error));
            }
            std::thread::sleep(self.pace.poll);
        }
        bail!("`{dag_id}` is not loaded after {LOAD_MAX:?}");
    }

    fn import_error(&self, dag_id: &str) -> Result<Option<String>> {
        let pattern = segment(&format!("%{dag_id}%"));
        let path = format!("/api/v2/importErrors?filename_pattern={pattern}");
        let errors = self.engine.rest.list(&path, "import_errors")?;
        let own = errors.iter().find(|error| {
            let name = error["filename"].as_str();
            name.is_some_and(|name| name.contains(dag_id))
        });
        Ok(own.map(|error| {
            let trace = error["stack_trace"].as_str().unwrap_or_default();
            trace.lines().next_back().unwrap_or_default().to_owned()
        }))
    }

    fn act(&self, act: &Act) -> Result<u16> {
        let answer = self
            .engine
            .rest
            .send(act.method.clone(), &act.path, Some(&act.body))?;
        Ok(answer.status)
    }

    /// Waits until the phase is over; `false` if that never comes.
    fn wait_for_rest(&self, scenario: &Scenario, rest: Rest) -> Result<bool> {
        let since = Instant::now();
        let (mut last, mut last_change) = (Standing::default(), Instant::now());
        loop {
            let now = patiently(|| observe::standing(&self.engine.rest, scenario))?;
            if now.seen != last.seen {
                last_change = Instant::now();
            }
            last = now;
            let quiet = last_change.elapsed();
            let is_at_rest = match rest {
                Rest::Ended => last.has_ended,
                Rest::Settled if last.has_ended => quiet > self.pace.settled,
                Rest::Settled => !last.is_busy && quiet > self.pace.blocked,
            };
            if is_at_rest || since.elapsed() > self.pace.stuck {
                return Ok(is_at_rest);
            }
            std::thread::sleep(self.pace.poll);
        }
    }

    fn wait_for_callbacks(&self, scenario: &Scenario) {
        let read = || observe::callbacks_of(self.engine, scenario);
        let (mut text, mut last_change) = (read(), Instant::now());
        while last_change.elapsed() < self.pace.callbacks_quiet {
            std::thread::sleep(self.pace.poll);
            let now = read();
            if now != text {
                (text, last_change) = (now, Instant::now());
            }
        }
    }
}

/// Asks again when a busy engine did not answer in time. Only for what may be asked twice.
fn patiently<T>(ask: impl Fn() -> Result<T>) -> Result<T> {
    let mut left = ASKS_MAX;
    loop {
        left -= 1;
        match ask() {
            Err(_) if left > 0 => {}
            answer => return answer,
        }
    }
}
