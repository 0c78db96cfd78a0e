//! The judge: looks at every commit, knows which child really runs, and says what must not be.
//!
//! [`rules`] judges the change of one row, [`deferral`] those around a trigger, [`limits`] counts what
//! is limited, [`ending`] looks at what is left at the end.

mod backfill;
mod deferral;
mod ending;
mod limits;
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use updraft_executor::Workload;
use updraft_model::backfill::Backfill;
use updraft_model::dag_run::DagRun;
use updraft_model::filter::Page;
use updraft_model::serialized::TaskLimits;
use updraft_model::task_instance::TaskInstance;
use updraft_model::{DagRunState, TaskInstanceId, TaskInstanceState};
use updraft_store::listing::DagRunFilter;
use updraft_store::{Change, Reader, RunKey, Store};

use crate::actor::Cause;
use crate::child::{Child, ChildId};
use crate::client::Action;
use crate::dags::{DagModel, Ending};
use crate::faults::FaultKind;
use deferral::Deferrals;

/// Runs of a world that are looked at.
const RUNS_MAX: i64 = 100_000;

/// A task and its map index, within a run.
type InstanceKey = (String, i32);

/// What a run looked like after the last commit that touched it.
#[derive(Clone, Debug)]
struct Snapshot {
    run: DagRun,
    instances: BTreeMap<InstanceKey, TaskInstance>,
}

/// What is known of one task instance beside its row.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    /// Attempts that ended by themselves, with what they reported.
    ended: usize,
    /// Times that a queued try was used up: it ran, or could not be started.
    used: i32,
    /// How often it could not be started: as in Airflow, no history tells of these.
    unstarted: i32,
    /// How often it began to wait for a trigger.
    deferred: usize,
    /// How often a child went on after that.
    resumed: usize,
}

pub(crate) struct Oracle {
    inspector: Store,
    faults: BTreeSet<FaultKind>,
    limits: BTreeMap<String, BTreeMap<String, TaskLimits>>,
    runs: BTreeMap<RunKey, Snapshot>,
    accounts: BTreeMap<(RunKey, InstanceKey), Account>,
    /// Which task instance a try is, or was, one of.
    tries: BTreeMap<TaskInstanceId, (RunKey, InstanceKey)>,
    /// What a try has reported to its worker.
    reported: BTreeMap<TaskInstanceId, Ending>,
    acknowledged: BTreeSet<RunKey>,
    deferrals: Deferrals,
    /// By their number.
    backfills: BTreeMap<i64, Backfill>,
    is_calm: bool,
    last_move: Duration,
    violation: Option<String>,
}

/// What moved, for the log: who, its sign in the grid, and a text.
pub(crate) type Moved = (String, char, String);

impl Oracle {
    pub(crate) fn new(inspector: Store, dags: &[DagModel], faults: BTreeSet<FaultKind>) -> Self {
        let limits_of = |dag: &DagModel| {
            let tasks = dag.versions[0].tasks.iter();
            tasks.map(|(id, task)| (id.clone(), task.limits)).collect()
        };
        Self {
            limits: dags
                .iter()
                .map(|dag| (dag.id.clone(), limits_of(dag)))
                .collect(),
            inspector,
            faults,
            runs: BTreeMap::new(),
            accounts: BTreeMap::new(),
            tries: BTreeMap::new(),
            reported: BTreeMap::new(),
            acknowledged: BTreeSet::new(),
            deferrals: Deferrals::default(),
            backfills: BTreeMap::new(),
            is_calm: false,
            last_move: Duration::ZERO,
            violation: None,
        }
    }

    /// The first thing that must not be, if there was one.
    pub(crate) fn violation(&self) -> Option<String> {
        self.violation.clone()
    }

    fn violated(&mut self, text: impl FnOnce() -> String) {
        if self.violation.is_none() {
            self.violation = Some(text());
        }
    }

    /// Judges what a transaction changed.
    pub(crate) async fn on_commit(
        &mut self,
        cause: &Cause,
        changes: &[Change],
        elapsed: Duration,
        children: &mut BTreeMap<ChildId, Child>,
    ) -> Vec<Moved> {
        let mut keys = BTreeSet::new();
        for change in changes {
            match change {
                Change::DagRun { dag_id, run_id } => {
                    keys.insert(RunKey {
                        dag_id: dag_id.clone(),
                        run_id: run_id.clone(),
                    });
                }
                Change::Everything => keys.extend(self.runs.keys().cloned()),
                _ => {}
            }
        }
        // What somebody does that nobody else has to follow is not hinted at: that a try runs, or
        // that a scheduler queued something.
        match cause {
            Cause::Worker(id) => keys.extend(self.tries.get(id).map(|(key, _)| key.clone())),
            Cause::Scheduler => keys.extend(self.unfinished_runs()),
            // Of the rows of triggers no hint tells.
            Cause::Triggerer => keys.extend(self.runs_with_deferred()),
            Cause::Client(_) | Cause::DagProcessor => {}
        }
        let mut moved = Vec::new();
        let mut queued = Vec::new();
        for key in keys {
            let mut reader = self.inspector.read().await.expect("the inspector reads");
            let now = load(&mut reader, &key).await;
            if let Some(now) = &now {
                self.check_triggers(&mut reader, now).await;
            }
            drop(reader);
            let before = self.runs.get(&key).cloned();
            self.compare(
                cause,
                &key,
                before.as_ref(),
                now.as_ref(),
                children,
                &mut moved,
            );
            queued.extend(newly_queued(before.as_ref(), now.as_ref()));
            let has_started = before.is_some_and(|b| b.run.state == DagRunState::Queued)
                && now
                    .as_ref()
                    .is_some_and(|n| n.run.state == DagRunState::Running);
            match now {
                Some(now) => self.runs.insert(key.clone(), now),
                None => self.runs.remove(&key),
            };
            if has_started && matches!(cause, Cause::Scheduler) {
                self.check_active_runs(&key).await;
                self.check_backfill_of(&key).await;
            }
        }
        if !queued.is_empty() {
            self.check_limits(&queued, children).await;
        }
        if !moved.is_empty() {
            self.last_move = elapsed;
        }
        moved
    }

    fn compare(
        &mut self,
        cause: &Cause,
        key: &RunKey,
        before: Option<&Snapshot>,
        now: Option<&Snapshot>,
        children: &mut BTreeMap<ChildId, Child>,
        moved: &mut Vec<Moved>,
    ) {
        let name = format!("{}/{}", key.dag_id, key.run_id);
        let (was, is) = (before.map(|b| b.run.state), now.map(|n| n.run.state));
        if was != is {
            let text = format!("{name}: {} -> {} ({})", shown(was), shown(is), short(cause));
            moved.push((name.clone(), '=', text));
            let is_refilled = now.is_some_and(is_filled_again);
            self.judge_run(cause, &name, was, is, is_refilled);
        }
        let nothing = BTreeMap::new();
        let old = before.map_or(&nothing, |before| &before.instances);
        let new = now.map_or(&nothing, |now| &now.instances);
        let all: BTreeSet<&InstanceKey> = old.keys().chain(new.keys()).collect();
        for instance in all {
            let (old, new) = (old.get(instance), new.get(instance));
            if old.map(facts) == new.map(facts) {
                continue;
            }
            let who = match instance.1 {
                -1 => format!("{name}/{}", instance.0),
                index => format!("{name}/{}[{index}]", instance.0),
            };
            let text = format!(
                "{who}: {} -> {} ({})",
                in_words(old),
                in_words(new),
                short(cause)
            );
            let sign = new.map_or('-', |new| sign_of(new.state));
            moved.push((who.clone(), sign, text));
            self.account(cause, key, instance, old, new);
            if let Some(problem) = self.judge(cause, old, new, now) {
                let from_to = format!("{} -> {}", in_words(old), in_words(new));
                self.violated(|| format!("{who}: {from_to}, by {cause:?}: {problem}"));
            }
            self.release_children(cause, &who, old, new, children);
        }
    }

    /// Keeps the books about attempts.
    fn account(
        &mut self,
        cause: &Cause,
        key: &RunKey,
        instance: &InstanceKey,
        old: Option<&TaskInstance>,
        new: Option<&TaskInstance>,
    ) {
        use TaskInstanceState as S;
        if let Some(new) = new {
            let place = (key.clone(), instance.clone());
            self.tries.insert(new.id, place);
        }
        let (Some(old), Some(new)) = (old, new) else {
            return;
        };
        let account = self
            .accounts
            .entry((key.clone(), instance.clone()))
            .or_default();
        let was_used = old.state == S::Queued
            // What goes on after a deferral does so in the same try.
            && old.next_method.is_none()
            && matches!(
                new.state,
                S::Running | S::UpForRetry | S::Failed | S::Restarting
            );
        account.used += i32::from(was_used);
        let is_unstarted = old.state == S::Queued && new.state == S::UpForRetry;
        account.unstarted += i32::from(is_unstarted);
        if old.state == S::Running && matches!(cause, Cause::Worker(_)) {
            let has_ended = match self.reported.get(&old.id) {
                Some(Ending::Success) => new.state == S::Success,
                Some(Ending::Failure) => matches!(new.state, S::UpForRetry | S::Failed),
                Some(Ending::FailureForGood) => new.state == S::Failed,
                Some(Ending::Skip) => new.state == S::Skipped,
                Some(Ending::Reschedule(_)) => new.state == S::UpForReschedule,
                Some(Ending::Defer(_)) => new.state == S::Deferred,
                None => false,
            };
            account.ended += usize::from(has_ended);
            account.deferred += usize::from(new.state == S::Deferred);
        }
    }

    /// Attempts of a task instance that ended with what they reported.
    pub(crate) fn ended_by_themselves(&self, workload: &Workload) -> usize {
        let account = self.accounts.get(&place_of(workload));
        account.map_or(0, |account| account.ended)
    }

    /// A child told its worker how it ended.
    pub(crate) fn on_reported(&mut self, ti_id: TaskInstanceId, ending: Ending) {
        self.reported.insert(ti_id, ending);
    }

    /// User code begins in a child.
    pub(crate) fn on_child_started(&mut self, id: ChildId, children: &BTreeMap<ChildId, Child>) {
        let child = &children[&id];
        let workload = &child.workload;
        let place = place_of(workload);
        let is_same = |other: &Child| place_of(&other.workload) == place;
        let twin = children.iter().find(|(other_id, other)| {
            **other_id != id
                && other.is_alive
                && other.has_started
                && is_same(other)
                // Its report is stored, and it is about to exit.
                && !other.is_released
        });
        if let Some((twin, other)) = twin {
            let text = format!(
                "{place:?} runs twice at once: as {} on host{} and as {} on host{}",
                id.0, child.host, twin.0, other.host
            );
            self.violated(|| text);
        }
        let used = self.accounts.get(&place).map_or(0, |account| account.used);
        let is_undisturbed = self.is_undisturbed();
        let try_number = workload.try_number;
        if is_undisturbed && try_number > used {
            self.violated(|| {
                format!("{place:?} is in try {try_number} although it was started {used} times")
            });
        }
    }

    /// Nobody clears anything, and no Dag changes.
    fn is_undisturbed(&self) -> bool {
        let disturbing = [FaultKind::Clients, FaultKind::NewVersions];
        !disturbing.iter().any(|kind| self.faults.contains(kind))
    }

    /// A request was answered.
    pub(crate) fn on_answered(&mut self, action: &Action, status: u16, detail: &str) {
        match (action, status) {
            (Action::Trigger(key), 200) => {
                self.acknowledged.insert(key.clone());
                if !self.runs.contains_key(key) {
                    self.violated(|| format!("an acknowledged trigger left no run: {key:?}"));
                }
            }
            (Action::DeleteRun(key), _) => {
                self.acknowledged.remove(key);
            }
            (Action::Nonsense(_), 200..300) => {
                self.violated(|| format!("nonsense was answered {status}: {detail}"));
            }
            _ => {}
        }
    }

    /// Whatever is committed must have been hinted at.
    pub(crate) async fn check_all_runs(&mut self) {
        let mut reader = self.inspector.read().await.expect("the inspector reads");
        let keys = all_runs(&mut reader).await;
        let known: Vec<RunKey> = self.runs.keys().cloned().collect();
        for key in keys.iter().chain(&known) {
            let now = load(&mut reader, key).await;
            let then = self.runs.get(key);
            if now.as_ref().map(essence) != then.map(essence) {
                let (now, then) = (now.as_ref().map(essence), then.map(essence));
                let text = format!("{key:?} changed without a hint: {then:?} -> {now:?}");
                self.violated(|| text);
                return;
            }
        }
    }

    fn unfinished_runs(&self) -> impl Iterator<Item = RunKey> {
        let runs = self.runs.iter();
        runs.filter(|(_, each)| !each.run.state.is_finished())
            .map(|(key, _)| key.clone())
    }

    /// The runs there are.
    pub(crate) fn runs(&self) -> Vec<RunKey> {
        self.runs.keys().cloned().collect()
    }

    pub(crate) fn instances_of(&self, key: &RunKey) -> Vec<InstanceKey> {
        let snapshot = self.runs.get(key);
        snapshot.map_or_else(Vec::new, |run| run.instances.keys().cloned().collect())
    }
}

async fn load(reader: &mut Reader, key: &RunKey) -> Option<Snapshot> {
    let RunKey { dag_id, run_id } = key;
    let run = reader.find_dag_run(dag_id, run_id).await;
    let run = run.expect("the inspector reads")?;
    let rows = reader.load_task_instances_of_run(dag_id, run_id).await;
    let instances = rows
        .expect("the inspector reads")
        .into_iter()
        .map(|ti| ((ti.task_id.to_string(), ti.map_index.0), ti))
        .collect();
    Some(Snapshot { run, instances })
}

/// A backfill does it once more: that is a clear.
fn is_filled_again(run: &Snapshot) -> bool {
    run.run.backfill_id.is_some() && run.run.state == DagRunState::Queued
}

async fn all_runs(reader: &mut Reader) -> Vec<RunKey> {
    let page = Page {
        limit: RUNS_MAX,
        offset: 0,
        order_by: Vec::new(),
    };
    let filter = DagRunFilter::default();
    let listed = reader
        .list_dag_runs(&filter, &page, jiff::Timestamp::UNIX_EPOCH)
        .await
        .expect("the inspector reads");
    listed
        .rows
        .into_iter()
        .map(|run| RunKey {
            dag_id: run.dag_id,
            run_id: run.run_id,
        })
        .collect()
}

/// Rows that moved into `queued`.
fn newly_queued(before: Option<&Snapshot>, now: Option<&Snapshot>) -> Vec<TaskInstance> {
    let Some(now) = now else { return Vec::new() };
    let was_queued = |key: &InstanceKey, id| {
        before
            .and_then(|before| before.instances.get(key))
            .is_some_and(|old| old.state == TaskInstanceState::Queued && old.id == id)
    };
    now.instances
        .iter()
        .filter(|(key, ti)| ti.state == TaskInstanceState::Queued && !was_queued(key, ti.id))
        .map(|(_, ti)| ti.clone())
        .collect()
}

fn place_of(workload: &Workload) -> (RunKey, InstanceKey) {
    let key = RunKey {
        dag_id: workload.dag_id.clone(),
        run_id: workload.run_id.clone(),
    };
    (key, (workload.task_id.to_string(), workload.map_index.0))
}

/// What of a row matters here.
fn facts(ti: &TaskInstance) -> (TaskInstanceId, TaskInstanceState, i32, i32) {
    (ti.id, ti.state, ti.try_number, ti.max_tries)
}

fn essence(snapshot: &Snapshot) -> String {
    let rows = snapshot
        .instances
        .iter()
        .map(|(key, ti)| format!("{}[{}] {}", key.0, key.1, in_words(Some(ti))));
    format!(
        "{}: {}",
        snapshot.run.state,
        rows.collect::<Vec<_>>().join(", ")
    )
}

fn in_words(ti: Option<&TaskInstance>) -> String {
    ti.map_or_else(
        || "no row".to_owned(),
        |ti| {
            let id = ti.id.to_string();
            let tail = &id[id.len() - 4..];
            format!("{} {}/{} #{tail}", ti.state, ti.try_number, ti.max_tries)
        },
    )
}

fn shown(state: Option<DagRunState>) -> String {
    state.map_or_else(|| "no run".to_owned(), |state| state.to_string())
}

fn short(cause: &Cause) -> String {
    match cause {
        Cause::Scheduler => "scheduler".to_owned(),
        Cause::Worker(id) => {
            let id = id.to_string();
            format!("worker of #{}", &id[id.len() - 4..])
        }
        Cause::Triggerer => "triggerer".to_owned(),
        Cause::Client(_) => "client".to_owned(),
        Cause::DagProcessor => "dag-processor".to_owned(),
    }
}

const fn sign_of(state: TaskInstanceState) -> char {
    use TaskInstanceState as S;
    match state {
        S::NoStatus => '.',
        S::Scheduled => 'S',
        S::Queued => 'Q',
        S::Running => 'R',
        S::Success => '+',
        S::Restarting => '!',
        S::Failed => 'x',
        S::UpForRetry => 'r',
        S::UpForReschedule => 'w',
        S::UpstreamFailed => 'u',
        S::Skipped => 's',
        S::Removed => '-',
        S::Deferred => 'd',
        S::AwaitingInput => 'i',
    }
}
