//! What holds for any Dag in any state.

use proptest::prelude::*;
use updraft_model::TriggerRule;

use super::*;
use crate::run::{RunEnd, RunPlan, RunView, TaskInstanceView, plan_pass};

/// Names in an order that has nothing to do with the edges, so that the alphabet cannot help.
const NAMES: [&str; 7] = ["d", "b", "g", "a", "f", "c", "e"];

/// One task: what it is, and which of the earlier ones are upstream of it.
#[derive(Clone, Debug)]
struct AnyTask {
    upstream: Vec<bool>,
    rule: TriggerRule,
    flag: &'static str,
    /// Expands over an earlier task, or over a literal.
    map: Option<Result<usize, u32>>,
    states: Vec<TaskInstanceState>,
    is_expanded: bool,
    length: Option<u32>,
}

#[derive(Clone)]
struct AnyRun {
    text: String,
    dag: SerializedDag,
    rows: Vec<TaskInstanceView>,
    lengths: Vec<(TaskId, u32)>,
}

impl std::fmt::Debug for AnyRun {
    /// In the language of [`crate::scenario`], to be pasted into an example.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (rows, lengths) = (facts(&self.rows).join("\n"), &self.lengths);
        write!(f, "{}\n{rows}\nlengths {lengths:?}", self.text)
    }
}

fn any_state() -> impl Strategy<Value = TaskInstanceState> {
    let waiting = Just(TaskInstanceState::NoStatus);
    prop_oneof![3 => waiting, 2 => proptest::sample::select(TaskInstanceState::ALL)]
}

prop_compose! {
    fn any_task()(
        upstream in proptest::collection::vec(proptest::bool::weighted(0.4), NAMES.len()),
        rule in prop_oneof![
            Just(TriggerRule::AllSuccess),
            proptest::sample::select(TriggerRule::ALL),
        ],
        flag in proptest::sample::select(&["", "", "", "empty", "setup", "teardown", "past"][..]),
        map in proptest::option::weighted(0.3, prop_oneof![
            (0..NAMES.len()).prop_map(Ok),
            (0..3_u32).prop_map(Err),
        ]),
        states in proptest::collection::vec(any_state(), 3),
        is_expanded in any::<bool>(),
        length in proptest::option::of(0..4_u32),
    ) -> AnyTask {
        AnyTask { upstream, rule, flag, map, states, is_expanded, length }
    }
}

fn any_run() -> impl Strategy<Value = AnyRun> {
    proptest::collection::vec(any_task(), 1..NAMES.len()).prop_map(|tasks| {
        let mut text = String::new();
        let mut rows = Vec::new();
        let mut lengths = Vec::new();
        for (place, task) in tasks.iter().enumerate() {
            let id = NAMES[place];
            text.push_str(&format!("{id}: {} rule={}", task.flag, task.rule));
            match task.map {
                Some(Ok(over)) if over < place => text.push_str(&format!(" map={}", NAMES[over])),
                Some(Err(length)) => text.push_str(&format!(" map={length}")),
                _ => {}
            }
            text.push('\n');
            for (above, is_upstream) in task.upstream.iter().take(place).enumerate() {
                if *is_upstream || task.map == Some(Ok(above)) {
                    text.push_str(&format!("{} >> {id}\n", NAMES[above]));
                }
            }
            let is_expanded = task.is_expanded && task.map.is_some();
            let indexes = if is_expanded { 0..3 } else { -1..0 };
            for (map_index, state) in indexes.zip(&task.states) {
                let number = u128::try_from(rows.len() + 1).unwrap();
                let mut row = row(number, id, map_index, *state);
                row.end_date = state.is_finished().then(|| instant(NOW));
                rows.push(row);
            }
            lengths.extend(task.length.map(|length| (TaskId::new(id), length)));
        }
        AnyRun {
            dag: dag(&text),
            text,
            rows,
            lengths,
        }
    })
}

fn view_of(run: &AnyRun) -> RunView<'_> {
    let mut view = view(&run.dag, run.rows.clone());
    view.xcoms
        .mapped_lengths
        .extend(run.lengths.iter().cloned());
    view.xcoms
        .return_value_counts
        .extend(run.lengths.iter().cloned());
    view
}

/// The rows without their ids: those of created rows depend on when they are stored.
fn facts(rows: &[TaskInstanceView]) -> Vec<String> {
    rows.iter()
        .map(|row| {
            let name = crate::scenario::name(&row.task_id, row.map_index);
            format!(
                "{name} {} try {} until {:?}",
                row.state, row.try_number, row.end_date
            )
        })
        .collect()
}

fn pass_by_pass(view: &mut RunView<'_>) -> Option<RunEnd> {
    for _ in 0..100 {
        let plan = plan_pass(view, instant(NOW));
        apply(&plan, &mut view.task_instances);
        if plan.end.is_some() || plan.is_empty() {
            return plan.end;
        }
    }
    panic!("Airflow itself would never settle");
}

fn stored(run: &AnyRun, plan: &RunPlan) -> Vec<TaskInstanceView> {
    let mut rows = run.rows.clone();
    apply(plan, &mut rows);
    rows
}

proptest! {
    #![proptest_config(ProptestConfig {
        // `PROPTEST_CASES` may ask for more.
        cases: ProptestConfig::default().cases.max(1_500),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_fixpoint_is_what_many_single_passes_lead_to(run in any_run()) {
        let plan = plan_to_fixpoint(&view_of(&run), instant(NOW));
        prop_assert!(plan.is_settled);
        let mut one_by_one = view_of(&run);
        let end = pass_by_pass(&mut one_by_one);
        prop_assert_eq!(facts(&stored(&run, &plan)), facts(&one_by_one.task_instances));
        prop_assert_eq!(plan.end, end);
    }

    #[test]
    fn the_same_view_gives_the_same_plan_and_then_nothing(run in any_run()) {
        let view = view_of(&run);
        let plan = plan_to_fixpoint(&view, instant(NOW));
        prop_assert_eq!(&plan, &plan_to_fixpoint(&view, instant(NOW)));
        if plan.end.is_some() {
            // A run that is stuck ends, and what is left of it stays as it is.
            return Ok(());
        }
        let mut after = view_of(&run);
        after.task_instances = stored(&run, &plan);
        let again = plan_to_fixpoint(&after, instant(NOW));
        prop_assert!(again.changes.is_empty() && again.created.is_empty());
        prop_assert!(again.deleted.is_empty());
    }

    #[test]
    fn what_has_finished_stays_or_is_removed(run in any_run()) {
        let plan = plan_to_fixpoint(&view_of(&run), instant(NOW));
        for change in plan.changes.iter().filter(|change| change.from.is_finished()) {
            prop_assert_eq!(change.to.state, TaskInstanceState::Removed);
        }
        for id in &plan.deleted {
            let row = run.rows.iter().find(|row| row.id == *id).unwrap();
            prop_assert!(row.state.is_schedulable());
        }
    }

    #[test]
    fn whatever_waits_says_why(run in any_run()) {
        let plan = plan_to_fixpoint(&view_of(&run), instant(NOW));
        let rows = stored(&run, &plan);
        let waiting = rows.iter().filter(|row| row.state.is_schedulable());
        prop_assert_eq!(plan.waiting.len(), waiting.count());
    }
}
