//! `updraft dags pause` and `updraft dags unpause`.

use clap::Args;
use regex::Regex;
use serde_json::json;
use updraft_model::dag::Dag;
use updraft_runtime::Clock;
use updraft_store::listing::DagFilter;

use super::loaded::load_dags;
use crate::cli::access::Access;
use crate::cli::failure::{Failure, Outcome};
use crate::output::{OutputArgs, Row, confirm, row, say, show};

#[derive(Debug, Args)]
pub(in crate::cli) struct PauseArgs {
    /// The id of the Dag
    dag_id: String,
    /// Take the id for a regular expression
    #[arg(long)]
    treat_dag_id_as_regex: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Pauses Dags, or lets them go on; shows what they were before.
pub(super) async fn run(args: &PauseArgs, pauses: bool, access: &Access) -> Outcome {
    let (_, store) = access.settings_and_store().await?;
    let filter = DagFilter {
        paused: Some(!pauses),
        ..DagFilter::default()
    };
    let mut dags = load_dags(&mut store.read().await?, &filter).await?;
    if args.treat_dag_id_as_regex {
        let pattern = Regex::new(&args.dag_id)
            .map_err(|error| Failure::usage(format!("`{}` is no pattern: {error}", args.dag_id)))?;
        dags.retain(|dag| pattern.is_match(dag.dag_id.as_str()));
    } else {
        dags.retain(|dag| dag.dag_id.as_str() == args.dag_id);
    }
    if dags.is_empty() {
        say(&format!(
            "No {}paused DAGs were found",
            if pauses { "un" } else { "" }
        ));
        return Ok(());
    }
    if args.treat_dag_id_as_regex && !args.yes && !confirm(&question(&dags, pauses)) {
        say("Operation cancelled by user");
        return Ok(());
    }
    let mut tx = store.write().await?;
    for dag in &dags {
        tx.set_paused(&dag.dag_id, pauses).await?;
    }
    tx.refresh_asset_watchers(Clock::machine().now()).await?;
    tx.commit().await?;
    let rows: Vec<Row> = dags
        .iter()
        .map(|dag| {
            row([
                ("dag_id", json!(dag.dag_id)),
                ("is_paused", json!(dag.is_paused)),
            ])
        })
        .collect();
    show(&rows, args.output.output);
    Ok(())
}

fn question(dags: &[Dag], pauses: bool) -> String {
    let ids: Vec<&str> = dags.iter().map(|dag| dag.dag_id.as_str()).collect();
    format!(
        "You are about to {}pause {} DAGs:\n{}\n\nAre you sure? [y/n]",
        if pauses { "" } else { "un" },
        ids.len(),
        ids.join(",")
    )
}
