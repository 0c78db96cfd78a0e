//! Partition mappers that are classes of the user.
//!
//! The loop does not wait for Python. What it wants to know is asked beside it, and the answer lies
//! here until the loop comes back for it; the rows stay as they were. Nothing is lost with what lies
//! here: whoever looks at the rows asks again.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::warn;
use updraft_model::DagId;
use updraft_plugins::{Error as PluginError, Plugins};
use updraft_runtime::{Clock, OnExit, Tasks};
use updraft_store::{Change, Changes};
use updraft_timetable::{MapperAnswer, MapperQuestion};

/// Matters that are asked about at the same time. Few helpers answer, so more would only wait.
const ASKED_MAX: usize = 256;

/// Answers that lie here. Beyond it all are forgotten, and asked for again.
const ANSWERED_MAX: usize = 1_000;

/// Pause before something is asked again that could not be asked.
const RETRY_SOON: Duration = Duration::from_secs(2);

/// Pause before something is asked again that hung or ended its process.
const RETRY_LATER: Duration = Duration::from_secs(15);

/// Asks Python about partition mappers. A cheap handle.
#[derive(Clone)]
pub struct CustomMappers {
    ask: Arc<dyn Fn(MapperQuestion) -> Asking + Send + Sync>,
    tasks: Tasks,
    clock: Clock,
    desk: Arc<Mutex<Desk>>,
}

type Asking = Pin<Box<dyn Future<Output = Result<MapperAnswer, NoAnswer>> + Send>>;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// The class raised, or said what makes no sense: asking again would not help.
    Refused(String),
    /// After so long it may be different.
    NotNow(Duration),
}

/// What a Dag wants to know in one go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Matter {
    dag_id: DagId,
    questions: Vec<MapperQuestion>,
}

/// One for each question; an error is what the class raised.
pub(crate) type Answers = Vec<Result<MapperAnswer, String>>;

#[derive(Debug, Default)]
struct Desk {
    asked: HashSet<Matter>,
    answered: HashMap<Matter, Answers>,
    /// Dags for which there was no place.
    turned_away: BTreeSet<DagId>,
}

impl CustomMappers {
    /// Asks helpers of `plugins`, in tasks of their own.
    #[must_use]
    pub fn new(plugins: Plugins, tasks: Tasks, clock: Clock) -> Self {
        let ask = move |question: MapperQuestion| {
            let plugins = plugins.clone();
            async move {
                let answer = plugins.ask_mapper(&question).await;
                answer.map_err(|error| no_answer(&error))
            }
        };
        Self::by(ask, tasks, clock)
    }

    /// Asks by `ask`.
    pub(crate) fn by<F, A>(ask: F, tasks: Tasks, clock: Clock) -> Self
    where
        F: Fn(MapperQuestion) -> A + Send + Sync + 'static,
        A: Future<Output = Result<MapperAnswer, NoAnswer>> + Send + 'static,
    {
        Self {
            ask: Arc::new(move |question| Box::pin(ask(question))),
            tasks,
            clock,
            desk: Arc::default(),
        }
    }

    /// Takes what Python says. `None`: it has yet to say; the Dag is hinted at when it has.
    pub(crate) fn take(
        &self,
        dag_id: &DagId,
        questions: Vec<MapperQuestion>,
        changes: &Changes,
    ) -> Option<Answers> {
        let matter = Matter {
            dag_id: dag_id.clone(),
            questions,
        };
        let mut desk = self.desk();
        if let Some(answers) = desk.answered.remove(&matter) {
            return Some(answers);
        }
        if desk.asked.contains(&matter) {
            return None;
        }
        if desk.asked.len() >= ASKED_MAX {
            desk.turned_away.insert(matter.dag_id);
            return None;
        }
        desk.asked.insert(matter.clone());
        drop(desk);
        let (mappers, changes) = (self.clone(), changes.clone());
        self.tasks
            .spawn("scheduler.mappers", OnExit::Log, async move {
                let shutdown = mappers.tasks.shutdown();
                tokio::select! {
                    () = shutdown.cancelled() => {}
                    () = mappers.settle(matter, &changes) => {}
                }
                Ok::<(), Infallible>(())
            });
        None
    }

    async fn settle(&self, matter: Matter, changes: &Changes) {
        let mut answers = Answers::new();
        for question in &matter.questions {
            match (self.ask)(question.clone()).await {
                Ok(answer) => answers.push(Ok(answer)),
                Err(NoAnswer::Refused(why)) => answers.push(Err(why)),
                Err(NoAnswer::NotNow(pause)) => {
                    self.clock.sleep(pause).await;
                    self.finish(matter, None, changes);
                    return;
                }
            }
        }
        self.finish(matter, Some(answers), changes);
    }

    /// Lays the answers down, if there are any, and has the Dag looked at.
    fn finish(&self, matter: Matter, answers: Option<Answers>, changes: &Changes) {
        let mut desk = self.desk();
        desk.asked.remove(&matter);
        let mut worth_a_look = BTreeSet::from([matter.dag_id.clone()]);
        if let Some(answers) = answers {
            if desk.answered.len() >= ANSWERED_MAX {
                desk.answered.clear();
            }
            desk.answered.insert(matter, answers);
        }
        // All of them would come at once, so there should be some places.
        if desk.asked.len() <= ASKED_MAX / 2 {
            worth_a_look.append(&mut desk.turned_away);
        }
        let hint = |dag_id| Change::Waiting { dag_id };
        changes.tell(worth_a_look.into_iter().map(hint).collect());
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody is being asked.
    #[cfg(test)]
    pub(crate) fn is_asking(&self) -> bool {
        !self.desk().asked.is_empty()
    }
}

fn no_answer(error: &PluginError) -> NoAnswer {
    match error {
        PluginError::Raised { kind, message, .. } => {
            NoAnswer::Refused(format!("{kind}: {message}"))
        }
        PluginError::Nonsense { .. } => NoAnswer::Refused(error.to_string()),
        PluginError::LeftAlone { retry_in, .. } => NoAnswer::NotNow(*retry_in),
        error if error.is_transient() => NoAnswer::NotNow(RETRY_SOON),
        error => {
            warn!(%error, "failed to ask a partition mapper; what it maps waits");
            NoAnswer::NotNow(RETRY_LATER)
        }
    }
}

impl std::fmt::Debug for CustomMappers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CustomMappers").finish_non_exhaustive()
    }
}
