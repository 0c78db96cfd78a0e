//! `updraft assets list`.

use clap::Args;
use serde_json::{Value, json};
use updraft_model::filter::{Page, Pattern};
use updraft_rest_api::asset::{AssetAliasResponse, AssetResponse};
use updraft_store::Reader;
use updraft_store::listing::AssetFilter;

use crate::cli::access::Access;
use crate::cli::failure::{Failure, Outcome};
use crate::output::{OutputArgs, Row, show};

/// How many rows are loaded at a time.
const PAGE_ROWS: i64 = 1_000;

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
    let mut rows = Vec::new();
    loop {
        let page = page(rows.len())?;
        let listed = reader.list_assets(&AssetFilter::default(), &page).await?;
        let is_last = listed.rows.is_empty();
        for details in &listed.rows {
            rows.push(fields(json!(AssetResponse::from(details))));
        }
        if is_last || i64::try_from(rows.len())? >= listed.total {
            return Ok(rows);
        }
    }
}

async fn load_aliases(reader: &mut Reader) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    loop {
        let page = page(rows.len())?;
        let listed = reader
            .list_asset_aliases(&Pattern::default(), &page)
            .await?;
        let is_last = listed.rows.is_empty();
        for alias in &listed.rows {
            rows.push(fields(json!(AssetAliasResponse::from(alias))));
        }
        if is_last || i64::try_from(rows.len())? >= listed.total {
            return Ok(rows);
        }
    }
}

fn page(seen: usize) -> Result<Page, Failure> {
    Ok(Page {
        limit: PAGE_ROWS,
        offset: i64::try_from(seen)?,
        order_by: vec!["name".to_owned()],
    })
}

/// The fields of what the API answers.
pub(super) fn fields(response: Value) -> Row {
    match response {
        Value::Object(fields) => fields,
        _ => Row::new(),
    }
}
