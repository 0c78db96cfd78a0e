//! Airflow's commands that Updraft does not have yet.
//!
//! They are known to the parser, so that whoever types one hears what is the matter instead of being
//! asked whether they meant something else. A command that arrives is taken off the list.

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::failure::Failure;

/// The argument that swallows whatever follows such a command.
const REST: &str = "rest";

/// Commands without a group.
const COMMANDS: &[&str] = &[
    "api-server",
    "cheat-sheet",
    "dag-processor",
    "kerberos",
    "rotate-fernet-key",
    "scheduler",
    "triggerer",
];

/// Groups, and their commands that are missing; none named means all.
const GROUPS: &[(&str, &[&str])] = &[
    ("celery", &[]),
    ("config", &["lint", "update"]),
    ("connections", &["create-default-connections", "test"]),
    ("dags", &["next-execution", "show-dependencies", "test"]),
    (
        "db",
        &[
            "clean",
            "downgrade",
            "drop-archived",
            "export-archived",
            "shell",
        ],
    ),
    ("db-manager", &[]),
    ("fab-db", &[]),
    ("kubernetes", &[]),
    ("permissions-cleanup", &[]),
    ("roles", &[]),
    ("sync-perm", &[]),
    ("tasks", &["render", "test"]),
    ("teams", &[]),
    ("users", &[]),
];

/// Adds the missing commands to the parser, hidden.
pub(super) fn declared_in(command: Command) -> Command {
    let command = COMMANDS
        .iter()
        .fold(command, |command, name| command.subcommand(missing(name)));
    GROUPS.iter().fold(command, |command, (group, names)| {
        if names.is_empty() {
            return command.subcommand(missing(group));
        }
        command.mut_subcommand(group, |found| {
            names
                .iter()
                .fold(found, |found, name| found.subcommand(missing(name)))
        })
    })
}

fn missing(name: &'static str) -> Command {
    Command::new(name).hide(true).disable_help_flag(true).arg(
        Arg::new(REST)
            .action(ArgAction::Append)
            .num_args(0..)
            .trailing_var_arg(true)
            .allow_hyphen_values(true),
    )
}

/// The words of the missing command that was called, if it is one.
pub(super) fn find(matches: &ArgMatches) -> Option<String> {
    let (name, inner) = matches.subcommand()?;
    if COMMANDS.contains(&name) {
        return Some(name.to_owned());
    }
    let (_, missing) = GROUPS.iter().find(|(group, _)| *group == name)?;
    if missing.is_empty() {
        let rest = inner.get_many::<String>(REST).into_iter().flatten();
        let next = rest.take(1).filter(|word| !word.starts_with('-'));
        let words: Vec<&str> = std::iter::once(name)
            .chain(next.map(String::as_str))
            .collect();
        return Some(words.join(" "));
    }
    let (command, _) = inner.subcommand()?;
    missing
        .contains(&command)
        .then(|| format!("{name} {command}"))
}

/// What to say about it.
pub(super) fn refusal(words: &str) -> Failure {
    let refusal = Failure::usage(format!("`updraft {words}` is not available yet"));
    match words {
        "scheduler" | "api-server" | "dag-processor" | "triggerer" => {
            refusal.hint("`updraft standalone` runs every role in one process")
        }
        _ => refusal.hint("`updraft --help` lists the commands there are"),
    }
}
