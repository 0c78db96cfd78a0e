//! One world: a database, machines with an Updraft process each, children, clients, trouble, and the
//! order in which everything happens.
//!
//! The world pops one event after the other from its queue, and every event is handled to its end
//! before the next. Time passes only between events. So the seed alone decides what happens.

mod children;
mod clients;
mod events;
mod hosts;
mod sessions;
mod triggers;
mod trouble;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::time::Duration;

use tokio::sync::oneshot;
use updraft_runtime::Dice;

use crate::actor::{Actor, ActorId};
use crate::child::{Child, ChildId};
use crate::dags::{DagModel, Habits, PoolModel, draw_dags};
use crate::faults::Rates;
use crate::log::Log;
use crate::oracle::Oracle;
use crate::port::Port;
use crate::session::{Session, SessionId};
use crate::setup::Setup;
use events::{Event, Queue};
use hosts::Host;

/// How long a world may take, once nothing goes wrong any more, to finish every run.
const CALM_MAX: Duration = Duration::from_secs(5 * 24 * 3_600);

/// Events of one world. More means that something goes in circles.
const STEPS_MAX: u64 = 2_000_000;

/// How often the world looks whether it is over.
const CHECK_EVERY: Duration = Duration::from_secs(60);

/// How many of these pass between two looks at every row there is.
const CHECKS_BETWEEN_AUDITS: u64 = 20;

/// How one world went.
#[derive(Debug)]
pub struct Report {
    pub setup: Setup,
    /// What was violated; `None` when all went well.
    pub violation: Option<String>,
    pub log: Log,
    pub steps: u64,
    pub store_calls: u64,
    pub faults: u64,
    pub kills: u64,
    /// Time that simulated tasks ran.
    pub task_time: Duration,
    pub tries: u64,
    /// Runs by their key with the states of the run and of its task instances, at the end.
    pub outcome: BTreeMap<String, String>,
}

pub(crate) struct World {
    setup: Setup,
    /// The folder of the database, as messages show it.
    place: String,
    rates: Rates,
    /// For everything that is drawn while the world goes on; the rest has dice of its own.
    dice: Dice,
    elapsed: Duration,
    queue: Queue,
    port: Port,
    hosts: Vec<Host>,
    actors: BTreeMap<ActorId, Actor>,
    actors_made: u64,
    /// Actors at the gate.
    held: BTreeMap<ActorId, oneshot::Sender<()>>,
    wants_to_write: VecDeque<ActorId>,
    sessions: BTreeMap<SessionId, Session>,
    sessions_made: u64,
    children: BTreeMap<ChildId, Child>,
    children_made: u32,
    dags: Vec<DagModel>,
    /// Which version of each Dag was parsed last.
    versions: BTreeMap<String, usize>,
    pools: Vec<PoolModel>,
    oracle: Oracle,
    log: Log,
    /// Requests that must be acknowledged before the world ends.
    owed: BTreeSet<String>,
    is_calm: bool,
    steps: u64,
    checks: u64,
    kills: u64,
    task_time: Duration,
    tries: u64,
}

impl World {
    /// Makes a world whose database lies in `folder`.
    pub(crate) async fn create(setup: Setup, folder: &Path) -> Self {
        let seed = setup.seed;
        let dice = |purpose| Dice::of_purpose(seed, purpose);
        let pools = draw_pools(&mut dice("pools"));
        let habits = Habits {
            comparable: setup.is_comparable,
            active_secs: setup.active.as_secs(),
        };
        let dags = draw_dags(seed, &setup.dags, &pools, habits);
        let port = Port::new(dice("port"));
        let inspector = hosts::prepare_database(folder, &dags, &pools).await;
        let mut hosts = Vec::new();
        for number in 0..setup.hosts {
            hosts.push(Host::create(number, &setup, folder, &port).await);
        }
        let rates = Rates::draw(&setup.faults, &mut dice("rates"));
        let mut world = Self {
            place: folder.display().to_string(),
            rates,
            dice: dice("world"),
            elapsed: Duration::ZERO,
            queue: Queue::default(),
            port,
            oracle: Oracle::new(inspector, &dags, setup.faults.clone()),
            hosts,
            actors: BTreeMap::new(),
            actors_made: 0,
            held: BTreeMap::new(),
            wants_to_write: VecDeque::new(),
            sessions: BTreeMap::new(),
            sessions_made: 0,
            children: BTreeMap::new(),
            children_made: 0,
            versions: dags.iter().map(|dag| (dag.id.clone(), 0)).collect(),
            dags,
            pools,
            log: Log::default(),
            owed: BTreeSet::new(),
            is_calm: false,
            steps: 0,
            checks: 0,
            kills: 0,
            task_time: Duration::ZERO,
            tries: 0,
            setup,
        };
        world.plan_everything();
        world
    }

    /// Runs the world to its end.
    pub(crate) async fn run(mut self) -> Report {
        let violation = self.live().await;
        let (store_calls, faults) = self.port.counts();
        Report {
            violation,
            log: self.log,
            steps: self.steps,
            store_calls,
            faults,
            kills: self.kills,
            task_time: self.task_time,
            tries: self.tries,
            outcome: self.oracle.outcome(),
            setup: self.setup,
        }
    }

    /// Handles events until the world is over or something is violated.
    async fn live(&mut self) -> Option<String> {
        while let Some((at, event)) = self.queue.pop() {
            self.pass_time(at);
            self.steps += 1;
            if self.steps > STEPS_MAX {
                return Some(format!("{STEPS_MAX} events did not bring it to an end"));
            }
            if matches!(event, Event::Check) {
                if let Some(end) = self.check().await {
                    return end;
                }
            } else {
                self.handle(event).await;
            }
            if let Some(violation) = self.oracle.violation() {
                return Some(violation);
            }
        }
        Some("the world came to a halt before its runs had ended".to_owned())
    }

    fn pass_time(&mut self, at: Duration) {
        let passed = at.saturating_sub(self.elapsed);
        self.elapsed = at;
        for host in &mut self.hosts {
            host.pass_time(passed);
        }
    }

    /// Looks whether the world is over: `Some(None)` when it ended well.
    async fn check(&mut self) -> Option<Option<String>> {
        self.queue.push(self.elapsed + CHECK_EVERY, Event::Check);
        self.checks += 1;
        if self.checks.is_multiple_of(CHECKS_BETWEEN_AUDITS) {
            self.oracle.check_all_runs().await;
        }
        self.oracle.look_at_backfills().await;
        if !self.is_calm {
            if self.elapsed >= self.setup.active {
                self.calm_down();
            }
            return None;
        }
        self.repair();
        if !self.owed.is_empty() || !self.sessions.is_empty() {
            return self.is_overdue().await;
        }
        let is_over = self.oracle.is_everything_finished();
        if is_over
            && !self.holds_triggers()
            && !self.oracle.has_triggers().await
            && !self.oracle.has_open_backfill()
        {
            self.oracle.check_end().await;
            return Some(self.oracle.violation());
        }
        self.is_overdue().await
    }

    async fn is_overdue(&mut self) -> Option<Option<String>> {
        let is_overdue = self.elapsed > self.setup.active + CALM_MAX;
        let is_quiet = self.sessions.is_empty() && self.owed.is_empty();
        if is_quiet && self.oracle.quiet_for(self.elapsed) > Duration::from_secs(6 * 3_600) {
            if self.oracle.is_everything_finished() && self.holds_triggers() {
                return Some(Some("a triggerer holds triggers of nobody".to_owned()));
            }
            // Nothing happens any more: either what is left waits for good reasons, or it is lost.
            return Some(self.oracle.explain_rest(&self.dags).await);
        }
        is_overdue.then(|| {
            Some(format!(
                "not everything had ended {} h after the last trouble: {}",
                CALM_MAX.as_secs() / 3_600,
                self.oracle.unfinished()
            ))
        })
    }

    fn note(&mut self, text: impl FnOnce() -> String) {
        // Every world has another folder, and no other difference.
        let text = text().replace(&self.place, "sim");
        self.log.note(self.elapsed, text);
    }
}

fn draw_pools(dice: &mut Dice) -> Vec<PoolModel> {
    let default = PoolModel {
        name: "default_pool".to_owned(),
        slots: *dice.choose(&[4, 16, 128]),
        include_deferred: false,
    };
    let small = PoolModel {
        name: "small".to_owned(),
        slots: *dice.choose(&[1, 2, 4]),
        include_deferred: dice.chance(0.5),
    };
    vec![default, small]
}
