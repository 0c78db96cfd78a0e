//! Writes a random Dag as the Dag file that a person would have written.

mod code;
mod edges;
mod file;
mod prelude;
mod text;
mod waits;

use super::dag::{Dag, Form, GroupIndex, Kind, Mapping, Role, Task, TaskIndex};
use super::fate::{CROSSED, MAP_ADDS, ZIP_FILLS};
use super::rules::Rule;
use edges::Edges;
use text::Text;

pub(super) use file::file;

/// Writes the `with DAG(…):` block.
pub(super) fn dag_block(dag: &Dag) -> String {
    let mut writer = Writer {
        dag,
        text: Text::default(),
    };
    writer.dag();
    writer.text.into_string()
}

struct Writer<'a> {
    dag: &'a Dag,
    text: Text,
}

impl Writer<'_> {
    fn dag(&mut self) {
        let Dag {
            dag_id,
            schedule,
            start,
            arguments,
            defaults,
            ..
        } = self.dag;
        self.text.line("with DAG(");
        self.text.indent();
        self.text.line(&format!("dag_id=\"{dag_id}\","));
        self.text.line(&format!("schedule={schedule},"));
        self.text.line(&format!("start_date={start},"));
        let defaults = defaults.join(", ");
        self.text.line(&format!("default_args={{{defaults}}},"));
        for argument in arguments {
            self.text.line(&format!("{argument},"));
        }
        self.text.outdent();
        self.text.line("):");
        self.text.indent();
        self.members(None, 0..self.dag.tasks.len());
        self.edges();
        self.text.outdent();
    }

    /// Writes the tasks of a range, and the groups in it, that are right inside `group`.
    fn members(&mut self, group: Option<GroupIndex>, range: std::ops::Range<TaskIndex>) {
        let mut next = range.start;
        while next < range.end {
            let around = self.dag.groups_around(self.dag.tasks[next].group);
            let inner = around
                .into_iter()
                .find(|inner| self.dag.groups[*inner].parent == group && Some(*inner) != group);
            match inner {
                Some(inner) => {
                    self.group(inner);
                    next = self.dag.groups[inner].tasks.end;
                }
                None => {
                    self.task(next);
                    next += 1;
                }
            }
        }
    }

    fn group(&mut self, index: GroupIndex) {
        let group = &self.dag.groups[index];
        let (name, tasks) = (&group.name, group.tasks.clone());
        let Some(mapping) = &group.mapping else {
            let prefixes = if group.prefixes {
                ""
            } else {
                ", prefix_group_id=False"
            };
            self.text.line(&format!(
                "with TaskGroup(group_id=\"{name}\"{prefixes}) as {name}:"
            ));
            self.text.indent();
            self.members(Some(index), tasks);
            self.text.outdent();
            return;
        };
        self.text.gap();
        self.text.line(&format!("@task_group(group_id=\"{name}\")"));
        let parameters = parameters(&mapping.form).join(", ");
        self.text.line(&format!("def make_{name}({parameters}):"));
        self.text.indent();
        self.members(Some(index), tasks.clone());
        let mut edges = Edges::default();
        for task in tasks {
            self.edges_of(task, Some(index), &mut edges);
        }
        self.write_edges(&edges);
        self.text.outdent();
        self.text.gap();
        let expand = self.expand(mapping);
        self.text.line(&format!("{name} = make_{name}.{expand}"));
    }

    fn role(&mut self, task: TaskIndex) {
        let name = &self.dag.tasks[task].name;
        match &self.dag.tasks[task].role {
            Role::Work => {}
            Role::Setup => {
                let downstream = self.dag.downstream(task);
                let is_torn_down = downstream.into_iter().any(|below| {
                    matches!(&self.dag.tasks[below].role, Role::Teardown { setups, .. }
                        if setups.contains(&task))
                });
                if !is_torn_down {
                    self.text.line(&format!("{name}.as_setup()"));
                }
            }
            Role::Teardown { setups, fails_run } => {
                let names = setups
                    .iter()
                    .map(|setup| self.dag.tasks[*setup].name.as_str());
                let names = names.collect::<Vec<_>>().join(", ");
                let fails = if *fails_run {
                    ", on_failure_fail_dagrun=True"
                } else {
                    ""
                };
                self.text
                    .line(&format!("{name}.as_teardown(setups=[{names}]{fails})"));
            }
        }
    }

    /// What stands for the output of a task: decorated functions return it, operators hold it.
    fn output(&self, task: TaskIndex) -> String {
        let Task { name, kind, .. } = &self.dag.tasks[task];
        match kind {
            Kind::Bash | Kind::Python { decorated: false } => format!("{name}.output"),
            _ => name.clone(),
        }
    }

    /// Writes `expand(…)` or `expand_kwargs(…)`.
    fn expand(&self, mapping: &Mapping) -> String {
        let name = |task: &TaskIndex| self.output(*task);
        let items = mapping.items.iter().map(i64::to_string);
        let items = items.collect::<Vec<_>>().join(", ");
        match &mapping.form {
            Form::Literal => format!("expand(x=[{items}])"),
            Form::LiteralKeywords => {
                let keywords = mapping
                    .items
                    .iter()
                    .map(|item| format!("{{\"x\": {item}}}"));
                format!(
                    "expand_kwargs([{}])",
                    keywords.collect::<Vec<_>>().join(", ")
                )
            }
            Form::Crossed { with: None } => {
                let [first, second] = CROSSED;
                format!("expand(x=[{items}], y=[{first}, {second}])")
            }
            Form::Crossed { with: Some(task) } => format!("expand(x=[{items}], y={})", name(task)),
            Form::Task(task) => format!("expand(x={})", name(task)),
            Form::Mapped(task) => {
                format!("expand(x={}.map(lambda x: x + {MAP_ADDS}))", name(task))
            }
            Form::Entries(task) => format!("expand(item={})", name(task)),
            Form::Keywords(task) => format!("expand_kwargs({})", name(task)),
            Form::Zipped(task, other, fills) => {
                let fill = if *fills {
                    format!(", fillvalue={ZIP_FILLS}")
                } else {
                    String::new()
                };
                format!("expand(pair={}.zip({}{fill}))", name(task), name(other))
            }
            Form::Joined(task, other) => {
                format!("expand(x={}.concat({}))", name(task), name(other))
            }
        }
    }
}

/// What a function is given that is mapped like this.
fn parameters(form: &Form) -> &'static [&'static str] {
    match form {
        Form::Crossed { .. } => &["x", "y"],
        Form::Entries(_) => &["item"],
        Form::Zipped(..) => &["pair"],
        Form::Literal
        | Form::LiteralKeywords
        | Form::Task(_)
        | Form::Mapped(_)
        | Form::Keywords(_)
        | Form::Joined(..) => &["x"],
    }
}

/// The keyword arguments that any operator takes, as Python.
fn settings(task: &Task) -> Vec<String> {
    let mut settings = vec![format!("task_id=\"{}\"", task.name)];
    let is_teardown = matches!(task.role, Role::Teardown { .. });
    if task.rule != Rule::AllSuccess && !is_teardown {
        settings.push(format!("trigger_rule=\"{}\"", task.rule.name()));
    }
    if task.retries > 0 {
        settings.push(format!("retries={}", task.retries));
    }
    if task.ending == super::dag::Ending::TimesOut {
        settings.push("execution_timeout=datetime.timedelta(seconds=1)".to_owned());
    }
    if let Kind::ShortCircuit {
        ignores_rules: false,
        ..
    } = task.kind
    {
        settings.push("ignore_downstream_trigger_rules=False".to_owned());
    }
    if let Kind::Sensor(sensing) = task.kind {
        settings.extend(waits::sensor_settings(sensing));
    }
    settings.extend(task.arguments.iter().cloned());
    settings
}
