//! `updraft jobs`: whether the roles are alive, for health checks.

use clap::{Args, Subcommand, ValueEnum};
use jiff::SignedDuration;
use updraft_config::Settings;
use updraft_model::filter::Page;
use updraft_model::job::{Job, JobType};
use updraft_runtime::Clock;
use updraft_store::listing::JobFilter;

use super::access::Access;
use super::failure::{Failure, Outcome};
use crate::output::say;

/// How many job rows are looked at.
const JOBS_MAX: i64 = 1_000;

#[derive(Debug, Subcommand)]
pub(super) enum JobsCommand {
    /// Check if jobs are still alive
    Check(CheckArgs),
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The type of job to look for
    #[arg(long, value_enum)]
    job_type: Option<CheckedJobType>,
    /// The host the job runs on
    #[arg(long)]
    hostname: Option<String>,
    /// Only jobs of this host
    #[arg(long)]
    local: bool,
    /// How many recent jobs to look at; 0 means all
    #[arg(long, default_value_t = 1)]
    limit: usize,
    /// More than one may be alive
    #[arg(long)]
    allow_multiple: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CheckedJobType {
    #[value(name = "SchedulerJob")]
    Scheduler,
    #[value(name = "TriggererJob")]
    Triggerer,
    #[value(name = "DagProcessorJob")]
    DagProcessor,
}

impl CheckedJobType {
    fn job_type(self) -> JobType {
        match self {
            Self::Scheduler => JobType::Scheduler,
            Self::Triggerer => JobType::Triggerer,
            Self::DagProcessor => JobType::DagProcessor,
        }
    }
}

pub(super) async fn run(command: JobsCommand, access: &Access) -> Outcome {
    let JobsCommand::Check(args) = command;
    if args.allow_multiple && args.limit == 1 {
        return Err(Failure::usage(
            "--allow-multiple needs a --limit greater than 1, or 0 for all jobs",
        ));
    }
    if args.hostname.is_some() && args.local {
        return Err(Failure::usage(
            "--hostname and --local cannot be used at the same time",
        ));
    }
    let (settings, store) = access.settings_and_store().await?;
    let hostname = match args.local {
        true => Some(local_hostname()?),
        false => args.hostname.clone(),
    };
    let filter = JobFilter {
        state: Some("running".to_owned()),
        job_type: args
            .job_type
            .map(|kind| kind.job_type().as_str().to_owned()),
        hostname,
        ..JobFilter::default()
    };
    let page = Page {
        limit: JOBS_MAX,
        offset: 0,
        order_by: vec!["-latest_heartbeat".to_owned()],
    };
    let jobs = store.read().await?.list_jobs(&filter, &page).await?.rows;
    let looked_at = if args.limit == 0 {
        jobs.len()
    } else {
        args.limit
    };
    let alive = jobs
        .iter()
        .take(looked_at)
        .filter(|job| is_alive(job, &settings));
    match alive.count() {
        0 => Err(Failure::because("No alive jobs found.")),
        1 => {
            say("Found one alive job.");
            Ok(())
        }
        count if args.allow_multiple => {
            say(&format!("Found {count} alive jobs."));
            Ok(())
        }
        count => Err(
            Failure::because(format!("Found {count} alive jobs. Expected only one."))
                .hint("allow more with `--allow-multiple`"),
        ),
    }
}

/// Whether the heartbeat is as young as the role's threshold asks.
pub(super) fn is_alive(job: &Job, settings: &Settings) -> bool {
    let threshold = match job.job_type {
        JobType::Scheduler => settings.scheduler.health_check_threshold,
        JobType::Triggerer => settings.triggerer.triggerer_health_check_threshold,
        JobType::DagProcessor => settings.dag_processor.health_check_threshold,
    };
    let age = Clock::machine().now().duration_since(job.latest_heartbeat);
    age < SignedDuration::try_from(threshold).unwrap_or(SignedDuration::MAX)
}

fn local_hostname() -> Result<String, Failure> {
    Ok(nix::unistd::gethostname()?.to_string_lossy().into_owned())
}
