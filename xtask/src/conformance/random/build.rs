//! Builds random Dags: blocks (a task, a group, a mapped group, a setup with its teardown), put
//! together in a random shape.

mod blocks;
mod endings;
mod sensors;
mod shape;
mod tasks;

use super::dag::{Dag, Group, GroupIndex, Kind, Role, TaskIndex};
use super::fate::{Fate, Race, foresee};
use super::numbers::Numbers;
use super::rules::Rule;
use shape::Shape;

/// How often another rule is tried for a task that races before the whole Dag is given up.
const REPAIRS_MAX: usize = 12;

/// Task ids, most of them one letter long. There is no Python keyword among them, and neither `x`
/// nor `y`: so are parameters called.
const NAMES: &str = "a b c d e f g h i j k l m n o p q r s t u v w z \
                     aa bb cc dd ee ff gg hh jj kk ll mm nn oo pp qq rr ss tt uu vv ww zz";

/// How many of the names are letters.
const LETTERS: usize = 24;

/// How often each kind of block and task occurs, out of the sum of all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mix {
    pub(super) groups: usize,
    pub(super) mapped: usize,
    pub(super) mapped_groups: usize,
    pub(super) setups: usize,
    pub(super) branches: usize,
    pub(super) sensors: usize,
    pub(super) deferrals: usize,
    /// Out of a hundred tasks, how many have another rule than `all_success`.
    pub(super) rules: usize,
    /// Out of a hundred tasks that run code, how many do not simply succeed.
    pub(super) troubles: usize,
}

/// What a plain task weighs in the choice of a block.
const TASK_WEIGHT: usize = 60;

pub(super) struct Builder<'a> {
    numbers: &'a mut Numbers,
    mix: Mix,
    dag: Dag,
    names: Vec<&'static str>,
    /// How many blocks there are around the next one.
    depth: usize,
}

/// Builds the tasks of `dag` and says how each ends.
pub(super) fn build(
    numbers: &mut Numbers,
    mix: Mix,
    blocks: usize,
    dag: Dag,
) -> Result<(Dag, Vec<Fate>), Race> {
    let mut names: Vec<&str> = NAMES.split_ascii_whitespace().collect();
    numbers.shuffle(&mut names[..LETTERS]);
    names.reverse();
    let mut builder = Builder {
        numbers,
        mix,
        dag,
        names,
        depth: 0,
    };
    let shape = Shape::random(builder.numbers);
    builder.graph(shape, blocks, None, &[]);
    builder.choose_branches();
    builder.obey_setups();
    let fates = builder.repair()?;
    Ok((builder.dag, fates))
}

impl Builder<'_> {
    /// Gives tasks that race another trigger rule, as long as that helps.
    fn repair(&mut self) -> Result<Vec<Fate>, Race> {
        for _ in 0..REPAIRS_MAX {
            let race = match foresee(&self.dag, None) {
                Ok(fates) => return Ok(fates),
                Err(race) => race,
            };
            if self.is_below_setup(race.task) {
                return Err(race);
            }
            let task = &mut self.dag.tasks[race.task];
            task.rule = match task.rule {
                Rule::AllSuccess if task.reads.is_empty() => Rule::AllDone,
                Rule::AllDone | Rule::AllSuccess => return Err(race),
                _ if task.mapping.is_some() => Rule::AllSuccess,
                _ => Rule::AllDone,
            };
        }
        foresee(&self.dag, None)
    }

    fn obey_setups(&mut self) {
        for task in 0..self.dag.tasks.len() {
            if self.is_below_setup(task) {
                self.dag.tasks[task].rule = Rule::AllSuccess;
            }
        }
    }

    /// What is right below a setup may have no rule of its own: Airflow refuses such Dags.
    fn is_below_setup(&self, task: TaskIndex) -> bool {
        let mut above = self.dag.tasks[task].upstream.iter();
        above.any(|up| self.dag.tasks[*up].role == Role::Setup)
    }

    fn name(&mut self) -> String {
        self.names
            .pop()
            .expect("there are more names than tasks")
            .to_owned()
    }

    fn group(&mut self, parent: Option<GroupIndex>, prefixes: bool) -> GroupIndex {
        let index = self.dag.groups.len();
        let first = self.dag.tasks.len();
        self.dag.groups.push(Group {
            name: format!("group_{}", index + 1),
            parent,
            prefixes,
            tasks: first..first,
            mapping: None,
        });
        index
    }

    /// Puts `count` blocks together; those without a block above follow `upstream`. Returns the
    /// tasks that nothing is below of.
    fn graph(
        &mut self,
        shape: Shape,
        count: usize,
        group: Option<GroupIndex>,
        upstream: &[TaskIndex],
    ) -> Vec<TaskIndex> {
        let mut exits: Vec<Vec<TaskIndex>> = Vec::new();
        let mut is_below = vec![false; count];
        self.depth += 1;
        for place in 0..count {
            let above = shape.above(place, count, self.numbers);
            let mut up: Vec<TaskIndex> = Vec::new();
            for other in &above {
                up.extend(&exits[*other]);
                is_below[*other] = true;
            }
            up.sort_unstable();
            up.dedup();
            let upstream = if above.is_empty() { upstream } else { &up };
            exits.push(self.block(upstream, group));
        }
        self.depth -= 1;
        let last = exits.into_iter().zip(is_below);
        last.filter(|(_, is_below)| !is_below)
            .flat_map(|(exits, _)| exits)
            .collect()
    }

    /// Lets each branch follow some of the tasks right below it.
    fn choose_branches(&mut self) {
        for task in 0..self.dag.tasks.len() {
            let below = self.dag.downstream(task);
            let is_teardown =
                |other: &TaskIndex| matches!(self.dag.tasks[*other].role, Role::Teardown { .. });
            let (teardowns, below): (Vec<_>, Vec<_>) = below.into_iter().partition(is_teardown);
            let mut chosen = if below.is_empty() || self.numbers.percent(10) {
                Vec::new()
            } else {
                self.numbers.some(&below, 1)
            };
            chosen.extend(teardowns);
            if let Kind::Branch { follows, .. } = &mut self.dag.tasks[task].kind {
                *follows = chosen;
            }
        }
    }
}
