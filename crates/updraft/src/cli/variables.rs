//! `updraft variables`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};
use updraft_model::variable::Variable;

use super::access::Access;
use super::failure::{Failure, Outcome};
use super::secret_file::{self, Destination};
use crate::output::{OutputArgs, indented_json, python_text, row, say, show};

/// What is shown in place of a secret.
pub(super) const HIDDEN: &str = "***";

/// In front of the name of a variable that stands in the environment.
const ENVIRONMENT_PREFIX: &str = "AIRFLOW_VAR_";

/// Spaces a level, in values and in exported files.
const VALUE_INDENT: usize = 2;
const EXPORT_INDENT: usize = 4;

#[derive(Debug, Subcommand)]
pub(super) enum VariablesCommand {
    /// List variables
    List(ListArgs),
    /// Get variable
    Get(GetArgs),
    /// Set variable
    Set(SetArgs),
    /// Delete variable
    Delete(DeleteArgs),
    /// Export all variables
    Export(ExportArgs),
    /// Import variables
    Import(ImportArgs),
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    output: OutputArgs,
    /// Show the values, too
    #[arg(long)]
    show_values: bool,
    /// Show *** in place of each value; only with --show-values
    #[arg(long)]
    hide_sensitive: bool,
}

#[derive(Debug, Args)]
pub(super) struct GetArgs {
    /// Variable key
    key: String,
    /// What is printed if there is no such variable
    #[arg(short, long, value_name = "VAL")]
    default: Option<String>,
    /// Read the value as JSON
    #[arg(short, long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct SetArgs {
    /// Variable key
    key: String,
    /// Variable value
    #[arg(value_name = "VALUE", allow_hyphen_values = true)]
    value: String,
    /// What the variable is for
    #[arg(long)]
    description: Option<String>,
    /// Write the value as JSON
    #[arg(short, long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct DeleteArgs {
    /// Variable key
    key: String,
}

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// The file to write, or - for standard output
    file: Destination,
}

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// A .json or .env file
    file: PathBuf,
    /// What to do with variables that exist
    #[arg(short, long, value_enum, default_value = "overwrite")]
    action_on_existing_key: OnExisting,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OnExisting {
    Overwrite,
    Fail,
    Skip,
}

pub(super) async fn run(command: VariablesCommand, access: &Access) -> Outcome {
    match command {
        VariablesCommand::List(args) => list(&args, access).await,
        VariablesCommand::Get(args) => get(&args, access).await,
        VariablesCommand::Set(args) => set(args, access).await,
        VariablesCommand::Delete(args) => delete(&args, access).await,
        VariablesCommand::Export(args) => export(&args, access).await,
        VariablesCommand::Import(args) => import(&args, access).await,
    }
}

async fn list(args: &ListArgs, access: &Access) -> Outcome {
    secret_file::require_values_shown(args.show_values, args.hide_sensitive)?;
    let (_, store) = access.settings_and_store().await?;
    let mut reader = store.read().await?;
    let rows: Vec<_> = if !args.show_values {
        let keys = reader.load_variable_keys().await?;
        keys.into_iter()
            .map(|key| row([("key", json!(key))]))
            .collect()
    } else {
        let variables = reader.load_variables().await?;
        let value = |variable: &Variable| match args.hide_sensitive {
            true => json!(HIDDEN),
            false => json!(variable.value),
        };
        variables
            .iter()
            .map(|variable| row([("key", json!(variable.key)), ("val", value(variable))]))
            .collect()
    };
    show(&rows, args.output.output);
    Ok(())
}

async fn get(args: &GetArgs, access: &Access) -> Outcome {
    let name = format!("{ENVIRONMENT_PREFIX}{}", args.key.to_uppercase());
    let found = match access.environment().get(&name) {
        Some(value) => Some(value.to_owned()),
        None => {
            let (_, store) = access.settings_and_store().await?;
            let variable = store.read().await?.find_variable(&args.key).await?;
            variable.map(|variable| variable.value)
        }
    };
    match (found, &args.default) {
        (Some(value), _) if args.json => {
            let value: Value = serde_json::from_str(&value).map_err(|error| {
                Failure::because(format!("variable `{}` is not JSON: {error}", args.key))
            })?;
            say(&python_text(&value));
        }
        (Some(value), _) => say(&value),
        (None, Some(default)) => say(default),
        (None, None) => {
            let missing = format!("Variable {} does not exist", args.key);
            return Err(Failure::because(missing).hint("`updraft variables list` shows all keys"));
        }
    }
    Ok(())
}

async fn set(args: SetArgs, access: &Access) -> Outcome {
    let (_, store) = access.settings_and_store().await?;
    let value = if args.json {
        // As Airflow: what is set is the JSON of the text, not the text as JSON.
        indented_json(&Value::String(args.value), VALUE_INDENT)
    } else {
        args.value
    };
    let variable = Variable {
        key: args.key,
        value,
        description: args.description,
        team_name: None,
    };
    let mut tx = store.write().await?;
    tx.set_variable(&variable).await?;
    tx.commit().await?;
    say(&format!("Variable {} created", variable.key));
    Ok(())
}

async fn delete(args: &DeleteArgs, access: &Access) -> Outcome {
    let (_, store) = access.settings_and_store().await?;
    let mut tx = store.write().await?;
    // As Airflow: the same answer whether there was one or not.
    tx.delete_variable(&args.key).await?;
    tx.commit().await?;
    say(&format!("Variable {} deleted", args.key));
    Ok(())
}

async fn export(args: &ExportArgs, access: &Access) -> Outcome {
    let (_, store) = access.settings_and_store().await?;
    let variables = store.read().await?.load_variables().await?;
    let document: Map<String, Value> = variables
        .iter()
        .map(|variable| (variable.key.clone(), exported(variable)))
        .collect();
    let sorted = secret_file::sorted(Value::Object(document));
    args.file.write(&indented_json(&sorted, EXPORT_INDENT))?;
    args.file.report(variables.len(), "Variables");
    Ok(())
}

/// The value as JSON where it is some, with its description where an import would need it.
fn exported(variable: &Variable) -> Value {
    let parsed = serde_json::from_str::<Value>(&variable.value)
        .ok()
        .filter(|value| !value.is_string());
    let value = parsed.unwrap_or_else(|| json!(variable.value));
    let description = variable
        .description
        .as_deref()
        .filter(|text| !text.is_empty());
    let looks_wrapped = value.get("value").is_some();
    if description.is_some() || looks_wrapped {
        json!({"value": value, "description": variable.description})
    } else {
        value
    }
}

async fn import(args: &ImportArgs, access: &Access) -> Outcome {
    let document = secret_file::read_variables(&args.file)?;
    let (_, store) = access.settings_and_store().await?;
    let existing: BTreeSet<String> = store
        .read()
        .await?
        .load_variable_keys()
        .await?
        .into_iter()
        .collect();
    let mut present: Vec<&String> = document
        .keys()
        .filter(|key| existing.contains(*key))
        .collect();
    present.sort();
    let present_list = python_text(&json!(present));
    if args.action_on_existing_key == OnExisting::Fail && !present.is_empty() {
        return Err(
            Failure::because(format!("these keys exist already: {present_list}"))
                .hint("import with `-a overwrite` or `-a skip`"),
        );
    }
    let skips = args.action_on_existing_key == OnExisting::Skip;
    let chosen = document
        .iter()
        .filter(|(key, _)| !skips || !existing.contains(*key));
    let variables: Vec<Variable> = chosen.map(|(key, value)| imported(key, value)).collect();
    let mut tx = store.write().await?;
    for variable in &variables {
        tx.set_variable(variable).await?;
    }
    tx.commit().await?;
    say(&format!(
        "{} of {} variables successfully updated.",
        variables.len(),
        document.len()
    ));
    if skips && !present.is_empty() {
        say(&format!(
            "The variables with these keys: {present_list} were skipped because they already exists"
        ));
    }
    Ok(())
}

fn imported(key: &str, value: &Value) -> Variable {
    let (value, description) = match value.get("value") {
        Some(inner) => (inner, value.get("description").and_then(Value::as_str)),
        None => (value, None),
    };
    Variable {
        key: key.to_owned(),
        value: match value {
            Value::String(text) => text.clone(),
            other => indented_json(other, VALUE_INDENT),
        },
        description: description.map(str::to_owned),
        team_name: None,
    }
}
