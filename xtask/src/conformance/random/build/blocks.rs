//! Random groups, mapped groups, and setups with their teardowns.

use super::{Builder, TASK_WEIGHT};
use crate::conformance::random::dag::{Ending, GroupIndex, Kind, Role, Task, TaskIndex};
use crate::conformance::random::rules::Rule;

use super::shape::Shape;

/// Blocks in blocks in blocks are enough.
const DEPTH_MAX: usize = 3;

/// With so many tasks, only plain ones are added.
const TASKS_ENOUGH: usize = 14;

#[derive(Clone, Copy)]
enum Choice {
    Task,
    Mapped,
    Group,
    MappedGroup,
    Setup,
    Sensor,
    Deferral,
}

impl Builder<'_> {
    pub(super) fn block(
        &mut self,
        upstream: &[TaskIndex],
        group: Option<GroupIndex>,
    ) -> Vec<TaskIndex> {
        if self.dag.tasks.len() >= TASKS_ENOUGH {
            return self.plain(group, upstream);
        }
        let is_shallow = usize::from(self.depth <= DEPTH_MAX);
        let choice = self.numbers.weighted(&[
            (TASK_WEIGHT, Choice::Task),
            (self.mix.mapped, Choice::Mapped),
            (self.mix.groups * is_shallow, Choice::Group),
            (self.mix.mapped_groups, Choice::MappedGroup),
            (self.mix.setups * is_shallow, Choice::Setup),
            (self.mix.sensors, Choice::Sensor),
            (self.mix.deferrals, Choice::Deferral),
        ]);
        match choice {
            Choice::Task => self.plain(group, upstream),
            Choice::Mapped => self.mapped(group, upstream),
            Choice::Group => self.task_group(group, upstream),
            Choice::MappedGroup => self.mapped_group(group, upstream),
            Choice::Setup => self.setup_scope(group, upstream),
            Choice::Sensor => self.sensor(group, upstream),
            Choice::Deferral => self.deferral(group, upstream),
        }
    }

    fn task_group(&mut self, parent: Option<GroupIndex>, upstream: &[TaskIndex]) -> Vec<TaskIndex> {
        let prefixes = self.numbers.percent(80);
        let group = self.group(parent, prefixes);
        let shape = Shape::random(self.numbers);
        let count = self.numbers.between(1, 4);
        self.graph(shape, count, Some(group), upstream)
    }

    /// A group that runs once for each item. Its tasks are plain: what is inside must be known by
    /// its map index.
    fn mapped_group(
        &mut self,
        parent: Option<GroupIndex>,
        upstream: &[TaskIndex],
    ) -> Vec<TaskIndex> {
        let mut upstream = upstream.to_vec();
        let mapping = self.mapping(parent, &mut upstream);
        let group = self.group(parent, true);
        self.dag.groups[group].mapping = Some(mapping);
        let shape = Shape::random(self.numbers);
        let count = self.numbers.between(1, 4);
        let mut is_below = vec![false; count];
        let first = self.dag.tasks.len();
        for place in 0..count {
            let above = shape.above(place, count, self.numbers);
            let inside: Vec<TaskIndex> = above.iter().map(|other| first + other).collect();
            for other in &above {
                is_below[*other] = true;
            }
            let ups = if inside.is_empty() {
                &upstream
            } else {
                &inside
            };
            self.member(group, ups);
        }
        let exits = (0..count).filter(|place| !is_below[*place]);
        exits.map(|place| first + place).collect()
    }

    fn member(&mut self, group: GroupIndex, upstream: &[TaskIndex]) -> TaskIndex {
        let mut task = self.blank(Some(group), upstream);
        task.rule = self.rule(upstream);
        if task.rule == Rule::Always {
            task.rule = Rule::AllDone;
        }
        if self.numbers.percent(70) {
            task.kind = Kind::Python { decorated: true };
            task.ending = Ending::Returns("x * 10".to_owned());
            self.give_ending_by_item(&mut task);
            // It is given the group's argument, and so is right below what the group is fed with.
            let mapping = self.dag.groups[group].mapping.iter();
            task.upstream
                .extend(mapping.flat_map(|mapping| mapping.form.feeders()));
            task.upstream.sort_unstable();
            task.upstream.dedup();
        }
        self.add(task)
    }

    /// A setup, what is between, and its teardown.
    fn setup_scope(&mut self, group: Option<GroupIndex>, upstream: &[TaskIndex]) -> Vec<TaskIndex> {
        let setups: Vec<TaskIndex> = (0..self.numbers.pick(&[1, 1, 1, 2]))
            .map(|_| self.setup(group, upstream))
            .collect();
        let shape = Shape::random(self.numbers);
        let count = self.numbers.between(1, 3);
        let inner = self.graph(shape, count, group, &setups);
        if self.numbers.percent(8) {
            return inner;
        }
        let mut above = inner.clone();
        above.extend(&setups);
        above.sort_unstable();
        above.dedup();
        let mut task = self.blank(group, &above);
        self.give_role_ending(&mut task);
        task.rule = Rule::AllDoneSetupSuccess;
        task.role = Role::Teardown {
            setups: setups.clone(),
            fails_run: self.numbers.percent(35),
        };
        let teardown = self.add(task);
        match self.numbers.below(10) {
            0..=5 => inner,
            6 | 7 => vec![teardown],
            _ => [inner, vec![teardown]].concat(),
        }
    }

    fn setup(&mut self, group: Option<GroupIndex>, upstream: &[TaskIndex]) -> TaskIndex {
        let mut task = self.blank(group, upstream);
        task.role = Role::Setup;
        self.give_role_ending(&mut task);
        self.add(task)
    }

    fn give_role_ending(&mut self, task: &mut Task) {
        if self.numbers.percent(60) {
            task.kind = Kind::Python { decorated: true };
            self.give_ending(task);
        }
    }
}
