//! Beside the loop: asks Python what rows wait for.
//!
//! A row that needs the user's Python carries a mark, and is left alone by the loop until the mark is
//! gone: a Dag whose next run only its timetable class knows, a task instance whose weight or fields
//! the cluster's own code decides, a deadline that counts from a time which a class knows. Here marks are found, Python is asked, and the answers are
//! written where they are still wanted. Whatever Python does, the loop does not wait for it.

mod deadlines;
mod next_dagrun;
mod task_instances;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};
use updraft_model::DagId;
use updraft_plugins::{Error as PluginError, Inventory, Plugins};
use updraft_runtime::{Clock, OnExit, Tasks, sleep_until};
use updraft_store::{
    AskedDag, AskedDeadline, Change, Error as StoreError, MutationHook, PluginInventory, RunKey,
    Store,
};
use uuid::Uuid;

/// Marks that are looked at in one go.
const MARKS_MAX: i64 = 1_000;

/// Questions under way. Each waits for its class; those of other classes pass it by.
const JOBS_MAX: usize = 256;

/// How often marks are looked for although nobody told of any.
const SCAN_INTERVAL: Duration = Duration::from_secs(30);

/// Pause before something is asked again that could not be asked.
const RETRY_SOON: Duration = Duration::from_secs(2);

/// Pause before something is asked again that went wrong, at first; doubles.
const RETRY_FIRST: Duration = Duration::from_secs(15);

/// The longest pause.
const RETRY_MAX: Duration = Duration::from_secs(600);

/// Asks Python until everything is settled, again and again.
pub struct Asking {
    context: Context,
    tasks: Tasks,
    /// The process that was last asked what plugins want.
    python: Option<u32>,
    running: BTreeSet<Mark>,
    troubled: BTreeMap<Mark, Trouble>,
    reports: mpsc::Receiver<(Mark, Outcome)>,
    reporter: mpsc::Sender<(Mark, Outcome)>,
}

/// What a question needs.
#[derive(Clone)]
struct Context {
    store: Store,
    plugins: Plugins,
    clock: Clock,
    inventory: Arc<Inventory>,
}

/// What waits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mark {
    NextDagRun(DagId),
    TaskInstances(RunKey),
    Deadline(Uuid),
}

/// What became of a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Settled,
    /// Nobody could be asked: again soon.
    NotNow,
    /// The user's code is at fault: later, and later still.
    Troubled,
    /// Its class is left alone for so long.
    LeftAlone(Duration),
}

#[derive(Debug)]
struct Trouble {
    times: u32,
    until: Instant,
}

impl Asking {
    /// Until Python has said what the cluster wants, new task instances wait for it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn start(
        store: Store,
        plugins: Plugins,
        tasks: Tasks,
        clock: Clock,
    ) -> Result<Self, StoreError> {
        store
            .retry(|| async {
                let mut tx = store.write().await?;
                tx.forget_mutation_hook(clock.now()).await?;
                tx.commit().await
            })
            .await?;
        let (reporter, reports) = mpsc::channel(JOBS_MAX);
        Ok(Self {
            context: Context {
                store,
                plugins,
                clock,
                inventory: Arc::default(),
            },
            tasks,
            python: None,
            running: BTreeSet::new(),
            troubled: BTreeMap::new(),
            reports,
            reporter,
        })
    }

    /// Works until the process stops.
    ///
    /// # Errors
    /// Never: what goes wrong is tried again.
    pub async fn run(mut self) -> Result<(), Infallible> {
        let shutdown = self.tasks.shutdown();
        let mut changes = self.context.store.changes().subscribe();
        let mut scan = interval(SCAN_INTERVAL);
        scan.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let retry = self.next_retry();
            let looks = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                python = self.context.plugins.next_python(self.python) => match python {
                    Ok(python) => self.on_new_python(python).await,
                    Err(_) => return Ok(()),
                },
                Some((mark, outcome)) = self.reports.recv() => {
                    self.on_report(mark, outcome);
                    // There may have been no place for more.
                    self.running.len() + 1 == JOBS_MAX
                }
                is_wanted = next_wish(&mut changes) => is_wanted,
                () = sleep_until(retry) => true,
                _ = scan.tick() => true,
            };
            if looks
                && self.python.is_some()
                && let Err(error) = self.look().await
            {
                warn!(%error, "failed to look for what waits for Python");
            }
        }
    }

    /// Learns what plugins want. Returns whether marks are worth a look.
    async fn on_new_python(&mut self, python: u32) -> bool {
        let is_first = self.python.is_none();
        match self.context.learn(is_first).await {
            Ok(inventory) => {
                self.context.inventory = Arc::new(inventory);
                self.python = Some(python);
                // What was wrong may have been mended.
                self.troubled.clear();
                true
            }
            Err(error) => {
                warn!(%error, "failed to learn what plugins want; it is tried again");
                self.context.clock.sleep(RETRY_SOON).await;
                false
            }
        }
    }

    async fn look(&mut self) -> Result<(), StoreError> {
        let mut reader = self.context.store.read().await?;
        let dags = reader.load_asked_dags(MARKS_MAX).await?;
        let runs = reader.load_unsettled_runs(MARKS_MAX).await?;
        let deadlines = reader.load_asked_deadlines(MARKS_MAX).await?;
        drop(reader);
        for dag in dags {
            if self.may_begin(&Mark::NextDagRun(dag.dag_id.clone())) {
                self.begin_next_dagrun(dag);
            }
        }
        for run in runs {
            if self.may_begin(&Mark::TaskInstances(run.clone())) {
                self.begin_task_instances(run);
            }
        }
        for deadline in deadlines {
            if self.may_begin(&Mark::Deadline(deadline.id)) {
                self.begin_deadline(deadline);
            }
        }
        Ok(())
    }

    fn may_begin(&self, mark: &Mark) -> bool {
        let is_due = self
            .troubled
            .get(mark)
            .is_none_or(|trouble| trouble.until <= self.context.clock.monotonic());
        self.running.len() < JOBS_MAX && is_due && !self.running.contains(mark)
    }

    fn begin_next_dagrun(&mut self, asked: AskedDag) {
        let context = self.context.clone();
        let mark = Mark::NextDagRun(asked.dag_id.clone());
        self.begin(
            mark,
            async move { context.settle_next_dagrun(&asked).await },
        );
    }

    fn begin_task_instances(&mut self, run: RunKey) {
        let context = self.context.clone();
        let mark = Mark::TaskInstances(run.clone());
        self.begin(
            mark,
            async move { context.settle_task_instances(&run).await },
        );
    }

    fn begin_deadline(&mut self, asked: AskedDeadline) {
        let context = self.context.clone();
        let mark = Mark::Deadline(asked.id);
        self.begin(mark, async move { context.settle_deadline(&asked).await });
    }

    fn begin(
        &mut self,
        mark: Mark,
        work: impl Future<Output = Result<Outcome, StoreError>> + Send + 'static,
    ) {
        self.running.insert(mark.clone());
        let reporter = self.reporter.clone();
        self.tasks
            .spawn("scheduler.asking", OnExit::Log, async move {
                let outcome = match Box::pin(work).await {
                    Ok(outcome) => outcome,
                    Err(error) => {
                        warn!(?mark, %error, "failed to settle what waits for Python");
                        Outcome::NotNow
                    }
                };
                // The receiver is gone only when everything stops.
                drop(reporter.send((mark, outcome)).await);
                Ok::<(), Infallible>(())
            });
    }

    fn on_report(&mut self, mark: Mark, outcome: Outcome) {
        self.running.remove(&mark);
        let now = self.context.clock.monotonic();
        let (pause, times) = match outcome {
            Outcome::Settled => {
                self.troubled.remove(&mark);
                return;
            }
            Outcome::NotNow => (RETRY_SOON, 0),
            Outcome::LeftAlone(pause) => (pause, 0),
            Outcome::Troubled => {
                let times = self.troubled.get(&mark).map_or(0, |trouble| trouble.times);
                let pause = RETRY_FIRST.saturating_mul(1 << times.min(10));
                (pause.min(RETRY_MAX), times + 1)
            }
        };
        let until = now + pause;
        self.troubled.insert(mark, Trouble { times, until });
    }

    fn next_retry(&self) -> Option<Instant> {
        let waiting = self
            .troubled
            .iter()
            .filter(|(mark, _)| !self.running.contains(*mark));
        waiting.map(|(_, trouble)| trouble.until).min()
    }
}

impl Context {
    async fn learn(&self, is_first: bool) -> Result<Inventory, anyhow::Error> {
        let inventory = self.plugins.inventory().await?;
        for (source, error) in &inventory.import_errors {
            warn!(source, error, "a plugin was not loaded");
        }
        let noted = PluginInventory {
            mutation_hook: if inventory.mutation_hook {
                MutationHook::Defined
            } else {
                MutationHook::None
            },
            listeners: inventory.listeners.clone(),
        };
        self.store
            .retry(|| async {
                let mut tx = self.store.write().await?;
                tx.set_plugin_inventory(&noted, self.clock.now()).await?;
                if !is_first {
                    tx.ask_every_next_dagrun(self.clock.now()).await?;
                }
                tx.commit().await
            })
            .await?;
        info!(
            mutation_hook = inventory.mutation_hook,
            listeners = inventory.listeners.len(),
            timetables = inventory.timetables.len(),
            "learned what plugins want"
        );
        Ok(inventory)
    }
}

/// What an error means for the next try.
fn outcome_of(error: &PluginError) -> Outcome {
    match error {
        PluginError::LeftAlone { retry_in, .. } => Outcome::LeftAlone(*retry_in),
        error if error.is_transient() => Outcome::NotNow,
        _ => Outcome::Troubled,
    }
}

/// The next hint; whether it is about what waits for Python.
async fn next_wish(changes: &mut broadcast::Receiver<Change>) -> bool {
    loop {
        return match changes.recv().await {
            Ok(Change::PythonWanted | Change::Everything) | Err(RecvError::Lagged(_)) => true,
            Ok(_) => continue,
            // The store is closing, and so is everything.
            Err(RecvError::Closed) => std::future::pending().await,
        };
    }
}
