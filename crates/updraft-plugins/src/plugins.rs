//! The handle: who has a question goes here.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use updraft_python::Zygote;
use updraft_runtime::Tasks;
use updraft_task_comms::masker::MaskerConfig;
use updraft_task_comms::message::StoreRequest;
use updraft_task_comms::session::Answer;

use crate::Error;
use crate::cache::Cache;
use crate::helper::{HelperContext, no_answers};
use crate::pool::Pool;
use crate::question::{Ask, Question};

/// What user code asks of the store while it answers a question.
#[derive(Debug)]
pub struct ChildRequest {
    pub request: StoreRequest,
    /// A secrets backend asks: asking it in turn would never end.
    pub is_by_secrets_backend: bool,
}

/// Answers what user code asks of the store.
pub type AnswerChild =
    Arc<dyn Fn(ChildRequest) -> Pin<Box<dyn Future<Output = Answer> + Send>> + Send + Sync>;

/// How helpers run.
#[derive(Clone)]
pub struct PluginsOptions {
    /// `[updraft] plugin_timeout`: how long one answer may take.
    pub timeout: Duration,
    /// Helpers that answer at the same time.
    pub helpers_max: usize,
    /// A helper without work ends after so long.
    pub idle_timeout: Duration,
    /// As [`Self::idle_timeout`], for the helper that calls listeners: they may keep processes of
    /// their own, which are not started for every event anew.
    pub listener_idle_timeout: Duration,
    /// What is hidden in what helpers print.
    pub masker: MaskerConfig,
    /// Connections and variables for user code.
    pub answer_child: AnswerChild,
}

impl PluginsOptions {
    /// Settings that fit a small machine; user code finds no connections and no variables.
    #[must_use]
    pub fn new() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            helpers_max: 4,
            idle_timeout: Duration::from_secs(60),
            listener_idle_timeout: Duration::from_secs(300),
            masker: MaskerConfig::default(),
            answer_child: no_answers(),
        }
    }
}

impl Default for PluginsOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// Asks Python. A cheap handle; clones share helpers and kept answers.
#[derive(Clone)]
pub struct Plugins {
    answers: mpsc::Sender<Ask>,
    listeners: mpsc::Sender<Ask>,
    cache: Arc<Mutex<Cache>>,
    zygote: Zygote,
}

impl std::fmt::Debug for Plugins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugins").finish_non_exhaustive()
    }
}

impl Plugins {
    /// Nothing runs before the first question.
    #[must_use]
    pub fn new(zygote: Zygote, tasks: &Tasks, options: PluginsOptions) -> Self {
        /// How long a helper may take to end. Those of listeners tell theirs first.
        const STOP_MAX: Duration = Duration::from_secs(2);
        const LISTENER_STOP_MAX: Duration = Duration::from_secs(5);
        let context = HelperContext {
            zygote: zygote.clone(),
            tasks: tasks.clone(),
            answer_child: options.answer_child,
            masker: options.masker,
            timeout: options.timeout,
            stop_max: STOP_MAX,
        };
        let of_listeners = HelperContext {
            stop_max: LISTENER_STOP_MAX,
            ..context.clone()
        };
        Self {
            answers: Pool::start(
                "plugins.answers",
                context,
                options.helpers_max,
                options.idle_timeout,
            ),
            listeners: Pool::start(
                "plugins.listeners",
                of_listeners,
                1,
                options.listener_idle_timeout,
            ),
            cache: Arc::default(),
            zygote,
        }
    }

    /// Waits until plugins are loaded by another process than `seen`, and says which.
    ///
    /// # Errors
    /// When there will be no such process.
    pub async fn next_python(&self, seen: Option<u32>) -> Result<u32, updraft_python::Error> {
        self.zygote.next_process(seen).await
    }

    /// Loads plugins and settings of the cluster anew. What is under way goes on.
    pub fn reload(&self) {
        self.zygote.recycle();
    }

    /// Asks, whatever was answered before.
    pub(crate) async fn ask<T: DeserializeOwned>(&self, question: Question) -> Result<T, Error> {
        let answer = send(&self.answers, question.clone()).await?;
        read(&question, answer)
    }

    /// Asks unless the answer is known.
    pub(crate) async fn ask_once<T: DeserializeOwned>(
        &self,
        question: Question,
    ) -> Result<T, Error> {
        let known = self.cache().get(self.zygote.pid(), &question);
        let answer = match known {
            Some(answer) => answer,
            None => {
                let answer = send(&self.answers, question.clone()).await?;
                // Whoever answered may be older than this, and then is asked again.
                self.cache()
                    .put(self.zygote.pid(), &question, answer.clone());
                answer
            }
        };
        read(&question, answer)
    }

    /// Asks the helper that calls listeners.
    pub(crate) async fn ask_listener<T: DeserializeOwned>(
        &self,
        question: Question,
    ) -> Result<T, Error> {
        let answer = send(&self.listeners, question.clone()).await?;
        read(&question, answer)
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn send(pool: &mpsc::Sender<Ask>, question: Question) -> Result<Value, Error> {
    let gone = question.not_ready("Updraft is stopping");
    let (reply, answer) = oneshot::channel();
    if pool.send(Ask { question, reply }).await.is_err() {
        return Err(gone);
    }
    answer.await.unwrap_or(Err(gone))
}

fn read<T: DeserializeOwned>(question: &Question, answer: Value) -> Result<T, Error> {
    serde_json::from_value(answer).map_err(|error| question.nonsense(error))
}
