//! `updraft dags reserialize`.
//!
//! Only the Dag processor parses. The command asks it to parse every file it knows and waits until
//! each was parsed after that.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use updraft_config::Settings;
use updraft_model::BundleName;
use updraft_model::job::JobType;
use updraft_runtime::Clock;
use updraft_store::{ParseRequest, Reader, Store};

use super::list::require_bundles;
use crate::cli::access::Access;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::jobs::is_alive;
use crate::output::{remark, say};

/// Pause between two looks at what was parsed.
const PAUSE: Duration = Duration::from_millis(200);

/// How long no file may be finished before we stop waiting; a parse takes at most
/// `[dag_processor] dag_file_processor_timeout`, which is added.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Args)]
pub(in crate::cli) struct ReserializeArgs {
    /// Only files of this bundle; may be given more than once
    #[arg(short = 'B', long)]
    bundle_name: Vec<String>,
}

pub(super) async fn run(args: &ReserializeArgs, access: &Access) -> Outcome {
    let (settings, store) = access.settings_and_store().await?;
    let mut reader = store.read().await?;
    require_bundles(&mut reader, &args.bundle_name).await?;
    require_processor(&mut reader, &settings).await?;
    let files = files_of(&mut reader, &args.bundle_name).await?;
    drop(reader);

    let began = Clock::machine().now();
    let mut tx = store.write().await?;
    for file in &files {
        tx.request_parse(file).await?;
    }
    tx.commit().await?;
    remark(&format!("Parsing {} files", files.len()));
    let timeout = settings.dag_processor.dag_file_processor_timeout;
    wait_until_parsed(&store, &files, began, PATIENCE + timeout).await?;
    say(&format!("{} files were parsed", files.len()));
    Ok(())
}

async fn require_processor(reader: &mut Reader, settings: &Settings) -> Result<(), Failure> {
    let job = reader.find_latest_job(JobType::DagProcessor).await?;
    match job {
        Some(job) if job.end_date.is_none() && is_alive(&job, settings) => Ok(()),
        _ => Err(
            Failure::because("no Dag processor is running, and only it parses files")
                .hint("start `updraft standalone`; it parses all files anyway"),
        ),
    }
}

async fn files_of(
    reader: &mut Reader,
    bundles: &[String],
) -> Result<BTreeSet<ParseRequest>, Failure> {
    let mut files = BTreeSet::new();
    for bundle in reader.load_bundles().await? {
        let is_wanted =
            bundles.is_empty() || bundles.iter().any(|each| each == bundle.name.as_str());
        if !bundle.is_active || !is_wanted {
            continue;
        }
        for file in reader.load_file_stats(&bundle.name).await? {
            files.insert(ParseRequest {
                bundle_name: bundle.name.clone(),
                relative_fileloc: file.relative_fileloc,
            });
        }
    }
    Ok(files)
}

async fn wait_until_parsed(
    store: &Store,
    files: &BTreeSet<ParseRequest>,
    began: Timestamp,
    patience: Duration,
) -> Result<(), Failure> {
    let mut left = files.clone();
    let mut last_progress = Clock::machine().monotonic();
    while !left.is_empty() {
        tokio::time::sleep(PAUSE).await;
        let before = left.len();
        forget_parsed(store, &mut left, began).await?;
        if left.len() < before {
            last_progress = Clock::machine().monotonic();
        } else if last_progress.elapsed() > patience {
            return Err(Failure::because(format!(
                "{} of {} files were not parsed in time",
                left.len(),
                files.len()
            ))
            .hint("see the log of the Dag processor"));
        }
    }
    Ok(())
}

/// Leaves the files that were not parsed since, and forgets those that are gone.
async fn forget_parsed(
    store: &Store,
    left: &mut BTreeSet<ParseRequest>,
    began: Timestamp,
) -> Result<(), Failure> {
    let mut reader = store.read().await?;
    let bundles: BTreeSet<BundleName> = left.iter().map(|file| file.bundle_name.clone()).collect();
    let mut pending = BTreeSet::new();
    for bundle in bundles {
        for file in reader.load_file_stats(&bundle).await? {
            if file.last_finish_time < began {
                pending.insert(ParseRequest {
                    bundle_name: bundle.clone(),
                    relative_fileloc: file.relative_fileloc,
                });
            }
        }
    }
    left.retain(|file| pending.contains(file));
    Ok(())
}
