//! Machines: each has a clock, a store handle and an Updraft process that lives, dies and lives
//! again.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use tokio::sync::{broadcast, mpsc, oneshot};
use updraft_api_server::{ApiServer, ApiSettings, ApiState, HealthThresholds};
use updraft_config::{Environment, Lookups, Settings};
use updraft_dag_run::RunRules;
use updraft_execution::{ExplainRules, LogNames};
use updraft_executor::{
    ExecutorEvent, ExecutorWorkload, LocalExecutor, Outcome as ExecutorOutcome, Workload,
};
use updraft_model::pool::Pool;
use updraft_runtime::{Clock, Ids, SimulatedTime, Tasks};
use updraft_scheduler::{Next, Scheduler, SchedulerOptions, StuckOptions};
use updraft_store::{Change, Gate, Keyring, Store, StoreOptions};

use super::World;
use super::events::Event;
use crate::actor::{Actor, ActorId, Cause, Done, Progress};
use crate::client;
use crate::dags::{DagModel, PoolModel};
use crate::parse;
use crate::port::{Port, Stop};
use crate::setup::Setup;
use crate::triggerer::SimTriggerer;

/// Before every world, so that tokens and clocks that jump back do not matter to each other.
const LONG_AGO: &str = "2000-01-01T00:00:00Z";

/// Seconds since the epoch when a world begins: `dags::shape::WORLD_BEGINS`.
const WORLD_BEGINS: &str = "2026-03-01T00:00:00Z";

/// A step of a scheduler takes about so long.
const STEP_TIME: Duration = Duration::from_millis(2);

/// Workloads that the executor wants to have run, and how to tell it the end.
type Inbox = Arc<Mutex<Vec<(Workload, oneshot::Sender<ExecutorOutcome>)>>>;

/// One machine.
pub(crate) struct Host {
    pub(super) name: String,
    pub(super) time: SimulatedTime,
    pub(super) clock: Clock,
    pub(super) ids: Ids,
    pub(super) store: Store,
    pub(super) router: Router,
    pub(super) token: String,
    /// Parts in a million by which its time of day runs too fast.
    pub(super) drift: i64,
    pub(super) frozen_until: Option<Duration>,
    pub(super) lives: u64,
    pub(super) life: Option<Life>,
}

/// One life of the process of a machine.
pub(crate) struct Life {
    pub(super) number: u64,
    events: mpsc::Receiver<ExecutorEvent>,
    changes: broadcast::Receiver<Change>,
    inbox: Inbox,
    /// `None` while it takes a step.
    scheduler: Option<Box<Scheduler>>,
    next: Next,
    /// What came in while it took a step.
    missed: Vec<Input>,
    wake: u64,
    /// `None` until it has registered.
    pub(super) triggerer: Option<Box<SimTriggerer>>,
}

enum Input {
    Hint(Change),
    Executor(Box<ExecutorEvent>),
}

impl Host {
    pub(super) async fn create(number: usize, setup: &Setup, folder: &Path, port: &Port) -> Self {
        let long_ago = LONG_AGO.parse().expect("a constant");
        let time = SimulatedTime::starting(long_ago);
        let clock = Clock::simulated(time.clone());
        let ids = Ids::seeded(setup.seed.wrapping_add(number as u64));
        let open = open_store(folder, Gate::default()).await;
        let store = open_store(folder, port.gate()).await;
        let api = |store| {
            let settings = api_settings(folder);
            let state = ApiState::new(store, settings, Tasks::new(), clock.clone(), ids.clone());
            ApiServer { state }.router()
        };
        let token = client::token(api(open)).await;
        time.set_wall(WORLD_BEGINS.parse().expect("a constant"));
        Self {
            name: format!("host{number}"),
            router: api(store.clone()),
            store,
            token,
            time,
            clock,
            ids,
            drift: 0,
            frozen_until: None,
            lives: 0,
            life: None,
        }
    }

    pub(super) fn pass_time(&mut self, passed: Duration) {
        self.time.advance(passed);
        if self.drift != 0 {
            let micros = i64::try_from(passed.as_micros()).unwrap_or(0);
            let error = SignedDuration::from_micros(micros / 1_000_000 * self.drift);
            self.shift_wall(error);
        }
    }

    pub(super) fn shift_wall(&mut self, by: SignedDuration) {
        let wall = self.time.now();
        self.time
            .set_wall(wall.saturating_add(by).unwrap_or(Timestamp::MAX));
    }

    pub(super) fn is_life(&self, life: u64) -> bool {
        self.life.as_ref().is_some_and(|alive| alive.number == life)
    }
}

impl World {
    /// Starts the process of a machine: what an earlier one left running is killed first.
    pub(super) fn start_process(&mut self, at: usize) {
        if self.hosts[at].life.is_some() {
            return;
        }
        self.kill_leftovers(at);
        let is_alone = self.hosts.len() == 1;
        let parallelism = self.setup.parallelism;
        let host = &mut self.hosts[at];
        host.lives += 1;
        let inbox = Inbox::default();
        let taken = Arc::clone(&inbox);
        let (executor, events) = LocalExecutor::start(Tasks::new(), parallelism, move |workload| {
            let ExecutorWorkload::ExecuteTask(workload) = workload else {
                unreachable!("no simulated Dag has deadlines");
            };
            let (finish, finished) = oneshot::channel();
            let mut inbox = taken.lock().unwrap_or_else(PoisonError::into_inner);
            inbox.push((*workload, finish));
            async move {
                let lost = "its supervision ended without a result".to_owned();
                finished.await.unwrap_or(ExecutorOutcome::Failed(lost))
            }
        });
        host.life = Some(Life {
            number: host.lives,
            events,
            changes: host.store.changes().subscribe(),
            inbox,
            scheduler: None,
            next: Next::Now,
            missed: Vec::new(),
            wake: 0,
            triggerer: None,
        });
        let (store, clock, ids) = (host.store.clone(), host.clock.clone(), host.ids.clone());
        let options = scheduler_options(&host.name, is_alone);
        let (name, life) = (host.name.clone(), host.lives);
        self.note(|| format!("{name} starts for the {life}. time"));
        self.spawn(at, Cause::Scheduler, async move {
            let started = Scheduler::start(store, executor, options, clock, ids).await;
            Done::Started(started.map(Box::new))
        });
    }

    /// Gives an actor to the process of a machine; nothing happens when there is none.
    pub(super) fn spawn(
        &mut self,
        host: usize,
        cause: Cause,
        work: impl Future<Output = Done> + Send + 'static,
    ) {
        let Some(life) = &self.hosts[host].life else {
            return;
        };
        self.actors_made += 1;
        let id = ActorId(self.actors_made);
        let actor = Actor {
            host,
            life: life.number,
            cause,
            work: Box::pin(work),
        };
        self.actors.insert(id, actor);
        self.later(Duration::ZERO, Event::Resume(id));
    }

    /// Lets an actor go on until it stops again.
    pub(super) async fn resume(&mut self, id: ActorId) {
        let Some(mut actor) = self.actors.remove(&id) else {
            return;
        };
        if let Some(release) = self.held.remove(&id) {
            // An actor that is gone needs no release.
            let _ = release.send(());
        }
        let host = actor.host;
        let time = self.hosts[host].time.clone();
        let progress = actor.drive(id, &self.port, &time).await;
        self.take_commits(&actor.cause).await;
        match progress {
            Progress::Done(done) => {
                self.port.leave(id);
                let life = actor.life;
                drop(actor);
                self.on_done(host, life, done).await;
            }
            Progress::Asleep(until) => {
                self.port.leave(id);
                self.actors.insert(id, actor);
                self.queue.push(until, Event::Resume(id));
            }
            Progress::Held(held) => match held.stop {
                Stop::For(pause) => {
                    self.actors.insert(id, actor);
                    self.held.insert(id, held.release);
                    self.later(pause, Event::Resume(id));
                }
                Stop::ForLock => {
                    self.actors.insert(id, actor);
                    self.held.insert(id, held.release);
                    self.wants_to_write.push_back(id);
                }
                Stop::Crash => {
                    self.note(|| format!("host{host} dies at a call to the store"));
                    drop(actor);
                    self.port.leave(id);
                    self.kill_process(host);
                }
            },
        }
        self.let_somebody_write();
        self.pass_hints_on();
    }

    /// The lock is free again: the first that waits for it tries.
    pub(super) fn let_somebody_write(&mut self) {
        while self.port.writer().is_none()
            && let Some(next) = self.wants_to_write.pop_front()
        {
            if self.actors.contains_key(&next) {
                self.later(Duration::ZERO, Event::Resume(next));
                return;
            }
        }
    }

    async fn on_done(&mut self, host: usize, life: u64, done: Done) {
        match done {
            Done::Started(Ok(scheduler)) => {
                if let Some(life) = &mut self.hosts[host].life {
                    life.scheduler = Some(scheduler);
                    life.next = Next::Now;
                }
                self.look_after(host);
                self.register_triggerer(host);
            }
            Done::Started(Err(error)) => {
                self.note(|| format!("host{host} fails to start: {error}"));
                self.kill_process(host);
            }
            Done::Stepped(scheduler, Ok(next)) => {
                if let Some(life) = &mut self.hosts[host].life {
                    life.scheduler = Some(scheduler);
                    life.next = next;
                }
                self.fork_what_was_queued(host);
                self.look_after(host);
            }
            Done::Stepped(_, Err(error)) => {
                self.note(|| format!("the scheduler of host{host} gives up: {error}"));
                self.kill_process(host);
            }
            Done::Session(session, event) => self.on_session_event(session, event),
            Done::Concluded(session, outcome) => {
                self.on_concluded(host, life, session, outcome).await;
            }
            Done::Superseded(tries) => self.on_superseded(host, &tries),
            Done::Answered(answered) => self.on_answered(answered),
            Done::Triggers(done) => self.on_triggers_done(host, *done),
            Done::Nothing => {}
        }
    }

    /// Hands to the scheduler what came in, and sees when it takes its next step.
    pub(super) fn look_after(&mut self, at: usize) {
        let elapsed = self.elapsed;
        let host = &mut self.hosts[at];
        let Some(life) = &mut host.life else { return };
        let Some(scheduler) = &mut life.scheduler else {
            return;
        };
        let has_news = !life.missed.is_empty();
        for input in life.missed.drain(..) {
            match input {
                Input::Hint(change) => scheduler.on_change(change),
                Input::Executor(event) => scheduler.on_executor_event(*event),
            }
        }
        let next = match life.next {
            Next::AfterFailure(at) => host.time.since_start(at),
            Next::Now => elapsed + STEP_TIME,
            Next::At(_) if has_news => elapsed + STEP_TIME,
            Next::At(at) => host.time.since_start(at),
        };
        life.wake += 1;
        let event = Event::Wake {
            host: at,
            life: life.number,
            wake: life.wake,
        };
        self.queue.push(next.max(elapsed), event);
    }

    pub(super) fn on_wake(&mut self, host: usize, number: u64, wake: u64) {
        let Some(life) = &mut self.hosts[host].life else {
            return;
        };
        if life.number != number || life.wake != wake {
            return;
        }
        let Some(mut scheduler) = life.scheduler.take() else {
            return;
        };
        self.spawn(host, Cause::Scheduler, async move {
            let next = scheduler.step().await;
            Done::Stepped(scheduler, next)
        });
    }

    pub(super) fn on_hint(&mut self, host: usize, number: u64, change: Change) {
        if !self.hosts[host].is_life(number) {
            return;
        }
        self.check_running(host, &change);
        self.tell_triggerer(host, &change);
        self.tell_scheduler(host, Input::Hint(change));
    }

    pub(super) fn on_executor_event(&mut self, host: usize, number: u64, event: ExecutorEvent) {
        if self.hosts[host].is_life(number) {
            self.tell_scheduler(host, Input::Executor(Box::new(event)));
        }
    }

    fn tell_scheduler(&mut self, host: usize, input: Input) {
        if let Some(life) = &mut self.hosts[host].life {
            life.missed.push(input);
        }
        self.look_after(host);
    }

    /// Takes what the executor wants to have run.
    pub(super) fn fork_what_was_queued(&mut self, at: usize) {
        let Some(life) = &self.hosts[at].life else {
            return;
        };
        let number = life.number;
        let taken = {
            let mut inbox = life.inbox.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *inbox)
        };
        for (workload, finish) in taken {
            if self.dice.chance(self.rates.doubled) {
                let late = self.dice.duration(Duration::ZERO, Duration::from_secs(120));
                let twin = Event::Fork {
                    host: at,
                    life: number,
                    workload: Box::new(workload.clone()),
                    finish: None,
                };
                self.later(late, twin);
            }
            let fork_time = self
                .dice
                .duration(Duration::from_millis(20), Duration::from_millis(60));
            let event = Event::Fork {
                host: at,
                life: number,
                workload: Box::new(workload),
                finish: Some(finish),
            };
            self.later(fork_time, event);
        }
    }

    /// The executor learns of an end and frees the slot; the scheduler hears of it in time.
    pub(super) async fn finish_workload(
        &mut self,
        at: usize,
        number: u64,
        finish: oneshot::Sender<ExecutorOutcome>,
        outcome: ExecutorOutcome,
    ) {
        let Some(life) = self.hosts[at]
            .life
            .as_mut()
            .filter(|life| life.number == number)
        else {
            return;
        };
        if finish.send(outcome).is_err() {
            return;
        }
        let Some(event) = life.events.recv().await else {
            return;
        };
        let mut deliveries = 1;
        if self.dice.chance(self.rates.doubled) {
            deliveries += 1;
        }
        for _ in 0..deliveries {
            let late = match self.dice.chance(self.rates.event_late) {
                true => Duration::from_secs(300),
                false => Duration::from_millis(1),
            };
            let pause = self.dice.duration(Duration::ZERO, late);
            let event = Event::Executor {
                host: at,
                life: number,
                event: Box::new(event.clone()),
            };
            self.later(pause, event);
        }
        self.fork_what_was_queued(at);
    }

    /// Delivers the hints of finished transactions to every process.
    fn pass_hints_on(&mut self) {
        for from in 0..self.hosts.len() {
            let Some(life) = &mut self.hosts[from].life else {
                continue;
            };
            let mut changes = Vec::new();
            while let Ok(change) = life.changes.try_recv() {
                changes.push(change);
            }
            for change in changes {
                self.pass_hint_on(from, &change);
            }
        }
    }

    fn pass_hint_on(&mut self, from: usize, change: &Change) {
        for to in 0..self.hosts.len() {
            let Some(life) = self.hosts[to].life.as_ref().map(|life| life.number) else {
                continue;
            };
            if self.dice.chance(self.rates.hint_lost) {
                continue;
            }
            let usual = if from == to { 1 } else { 20 };
            let longest = match self.dice.chance(self.rates.hint_late) {
                true => Duration::from_secs(20),
                false => Duration::from_millis(usual),
            };
            let mut deliveries = 1;
            if self.dice.chance(self.rates.hint_late) {
                deliveries += 1;
            }
            for _ in 0..deliveries {
                let pause = self.dice.duration(Duration::ZERO, longest);
                let hint = Event::Hint {
                    host: to,
                    life,
                    change: change.clone(),
                };
                self.later(pause, hint);
            }
        }
    }

    /// Ends a process as `kill -9` does. It is started again after a while.
    pub(super) fn kill_process(&mut self, at: usize) {
        if self.hosts[at].life.take().is_none() {
            return;
        }
        self.kills += 1;
        let gone: Vec<ActorId> = self
            .actors
            .iter()
            .filter(|(_, actor)| actor.host == at)
            .map(|(id, _)| *id)
            .collect();
        for id in gone {
            self.held.remove(&id);
            self.actors.remove(&id);
            self.port.leave(id);
        }
        self.orphan_children(at);
        let longest = match self.is_calm {
            true => Duration::from_secs(5),
            false => Duration::from_secs(*self.dice.choose(&[5, 60, 600])),
        };
        let pause = self.dice.duration(Duration::from_secs(1), longest);
        self.later(pause, Event::Start { host: at });
        self.let_somebody_write();
    }

    pub(super) fn living_hosts(&self) -> Vec<usize> {
        let is_up = |at: &usize| {
            let host = &self.hosts[*at];
            host.life.is_some() && host.frozen_until.is_none_or(|until| until <= self.elapsed)
        };
        (0..self.hosts.len()).filter(is_up).collect()
    }

    async fn take_commits(&mut self, cause: &Cause) {
        for commit in self.port.take_commits() {
            let moves = self
                .oracle
                .on_commit(cause, &commit.changes, self.elapsed, &mut self.children)
                .await;
            for (who, sign, text) in moves {
                self.log.note(self.elapsed, text);
                self.log.moved(self.elapsed, who, sign);
            }
        }
    }
}

/// A database with the schema, the pools and the Dags of a world.
pub(super) async fn prepare_database(
    folder: &Path,
    dags: &[DagModel],
    pools: &[PoolModel],
) -> Store {
    let store = open_store(folder, Gate::default()).await;
    store
        .migrate()
        .await
        .expect("a new database can be migrated");
    let mut tx = store.write().await.expect("nobody else writes");
    tx.sync_bundles(&[parse::BUNDLE.into()])
        .await
        .expect("the store works");
    for pool in pools {
        if pool.name == updraft_model::pool::DEFAULT_POOL {
            tx.ensure_default_pool(pool.slots)
                .await
                .expect("the store works");
        } else {
            tx.create_pool(&Pool {
                name: pool.name.as_str().into(),
                slots: pool.slots,
                description: None,
                include_deferred: pool.include_deferred,
            })
            .await
            .expect("the store works");
        }
    }
    tx.commit().await.expect("the store works");
    let begins = WORLD_BEGINS.parse().expect("a constant");
    let clock = Clock::simulated(SimulatedTime::starting(begins));
    let ids = Ids::seeded(0xDA6);
    for dag in dags {
        let content = parse::content(dag, 0, &ids);
        content
            .persist(&store, &clock)
            .await
            .expect("a drawn Dag can be stored");
    }
    store
}

async fn open_store(folder: &Path, gate: Gate) -> Store {
    let url = format!("sqlite:///{}", folder.join("updraft.db").display());
    let keyring = Keyring::parse("").expect("no key at all is fine");
    let options = StoreOptions {
        gate,
        ..StoreOptions::new(url, keyring)
    };
    Store::open(options).await.expect("the folder is usable")
}

fn api_settings(folder: &Path) -> ApiSettings {
    let environment = Environment::default()
        .with("AIRFLOW_HOME", folder.display().to_string())
        .with("HOME", folder.display().to_string())
        .with(
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS",
            "True".to_owned(),
        )
        .with(
            "AIRFLOW__API_AUTH__JWT_EXPIRATION_TIME",
            "3000000000".to_owned(),
        );
    let settings = Settings::load(&environment, &Lookups::of_machine())
        .expect("the defaults are valid settings");
    ApiSettings {
        home: folder.to_owned(),
        api: settings.api,
        api_auth: settings.api_auth,
        log_names: LogNames::default(),
        logging: settings.logging,
        values: settings.values,
        connection_test_timeout: settings.connection_test.timeout,
        state_store: settings.state_store,
        run_rules: run_rules(),
        health: HealthThresholds {
            scheduler: settings.scheduler.health_check_threshold,
            triggerer: settings.scheduler.health_check_threshold,
            dag_processor: settings.scheduler.health_check_threshold,
        },
        explain: ExplainRules {
            parallelism: settings.core.parallelism,
            max_task_retry_delay: SignedDuration::from_hours(24),
            executor_names: Vec::new(),
            health_check_threshold: settings.scheduler.health_check_threshold,
        },
        core: settings.core,
        jwt_secret: SecretString::from("s".repeat(64)),
        secret_key: SecretString::from("s".repeat(64)),
        airflow_version: "3.3.2".to_owned(),
        plugins: None,
    }
}

pub(super) fn run_rules() -> RunRules {
    RunRules {
        allowed_run_id_pattern: "^[A-Za-z0-9_.~:+-]+$".to_owned(),
        allow_double_dot_in_ids: false,
        disable_bundle_versioning: false,
    }
}

/// The defaults of Airflow, but slower where every firing costs a step.
fn scheduler_options(hostname: &str, is_alone: bool) -> SchedulerOptions {
    let seconds = Duration::from_secs;
    SchedulerOptions {
        hostname: hostname.to_owned(),
        unixname: "sim".to_owned(),
        executor_names: vec!["LocalExecutor".into()],
        max_task_retry_delay: SignedDuration::from_hours(24),
        max_dagruns_to_create: 10,
        max_dagruns_per_loop: 20,
        use_job_schedule: true,
        partition_keys_max: 1_000,
        custom_mappers: None,
        job_heartbeat: seconds(20),
        health_check_threshold: seconds(60),
        orphaned_tasks_check_interval: seconds(300),
        task_instance_heartbeat_timeout: seconds(300),
        heartbeat_timeout_detection_interval: seconds(30),
        trigger_timeout_check_interval: seconds(60),
        parsing_cleanup_interval: seconds(60),
        stuck: StuckOptions {
            timeout: seconds(600),
            check_interval: seconds(120),
            requeues_max: 2,
        },
        run_rules: run_rules(),
        environment_variables: Default::default(),
        connection_tests_max: 4,
        connection_test_timeout: Duration::from_secs(60),
        log_names: LogNames::default(),
        full_scan_interval: seconds(60),
        is_alone,
    }
}
