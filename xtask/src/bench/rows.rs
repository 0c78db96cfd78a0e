//! The rows of the table, with the target each must reach first.

/// One line of the table.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    pub(super) unit: Unit,
    /// The value Updraft must reach; `None` where the row only informs.
    pub(super) target: Option<f64>,
    /// What is run, for the rows that time a Dag run.
    pub(super) workload: Option<Workload>,
}

pub(super) struct Workload {
    pub(super) dag_id: &'static str,
    tasks: f64,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Unit {
    Seconds,
    PerSecond,
    Megabytes,
    Percent,
}

impl Unit {
    pub(super) fn text(self, value: f64) -> String {
        let digits = match value {
            value if value >= 100.0 => 0,
            value if value >= 10.0 => 1,
            value if value >= 1.0 => 2,
            _ => 3,
        };
        let unit = match self {
            Self::Seconds => "s",
            Self::PerSecond => "/s",
            Self::Megabytes => "MB",
            Self::Percent => "%",
        };
        format!("{value:.digits$} {unit}")
    }

    fn more_is_better(self) -> bool {
        self == Self::PerSecond
    }
}

impl Row {
    /// Turns the seconds a run took into the row's unit.
    pub(super) fn value_of(&self, seconds: f64) -> f64 {
        match &self.workload {
            Some(workload) if self.unit == Unit::PerSecond => workload.tasks / seconds,
            _ => seconds,
        }
    }

    pub(super) fn target_text(&self) -> String {
        let sign = if self.unit.more_is_better() {
            '≥'
        } else {
            '≤'
        };
        self.target.map_or_else(
            || "–".to_owned(),
            |target| format!("{sign} {}", self.unit.text(target)),
        )
    }

    pub(super) fn is_met_by(&self, value: f64) -> Option<bool> {
        let target = self.target?;
        Some(if self.unit.more_is_better() {
            value >= target
        } else {
            value <= target
        })
    }

    /// How many times better Updraft is.
    pub(super) fn ratio(&self, airflow: f64, updraft: f64) -> f64 {
        if self.unit.more_is_better() {
            updraft / airflow
        } else {
            airflow / updraft
        }
    }
}

const fn timed(name: &'static str, what: &'static str, target: f64, dag_id: &'static str) -> Row {
    let workload = Some(Workload { dag_id, tasks: 1.0 });
    Row {
        name,
        what,
        unit: Unit::Seconds,
        target: Some(target),
        workload,
    }
}

const fn rate(
    name: &'static str,
    what: &'static str,
    target: f64,
    (dag_id, tasks): (&'static str, f64),
) -> Row {
    let workload = Some(Workload { dag_id, tasks });
    Row {
        name,
        what,
        unit: Unit::PerSecond,
        target: Some(target),
        workload,
    }
}

const fn other(name: &'static str, what: &'static str, unit: Unit, target: Option<f64>) -> Row {
    Row {
        name,
        what,
        unit,
        target,
        workload: None,
    }
}

pub(super) const ROWS: [Row; 12] = [
    timed(
        "chain-python",
        "40 chained 10 ms Python tasks",
        2.0,
        "bench_chain_python_40",
    ),
    rate(
        "fan-python",
        "100 independent Python tasks",
        35.0,
        ("bench_fan_python_100", 100.0),
    ),
    rate(
        "fan-bash",
        "100 independent BashOperator tasks",
        30.0,
        ("bench_fan_bash_100", 100.0),
    ),
    rate(
        "fan-empty",
        "1,000 EmptyOperators, fan-out",
        5_000.0,
        ("bench_fan_empty_1000", 1_001.0),
    ),
    timed(
        "chain-empty",
        "100 chained EmptyOperators",
        0.2,
        "bench_chain_empty_100",
    ),
    other(
        "list-dags",
        "`GET /api/v2/dags?limit=50`",
        Unit::PerSecond,
        Some(4_000.0),
    ),
    other("new-file", "new Dag file visible", Unit::Seconds, Some(1.0)),
    other(
        "changed-file",
        "changed Dag file visible",
        Unit::Seconds,
        Some(1.0),
    ),
    other(
        "memory-idle",
        "idle memory, all roles, PSS",
        Unit::Megabytes,
        Some(250.0),
    ),
    other(
        "memory-loaded",
        "memory after all the runs above, PSS",
        Unit::Megabytes,
        None,
    ),
    other(
        "cpu-idle",
        "idle CPU, of one core",
        Unit::Percent,
        Some(1.0),
    ),
    other(
        "ready",
        "ready to use, runtime installed",
        Unit::Seconds,
        Some(3.0),
    ),
];
