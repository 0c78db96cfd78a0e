//! One task with the effective value of every attribute.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::attributes::DagAttributes;
use super::error::{Error, Place};
use super::expand::ExpandInput;
use super::fields::{Fields, Object, unwrapped, wrapper_type};
use super::graph::Relations;
use super::group::GroupIndex;
use super::start_trigger::StartTrigger;
use crate::{PoolName, TaskId, TriggerRule};

/// Position of a task in [`super::SerializedDag::tasks`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskIndex(pub u32);

impl TaskIndex {
    /// As an index into a vector that has one element per task.
    #[must_use]
    pub const fn place(self) -> usize {
        self.0 as usize
    }
}

/// One task.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    pub index: TaskIndex,
    pub task_id: TaskId,
    /// Class name of the operator.
    pub task_type: String,
    pub module: String,
    /// Name to show for the operator, when it is not the class name.
    pub custom_operator_name: Option<String>,
    pub display_name: Option<String>,
    pub owner: String,

    /// The group the task stands in.
    pub group: GroupIndex,
    /// Mapped itself by `expand`; see also [`super::SerializedDag::mapped_groups_of`].
    pub is_mapped: bool,
    /// Mapped itself, or within a mapped group.
    pub needs_expansion: bool,
    /// Present when [`Task::is_mapped`].
    pub expand_input: Option<ExpandInput>,

    /// Direct upstream tasks, ascending.
    pub upstream: Vec<TaskIndex>,
    /// Direct downstream tasks, ascending.
    pub downstream: Vec<TaskIndex>,
    /// What follows from the graph.
    pub relations: Relations,

    pub trigger_rule: TriggerRule,
    pub is_setup: bool,
    pub is_teardown: bool,
    pub on_failure_fail_dagrun: bool,
    pub depends_on_past: bool,
    pub ignore_first_depends_on_past: bool,
    pub wait_for_downstream: bool,
    /// Inherits `SkipMixin`: branches and short circuits.
    pub can_skip_downstream: bool,
    /// Inherits `EmptyOperator`; see [`Task::is_trivially_empty`].
    pub is_empty: bool,
    /// A sensor that gives its slot back between pokes.
    pub is_reschedule_sensor: bool,
    /// The trigger in which the task starts instead of on a worker.
    pub start_trigger: Option<StartTrigger>,
    /// Whether the dates of the task limit the runs it is created in; the Dag's by default.
    pub start_date: Option<Timestamp>,
    pub end_date: Option<Timestamp>,

    pub retries: Retries,
    pub execution_timeout: Option<SignedDuration>,
    pub limits: TaskLimits,
    pub queue: String,
    pub pool: PoolName,
    pub pool_slots: i32,
    pub executor: Option<String>,
    /// As serialized, for the executor to decode; an empty map by default.
    pub executor_config: Value,
    /// The task's own weight, within 32 bits.
    pub priority_weight: i64,
    pub weight_rule: WeightRule,
    /// The weight by [`Task::weight_rule`]; `None` when only Python can compute it.
    pub total_weight: Option<i64>,

    pub callbacks: Callbacks,
    pub has_retry_policy: bool,
    pub email: Vec<String>,
    pub email_on_failure: bool,
    pub email_on_retry: bool,
    pub do_xcom_push: bool,
    pub run_as_user: Option<String>,
    /// As serialized.
    pub inlets: Vec<Value>,
    /// As serialized.
    pub outlets: Vec<Value>,
}

/// How often and when a failed task is tried again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retries {
    /// Retries after the first try.
    pub count: i32,
    pub delay: SignedDuration,
    /// Factor from one delay to the next; 0 and 1 mean a constant delay.
    pub exponential_backoff: f64,
    pub max_delay: Option<SignedDuration>,
}

/// Limits on how many instances of a task are active at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskLimits {
    pub max_active_tis_per_dag: Option<i32>,
    pub max_active_tis_per_dagrun: Option<i32>,
}

/// Which callbacks the Dag file defines; their code stays there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "these are five independent flags of the format"
)]
pub struct Callbacks {
    pub on_execute: bool,
    pub on_failure: bool,
    pub on_success: bool,
    pub on_retry: bool,
    pub on_skipped: bool,
}

/// How the weight of a task follows from the weights around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WeightRule {
    /// Own weight and that of every descendant.
    Downstream,
    /// Own weight and that of every ancestor.
    Upstream,
    /// Own weight.
    Absolute,
    /// A class that only Python can ask; the whole serialized value.
    Custom(Value),
}

impl Task {
    /// The scheduler itself makes the task a success: an `EmptyOperator` that nobody could notice
    /// running.
    #[must_use]
    pub fn is_trivially_empty(&self) -> bool {
        self.is_empty
            && !self.callbacks.on_execute
            && !self.callbacks.on_success
            && self.inlets.is_empty()
            && self.outlets.is_empty()
    }

    /// The name of the operator as `task_instance.operator` shows it.
    #[must_use]
    pub fn operator_name(&self) -> &str {
        self.custom_operator_name
            .as_deref()
            .unwrap_or(&self.task_type)
    }

    /// Reads one element of `tasks`; edges and what follows from them are filled in later.
    pub(super) fn parse(
        place: &Place,
        index: TaskIndex,
        own: &Object,
        group: GroupIndex,
        context: &Context<'_>,
    ) -> Result<Self, Error> {
        let fields = Fields::of_operator(place, own, context.client_defaults);
        let flag = |key| Ok(fields.flag(key)?.unwrap_or(false));
        let flag_or_true = |key| Ok(fields.flag(key)?.unwrap_or(true));
        let text = |key| Ok(fields.text(key)?.map(str::to_owned));
        let text_or = |key, default: &str| Ok(fields.text(key)?.unwrap_or(default).to_owned());
        let is_mapped = flag("_is_mapped")?;
        let task_type = text_or("task_type", "BaseOperator")?;
        Ok(Self {
            index,
            task_id: fields
                .require("task_id")?
                .as_str()
                .unwrap_or_default()
                .into(),
            custom_operator_name: text("_operator_name")?.filter(|name| *name != task_type),
            task_type,
            module: text_or("_task_module", "")?,
            display_name: text("_task_display_name")?.or(text("task_display_name")?),
            owner: text_or("owner", "airflow")?,
            group,
            is_mapped,
            needs_expansion: is_mapped || flag("_needs_expansion")?,
            expand_input: parse_expand_input(&fields, own, is_mapped, context)?,
            upstream: Vec::new(),
            downstream: Vec::new(),
            relations: Relations::default(),
            trigger_rule: fields
                .named("trigger_rule")?
                .unwrap_or(TriggerRule::AllSuccess),
            is_setup: flag("is_setup")?,
            is_teardown: flag("is_teardown")?,
            on_failure_fail_dagrun: flag("on_failure_fail_dagrun")?
                || flag("_on_failure_fail_dagrun")?,
            depends_on_past: flag("depends_on_past")?,
            ignore_first_depends_on_past: flag("ignore_first_depends_on_past")?,
            wait_for_downstream: flag("wait_for_downstream")?,
            can_skip_downstream: flag("_can_skip_downstream")?,
            is_empty: flag("_is_empty")?,
            is_reschedule_sensor: flag("_is_sensor")? && flag("reschedule")?,
            start_trigger: StartTrigger::parse(&fields, is_mapped)?,
            start_date: fields.instant("start_date")?.or(context.dag.start_date),
            end_date: fields.instant("end_date")?.or(context.dag.end_date),
            retries: Retries::parse(&fields)?,
            execution_timeout: fields.duration("execution_timeout")?,
            limits: TaskLimits::parse(&fields)?,
            queue: text_or("queue", "default")?,
            pool: PoolName::new(fields.text("pool")?.unwrap_or(crate::pool::DEFAULT_POOL)),
            pool_slots: fields.count("pool_slots")?.unwrap_or(1),
            executor: text("executor")?,
            executor_config: parse_executor_config(&fields),
            priority_weight: own_weight(fields.integer("priority_weight")?.unwrap_or(1)),
            weight_rule: WeightRule::parse(&fields)?,
            total_weight: None,
            callbacks: Callbacks::parse(&fields)?,
            has_retry_policy: flag("has_retry_policy")?,
            email: owned(fields.texts("email")?),
            email_on_failure: flag_or_true("email_on_failure")?,
            email_on_retry: flag_or_true("email_on_retry")?,
            do_xcom_push: flag_or_true("do_xcom_push")?,
            run_as_user: text("run_as_user")?,
            inlets: fields.list("inlets")?.to_vec(),
            outlets: fields.list("outlets")?.to_vec(),
        })
    }
}

/// What a task needs to know of the rest of its Dag while it is read.
pub(super) struct Context<'a> {
    pub(super) dag: &'a DagAttributes,
    pub(super) client_defaults: Option<&'a Object>,
    pub(super) find_task: &'a dyn Fn(&str) -> Option<TaskIndex>,
}

impl TaskLimits {
    fn parse(fields: &Fields<'_>) -> Result<Self, Error> {
        Ok(Self {
            max_active_tis_per_dag: fields.count("max_active_tis_per_dag")?,
            max_active_tis_per_dagrun: fields.count("max_active_tis_per_dagrun")?,
        })
    }
}

impl Callbacks {
    fn parse(fields: &Fields<'_>) -> Result<Self, Error> {
        let flag = |key| Ok(fields.flag(key)?.unwrap_or(false));
        Ok(Self {
            on_execute: flag("has_on_execute_callback")?,
            on_failure: flag("has_on_failure_callback")?,
            on_success: flag("has_on_success_callback")?,
            on_retry: flag("has_on_retry_callback")?,
            on_skipped: flag("has_on_skipped_callback")?,
        })
    }
}

impl Retries {
    fn parse(fields: &Fields<'_>) -> Result<Self, Error> {
        const BACKOFF: &str = "retry_exponential_backoff";
        const DELAY_DEFAULT: SignedDuration = SignedDuration::from_secs(300);
        let exponential_backoff = match fields.find(BACKOFF) {
            // A bool is how older Dag files say "double it".
            Some(Value::Bool(on)) => f64::from(u8::from(*on) * 2),
            Some(value) => value
                .as_f64()
                .ok_or_else(|| fields.place.expected(BACKOFF, "a factor", value))?,
            None => 0.0,
        };
        Ok(Self {
            count: fields.count("retries")?.unwrap_or(0),
            delay: fields.duration("retry_delay")?.unwrap_or(DELAY_DEFAULT),
            exponential_backoff,
            max_delay: fields.duration("max_retry_delay")?,
        })
    }
}

impl WeightRule {
    fn parse(fields: &Fields<'_>) -> Result<Self, Error> {
        const KEY: &str = "weight_rule";
        let Some(value) = fields.find_wrapped(KEY) else {
            return Ok(Self::Downstream);
        };
        match (value, wrapper_type(value)) {
            (Value::String(rule), _) => match rule.as_str() {
                "downstream" => Ok(Self::Downstream),
                "upstream" => Ok(Self::Upstream),
                "absolute" => Ok(Self::Absolute),
                _ => Ok(Self::Custom(value.clone())),
            },
            (Value::Object(_), Some(_)) => Ok(Self::Custom(value.clone())),
            _ => {
                Err(fields
                    .place
                    .expected(KEY, "downstream, upstream, absolute or a class", value))
            }
        }
    }
}

fn parse_expand_input(
    fields: &Fields<'_>,
    own: &Object,
    is_mapped: bool,
    context: &Context<'_>,
) -> Result<Option<ExpandInput>, Error> {
    if !is_mapped {
        return Ok(None);
    }
    let key = fields.text("_expand_input_attr")?.unwrap_or("expand_input");
    let input = own.get(key).ok_or_else(|| {
        let problem = "expected the input of a mapped task";
        fields.place.error(key, problem)
    })?;
    ExpandInput::parse(fields.place, key, input, &context.find_task).map(Some)
}

/// Keeps the wrapper: the value may hold objects of Kubernetes that only the executor decodes.
fn parse_executor_config(fields: &Fields<'_>) -> Value {
    match fields.find_wrapped("executor_config") {
        Some(value)
            if unwrapped(value)
                .as_object()
                .is_none_or(|map| !map.is_empty()) =>
        {
            value.clone()
        }
        _ => Value::Object(Object::new()),
    }
}

fn owned(texts: Vec<&str>) -> Vec<String> {
    texts.into_iter().map(str::to_owned).collect()
}

/// Source: scheduling semantics §5.4.
fn own_weight(weight: i64) -> i64 {
    weight.clamp(i64::from(i32::MIN), i64::from(i32::MAX))
}
