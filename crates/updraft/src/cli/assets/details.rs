//! `updraft assets details`.

use clap::Args;
use serde_json::{Value, json};
use updraft_rest_api::asset::{AssetAliasResponse, AssetResponse};
use updraft_store::Reader;

use super::AssetArgs;
use super::list::fields;
use crate::cli::access::Access;
use crate::cli::failure::{Failure, Outcome};
use crate::output::{OutputArgs, Row, show_properties};

#[derive(Debug, Args)]
pub(in crate::cli) struct DetailsArgs {
    /// Show asset alias
    #[arg(long)]
    alias: bool,
    #[command(flatten)]
    asset: AssetArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: &DetailsArgs, access: &Access) -> Outcome {
    let (_, store) = access.settings_and_store().await?;
    let mut reader = store.read().await?;
    let details = if args.alias {
        alias(&mut reader, &args.asset).await?
    } else {
        asset(&mut reader, &args.asset).await?
    };
    show_properties(details, args.output.output);
    Ok(())
}

async fn alias(reader: &mut Reader, args: &AssetArgs) -> Result<Row, Failure> {
    if args.name.is_empty() {
        return Err(Failure::because("Required --name with --alias"));
    }
    if !args.uri.is_empty() {
        return Err(Failure::because("Cannot use --uri with --alias"));
    }
    let found = reader.find_asset_alias_by_name(&args.name).await?;
    let name = &args.name;
    let alias = found
        .ok_or_else(|| Failure::because(format!("Asset alias with name {name} does not exist.")))?;
    Ok(fields(json!(AssetAliasResponse::from(&alias))))
}

async fn asset(reader: &mut Reader, args: &AssetArgs) -> Result<Row, Failure> {
    let words = args.in_words()?;
    let found = args.find(reader).await?;
    match &found[..] {
        [] => Err(Failure::because(format!(
            "Asset with {words} does not exist."
        ))),
        [details] => {
            let mut shown = fields(json!(AssetResponse::from(details)));
            // Quirk: the command line never looks for it.
            shown.insert("last_asset_event".to_owned(), Value::Null);
            Ok(shown)
        }
        _ => Err(Failure::because(format!(
            "More than one asset exists with {words}."
        ))),
    }
}
