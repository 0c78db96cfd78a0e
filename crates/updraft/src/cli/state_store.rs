//! `updraft state-store`.

use clap::{Args, Subcommand};
use updraft_model::state_store::TaskScope;
use updraft_runtime::Clock;

use super::access::Access;
use super::failure::Outcome;
use crate::output::{remark, say};

/// The backend whose rows are in the store.
const METASTORE: &str = "airflow.state.metastore.MetastoreBackend";

#[derive(Debug, Subcommand)]
pub(super) enum StateStoreCommand {
    /// Remove expired task state store rows
    Clean(CleanArgs),
}

#[derive(Debug, Args)]
pub(super) struct CleanArgs {
    /// Only show what would be deleted
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(command: StateStoreCommand, access: &Access) -> Outcome {
    match command {
        StateStoreCommand::Clean(args) => clean(&args, access).await,
    }
}

async fn clean(args: &CleanArgs, access: &Access) -> Outcome {
    let (settings, store) = access.settings_and_store().await?;
    let config = &settings.state_store;
    if config.backend != METASTORE {
        let class = config.backend.rsplit('.').next().unwrap_or_default();
        say(&format!(
            "Custom state store backend configured ({class}); skipping. The clean command \
             currently supports the metastore backend only."
        ));
        return Ok(());
    }
    let now = Clock::machine().now();
    if args.dry_run {
        let expired = store.read().await?.load_expired_task_states(now).await?;
        if expired.is_empty() {
            say("Nothing to delete.");
            return Ok(());
        }
        let count = expired.len();
        say(&format!("Would delete {count} task state store row(s):\n"));
        for (scope, key) in &expired {
            say(&line(scope, key));
        }
        return Ok(());
    }
    let all_at_once = config.state_cleanup_batch_size == 0;
    let batch = match all_at_once {
        true => i64::MAX,
        false => i64::from(config.state_cleanup_batch_size),
    };
    let mut total = 0;
    loop {
        let deleted = store
            .retry(|| async {
                let mut tx = store.write().await?;
                let deleted = tx.delete_expired_task_states(now, batch).await?;
                tx.commit().await?;
                Ok(deleted)
            })
            .await?;
        total += deleted;
        if i64::try_from(deleted)? < batch {
            remark(&format!(
                "{total} expired task state store rows were deleted"
            ));
            return Ok(());
        }
    }
}

fn line(scope: &TaskScope, key: &str) -> String {
    format!(
        "  Dag '{}', run '{}', task '{}', map_index {}, key '{key}'",
        scope.dag_id, scope.run_id, scope.task_id, scope.map_index.0
    )
}
