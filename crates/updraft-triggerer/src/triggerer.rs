//! The loop: what happened, what to do next.
//!
//! It holds the roster and the child. Whatever asks the store runs beside the loop and reports
//! back, at most one of each kind at a time, so that the child's output is read and its timers fire
//! whatever the store does.

mod calls;
mod child;
mod ending;
mod reports;

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tracing::{info, warn};
use updraft_execution::{TriggerEvents, chain};
use updraft_model::TriggerId;
use updraft_python::Zygote;
use updraft_runtime::{CancellationToken, Clock, Ids, Tasks, every, sleep_until};
use updraft_store::{Change, Error, RunKey, Store};
use updraft_task_comms::session::triggerer::Event;

use crate::logs::TriggerLogs;
use crate::options::TriggererOptions;
use crate::roster::Roster;
use crate::rows::TriggerRows;
use crate::runner::{Demands, Runner};

use calls::{Calls, Done};
use child::Respawn;

/// Pause between two looks for triggers that nobody needs. Each look costs a query over all
/// triggers that are held, and every event of one of them hints at one.
const CHECK_PAUSE: Duration = Duration::from_secs(1);

/// Hints taken in before the next step. More wait in their channel.
const HINTS_MAX: usize = 1_000;

/// Runs triggers.
pub struct Triggerer {
    store: Store,
    zygote: Zygote,
    tasks: Tasks,
    options: TriggererOptions,
    clock: Clock,
    ids: Ids,
    rows: TriggerRows,
    roster: Roster,
    logs: TriggerLogs,
    runner: Option<Runner>,
    /// Names the present child, or the last one.
    child: ChildNumber,
    respawn: Respawn,
    /// Since when there has been nothing for the child to do.
    idle_since: Option<Instant>,
    wanted: Wanted,
    next_check: Instant,
    calls: Calls,
    /// What applies events; away while a report is stored.
    events: Option<TriggerEvents>,
}

/// Counts the children: an answer that comes late must not reach the next one, which asks under the
/// same numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct ChildNumber(u64);

/// What may be worth a look.
#[derive(Debug, Default)]
struct Wanted {
    /// There may be triggers to claim.
    claim: bool,
    /// Some of ours may not be needed any more.
    check: bool,
}

/// What happened.
enum Happened {
    Shutdown,
    Done(Box<Done>),
    Child(Box<Event>),
    Change(Result<Change, RecvError>),
    HeartbeatDue,
    ScanDue,
    Time,
}

impl Triggerer {
    /// Registers a triggerer.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn start(
        store: Store,
        zygote: Zygote,
        options: TriggererOptions,
        tasks: Tasks,
        clock: Clock,
        ids: Ids,
    ) -> Result<Self, Error> {
        let rows = TriggerRows::register(&store, &options, &clock, &ids).await?;
        Ok(Self {
            logs: TriggerLogs::new(&options.log_folder, rows.job_id()),
            respawn: Respawn::default(),
            next_check: clock.monotonic(),
            roster: Roster::default(),
            runner: None,
            child: ChildNumber::default(),
            idle_since: None,
            wanted: Wanted::default(),
            calls: Calls::default(),
            events: Some(TriggerEvents::default()),
            store,
            zygote,
            tasks,
            options,
            clock,
            ids,
            rows,
        })
    }

    /// Runs triggers until `shutdown`.
    ///
    /// # Errors
    /// Never: what goes wrong is tried again.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), Error> {
        let mut changes = self.store.changes().subscribe();
        let mut heartbeat = every(self.options.job_heartbeat);
        let mut scan = every(self.options.full_scan_interval);
        loop {
            self.begin_work().await;
            let timer = self.next_time();
            let happened = tokio::select! {
                biased;
                () = shutdown.cancelled() => Happened::Shutdown,
                Some(done) = self.calls.running.next() => Happened::Done(Box::new(done)),
                event = next_of(&mut self.runner) => Happened::Child(Box::new(event)),
                change = changes.recv() => Happened::Change(change),
                _ = heartbeat.tick() => Happened::HeartbeatDue,
                _ = scan.tick() => Happened::ScanDue,
                () = sleep_until(timer) => Happened::Time,
            };
            match happened {
                Happened::Shutdown => break,
                Happened::Done(done) => self.on_done(*done).await,
                Happened::Child(event) => self.tell_child(*event).await,
                Happened::Change(change) => self.on_changes(change, &mut changes),
                Happened::HeartbeatDue => self.begin_heartbeat(),
                Happened::ScanDue => {
                    self.want_everything();
                    self.begin_cleaning();
                }
                Happened::Time => self.on_time().await,
            }
        }
        self.stop().await;
        info!("stopped the triggerer");
        Ok(())
    }

    fn want_everything(&mut self) {
        self.wanted.claim = true;
        self.wanted.check = true;
    }

    /// Takes in a hint and those that wait behind it.
    fn on_changes(
        &mut self,
        first: Result<Change, RecvError>,
        changes: &mut broadcast::Receiver<Change>,
    ) {
        self.on_change(first.unwrap_or(Change::Everything));
        for _ in 0..HINTS_MAX {
            match changes.try_recv() {
                Ok(change) => self.on_change(change),
                Err(broadcast::error::TryRecvError::Lagged(_)) => self.want_everything(),
                Err(_) => return,
            }
        }
    }

    fn on_change(&mut self, change: Change) {
        match change {
            Change::Trigger | Change::Everything => self.want_everything(),
            // A task instance of it may have been cleared or marked.
            Change::DagRun { dag_id, run_id } => {
                self.wanted.check |= self.roster.knows_run(&RunKey { dag_id, run_id });
            }
            // Nothing else lets a trigger begin or end.
            _ => {}
        }
    }

    /// Starts whatever is wanted and not under way.
    async fn begin_work(&mut self) {
        if self.wanted.claim && self.roster.len() < self.options.capacity {
            self.begin_claim();
        }
        let now = self.clock.monotonic();
        if self.wanted.check && self.next_check <= now && !self.calls.checks {
            self.next_check = now + CHECK_PAUSE;
            self.begin_check();
        }
        self.tend_child(now).await;
    }

    /// When something is to be done although nothing happens.
    fn next_time(&self) -> Option<Instant> {
        let check = (self.wanted.check && !self.calls.checks).then_some(self.next_check);
        let idle = self
            .idle_since
            .map(|since| since + self.options.idle_timeout);
        let spawn = self.respawn_at(self.clock.monotonic());
        let times = [check, idle, spawn, self.roster.next_time()];
        times.into_iter().flatten().min()
    }

    async fn on_time(&mut self) {
        let to_cancel = self.roster.on_time(self.clock.monotonic());
        self.cancel(&to_cancel).await;
    }

    /// Tells the child to stop triggers.
    async fn cancel(&mut self, ids: &[TriggerId]) {
        if !ids.is_empty() {
            let ids = ids.iter().map(|id| id.0).collect();
            self.tell_child(Event::Cancel(ids)).await;
        }
    }

    async fn tell_child(&mut self, event: Event) {
        if let Some(runner) = &mut self.runner {
            let demands = runner.on(event).await;
            self.meet(demands).await;
        }
    }

    /// Tells that child, unless another one has taken its place.
    async fn tell_that_child(&mut self, child: ChildNumber, event: Event) {
        if child == self.child {
            self.tell_child(event).await;
        }
    }

    /// Does what the child's session asks for.
    async fn meet(&mut self, demands: Demands) {
        for (ask, request) in demands.asks {
            self.begin_answer(ask, request);
        }
        for report in demands.reports {
            self.begin_report(report);
        }
        if !demands.lines.is_empty() {
            self.logs.write(demands.lines, self.clock.now());
        }
        if let Some(ended) = demands.ended {
            self.on_child_ended(&ended);
        }
    }

    async fn on_done(&mut self, done: Done) {
        match done {
            Done::Spawned(spawned) => self.on_spawned(spawned).await,
            Done::Claimed(claimed) => self.on_claimed(claimed),
            Done::Checked { held, needed } => self.on_checked(&held, needed).await,
            Done::Loaded(loaded) => self.on_loaded(loaded).await,
            Done::Answered { child, ask, answer } => {
                let event = Event::StoreAnswer { ask, answer };
                self.tell_that_child(child, event).await;
            }
            Done::Reported(reported) => self.on_reported(*reported).await,
            Done::Beaten(beaten) => self.on_beaten(beaten).await,
        }
    }

    async fn on_beaten(&mut self, beaten: Result<bool, Error>) {
        self.calls.beats = false;
        match beaten {
            Ok(true) => {}
            Ok(false) => self.register_anew().await,
            Err(error) => {
                warn!(job_id = %self.rows.job_id(), error = chain(&error), "failed to send a heartbeat");
            }
        }
    }

    /// Somebody took us for dead and has our triggers. What ours still say changes nothing, but
    /// they must not run twice for long.
    async fn register_anew(&mut self) {
        warn!(job_id = %self.rows.job_id(), "was declared dead; starting over as a new job");
        self.runner = None;
        self.roster.clear();
        let (options, clock) = (&self.options, &self.clock);
        match TriggerRows::register(&self.store, options, clock, &self.ids).await {
            Ok(rows) => {
                self.logs = TriggerLogs::new(&self.options.log_folder, rows.job_id());
                self.rows = rows;
                self.want_everything();
            }
            // The next heartbeat tries again.
            Err(error) => warn!(error = chain(&error), "failed to register a new job"),
        }
    }
}

async fn next_of(runner: &mut Option<Runner>) -> Event {
    match runner {
        Some(runner) => runner.next().await,
        None => std::future::pending().await,
    }
}

type Call = BoxFuture<'static, Done>;
type Running = FuturesUnordered<Call>;
