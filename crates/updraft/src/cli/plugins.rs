//! `updraft plugins`.

use clap::Args;
use serde_json::Value;

use super::access::Access;
use super::failure::Outcome;
use super::python::with_plugins;
use crate::output::{OutputArgs, OutputFormat, Row, say, show};

#[derive(Debug, Args)]
pub(super) struct PluginsArgs {
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: &PluginsArgs, access: &Access) -> Outcome {
    let settings = access.settings()?;
    let info = with_plugins(&settings, None, async |plugins| {
        Ok(plugins.plugin_info().await?)
    })
    .await?;
    if info.for_people.is_empty() {
        say("No plugins loaded");
        return Ok(());
    }
    let rows = if args.output.output == OutputFormat::Table {
        without_empty_columns(info.for_people)
    } else {
        info.for_people
    };
    show(&rows, args.output.output);
    Ok(())
}

/// A table leaves out what no plugin has.
fn without_empty_columns(mut rows: Vec<Row>) -> Vec<Row> {
    let names: Vec<String> = rows.iter().take(1).flat_map(Row::keys).cloned().collect();
    for name in names {
        if rows.iter().all(|row| row.get(&name).is_none_or(is_empty)) {
            for row in &mut rows {
                row.shift_remove(&name);
            }
        }
    }
    rows
}

/// What Python takes for false.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}
