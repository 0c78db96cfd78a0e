//! Task instances that wait for their weight rule or for the mutation hook of the cluster.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use tracing::warn;
use updraft_model::dag_run::DagRun;
use updraft_model::serialized::{SerializedDag, Task, WeightRule};
use updraft_model::task_instance::TaskInstance;
use updraft_model::{DagVersionId, TaskInstanceId, TaskInstanceState};
use updraft_plugins::{DagSource, Error as PluginError, Settled, TaskInstanceDraft};
use updraft_store::{
    Error as StoreError, RunKey, SerializedText, TaskInstanceSettlement, UnsettledTaskInstance,
};

use super::{Context, Outcome, outcome_of};

/// Task instances that are asked for at a time.
const BATCH_MAX: i64 = 500;

/// What a failing weight rule means.
const WITHOUT_RULE: &str =
    "task instances have the weight of their task alone, because its weight rule failed";

/// Who is named when the hook hangs or raises.
const HOOK: &str = "task_instance_mutation_hook";

/// Rows of one version of the Dag.
struct Group {
    dag: SerializedDag,
    source: DagSource,
    rows: Vec<UnsettledTaskInstance>,
}

impl Context {
    /// Settles what waits in one run. Rows may be queued when they are.
    pub(super) async fn settle_task_instances(&self, key: &RunKey) -> Result<Outcome, StoreError> {
        loop {
            let Some((run, rows)) = self.load_batch(key).await? else {
                return Ok(Outcome::Settled);
            };
            let is_last = i64::try_from(rows.len()).is_ok_and(|count| count < BATCH_MAX);
            let outcome = self.settle_batch(key, &run, rows).await?;
            if is_last || outcome != Outcome::Settled {
                return Ok(outcome);
            }
        }
    }

    async fn load_batch(
        &self,
        key: &RunKey,
    ) -> Result<Option<(DagRun, Vec<UnsettledTaskInstance>)>, StoreError> {
        let mut reader = self.store.read().await?;
        let rows = reader
            .load_unsettled(&key.dag_id, &key.run_id, BATCH_MAX)
            .await?;
        let run = reader.find_dag_run(&key.dag_id, &key.run_id).await?;
        Ok(run
            .map(|run| (run, rows))
            .filter(|(_, rows)| !rows.is_empty()))
    }

    async fn settle_batch(
        &self,
        key: &RunKey,
        run: &DagRun,
        rows: Vec<UnsettledTaskInstance>,
    ) -> Result<Outcome, StoreError> {
        let has_hook = self.inventory.mutation_hook;
        let (asked, plain): (Vec<_>, Vec<_>) = rows
            .into_iter()
            .partition(|row| has_hook || row.needs_weight);
        let mut as_they_are: Vec<TaskInstanceId> =
            plain.iter().map(|row| row.task_instance.id).collect();
        let (groups, unknown) = self.group(asked).await?;
        // A task that its Dag lost has nothing to be asked about.
        as_they_are.extend(unknown);
        self.leave(key, &as_they_are).await?;
        for group in groups {
            let outcome = self.settle_group(key, run, &group).await?;
            if outcome != Outcome::Settled {
                return Ok(outcome);
            }
        }
        Ok(Outcome::Settled)
    }

    /// Puts rows of the same version together; the rows whose task is not in theirs are apart.
    async fn group(
        &self,
        rows: Vec<UnsettledTaskInstance>,
    ) -> Result<(Vec<Group>, Vec<TaskInstanceId>), StoreError> {
        let mut by_version: BTreeMap<Option<DagVersionId>, Vec<UnsettledTaskInstance>> =
            BTreeMap::new();
        for row in rows {
            by_version
                .entry(row.task_instance.dag_version_id)
                .or_default()
                .push(row);
        }
        let mut groups = Vec::new();
        let mut unknown = Vec::new();
        for (version, rows) in by_version {
            let text = match version {
                Some(version) => {
                    self.store
                        .read()
                        .await?
                        .find_serialized_dag(version)
                        .await?
                }
                None => None,
            };
            let Some((dag, source)) = text.and_then(read) else {
                unknown.extend(rows.iter().map(|row| row.task_instance.id));
                continue;
            };
            let (known, lost): (Vec<_>, Vec<_>) = rows
                .into_iter()
                .partition(|row| dag.find_task(row.task_instance.task_id.as_str()).is_some());
            unknown.extend(lost.iter().map(|row| row.task_instance.id));
            groups.push(Group {
                dag,
                source,
                rows: known,
            });
        }
        Ok((groups, unknown))
    }

    async fn settle_group(
        &self,
        key: &RunKey,
        run: &DagRun,
        group: &Group,
    ) -> Result<Outcome, StoreError> {
        let has_hook = self.inventory.mutation_hook;
        let asked = if has_hook {
            HOOK.to_owned()
        } else {
            weight_class(group)
        };
        let drafts: Vec<TaskInstanceDraft> = group.rows.iter().map(draft_of).collect();
        let answer = self
            .plugins
            .settle_task_instances(&group.source, run, &drafts, &asked)
            .await;
        let answers = match answer {
            Ok(answers) => answers,
            Err(error) => return self.on_trouble(key, &drafts, &error).await,
        };
        let mut settlements = Vec::with_capacity(answers.len());
        let mut failed = Vec::new();
        let mut trouble = None;
        let mut weight_troubles = BTreeMap::new();
        for settled in answers {
            let Settled { id, fields, .. } = settled;
            if let Some(error) = settled.weight_error {
                // Each rule is complained of once.
                weight_troubles
                    .entry(error.asked().to_owned())
                    .or_insert(error);
            }
            match fields {
                Ok(fields) => settlements.push(TaskInstanceSettlement {
                    id,
                    pool: fields.pool,
                    pool_slots: fields.pool_slots,
                    queue: fields.queue,
                    priority_weight: fields.priority_weight,
                    executor: fields.executor,
                    executor_config: fields.executor_config,
                    max_tries: fields.max_tries,
                }),
                Err(error) => {
                    failed.extend(drafts.iter().find(|draft| draft.id == id).cloned());
                    trouble.get_or_insert(error);
                }
            }
        }
        for error in weight_troubles.into_values() {
            let RunKey { dag_id, run_id } = key;
            let traceback = error.traceback().unwrap_or_default();
            warn!(%dag_id, %run_id, %error, traceback, "{}", WITHOUT_RULE);
        }
        let store = &self.store;
        store
            .retry(|| async {
                let mut tx = store.write().await?;
                tx.settle_task_instances(key, &settlements, self.clock.now())
                    .await?;
                tx.commit().await
            })
            .await?;
        match trouble {
            Some(error) => self.on_trouble(key, &failed, &error).await,
            None => Ok(Outcome::Settled),
        }
    }

    /// A hook may be what keeps a task from where it must not run, so its task instances wait for it.
    /// A weight only says who goes first: without its class the task's own weight counts.
    async fn on_trouble(
        &self,
        key: &RunKey,
        drafts: &[TaskInstanceDraft],
        error: &PluginError,
    ) -> Result<Outcome, StoreError> {
        let outcome = outcome_of(error);
        if outcome == Outcome::NotNow {
            return Ok(outcome);
        }
        let RunKey { dag_id, run_id } = key;
        let traceback = error.traceback().unwrap_or_default();
        let count = drafts.len();
        if self.inventory.mutation_hook {
            warn!(%dag_id, %run_id, count, %error, traceback, "task instances wait, because the mutation hook of the cluster does not let them pass");
            return Ok(outcome);
        }
        warn!(%dag_id, %run_id, count, %error, traceback, "{}", WITHOUT_RULE);
        let ids: Vec<TaskInstanceId> = drafts.iter().map(|draft| draft.id).collect();
        self.leave(key, &ids).await?;
        Ok(Outcome::Settled)
    }

    async fn leave(&self, key: &RunKey, ids: &[TaskInstanceId]) -> Result<(), StoreError> {
        if ids.is_empty() {
            return Ok(());
        }
        let store = &self.store;
        store
            .retry(|| async {
                let mut tx = store.write().await?;
                tx.settle_as_they_are(key, ids).await?;
                tx.commit().await
            })
            .await
    }
}

fn read(text: SerializedText) -> Option<(SerializedDag, DagSource)> {
    let raw: Value = serde_json::from_str(&text.data).ok()?;
    let dag = SerializedDag::parse(raw).ok()?;
    let source = DagSource {
        hash: text.dag_hash,
        data: Arc::from(text.data),
    };
    Some((dag, source))
}

fn draft_of(row: &UnsettledTaskInstance) -> TaskInstanceDraft {
    let ti = &row.task_instance;
    TaskInstanceDraft {
        id: ti.id,
        task_id: ti.task_id.clone(),
        map_index: ti.map_index,
        tries_made: tries_made(ti),
        max_tries: ti.max_tries,
        dag_version_id: ti.dag_version_id,
    }
}

/// Scheduling counts the try that is to come; the user's code sees those before it.
fn tries_made(ti: &TaskInstance) -> i32 {
    match ti.state {
        TaskInstanceState::NoStatus => ti.try_number,
        _ => (ti.try_number - 1).max(0),
    }
}

/// The class of the first weight rule in the group.
fn weight_class(group: &Group) -> String {
    let rows = group.rows.iter().filter(|row| row.needs_weight);
    let tasks = rows.filter_map(|row| group.dag.find_task(row.task_instance.task_id.as_str()));
    tasks
        .filter_map(class_of)
        .next()
        .unwrap_or_else(|| "weight_rule".to_owned())
}

fn class_of(task: &Task) -> Option<String> {
    let WeightRule::Custom(rule) = &task.weight_rule else {
        return None;
    };
    let class = rule.as_str().or_else(|| rule.get("__type")?.as_str());
    class.map(str::to_owned)
}
