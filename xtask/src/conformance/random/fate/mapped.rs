//! Tasks with more than one instance.

use super::{Fate, Foresight, Race, Visible, race};
use crate::conformance::random::dag::{Ending, Form, GroupIndex, Mapping, TaskIndex};
use crate::conformance::random::rules::{Counts, Decision, Rule, State};

/// What the written code returns for an instance that was given `item`.
pub(in crate::conformance::random) fn value_of(item: i64) -> i64 {
    item * 10
}

/// What `.map(…)` adds in the written code.
pub(in crate::conformance::random) const MAP_ADDS: i64 = 5;

/// What the written code fills the shorter side of a zip with.
pub(in crate::conformance::random) const ZIP_FILLS: i64 = -1;

/// The second side of a literal cross product.
pub(in crate::conformance::random) const CROSSED: [i64; 2] = [100, 200];

impl Foresight<'_> {
    pub(super) fn judge_mapped(&self, task: TaskIndex, mapping: &Mapping) -> Result<Fate, Race> {
        let decision = self.decide(task, &self.visible(task))?;
        let feeders = mapping.form.feeders();
        let unexpanded = |state| Ok(Fate::single(state, self.tries_before(task, 0)));
        if self.count_before(task).is_some() {
            return self.judge_again(task, mapping, |_| Ok(decision));
        }
        if let Some(state) = self.objection(task, &feeders)? {
            return match decision {
                Decision::Becomes(other) if other != state => {
                    race(task, "the trigger rule against the missing input")
                }
                _ => unexpanded(state),
            };
        }
        let items = self.items(mapping);
        let state = match decision {
            Decision::Becomes(state) if feeders.is_empty() && !items.is_empty() => Some(state),
            Decision::Becomes(state) => return unexpanded(state),
            Decision::Run if items.is_empty() => return unexpanded(State::Skipped),
            Decision::Run => None,
        };
        let is_hasty = self.rule(task).is_hasty() && self.dag.tasks[task].upstream.len() > 1;
        if is_hasty && !feeders.is_empty() {
            return race(task, "expands before its input is there");
        }
        self.expanded(task, &items, |_| Ok(state))
    }

    /// A mapped task that had its instances before: they stay, whatever becomes of its input.
    fn judge_again(
        &self,
        task: TaskIndex,
        mapping: &Mapping,
        decide: impl Fn(usize) -> Result<Decision, Race>,
    ) -> Result<Fate, Race> {
        let objection = self.objection(task, &mapping.form.feeders())?;
        let items = self.items(mapping);
        if objection.is_none() && Some(items.len()) != self.count_before(task) {
            return race(task, "another number of instances than before");
        }
        let items = match objection {
            Some(_) => vec![0; self.count_before(task).unwrap_or_default()],
            None => items,
        };
        self.expanded(task, &items, |index| match (decide(index)?, objection) {
            (Decision::Becomes(state), Some(other)) if state != other => {
                race(task, "the trigger rule against the missing input")
            }
            (Decision::Becomes(state), _) => Ok(Some(state)),
            (Decision::Run, objection) => Ok(objection),
        })
    }

    /// The fate of an instance for each item: the state that was decided for it, or how it ends.
    fn expanded(
        &self,
        task: TaskIndex,
        items: &[i64],
        decided: impl Fn(usize) -> Result<Option<State>, Race>,
    ) -> Result<Fate, Race> {
        let mut fate = Fate {
            states: Vec::new(),
            tries: Vec::new(),
            expanded: true,
            values: Vec::new(),
        };
        let by_item = &self.dag.tasks[task].by_item;
        for (index, item) in items.iter().enumerate() {
            let own = by_item.iter().find(|(value, _)| value == item);
            let ending = own.map_or(&self.dag.tasks[task].ending, |(_, ending)| ending);
            let kept = self.kept_instance(task, index);
            let (state, tries) = match (kept, decided(index)?) {
                (Some(kept), _) => kept,
                (None, Some(state)) => (state, self.tries_before(task, index)),
                (None, None) => self.run(task, index, ending),
            };
            let returns_nothing = matches!(ending, Ending::Returns(text) if text == "None");
            if state == State::Success && !returns_nothing {
                fate.values.push(value_of(*item));
            }
            fate.states.push(state);
            fate.tries.push(tries);
        }
        Ok(fate)
    }

    /// What a task comes to whose input is missing, whatever its rule says.
    fn objection(&self, task: TaskIndex, feeders: &[TaskIndex]) -> Result<Option<State>, Race> {
        let unexpanded = feeders.iter().map(|feeder| &self.fates[*feeder]);
        let states = unexpanded
            .filter(|fate| !fate.expanded)
            .map(|fate| fate.states[0]);
        let counts = Counts::of(states);
        if Rule::AllSuccess.is_order_sensitive(counts) {
            return race(task, "one input failed and one was skipped");
        }
        Ok(Rule::AllSuccess.early(counts))
    }

    /// The number each instance is given.
    fn items(&self, mapping: &Mapping) -> Vec<i64> {
        let values = |task: &TaskIndex| self.fates[*task].values.clone();
        match &mapping.form {
            Form::Literal | Form::LiteralKeywords => mapping.items.clone(),
            Form::Crossed { with } => {
                let count = with.map_or(CROSSED.len(), |task| values(&task).len());
                let each = mapping.items.iter();
                each.flat_map(|item| std::iter::repeat_n(*item, count))
                    .collect()
            }
            Form::Task(task) | Form::Entries(task) | Form::Keywords(task) => values(task),
            Form::Mapped(task) => values(task).iter().map(|item| item + MAP_ADDS).collect(),
            Form::Joined(task, other) => [values(task), values(other)].concat(),
            Form::Zipped(task, other, fills) => {
                let (mut first, second) = (values(task), values(other));
                if *fills {
                    let longer = first.len().max(second.len());
                    first.resize(longer, ZIP_FILLS);
                } else {
                    first.truncate(second.len());
                }
                first
            }
        }
    }

    /// A task of a mapped group: it has an instance for each of the group's.
    pub(super) fn judge_member(&self, task: TaskIndex, group: GroupIndex) -> Result<Fate, Race> {
        let mapping = self.dag.groups[group].mapping.as_ref();
        let mapping = mapping.expect("only mapped groups are asked for");
        let at = |index| self.decide(task, &self.visible_at(task, group, Some(index)));
        if self.count_before(task).is_some() {
            return self.judge_again(task, mapping, at);
        }
        let feeders = mapping.form.feeders();
        let items = self.items(mapping);
        let is_literal = feeders.is_empty() && !items.is_empty();
        if !is_literal && let Some(fate) = self.before_expansion(task, group, &feeders)? {
            return Ok(fate);
        }
        if items.is_empty() {
            return Ok(Fate::single(State::Skipped, self.tries_before(task, 0)));
        }
        self.expanded(task, &items, |index| {
            Ok(match at(index)? {
                Decision::Becomes(state) => Some(state),
                Decision::Run => None,
            })
        })
    }

    /// What becomes of a member before it has instances, if that is its end.
    fn before_expansion(
        &self,
        task: TaskIndex,
        group: GroupIndex,
        feeders: &[TaskIndex],
    ) -> Result<Option<Fate>, Race> {
        let rule = self.rule(task);
        let sees_all = rule.is_hasty() || rule == Rule::NoneFailedMinOneSuccess;
        let visible = if sees_all {
            self.visible(task)
        } else {
            self.visible_at(task, group, None)
        };
        let decision = self.decide(task, &visible)?;
        if let Some(state) = self.objection(task, feeders)? {
            return match decision {
                Decision::Becomes(other) if other != state => {
                    race(task, "the trigger rule against the group's missing input")
                }
                _ => Ok(Some(Fate::single(state, self.tries_before(task, 0)))),
            };
        }
        if rule.is_hasty() && self.dag.tasks[task].upstream.len() > 1 {
            return race(task, "a hasty rule in a mapped group");
        }
        Ok(match decision {
            Decision::Becomes(state) => Some(Fate::single(state, self.tries_before(task, 0))),
            Decision::Run => None,
        })
    }

    /// What the instance with an index sees, or the one that is not expanded yet.
    fn visible_at(&self, task: TaskIndex, group: GroupIndex, index: Option<usize>) -> Vec<Visible> {
        let members = &self.dag.groups[group].tasks;
        let mut all = self.visible(task);
        for Visible { task, states } in &mut all {
            if members.contains(task) && self.fates[*task].expanded {
                match index {
                    Some(index) => *states = vec![states[index]],
                    None => states.clear(),
                }
            }
        }
        all
    }
}
