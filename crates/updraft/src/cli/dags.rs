//! `updraft dags`.

mod clear;
mod delete;
mod details;
mod graph;
mod list;
mod loaded;
mod pause;
mod reserialize;
mod runs;
mod show;
mod trigger;

use clap::Subcommand;

use super::access::Access;
use super::failure::{Failure, Outcome};

pub(super) use loaded::{latest, load_dags, require_serialized};
pub(super) use runs::{date_range, find_run};
pub(super) use trigger::{conf_of, create_run};

#[derive(Debug, Subcommand)]
pub(super) enum DagsCommand {
    /// List all Dags
    List(list::ListArgs),
    /// List all Dags that have import errors
    ListImportErrors(list::ListImportErrorsArgs),
    /// Show what the parsing of each file took
    Report(list::ReportArgs),
    /// List the jobs: one for each start of a role
    ListJobs(list::ListJobsArgs),
    /// Show the details of a Dag
    Details(details::DetailsArgs),
    /// Print a Dag's tasks as a graph in DOT
    Show(show::ShowArgs),
    /// Trigger a new Dag run
    Trigger(trigger::TriggerArgs),
    /// Pause Dags
    Pause(pause::PauseArgs),
    /// Resume paused Dags
    Unpause(pause::PauseArgs),
    /// List the runs of a Dag
    ListRuns(runs::ListRunsArgs),
    /// Print the state of a Dag run
    State(runs::StateArgs),
    /// Parse all Dag files anew
    Reserialize(reserialize::ReserializeArgs),
    /// Clear Dag runs selected by run_id, partition_key, or a partition_date window
    Clear(clear::ClearArgs),
    /// Delete everything about a Dag
    Delete(delete::DeleteArgs),
}

pub(super) async fn run(command: DagsCommand, access: &Access) -> Outcome {
    match command {
        DagsCommand::List(args) => list::list(&args, access).await,
        DagsCommand::ListImportErrors(args) => list::list_import_errors(&args, access).await,
        DagsCommand::Report(args) => list::report(&args, access).await,
        DagsCommand::ListJobs(args) => list::list_jobs(&args, access).await,
        DagsCommand::Details(args) => details::run(&args, access).await,
        DagsCommand::Show(args) => show::run(&args, access).await,
        DagsCommand::Trigger(args) => trigger::run(&args, access).await,
        DagsCommand::Pause(args) => pause::run(&args, true, access).await,
        DagsCommand::Unpause(args) => pause::run(&args, false, access).await,
        DagsCommand::ListRuns(args) => runs::list(&args, access).await,
        DagsCommand::State(args) => runs::state(&args, access).await,
        DagsCommand::Reserialize(args) => reserialize::run(&args, access).await,
        DagsCommand::Clear(args) => clear::run(&args, access).await,
        DagsCommand::Delete(args) => delete::run(&args, access).await,
    }
}

/// The refusal for a Dag that is not there.
pub(super) fn no_such_dag(dag_id: &str) -> Failure {
    Failure::because(format!("Dag id {dag_id} not found"))
        .hint("`updraft dags list` shows all Dags, `updraft dags list-import-errors` what failed")
}
