//! `updraft assets list`.

use clap::Args;
use serde_json::{Value, json};
use updraft_model::filter::Pattern;
use updraft_rest_api::asset::{AssetAliasResponse, AssetResponse};
use updraft_store::Reader;
use updraft_store::listing::AssetFilter;

use crate::cli::access::Access;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::pages::load_all;
use crate::output::{OutputArgs, Row, show};

#[derive(Debug, Args)]
pub(in crate::cli) struct ListArgs {
    /// Show asset alias
    #[arg(long)]
    alias: bool,
    /// Columns to show, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "name,uri,group,extra")]
    columns: Vec<String>,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: &ListArgs, access: &Access) -> Outcome {
    let (_, store) = access.settings_and_store().await?;
    let mut reader = store.read().await?;
    let details = if args.alias {
        load_aliases(&mut reader).await?
    } else {
        load_assets(&mut reader).await?
    };
    let rows: Vec<Row> = details
        .into_iter()
        .map(|details| {
            let fields = details.into_iter();
            // In the order of the details, as in Airflow; unknown ones are no columns.
            fields
                .filter(|(name, _)| args.columns.iter().any(|column| column.trim() == name))
                .collect()
        })
        .collect();
    show(&rows, args.output.output);
    Ok(())
}

async fn load_assets(reader: &mut Reader) -> Result<Vec<Row>, Failure> {
    let filter = AssetFilter::default();
    let assets = load_all("name", async |page| reader.list_assets(&filter, page).await).await?;
    let row_of = |details| fields(json!(AssetResponse::from(details)));
    Ok(assets.iter().map(row_of).collect())
}

async fn load_aliases(reader: &mut Reader) -> Result<Vec<Row>, Failure> {
    let every = Pattern::default();
    let aliases = load_all("name", async |page| {
        reader.list_asset_aliases(&every, page).await
    })
    .await?;
    let row_of = |alias| fields(json!(AssetAliasResponse::from(alias)));
    Ok(aliases.iter().map(row_of).collect())
}

/// The fields of what the API answers.
pub(super) fn fields(response: Value) -> Row {
    match response {
        Value::Object(fields) => fields,
        _ => Row::new(),
    }
}
