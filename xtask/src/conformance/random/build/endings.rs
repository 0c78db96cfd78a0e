//! What the code of random tasks does.

use crate::conformance::random::dag::Ending;
use crate::conformance::random::numbers::Numbers;

/// Values of every kind that XCom keeps.
const VALUES: [&str; 24] = [
    "None",
    "True",
    "0",
    "-7",
    "2**53 + 1",
    "2.5",
    "1.5e-7",
    "\"text\"",
    "\"\"",
    "\"grün ✓\"",
    "\"two\\nlines\"",
    "[]",
    "[1, \"two\", None, [3.0]]",
    "{}",
    "{\"z\": 1, \"a\": {\"b\": [True, None]}}",
    "(1, 2)",
    "datetime.date(2026, 1, 5)",
    "datetime.timedelta(minutes=90)",
    "START",
    "[\"x\" * 30] * 3",
    "{\"tuple\": (1, (2,)), \"date\": datetime.date(2026, 2, 3)}",
    "{1}",
    "list(range(10))",
    "\"{{ ds }} is no template here\"",
];

/// What a task can tell of its own run.
const CONTEXTS: [&str; 14] = [
    "ti.try_number",
    "ti.task_id",
    "run_id",
    "ds",
    "ts",
    "ds_nodash",
    "logical_date",
    "dag_run.run_type",
    "[data_interval_start, data_interval_end]",
    "dict(params)",
    "dag_run.conf",
    "task_instance_key_str",
    "ti.max_tries",
    "[dag_run.run_after, dag_run.logical_date]",
];

/// A Python expression for a task to return.
pub(super) fn value(numbers: &mut Numbers) -> String {
    let choices: &[&str] = if numbers.percent(60) {
        &VALUES
    } else {
        &CONTEXTS
    };
    numbers.pick(choices).to_owned()
}

/// What one in `troubles` of a hundred tasks does instead of returning; with the retries that
/// make it interesting.
pub(super) fn trouble(numbers: &mut Numbers) -> (Ending, u32) {
    let good = numbers.pick(&[2, 2, 3]);
    let ending = numbers.weighted(&[
        (20, Ending::Raises),
        (28, Ending::Skips),
        (8, Ending::FailsForGood),
        (18, Ending::FailsUntil(good)),
        (5, Ending::FailsThenSkips(2)),
        (4, Ending::Exits(0)),
        (4, Ending::Exits(3)),
        (3, Ending::Dies(0)),
        (4, Ending::Dies(7)),
        (2, Ending::TimesOut),
    ]);
    let retries = match ending {
        Ending::FailsUntil(_) | Ending::FailsThenSkips(_) => numbers.pick(&[0, 1, 1, 2, 2]),
        Ending::TimesOut => 0,
        _ => numbers.pick(&[0, 0, 0, 1, 2]),
    };
    (ending, retries)
}

/// Bash has fewer ways to end.
pub(super) fn of_shell(ending: Ending) -> Ending {
    match ending {
        Ending::FailsForGood | Ending::Exits(_) | Ending::Dies(_) => Ending::Raises,
        other => other,
    }
}

/// What Bash tasks run that succeed; their last line is their XCom.
const COMMANDS: [&str; 7] = [
    "echo done",
    "echo {{ ds }} {{ run_id }}",
    "echo first; echo '{{ ti.task_id }} try {{ ti.try_number }}'",
    "true",
    "echo \"{{ params }} {{ dag_run.conf }}\"",
    "echo '{\"a\": [1, 2]}'",
    "printf 'no newline'",
];

pub(super) fn command(numbers: &mut Numbers) -> String {
    numbers.pick(&COMMANDS).to_owned()
}
