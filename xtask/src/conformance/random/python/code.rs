//! Writes single tasks: a function and what makes a task of it.

use super::{Writer, parameters, settings};
use crate::conformance::random::dag::{Container, Ending, Form, Kind, Mapping, Task, TaskIndex};
use crate::conformance::random::waits::Sensing;

/// Names that Airflow gives to functions that ask for them.
const CONTEXT: [&str; 13] = [
    "outlet_events",
    "triggering_asset_events",
    "ti",
    "run_id",
    "ds",
    "ts",
    "ds_nodash",
    "logical_date",
    "dag_run",
    "data_interval_start",
    "data_interval_end",
    "params",
    "task_instance_key_str",
];

impl Writer<'_> {
    pub(super) fn task(&mut self, index: TaskIndex) {
        let task = &self.dag.tasks[index];
        let name = &task.name;
        let settings = settings(task).join(", ");
        match &task.kind {
            Kind::Empty => self
                .text
                .line(&format!("{name} = EmptyOperator({settings})")),
            Kind::LatestOnly => self
                .text
                .line(&format!("{name} = LatestOnlyOperator({settings})")),
            Kind::External { target, waits } => self.external(index, *target, *waits, &settings),
            Kind::Deferral(deferral) => self.deferral(task, deferral, &settings),
            Kind::Written(call) => {
                let call = call.replace("SETTINGS", &settings);
                self.text.line(&format!("{name} = {call}"));
            }
            Kind::Sensor(Sensing {
                decorated: true, ..
            }) => self.decorated("@task.sensor", index, &settings),
            Kind::Sensor(_) => self.called("PythonSensor", index, &settings),
            Kind::Bash => self.bash(task, &settings),
            Kind::Python { decorated: true } => self.decorated("@task", index, &settings),
            Kind::Python { decorated: false } => self.called("PythonOperator", index, &settings),
            Kind::Branch {
                decorated: true, ..
            } => self.decorated("@task.branch", index, &settings),
            Kind::Branch { .. } => self.called("BranchPythonOperator", index, &settings),
            Kind::ShortCircuit { .. } => self.called("ShortCircuitOperator", index, &settings),
        }
    }

    fn bash(&mut self, task: &Task, settings: &str) {
        let name = &task.name;
        let Some(mapping) = &task.mapping else {
            let command = quoted(&command(&task.ending));
            self.text.line(&format!(
                "{name} = BashOperator({settings}, bash_command={command})"
            ));
            return;
        };
        let of_item = |item: &i64| {
            let own = task.by_item.iter().find(|(value, _)| value == item);
            let trouble = own.map(|(_, ending)| command(ending));
            quoted(&trouble.unwrap_or_else(|| format!("echo {item}")))
        };
        let commands: Vec<String> = mapping.items.iter().map(of_item).collect();
        self.text.line(&format!(
            "{name} = BashOperator.partial({settings}).expand(bash_command=[{}])",
            commands.join(", ")
        ));
    }

    /// Writes a decorated function and its call.
    fn decorated(&mut self, decorator: &str, index: TaskIndex, settings: &str) {
        let task = &self.dag.tasks[index];
        let name = &task.name;
        self.text.gap();
        self.text.line(&format!("{decorator}({settings})"));
        let given = self.function(index, true);
        let group = self.dag.mapped_group(index);
        let call = match (&task.mapping, group) {
            (Some(mapping), _) => format!("do_{name}.{}", self.expand(mapping)),
            (None, Some(_)) => format!("do_{name}({})", given.join(", ")),
            (None, None) => {
                let arguments = task.reads.iter().map(|up| self.output(*up));
                format!("do_{name}({})", arguments.collect::<Vec<_>>().join(", "))
            }
        };
        self.text.line(&format!("{name} = {call}"));
        self.text.gap();
    }

    /// Writes a function and an operator that calls it.
    fn called(&mut self, operator: &str, index: TaskIndex, settings: &str) {
        let name = &self.dag.tasks[index].name;
        self.text.gap();
        self.function(index, false);
        let with = format!("{settings}, python_callable=do_{name}");
        let call = match &self.dag.tasks[index].mapping {
            None => format!("{operator}({with})"),
            Some(mapping) => {
                let items = mapping.items.iter().map(|item| format!("[{item}]"));
                let items = items.collect::<Vec<_>>().join(", ");
                format!("{operator}.partial({with}).expand(op_args=[{items}])")
            }
        };
        self.text.line(&format!("{name} = {call}"));
        self.text.gap();
    }

    /// Writes the function of a task; returns the parameters that are no context.
    fn function(&mut self, index: TaskIndex, decorated: bool) -> Vec<String> {
        let task = &self.dag.tasks[index];
        let mapping = self.mapping_of(index);
        let mut parameters: Vec<String> = match mapping {
            Some(mapping) => parameters(&mapping.form)
                .iter()
                .map(ToString::to_string)
                .collect(),
            None => {
                let reads = task.reads.iter();
                reads.map(|up| self.dag.tasks[*up].name.clone()).collect()
            }
        };
        let body = self.body(index);
        let given = parameters.clone();
        for name in CONTEXT {
            if body.iter().any(|line| mentions(line, name)) && !given.iter().any(|has| has == name)
            {
                parameters.push(if decorated {
                    format!("{name}=None")
                } else {
                    name.to_owned()
                });
            }
        }
        self.text
            .line(&format!("def do_{}({}):", task.name, parameters.join(", ")));
        self.text.indent();
        for line in &body {
            self.text.line(line);
        }
        self.text.outdent();
        self.text.gap();
        given
    }

    /// What the task, or the mapped group around it, is mapped over.
    fn mapping_of(&self, index: TaskIndex) -> Option<&Mapping> {
        let own = self.dag.tasks[index].mapping.as_ref();
        own.or_else(|| {
            let group = self.dag.mapped_group(index)?;
            self.dag.groups[group].mapping.as_ref()
        })
    }

    fn body(&self, index: TaskIndex) -> Vec<String> {
        let task = &self.dag.tasks[index];
        let mut lines = Vec::new();
        match &task.kind {
            Kind::Branch { follows, .. } => {
                let ids = follows
                    .iter()
                    .map(|below| format!("\"{}\"", self.dag.task_id(*below)));
                let ids: Vec<String> = ids.collect();
                lines.push(match ids.as_slice() {
                    [] => "return None".to_owned(),
                    [one] => format!("return {one}"),
                    _ => format!("return [{}]", ids.join(", ")),
                });
                return lines;
            }
            Kind::ShortCircuit { passes, .. } => {
                lines.push(
                    if *passes {
                        "return True"
                    } else {
                        "return False"
                    }
                    .to_owned(),
                );
                return lines;
            }
            Kind::Sensor(sensing) => return self.sensor_body(task, *sensing),
            Kind::Empty
            | Kind::Python { .. }
            | Kind::Bash
            | Kind::LatestOnly
            | Kind::External { .. }
            | Kind::Deferral(_)
            | Kind::Written(_) => {}
        }
        match self.mapping_of(index).map(|mapping| &mapping.form) {
            Some(Form::Entries(_)) => lines.push("x = item[1]".to_owned()),
            Some(Form::Zipped(..)) => lines.push("x = pair[0]".to_owned()),
            _ => {}
        }
        if task
            .arguments
            .iter()
            .any(|argument| argument.contains("my_name"))
        {
            lines.push("get_current_context()[\"my_name\"] = f\"number {x}\"".to_owned());
        }
        lines.extend(task.lines.iter().cloned());
        for (run_id, ending) in &task.by_run {
            lines.push(format!("if run_id == \"{run_id}\":"));
            lines.extend(
                trouble(ending)
                    .into_iter()
                    .map(|line| format!("    {line}")),
            );
        }
        for (item, ending) in &task.by_item {
            lines.push(format!("if x == {item}:"));
            lines.extend(
                trouble(ending)
                    .into_iter()
                    .map(|line| format!("    {line}")),
            );
        }
        lines.extend(trouble(&task.ending));
        if !always_raises(&task.ending) {
            lines.push(format!("return {}", returned(&task.ending)));
        }
        lines
    }
}

/// Whether `line` holds `name` as a word of its own, outside of a longer name.
fn mentions(line: &str, name: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '"' || c == '.';
    line.match_indices(name).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + name.len()..].chars().next();
        !before.is_some_and(is_word)
            && !after.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '"')
    })
}

/// The lines that keep a function from returning.
pub(super) fn trouble(ending: &Ending) -> Vec<String> {
    let raise = "raise ValueError(\"fails on purpose\")".to_owned();
    let skip = "raise AirflowSkipException(\"skipped on purpose\")".to_owned();
    let until = |good: &u32| {
        vec![
            format!("if ti.try_number < {good}:"),
            format!("    {raise}"),
        ]
    };
    match ending {
        Ending::Returns(text) if text == "None" => vec!["return None".to_owned()],
        Ending::Returns(_) | Ending::Gives(..) => Vec::new(),
        Ending::Raises => vec![raise],
        Ending::FailsForGood => {
            vec!["raise AirflowFailException(\"fails for good, on purpose\")".to_owned()]
        }
        Ending::Skips => vec![skip],
        Ending::FailsUntil(good) => until(good),
        Ending::FailsThenSkips(good) => {
            let mut lines = until(good);
            lines.push(skip);
            lines
        }
        Ending::Exits(code) => vec![format!("sys.exit({code})")],
        Ending::Dies(code) => vec![format!("os._exit({code})")],
        Ending::TimesOut => vec!["time.sleep(60)".to_owned()],
    }
}

fn always_raises(ending: &Ending) -> bool {
    match ending {
        Ending::Returns(text) => text == "None",
        Ending::Gives(..) | Ending::FailsUntil(_) => false,
        Ending::Raises
        | Ending::FailsForGood
        | Ending::Skips
        | Ending::FailsThenSkips(_)
        | Ending::Exits(_)
        | Ending::Dies(_)
        | Ending::TimesOut => true,
    }
}

fn returned(ending: &Ending) -> String {
    match ending {
        Ending::Returns(text) => text.clone(),
        Ending::Gives(values, container) => {
            let texts = values
                .iter()
                .enumerate()
                .map(|(place, value)| match container {
                    Container::List => value.to_string(),
                    Container::Dict => format!("\"k{place}\": {value}"),
                    Container::Keywords => format!("{{\"x\": {value}}}"),
                });
            let texts = texts.collect::<Vec<_>>().join(", ");
            match container {
                Container::Dict => format!("{{{texts}}}"),
                Container::List | Container::Keywords => format!("[{texts}]"),
            }
        }
        _ => "ti.try_number".to_owned(),
    }
}

/// What Bash runs to end like this.
fn command(ending: &Ending) -> String {
    let tried = |good: &u32| format!("[ {{{{ ti.try_number }}}} -ge {good} ] && ");
    match ending {
        Ending::Returns(command) => command.clone(),
        Ending::Skips => "exit 99".to_owned(),
        Ending::FailsUntil(good) => tried(good) + "echo try {{ ti.try_number }}",
        Ending::FailsThenSkips(good) => tried(good) + "exit 99",
        Ending::TimesOut => "sleep 60".to_owned(),
        Ending::Gives(..)
        | Ending::Raises
        | Ending::FailsForGood
        | Ending::Exits(_)
        | Ending::Dies(_) => "echo fails; exit 1".to_owned(),
    }
}

/// A Python string literal.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
