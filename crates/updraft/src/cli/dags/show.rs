//! `updraft dags show`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::graph::dot_of;
use super::loaded::require_serialized;
use crate::cli::access::Access;
use crate::cli::failure::{Failure, Outcome};
use crate::output::say;

/// The extensions of files that hold DOT.
const DOT_EXTENSIONS: &[&str] = &["dot", "gv"];

#[derive(Debug, Args)]
pub(in crate::cli) struct ShowArgs {
    /// The id of the Dag
    dag_id: String,
    /// Write the graph into a .dot file
    #[arg(short, long)]
    save: Option<PathBuf>,
    /// Show the graph in the terminal
    #[arg(long, hide = true)]
    imgcat: bool,
}

pub(super) async fn run(args: &ShowArgs, access: &Access) -> Outcome {
    let graphviz = format!(
        "`updraft dags show {} | dot -Tpng -o graph.png` draws it",
        args.dag_id
    );
    if args.imgcat {
        return Err(Failure::usage(
            "--imgcat is not available: Updraft writes DOT and draws nothing",
        )
        .hint(graphviz));
    }
    let extension = args
        .save
        .as_deref()
        .and_then(|path| path.extension()?.to_str());
    if args.save.is_some() && !extension.is_some_and(|it| DOT_EXTENSIONS.contains(&it)) {
        return Err(
            Failure::usage("--save: expected a file that ends with .dot or .gv").hint(graphviz),
        );
    }
    let (_, store) = access.settings_and_store().await?;
    let (_, dag) = require_serialized(&mut store.read().await?, &args.dag_id).await?;
    let dot = dot_of(&dag);
    match &args.save {
        Some(path) => {
            let shown = path.display();
            std::fs::write(path, dot).with_context(|| format!("failed to write `{shown}`"))?;
            say(&format!("File {shown} saved"));
        }
        None => say(&dot),
    }
    Ok(())
}
