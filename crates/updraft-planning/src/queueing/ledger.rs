//! What is left of every limit while slots are handed out, and why someone got none.

use std::collections::BTreeMap;

use smol_str::SmolStr;
use updraft_model::{DagId, PoolName, RunId, TaskId};

use super::page::Accepted;
use super::{Candidate, HeldBack, QueuePlan, QueueView, QueuedInstance};
use crate::Because;

/// What is left, and who is out.
pub(super) struct Ledger {
    pools: BTreeMap<PoolName, Slots>,
    executors: Vec<Executor>,
    active_of_run: BTreeMap<(DagId, RunId), u32>,
    /// As `active_of_run` when the page was selected: accepted candidates are not written yet.
    stored_of_run: BTreeMap<(DagId, RunId), u32>,
    active_of_task: BTreeMap<(DagId, TaskId), u32>,
    active_of_task_in_run: BTreeMap<(DagId, RunId, TaskId), u32>,
    out_pools: BTreeMap<PoolName, Because>,
    out_dags: BTreeMap<DagId, Because>,
    out_tasks: BTreeMap<(DagId, TaskId), Because>,
    out_tasks_in_run: BTreeMap<(DagId, RunId, TaskId), Because>,
    /// Per candidate.
    chosen: Vec<bool>,
    reasons: Vec<Option<Because>>,
}

struct Slots {
    total: i32,
    /// `None`: no limit.
    open: Option<i64>,
    team: Option<SmolStr>,
}

struct Executor {
    names: Vec<SmolStr>,
    available: i64,
    team: Option<SmolStr>,
}

/// What became of a candidate.
pub(super) enum Verdict {
    Accepted { executor: usize },
    Refused,
}

/// A reason to refuse, and how far it reaches.
enum Refusal {
    Pool(Because),
    Dag(Because),
    Task(Because),
    TaskInRun(Because),
}

impl Ledger {
    pub(super) fn new(view: &QueueView) -> Self {
        let pools = view.pools.iter().map(|pool| {
            let slots = Slots {
                total: pool.pool.slots,
                open: pool.pool.open_slots(&pool.usage),
                team: pool.team.clone(),
            };
            (pool.pool.name.clone(), slots)
        });
        let executors = view.executors.iter().map(|executor| Executor {
            names: executor.names.clone(),
            available: executor.slots_available,
            team: executor.team.clone(),
        });
        Self {
            pools: pools.collect(),
            executors: executors.collect(),
            active_of_run: view.active_of_run.clone(),
            stored_of_run: view.active_of_run.clone(),
            active_of_task: view.active_of_task.clone(),
            active_of_task_in_run: view.active_of_task_in_run.clone(),
            out_pools: BTreeMap::new(),
            out_dags: BTreeMap::new(),
            out_tasks: BTreeMap::new(),
            out_tasks_in_run: BTreeMap::new(),
            chosen: vec![false; view.candidates.len()],
            reasons: vec![None; view.candidates.len()],
        }
    }

    /// Open slots of all pools together.
    pub(super) fn open_slots(&self) -> usize {
        self.pools
            .values()
            .map(|pool| {
                let open = pool.open.map_or(i64::MAX, |open| open.max(0));
                usize::try_from(open).unwrap_or(usize::MAX)
            })
            .fold(0, usize::saturating_add)
    }

    /// A new loop begins: what was accepted is stored, and what was out may compete again.
    pub(super) fn forget_exclusions(&mut self) {
        self.stored_of_run.clone_from(&self.active_of_run);
        self.out_pools.clear();
        self.out_dags.clear();
        self.out_tasks.clear();
        self.out_tasks_in_run.clear();
    }

    /// How much is excluded by now.
    pub(super) fn exclusions(&self) -> usize {
        self.out_pools.len()
            + self.out_dags.len()
            + self.out_tasks.len()
            + self.out_tasks_in_run.len()
    }

    pub(super) fn is_chosen(&self, position: usize) -> bool {
        self.chosen[position]
    }

    pub(super) fn note(&mut self, position: usize, because: Because) {
        self.reasons[position] = Some(because);
    }

    /// Whether something keeps a candidate off the page.
    pub(super) fn is_out(&mut self, position: usize, candidate: &Candidate) -> bool {
        let because = self.find_exclusion(candidate);
        let is_out = because.is_some();
        if is_out {
            self.reasons[position] = because;
        }
        is_out
    }

    fn find_exclusion(&self, candidate: &Candidate) -> Option<Because> {
        match candidate.held_back {
            Some(HeldBack::DagPaused) => return Some(Because::DagPaused),
            Some(HeldBack::RunNotRunning) => return Some(Because::RunNotRunning),
            None => {}
        }
        let limit = candidate.max_active_tasks;
        if reaches(self.stored_of_run.get(&run_key(candidate)), limit) {
            return Some(Because::MaxActiveTasks { limit });
        }
        let by_pool = self.out_pools.get(&candidate.pool);
        let by_dag = || self.out_dags.get(&candidate.dag_id);
        let by_task = || self.out_tasks.get(&task_key(candidate));
        let by_run = || self.out_tasks_in_run.get(&task_in_run_key(candidate));
        let because = by_pool.or_else(by_dag).or_else(by_task).or_else(by_run);
        because.cloned()
    }

    /// Takes the slots for a candidate, or remembers why it can have none.
    pub(super) fn judge(&mut self, position: usize, candidate: &Candidate) -> Verdict {
        match self.find_place(candidate) {
            Ok(executor) => {
                self.take(candidate, executor);
                self.chosen[position] = true;
                Verdict::Accepted { executor }
            }
            Err(refusal) => {
                self.remember(candidate, &refusal);
                self.reasons[position] = Some(refusal.into_because());
                Verdict::Refused
            }
        }
    }

    /// The executor for a candidate, when every limit allows it. The order of the rules is that of
    /// §5.1 step 3.
    fn find_place(&self, candidate: &Candidate) -> Result<usize, Refusal> {
        self.check_limits(candidate)?;
        self.find_executor(candidate).map_err(Refusal::Task)
    }

    fn check_limits(&self, candidate: &Candidate) -> Result<(), Refusal> {
        self.check_pool(candidate)?;
        let limit = candidate.max_active_tasks;
        if reaches(self.active_of_run.get(&run_key(candidate)), limit) {
            return Err(Refusal::Dag(Because::MaxActiveTasks { limit }));
        }
        if let Some(limit) = candidate.max_active_tis_per_dag
            && reaches(self.active_of_task.get(&task_key(candidate)), limit)
        {
            return Err(Refusal::Task(Because::MaxActiveTisPerDag { limit }));
        }
        if let Some(limit) = candidate.max_active_tis_per_dagrun
            && reaches(
                self.active_of_task_in_run.get(&task_in_run_key(candidate)),
                limit,
            )
        {
            return Err(Refusal::TaskInRun(Because::MaxActiveTisPerDagrun { limit }));
        }
        Ok(())
    }

    fn check_pool(&self, candidate: &Candidate) -> Result<(), Refusal> {
        let pool = || SmolStr::new(candidate.pool.as_str());
        let Some(slots) = self.pools.get(&candidate.pool) else {
            return Err(Refusal::Pool(Because::PoolMissing { pool: pool() }));
        };
        if slots.team.is_some() && slots.team != candidate.team {
            return Err(Refusal::Task(Because::PoolOfOtherTeam { pool: pool() }));
        }
        let Some(open) = slots.open else {
            return Ok(());
        };
        let full = Because::PoolFull {
            pool: pool(),
            open,
            slots: slots.total,
            needed: candidate.pool_slots,
        };
        if open <= 0 {
            return Err(Refusal::Pool(full));
        }
        if candidate.pool_slots > slots.total {
            return Err(Refusal::Task(Because::PoolTooSmall {
                pool: pool(),
                slots: slots.total,
            }));
        }
        if i64::from(candidate.pool_slots) > open {
            return Err(Refusal::Task(full));
        }
        Ok(())
    }

    /// A task's executor is looked for among those of its team, then among those of all; without a
    /// name it is the first.
    fn find_executor(&self, candidate: &Candidate) -> Result<usize, Because> {
        let of_team = |team: &Option<SmolStr>| {
            let mut executors = self.executors.iter();
            executors.position(|executor| {
                let is_named = candidate
                    .executor
                    .as_ref()
                    .is_none_or(|name| executor.names.contains(name));
                executor.team == *team && is_named
            })
        };
        let found = of_team(&candidate.team).or_else(|| of_team(&None));
        let Some(place) = found else {
            let executor = candidate.executor.clone().unwrap_or_default();
            return Err(Because::ExecutorUnknown { executor });
        };
        let executor = &self.executors[place];
        if executor.available > 0 {
            Ok(place)
        } else {
            let executor = executor.names.first().cloned().unwrap_or_default();
            Err(Because::ExecutorFull { executor })
        }
    }

    fn take(&mut self, candidate: &Candidate, executor: usize) {
        let pool = self.pools.get_mut(&candidate.pool);
        if let Some(open) = pool.and_then(|pool| pool.open.as_mut()) {
            *open -= i64::from(candidate.pool_slots);
            debug_assert!(*open >= 0, "a pool gave away more than it has");
        }
        self.executors[executor].available -= 1;
        *self.active_of_run.entry(run_key(candidate)).or_default() += 1;
        *self.active_of_task.entry(task_key(candidate)).or_default() += 1;
        *self
            .active_of_task_in_run
            .entry(task_in_run_key(candidate))
            .or_default() += 1;
    }

    fn remember(&mut self, candidate: &Candidate, refusal: &Refusal) {
        match refusal {
            Refusal::Pool(because) => {
                self.out_pools
                    .insert(candidate.pool.clone(), because.clone());
            }
            // Quirk §5.1: the whole Dag, although the limit is one of the run.
            Refusal::Dag(because) => {
                self.out_dags
                    .insert(candidate.dag_id.clone(), because.clone());
            }
            Refusal::Task(because) => {
                self.out_tasks.insert(task_key(candidate), because.clone());
            }
            Refusal::TaskInRun(because) => {
                self.out_tasks_in_run
                    .insert(task_in_run_key(candidate), because.clone());
            }
        }
    }

    /// Why a candidate waits that no page reached: a limit that it would have met, else that others
    /// came first.
    fn why_not_reached(&self, candidate: &Candidate, view: &QueueView, is_full: bool) -> Because {
        if let Some(because) = self.find_exclusion(candidate) {
            return because;
        }
        match self.check_limits(candidate) {
            Err(refusal) => refusal.into_because(),
            Ok(()) if is_full => Because::Parallelism {
                free: view.capacity,
            },
            Ok(()) => Because::Heavier,
        }
    }

    pub(super) fn into_plan(
        self,
        view: &QueueView,
        order: &[usize],
        chosen: &[Accepted],
    ) -> QueuePlan {
        let is_full = chosen.len() >= view.capacity as usize;
        let waiting = order.iter().filter(|position| !self.chosen[**position]);
        let waiting = waiting.map(|position| {
            let candidate = &view.candidates[*position];
            let noted = self.reasons[*position].clone();
            let because = noted.unwrap_or_else(|| self.why_not_reached(candidate, view, is_full));
            (candidate.id, because)
        });
        let queued = chosen.iter().map(|accepted| QueuedInstance {
            id: view.candidates[accepted.candidate].id,
            executor: accepted.executor,
        });
        QueuePlan {
            queued: queued.collect(),
            waiting: waiting.collect(),
        }
    }
}

impl Refusal {
    fn into_because(self) -> Because {
        match self {
            Self::Pool(because)
            | Self::Dag(because)
            | Self::Task(because)
            | Self::TaskInRun(because) => because,
        }
    }
}

fn reaches(active: Option<&u32>, limit: i32) -> bool {
    i64::from(active.copied().unwrap_or(0)) >= i64::from(limit)
}

fn run_key(candidate: &Candidate) -> (DagId, RunId) {
    (candidate.dag_id.clone(), candidate.run_id.clone())
}

fn task_key(candidate: &Candidate) -> (DagId, TaskId) {
    (candidate.dag_id.clone(), candidate.task_id.clone())
}

fn task_in_run_key(candidate: &Candidate) -> (DagId, RunId, TaskId) {
    (
        candidate.dag_id.clone(),
        candidate.run_id.clone(),
        candidate.task_id.clone(),
    )
}
