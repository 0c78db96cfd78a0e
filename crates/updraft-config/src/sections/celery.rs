use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use crate::section::Section;

/// `[celery]`.
#[derive(Clone, Debug)]
pub struct CeleryConfig {
    /// `broker_url`: Redis or RabbitMQ server that carries the tasks.
    pub broker_url: SecretString,
    /// `result_backend`: where states of Celery tasks are kept; empty keeps none.
    pub result_backend: Option<SecretString>,
    /// `celery_app_name`: name of the Celery application, as workers of Airflow use it.
    pub celery_app_name: String,
    /// `worker_concurrency`: tasks that one worker runs at a time.
    pub worker_concurrency: u32,
    /// `worker_autoscale`: `most,least` tasks at a time; empty keeps `worker_concurrency`.
    pub worker_autoscale: Option<WorkerAutoscale>,
    /// `worker_prefetch_multiplier`: messages taken ahead, per task that runs at a time.
    pub worker_prefetch_multiplier: u32,
    /// `worker_enable_remote_control`: obey Flower's and `celery control`'s commands.
    pub worker_enable_remote_control: bool,
    /// `task_acks_late`: acknowledge a message when its task ends, not when it starts.
    pub task_acks_late: bool,
    /// `task_track_started`: report that a task has started.
    pub task_track_started: bool,
    /// `operation_timeout`: time one exchange with the broker may take.
    pub operation_timeout: Duration,
    /// `task_publish_max_retries`: attempts at one message.
    pub task_publish_max_retries: u32,
    /// `ssl_active`: reach the broker over TLS.
    pub ssl_active: bool,
    /// `ssl_mutual_tls`: identify with `ssl_cert` and `ssl_key`.
    pub ssl_mutual_tls: bool,
    /// `ssl_key`: key of the client certificate.
    pub ssl_key: Option<PathBuf>,
    /// `ssl_cert`: client certificate.
    pub ssl_cert: Option<PathBuf>,
    /// `ssl_cacert`: certificates of the authorities to trust.
    pub ssl_cacert: Option<PathBuf>,
}

/// Bounds of a worker that follows the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerAutoscale {
    /// Most tasks at a time.
    pub most: u32,
    /// Least.
    pub least: u32,
}

impl CeleryConfig {
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        Self {
            broker_url: section.required("broker_url", "the URL of a broker", |text| {
                text.contains("://")
                    .then(|| SecretString::from(text.trim()))
            }),
            result_backend: section.optional_secret("result_backend"),
            celery_app_name: section.text("celery_app_name"),
            worker_concurrency: section.positive("worker_concurrency"),
            worker_autoscale: section.optional(
                "worker_autoscale",
                "two counts such as 16,4",
                autoscale,
            ),
            worker_prefetch_multiplier: section.count("worker_prefetch_multiplier"),
            worker_enable_remote_control: section.flag("worker_enable_remote_control"),
            task_acks_late: section.flag("task_acks_late"),
            task_track_started: section.flag("task_track_started"),
            operation_timeout: section.seconds("operation_timeout"),
            task_publish_max_retries: section.count("task_publish_max_retries"),
            ssl_active: section.flag("ssl_active"),
            ssl_mutual_tls: section.flag("ssl_mutual_tls"),
            ssl_key: section.optional_path("ssl_key"),
            ssl_cert: section.optional_path("ssl_cert"),
            ssl_cacert: section.optional_path("ssl_cacert"),
        }
    }
}

fn autoscale(text: &str) -> Option<WorkerAutoscale> {
    let (most, least) = text.split_once(',')?;
    let (most, least) = (most.trim().parse().ok()?, least.trim().parse().ok()?);
    (most >= least && most > 0).then_some(WorkerAutoscale { most, least })
}
