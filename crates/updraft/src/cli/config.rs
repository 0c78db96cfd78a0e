//! `updraft config`.

use clap::{Args, Subcommand, ValueEnum};
use updraft_config::ListOptions;

use super::access::Access;
use super::failure::Outcome;
use crate::output::{remark, say};

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// List options for the configuration
    List(ListArgs),
    /// Print the value of the configuration
    GetValue(GetValueArgs),
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Only this section
    #[arg(long)]
    section: Option<String>,
    /// Taken for compatibility; the list has no colours
    #[arg(long, value_enum, default_value = "auto", hide = true)]
    color: Color,
    /// Say what the options do
    #[arg(short = 'd', long)]
    include_descriptions: bool,
    /// Taken for compatibility; there are no examples
    #[arg(short = 'e', long, hide = true)]
    include_examples: bool,
    /// Say where each value comes from
    #[arg(short = 's', long)]
    include_sources: bool,
    /// Name the variable that sets each option
    #[arg(short = 'V', long)]
    include_env_vars: bool,
    /// Comment every line out, for a file to start with
    #[arg(short = 'c', long)]
    comment_out_everything: bool,
    /// Leave the options of providers out
    #[arg(short = 'p', long)]
    exclude_providers: bool,
    /// Show the defaults, commented out
    #[arg(short = 'a', long)]
    defaults: bool,
    /// Hide the values of secrets
    #[arg(long)]
    hide_sensitive: bool,
    /// Show the values
    #[arg(long)]
    show_values: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Color {
    On,
    Off,
    Auto,
}

#[derive(Debug, Args)]
pub(super) struct GetValueArgs {
    /// The section name
    section: String,
    /// The option name
    option: String,
}

/// Works on settings as text, so that bad ones can be looked at.
pub(super) fn run(command: ConfigCommand, access: &Access) -> Outcome {
    match command {
        ConfigCommand::List(args) => list(args, access),
        ConfigCommand::GetValue(args) => get_value(&args, access),
    }
}

fn list(args: ListArgs, access: &Access) -> Outcome {
    if !args.show_values {
        remark("Values are hidden. `--show-values` shows them, secrets among them.");
    }
    let options = ListOptions {
        section: args.section,
        include_descriptions: args.include_descriptions,
        include_sources: args.include_sources,
        include_env_vars: args.include_env_vars,
        comment_out_everything: args.comment_out_everything,
        exclude_providers: args.exclude_providers,
        defaults: args.defaults,
        hide_sensitive: args.hide_sensitive,
        show_values: args.show_values,
    };
    say(&access.values().list(&options));
    Ok(())
}

fn get_value(args: &GetValueArgs, access: &Access) -> Outcome {
    let values = access.values();
    for warning in &values.warnings {
        remark(&format!("warning: {warning}"));
    }
    match values.get_value(&args.section, &args.option) {
        Some(value) => say(value),
        // As Airflow: no output and no failure, which scripts rely on.
        None => remark(&format!(
            "The option [{}/{}] is not found in config.",
            args.section, args.option
        )),
    }
    Ok(())
}
