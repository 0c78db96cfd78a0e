//! The steps from an empty database to the schema of this program, oldest first. A step that was
//! released is never edited: what changes is a new step.

/// One step, as a script for each dialect.
pub(super) struct Step {
    pub(super) number: i64,
    pub(super) description: &'static str,
    pub(super) sqlite: &'static str,
    pub(super) postgres: &'static str,
}

pub(super) const STEPS: &[Step] = &[
    Step {
        number: 1,
        description: "initial",
        sqlite: include_str!("../../migrations/sqlite/0001_initial.sql"),
        postgres: include_str!("../../migrations/postgres/0001_initial.sql"),
    },
    Step {
        number: 2,
        description: "triggers",
        sqlite: include_str!("../../migrations/sqlite/0002_triggers.sql"),
        postgres: include_str!("../../migrations/postgres/0002_triggers.sql"),
    },
    Step {
        number: 3,
        description: "assets",
        sqlite: include_str!("../../migrations/sqlite/0003_assets.sql"),
        postgres: include_str!("../../migrations/postgres/0003_assets.sql"),
    },
    Step {
        number: 4,
        description: "backfill",
        sqlite: include_str!("../../migrations/sqlite/0004_backfill.sql"),
        postgres: include_str!("../../migrations/postgres/0004_backfill.sql"),
    },
    Step {
        number: 5,
        description: "python wanted",
        sqlite: include_str!("../../migrations/sqlite/0005_python_wanted.sql"),
        postgres: include_str!("../../migrations/postgres/0005_python_wanted.sql"),
    },
    Step {
        number: 6,
        description: "people and deadlines",
        sqlite: include_str!("../../migrations/sqlite/0006_people_and_deadlines.sql"),
        postgres: include_str!("../../migrations/postgres/0006_people_and_deadlines.sql"),
    },
    Step {
        number: 7,
        description: "bundle url",
        sqlite: include_str!("../../migrations/sqlite/0007_bundle_url.sql"),
        postgres: include_str!("../../migrations/postgres/0007_bundle_url.sql"),
    },
];
