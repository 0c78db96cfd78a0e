//! Random single tasks, mapped and plain.

use super::{Builder, endings};
use crate::conformance::random::dag::{
    Container, Ending, Form, GroupIndex, Kind, Mapping, Task, TaskIndex,
};
use crate::conformance::random::rules::{RULES, Rule};

impl Builder<'_> {
    /// Adds a task to the Dag and to its groups.
    pub(super) fn add(&mut self, task: Task) -> TaskIndex {
        let index = self.dag.tasks.len();
        for group in self.dag.groups_around(task.group) {
            self.dag.groups[group].tasks.end = index + 1;
        }
        self.dag.tasks.push(task);
        index
    }

    /// A task that succeeds at once, to be made more interesting.
    pub(super) fn blank(&mut self, group: Option<GroupIndex>, upstream: &[TaskIndex]) -> Task {
        Task {
            group,
            kind: Kind::Empty,
            ..Task::function(&self.name(), "", upstream.to_vec())
        }
    }

    pub(super) fn plain(
        &mut self,
        group: Option<GroupIndex>,
        upstream: &[TaskIndex],
    ) -> Vec<TaskIndex> {
        let mut task = self.blank(group, upstream);
        task.rule = self.rule(upstream);
        let decorated = self.numbers.percent(65);
        let branches = self.mix.branches;
        let short_circuit = self.short_circuit();
        task.kind = self.numbers.weighted(&[
            (42, Kind::Empty),
            (40, Kind::Python { decorated }),
            (8, Kind::Bash),
            (
                branches,
                Kind::Branch {
                    decorated,
                    follows: Vec::new(),
                },
            ),
            (branches / 3, short_circuit),
            (branches / 10, Kind::LatestOnly),
        ]);
        if matches!(task.kind, Kind::Python { .. } | Kind::Bash) {
            self.give_ending(&mut task);
            self.give_reads(&mut task);
        }
        self.give_arguments(&mut task);
        vec![self.add(task)]
    }

    fn short_circuit(&mut self) -> Kind {
        Kind::ShortCircuit {
            passes: self.numbers.percent(35),
            ignores_rules: self.numbers.percent(60),
        }
    }

    pub(super) fn rule(&mut self, upstream: &[TaskIndex]) -> Rule {
        if upstream.is_empty() || !self.numbers.percent(self.mix.rules) {
            return Rule::AllSuccess;
        }
        self.numbers.pick(&RULES)
    }

    /// Lets the task return something, or get into trouble.
    pub(super) fn give_ending(&mut self, task: &mut Task) {
        let is_bash = task.kind == Kind::Bash;
        if self.numbers.percent(self.mix.troubles) {
            let (ending, retries) = endings::trouble(self.numbers);
            let ending = if is_bash {
                endings::of_shell(ending)
            } else {
                ending
            };
            (task.ending, task.retries) = (ending, retries);
            return;
        }
        let value = if is_bash {
            endings::command(self.numbers)
        } else {
            endings::value(self.numbers)
        };
        task.ending = Ending::Returns(value);
        task.retries = self.numbers.pick(&[0, 0, 0, 0, 1, 3]);
    }

    /// Lets a function return what its upstream tasks returned.
    fn give_reads(&mut self, task: &mut Task) {
        let Kind::Python { decorated } = task.kind else {
            return;
        };
        if !matches!(task.ending, Ending::Returns(_)) || !self.numbers.percent(45) {
            return;
        }
        let outside = |up: &&TaskIndex| self.dag.mapped_group(**up).is_none();
        let returns = |up: &&TaskIndex| {
            let Task {
                kind,
                ending,
                arguments,
                ..
            } = &self.dag.tasks[**up];
            let is_pushed = !arguments
                .iter()
                .any(|text| text.starts_with("do_xcom_push"));
            is_pushed
                && matches!(kind, Kind::Python { .. } | Kind::Bash)
                && matches!(ending, Ending::Returns(_) | Ending::Gives(..))
        };
        let readable: Vec<TaskIndex> = task
            .upstream
            .iter()
            .filter(outside)
            .filter(returns)
            .copied()
            .collect();
        if readable.is_empty() || task.rule.is_hasty() {
            return;
        }
        let chosen = self.numbers.some(&readable, 1);
        let is_given = decorated && task.rule == Rule::AllSuccess;
        let mut texts = Vec::new();
        for up in &chosen {
            let name = &self.dag.tasks[*up].name;
            let is_mapped = self.dag.tasks[*up].mapping.is_some();
            texts.push(match (is_given, is_mapped) {
                (true, true) => format!("list({name})"),
                (true, false) => name.clone(),
                (false, true) => {
                    let id = self.dag.task_id(*up);
                    format!("ti.xcom_pull(task_ids=\"{id}\", map_indexes=[0, 1])")
                }
                (false, false) => {
                    format!("ti.xcom_pull(task_ids=\"{}\")", self.dag.task_id(*up))
                }
            });
        }
        if is_given {
            task.reads = chosen;
        }
        task.ending = Ending::Returns(format!("[{}]", texts.join(", ")));
    }

    /// A task whose output others are mapped over.
    pub(super) fn feeder(
        &mut self,
        container: Container,
        group: Option<GroupIndex>,
        upstream: &[TaskIndex],
    ) -> TaskIndex {
        let mut task = self.blank(group, upstream);
        task.kind = Kind::Python { decorated: true };
        let count = self
            .numbers
            .weighted(&[(2, 0), (2, 1), (5, 2), (6, 3), (2, 5)]);
        let first = i64::try_from(self.numbers.below(4)).expect("a small number");
        task.ending = match self.numbers.below(20) {
            0 => Ending::Skips,
            1 => Ending::Raises,
            _ => Ending::Gives((first..).take(count).collect(), container),
        };
        self.add(task)
    }

    pub(super) fn mapped(
        &mut self,
        group: Option<GroupIndex>,
        upstream: &[TaskIndex],
    ) -> Vec<TaskIndex> {
        let mut upstream = upstream.to_vec();
        let mapping = self.mapping(group, &mut upstream);
        let is_literal = mapping.form == Form::Literal;
        let mut task = self.blank(group, &upstream);
        task.rule = self.rule(&upstream);
        if !is_literal && task.rule == Rule::Always {
            task.rule = Rule::AllDone;
        }
        task.kind = match self.numbers.below(10) {
            0 | 1 if is_literal => Kind::Bash,
            2 | 3 if is_literal => Kind::Python { decorated: false },
            _ => Kind::Python { decorated: true },
        };
        task.ending = Ending::Returns("x * 10".to_owned());
        task.mapping = Some(mapping);
        self.give_ending_by_item(&mut task);
        self.give_arguments(&mut task);
        self.give_index_template(&mut task);
        vec![self.add(task)]
    }

    /// Lets some instances get into trouble.
    pub(super) fn give_ending_by_item(&mut self, task: &mut Task) {
        task.retries = self.numbers.pick(&[0, 0, 0, 1, 2]);
        for item in 0..6 {
            if self.numbers.percent(self.mix.troubles / 2) {
                let (ending, _) = endings::trouble(self.numbers);
                let ending = match ending {
                    // The limit would hold for its siblings as well.
                    Ending::TimesOut => Ending::Raises,
                    _ if task.kind == Kind::Bash => endings::of_shell(ending),
                    _ => ending,
                };
                task.by_item.push((item, ending));
            } else if task.kind != Kind::Bash && self.numbers.percent(3) {
                task.by_item
                    .push((item, Ending::Returns("None".to_owned())));
            }
        }
    }

    /// Gives some tasks what does not change how they end.
    pub(super) fn give_arguments(&mut self, task: &mut Task) {
        if task.retries > 0 && self.numbers.percent(15) {
            task.arguments
                .push("retry_exponential_backoff=True".to_owned());
            task.arguments
                .push("max_retry_delay=datetime.timedelta(seconds=2)".to_owned());
        }
        if !self.numbers.percent(18) {
            return;
        }
        let weight = self.numbers.below(30);
        let argument = match self.numbers.below(7) {
            0 => format!("priority_weight={weight}"),
            1 => format!("priority_weight={weight}, weight_rule=\"upstream\""),
            2 => format!("priority_weight={weight}, weight_rule=\"absolute\""),
            3 => "pool=\"conformance_three_slots\"".to_owned(),
            4 => "pool=\"conformance_three_slots\", pool_slots=2".to_owned(),
            5 => "max_active_tis_per_dag=1".to_owned(),
            _ => "max_active_tis_per_dagrun=1".to_owned(),
        };
        task.arguments.push(argument);
        if task.kind != Kind::Empty && task.mapping.is_none() && self.numbers.percent(25) {
            task.arguments.push("do_xcom_push=False".to_owned());
        }
    }

    fn give_index_template(&mut self, task: &mut Task) {
        // Real Airflow forgets the name of an instance whose process dies.
        let dies = |(_, ending): &(i64, Ending)| matches!(ending, Ending::Dies(_));
        if !self.numbers.percent(25) || task.by_item.iter().any(dies) {
            return;
        }
        let is_decorated = task.kind == Kind::Python { decorated: true };
        let template = if is_decorated {
            self.numbers.pick(&[
                "{{ ti.map_index }} of {{ run_id }}",
                "{{ task.task_id }}-{{ ti.map_index + 1 }}",
                "{{ ds }} {{ 'even' if ti.map_index % 2 == 0 else 'odd' }}",
                "{{ my_name }}",
            ])
        } else {
            "number {{ ti.map_index }}"
        };
        task.arguments
            .push(format!("map_index_template=\"{template}\""));
    }

    /// Chooses what to map over; feeders that are missing are added above.
    pub(super) fn mapping(
        &mut self,
        group: Option<GroupIndex>,
        upstream: &mut Vec<TaskIndex>,
    ) -> Mapping {
        let count = self
            .numbers
            .weighted(&[(2, 0), (2, 1), (5, 2), (5, 3), (2, 4)]);
        let items: Vec<i64> = (0..).take(count).collect();
        let literal = self.numbers.percent(30);
        if literal {
            let form = self.numbers.pick(&[
                Form::Literal,
                Form::Literal,
                Form::LiteralKeywords,
                Form::Crossed { with: None },
            ]);
            return Mapping { form, items };
        }
        if let Some(given) = self.mapped_above(upstream)
            && self.numbers.percent(60)
        {
            let form = self.numbers.pick(&[Form::Task(given), Form::Mapped(given)]);
            let items = Vec::new();
            return Mapping { form, items };
        }
        let above = upstream.clone();
        let mut feeder = |builder: &mut Self, container| {
            let index = builder.feeder(container, group, &above);
            upstream.push(index);
            index
        };
        let form = match self.numbers.below(9) {
            0..=2 => Form::Task(feeder(self, Container::List)),
            3 => Form::Mapped(feeder(self, Container::List)),
            4 => Form::Entries(feeder(self, Container::Dict)),
            5 => Form::Keywords(feeder(self, Container::Keywords)),
            6 => {
                let (one, other) = (feeder(self, Container::List), feeder(self, Container::List));
                Form::Zipped(one, other, self.numbers.percent(50))
            }
            7 => {
                let (one, other) = (feeder(self, Container::List), feeder(self, Container::List));
                Form::Joined(one, other)
            }
            _ => Form::Crossed {
                with: Some(feeder(self, Container::List)),
            },
        };
        // Tasks above the feeders need not be right above the mapped task as well.
        if self.numbers.percent(70) {
            let feeders = form.feeders();
            upstream.retain(|up| feeders.contains(up));
        }
        let is_crossed = matches!(form, Form::Crossed { .. });
        let items = if is_crossed { items } else { Vec::new() };
        Mapping { form, items }
    }

    /// A mapped task right above whose outputs can be mapped over again.
    fn mapped_above(&self, upstream: &[TaskIndex]) -> Option<TaskIndex> {
        let gives = |up: &&TaskIndex| {
            let Task { kind, mapping, .. } = &self.dag.tasks[**up];
            mapping.is_some() && *kind != Kind::Bash && self.dag.mapped_group(**up).is_none()
        };
        upstream.iter().find(gives).copied()
    }
}
