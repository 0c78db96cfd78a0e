//! `updraft assets`.

mod details;
mod list;
mod materialize;

use clap::{Args, Subcommand};
use updraft_model::asset::AssetDetails;
use updraft_model::filter::Page;
use updraft_store::Reader;
use updraft_store::listing::AssetFilter;

use super::access::Access;
use super::failure::{Failure, Outcome};

/// Assets with one name and different URIs, or the other way round, that are looked at.
const NAMESAKES_MAX: i64 = 1_000;

#[derive(Debug, Subcommand)]
pub(super) enum AssetsCommand {
    /// List assets
    List(list::ListArgs),
    /// Show asset details
    Details(details::DetailsArgs),
    /// Materialize an asset
    Materialize(materialize::MaterializeArgs),
}

pub(super) async fn run(command: AssetsCommand, access: &Access) -> Outcome {
    match command {
        AssetsCommand::List(args) => list::run(&args, access).await,
        AssetsCommand::Details(args) => details::run(&args, access).await,
        AssetsCommand::Materialize(args) => materialize::run(&args, access).await,
    }
}

/// Which asset is meant.
#[derive(Debug, Args)]
struct AssetArgs {
    /// Asset name
    #[arg(long, default_value = "", hide_default_value = true)]
    name: String,
    /// Asset URI
    #[arg(long, default_value = "", hide_default_value = true)]
    uri: String,
}

impl AssetArgs {
    /// What was given, in words.
    fn in_words(&self) -> Result<String, Failure> {
        let mut parts = Vec::new();
        if !self.name.is_empty() {
            parts.push(format!("name {}", self.name));
        }
        if !self.uri.is_empty() {
            parts.push(format!("URI {}", self.uri));
        }
        if parts.is_empty() {
            return Err(Failure::because("Either --name or --uri is required"));
        }
        Ok(parts.join(" and "))
    }

    /// The assets that are called so, active or not.
    async fn find(&self, reader: &mut Reader) -> Result<Vec<AssetDetails>, Failure> {
        let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let filter = AssetFilter {
            exact_name: given(&self.name),
            exact_uri: given(&self.uri),
            ..AssetFilter::default()
        };
        let page = Page {
            limit: NAMESAKES_MAX,
            ..Page::default()
        };
        Ok(reader.list_assets(&filter, &page).await?.rows)
    }
}
