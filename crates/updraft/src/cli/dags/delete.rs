//! `updraft dags delete`.

use clap::Args;
use updraft_model::TaskInstanceState;
use updraft_model::filter::Page;
use updraft_runtime::Clock;
use updraft_store::listing::TaskInstanceFilter;

use super::loaded::require_dag;
use crate::cli::access::Access;
use crate::cli::failure::{Failure, Outcome};
use crate::output::{confirm, say};

#[derive(Debug, Args)]
pub(in crate::cli) struct DeleteArgs {
    /// The id of the Dag
    dag_id: String,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

/// Deletes all rows of a Dag but those of the audit log. A file that still defines it brings it
/// back with its next parse.
pub(super) async fn run(args: &DeleteArgs, access: &Access) -> Outcome {
    let (_, store) = access.settings_and_store().await?;
    const QUESTION: &str =
        "This will drop all existing records related to the specified DAG. Proceed? (y/n)";
    if !args.yes && !confirm(QUESTION) {
        say("Cancelled");
        return Ok(());
    }
    let mut tx = store.write().await?;
    let dag = require_dag(&mut tx, &args.dag_id).await?;
    let running = TaskInstanceFilter {
        dag_ids: vec![dag.dag_id.clone()],
        states: vec![TaskInstanceState::Running],
        ..TaskInstanceFilter::default()
    };
    let one = Page {
        limit: 1,
        ..Page::default()
    };
    let running = tx
        .list_task_instances(&running, &one, Clock::machine().now())
        .await?;
    if let Some(ti) = running.rows.first() {
        return Err(Failure::because(format!(
            "TaskInstances still running: task `{}` of run `{}`",
            ti.task_id, ti.run_id
        ))
        .hint("wait until they have ended, or clear them"));
    }
    tx.delete_dag(&dag.dag_id).await?;
    tx.commit().await?;
    say(&format!("Removed Dag {} and its records", dag.dag_id));
    Ok(())
}
