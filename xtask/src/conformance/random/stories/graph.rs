//! Tasks in random shapes, triggered by hand, and perhaps cleared or marked when they are done.

use std::collections::BTreeMap;

use serde_json::json;

use super::{Phase, Rest, Story, trigger};
use crate::conformance::random::afterwards;
use crate::conformance::random::build::{self, Mix};
use crate::conformance::random::dag::{Dag, Ending, Kind, Task};
use crate::conformance::random::fate::{Fate, Race};
use crate::conformance::random::numbers::Numbers;
use crate::conformance::random::observe::place;
use crate::conformance::random::scenario::{RUN_ID, dag_id};
use crate::conformance::random::waits::Waits;

/// How many Dags are thrown away for one that does not race.
const ATTEMPTS_MAX: u64 = 2_000;

/// Shorter Dags say little.
const TASKS_MIN: usize = 3;

/// Longer Dags would make the comparison slow.
const INSTANCES_MAX: usize = 28;

/// Out of a hundred runs, how many are cleared or marked after their end.
const AFTERWARDS_PERCENT: usize = 40;

/// What most of the Dags of a seed are about.
#[derive(Clone, Copy, Debug)]
enum Theme {
    Rules,
    Branches,
    Groups,
    Mapping,
    MappedGroups,
    Setups,
    Sensors,
    Deferrals,
    Everything,
}

impl Theme {
    fn title(self) -> &'static str {
        match self {
            Self::Rules => "Trigger rules.",
            Self::Branches => "Branches and short circuits.",
            Self::Groups => "Task groups.",
            Self::Mapping => "Mapped tasks.",
            Self::MappedGroups => "Mapped task groups.",
            Self::Setups => "Setups and teardowns.",
            Self::Sensors => "Sensors.",
            Self::Deferrals => "Deferrals.",
            Self::Everything => "Something of everything.",
        }
    }

    fn mix(self) -> Mix {
        let plain = Mix {
            groups: 4,
            mapped: 0,
            mapped_groups: 0,
            setups: 0,
            branches: 6,
            sensors: 1,
            deferrals: 0,
            rules: 35,
            troubles: 30,
        };
        match self {
            Self::Rules => Mix {
                rules: 70,
                troubles: 45,
                ..plain
            },
            Self::Branches => Mix {
                branches: 30,
                rules: 30,
                troubles: 15,
                ..plain
            },
            Self::Groups => Mix {
                groups: 45,
                ..plain
            },
            Self::Mapping => Mix {
                mapped: 60,
                ..plain
            },
            Self::MappedGroups => Mix {
                mapped: 10,
                mapped_groups: 40,
                ..plain
            },
            Self::Setups => Mix {
                setups: 40,
                rules: 20,
                ..plain
            },
            Self::Sensors => Mix {
                sensors: 45,
                rules: 20,
                ..plain
            },
            Self::Deferrals => Mix {
                deferrals: 60,
                rules: 20,
                ..plain
            },
            Self::Everything => Mix {
                sensors: 6,
                deferrals: 4,
                groups: 15,
                mapped: 15,
                mapped_groups: 8,
                setups: 12,
                branches: 12,
                ..plain
            },
        }
    }
}

/// Tells the story of a seed.
pub(super) fn tell(seed: u64, numbers: &mut Numbers) -> Story {
    let theme = numbers.weighted(&[
        (18, Theme::Rules),
        (14, Theme::Branches),
        (8, Theme::Groups),
        (18, Theme::Mapping),
        (12, Theme::MappedGroups),
        (12, Theme::Setups),
        (10, Theme::Sensors),
        (20, Theme::Deferrals),
        (18, Theme::Everything),
    ]);
    let (mut dag, fates) = without_race(seed, theme);
    if numbers.percent(20) {
        add_callbacks(numbers, &mut dag);
    }
    let mut conf = json!({});
    if numbers.percent(20) {
        let params =
            "params={\"word\": \"grün\", \"count\": Param(3, type=\"integer\", minimum=1)}";
        dag.arguments.push(params.to_owned());
        conf = numbers.pick(&[json!({}), json!({ "count": 5 }), json!({ "other": [1] })]);
    }
    if numbers.percent(15) {
        let limit = numbers.between(1, 3);
        // A sensor that pokes would keep the task it waits for from its place.
        if !dag.tasks.iter().any(pokes_for_another) {
            dag.arguments.push(format!("max_active_tasks={limit}"));
        }
    }
    let mut acts = vec![trigger(&dag.dag_id, RUN_ID, "2026-01-05", &conf)];
    let mut foreseen = foreseen(1, RUN_ID, &dag, &fates);
    if numbers.percent(12) {
        let count = numbers.pick(&[json!({}), json!({ "count": 8 })]);
        acts.push(trigger(&dag.dag_id, "second", "2026-01-06", &count));
        foreseen.extend(self::foreseen(1, "second", &dag, &fates));
        if numbers.percent(50) {
            dag.arguments.push("max_active_runs=1".to_owned());
        }
    }
    let rest = Rest::Ended;
    let mut phases = vec![Phase { acts, rest }];
    if numbers.percent(AFTERWARDS_PERCENT)
        && let Some(afterwards) = afterwards::choose(numbers, &dag, &fates)
    {
        foreseen.extend(self::foreseen(2, RUN_ID, &dag, &afterwards.fates));
        let acts = vec![afterwards.act];
        phases.push(Phase { acts, rest });
    }
    Story {
        title: theme.title(),
        dags: vec![dag],
        phases,
        foreseen,
    }
}

fn pokes_for_another(task: &Task) -> bool {
    let waits = match task.kind {
        Kind::External { waits, .. } => Some(waits),
        _ => None,
    };
    waits == Some(Waits::Pokes)
}

/// Lets some tasks and the run write lines when something becomes of them.
fn add_callbacks(numbers: &mut Numbers, dag: &mut Dag) {
    // Real Airflow runs no callback of a task whose process died; we do.
    let dies = |ending: &Ending| matches!(ending, Ending::Dies(_));
    let is_odd = dag
        .tasks
        .iter()
        .any(|task| dies(&task.ending) || task.by_item.iter().any(|(_, ending)| dies(ending)));
    if is_odd {
        return;
    }
    for task in &mut dag.tasks {
        let chance = if task.kind == Kind::Empty { 10 } else { 60 };
        if !numbers.percent(chance) {
            continue;
        }
        for event in ["execute", "success", "failure", "retry", "skipped"] {
            if numbers.percent(70) {
                task.arguments
                    .push(format!("on_{event}_callback=note(\"{event}\")"));
            }
        }
    }
    for event in ["success", "failure"] {
        if numbers.percent(70) {
            dag.arguments
                .push(format!("on_{event}_callback=note(\"run {event}\")"));
        }
    }
}

/// Tries until a Dag does not race and is of a good size.
fn without_race(seed: u64, theme: Theme) -> (Dag, Vec<Fate>) {
    let mut reason = "all are too small or too large";
    for attempt in 0..ATTEMPTS_MAX {
        match graph(seed, attempt, theme) {
            Ok((dag, fates)) => {
                let instances: usize = fates.iter().map(|fate| fate.states.len()).sum();
                if dag.tasks.len() >= TASKS_MIN && instances <= INSTANCES_MAX {
                    return (dag, fates);
                }
            }
            Err(race) => reason = race.reason,
        }
    }
    panic!("found no Dag for seed {seed} of {ATTEMPTS_MAX}; the last one: {reason}");
}

/// One attempt at a Dag of tasks in a shape.
fn graph(seed: u64, attempt: u64, theme: Theme) -> Result<(Dag, Vec<Fate>), Race> {
    let mut numbers = Numbers::new(seed, attempt);
    let dag = Dag {
        dag_id: dag_id(seed),
        ..super::unscheduled_dag()
    };
    let blocks = numbers.between(3, 8);
    build::build(&mut numbers, theme.mix(), blocks, dag)
}

/// The subjects and states that the record should hold after a phase.
fn foreseen(
    phase: usize,
    run_id: &str,
    dag: &Dag,
    fates: &[Fate],
) -> BTreeMap<String, &'static str> {
    let mut foreseen = BTreeMap::new();
    for (task, fate) in fates.iter().enumerate() {
        for (index, state) in (0_i64..).zip(&fate.states) {
            let index = if fate.expanded { index } else { -1 };
            let subject = format!("{phase} {run_id} {}", place(&dag.task_id(task), index));
            foreseen.insert(subject, state.name());
        }
    }
    foreseen
}
