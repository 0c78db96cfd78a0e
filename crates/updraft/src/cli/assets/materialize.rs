//! `updraft assets materialize`.

use std::collections::BTreeSet;

use clap::Args;
use serde_json::json;
use updraft_dag_run::RunRequest;
use updraft_model::{DagId, DagRunTriggeredBy, DagRunType};
use updraft_rest_api::dag::DagVersionResponse;
use updraft_rest_api::dag_run::DagRunResponse;
use updraft_runtime::Clock;
use updraft_store::Reader;

use super::AssetArgs;
use super::list::fields;
use crate::cli::access::Access;
use crate::cli::dags::create_run;
use crate::cli::failure::{Failure, Outcome};
use crate::output::{OutputArgs, show};

/// More than one Dag is one too many.
const DAGS_MAX: i64 = 2;

#[derive(Debug, Args)]
pub(in crate::cli) struct MaterializeArgs {
    #[command(flatten)]
    asset: AssetArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Creates a run of the one Dag that writes the asset.
pub(super) async fn run(args: &MaterializeArgs, access: &Access) -> Outcome {
    let (settings, store) = access.settings_and_store().await?;
    let mut reader = store.read().await?;
    let dag_id = producer(&mut reader, &args.asset).await?;
    let dag = reader.find_dag(&dag_id).await?;
    drop(reader);
    let request = RunRequest::new(DagRunType::AssetMaterialization, DagRunTriggeredBy::Cli);
    let now = Clock::machine().now();
    let (version, created) = create_run(request, dag_id.as_str(), &settings, &store, now).await?;
    let shown_as = dag.and_then(|dag| dag.dag_display_name);
    let shown_as = shown_as.as_deref().unwrap_or(dag_id.as_str());
    let versions = vec![DagVersionResponse::new(&version, shown_as)];
    let response = DagRunResponse::new(&created, shown_as, versions);
    show(&[fields(json!(response))], args.output.output);
    Ok(())
}

async fn producer(reader: &mut Reader, asset: &AssetArgs) -> Result<DagId, Failure> {
    let words = asset.in_words()?;
    let mut dags = BTreeSet::new();
    for details in asset.find(reader).await? {
        let of_asset = reader.load_producing_dags(details.asset.id, DAGS_MAX);
        dags.extend(of_asset.await?);
    }
    match (dags.pop_first(), dags.is_empty()) {
        (None, _) => Err(Failure::because(format!(
            "Asset with {words} does not exist."
        ))),
        (Some(dag_id), true) => Ok(dag_id),
        (Some(_), false) => Err(Failure::because(format!(
            "More than one DAG materializes asset with {words}."
        ))),
    }
}
