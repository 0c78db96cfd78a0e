//! The rows of the table, with the target each must reach first.

/// One line of the table.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    pub(super) unit: Unit,
    /// The value Updraft must reach; `None` where the row only informs.
    pub(super) target: Option<f64>,
    pub(super) measure: Measure,
}

/// How a row is measured.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Measure {
    Restart,
    MemoryIdle,
    CpuIdle,
    /// Times a run of a Dag; `tasks` turns the time into a rate.
    Run {
        dag_id: &'static str,
        tasks: f64,
    },
    ListDags,
    MemoryLoaded,
    NewFile,
    ChangedFile,
}

impl Measure {
    /// Idle values come before anything has run, files last: they take Airflow minutes.
    pub(super) fn order(self) -> u8 {
        match self {
            Self::Restart => 0,
            Self::MemoryIdle => 1,
            Self::CpuIdle => 2,
            Self::Run { .. } => 3,
            Self::ListDags => 4,
            Self::MemoryLoaded => 5,
            Self::NewFile => 6,
            Self::ChangedFile => 7,
        }
    }
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
        match self.measure {
            Measure::Run { tasks, .. } if self.unit == Unit::PerSecond => tasks / seconds,
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

/// A row that times a run of `dag_id`.
const fn timed(name: &'static str, what: &'static str, target: f64, dag_id: &'static str) -> Row {
    let measure = Measure::Run { dag_id, tasks: 1.0 };
    Row {
        name,
        what,
        unit: Unit::Seconds,
        target: Some(target),
        measure,
    }
}

/// A row that counts how many `tasks` of a run of `dag_id` end in a second.
const fn rate(
    name: &'static str,
    what: &'static str,
    target: f64,
    (dag_id, tasks): (&'static str, f64),
) -> Row {
    let measure = Measure::Run { dag_id, tasks };
    Row {
        name,
        what,
        unit: Unit::PerSecond,
        target: Some(target),
        measure,
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
    Row {
        name: "list-dags",
        what: "`GET /api/v2/dags?limit=50`",
        unit: Unit::PerSecond,
        target: Some(4_000.0),
        measure: Measure::ListDags,
    },
    Row {
        name: "new-file",
        what: "new Dag file visible",
        unit: Unit::Seconds,
        target: Some(1.0),
        measure: Measure::NewFile,
    },
    Row {
        name: "changed-file",
        what: "changed Dag file visible",
        unit: Unit::Seconds,
        target: Some(1.0),
        measure: Measure::ChangedFile,
    },
    Row {
        name: "memory-idle",
        what: "idle memory, all roles, PSS",
        unit: Unit::Megabytes,
        target: Some(250.0),
        measure: Measure::MemoryIdle,
    },
    Row {
        name: "memory-loaded",
        what: "memory after the runs above, PSS",
        unit: Unit::Megabytes,
        target: None,
        measure: Measure::MemoryLoaded,
    },
    Row {
        name: "cpu-idle",
        what: "idle CPU, of one core",
        unit: Unit::Percent,
        target: Some(1.0),
        measure: Measure::CpuIdle,
    },
    Row {
        name: "ready",
        what: "ready to use, runtime installed",
        unit: Unit::Seconds,
        target: Some(3.0),
        measure: Measure::Restart,
    },
];
