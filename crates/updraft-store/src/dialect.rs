//! The few places where SQLite and PostgreSQL want different words.
//!
//! Sets travel as one JSON parameter: SQLite has no arrays, and one text per statement keeps the
//! statement cache warm whatever the size of the set.

/// Which database speaks at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Sqlite,
    Postgres,
}

/// The type of a column in [`Dialect::rows`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Int,
    Real,
    Flag,
}

impl Dialect {
    /// A condition: `column` equals one of the texts in the JSON array `parameter`.
    pub(crate) fn one_of_texts(self, column: &str, parameter: &str) -> String {
        match self {
            Self::Sqlite => format!("{column} IN (SELECT value FROM json_each({parameter}))"),
            // An array, not a subquery: the planner may then use an index for it.
            Self::Postgres => format!(
                "{column} = ANY(ARRAY(SELECT jsonb_array_elements_text({parameter}::jsonb)))"
            ),
        }
    }

    /// A condition: `column` equals one of the integers in the JSON array `parameter`.
    pub(crate) fn one_of_ints(self, column: &str, parameter: &str) -> String {
        match self {
            Self::Sqlite => format!("{column} IN (SELECT value FROM json_each({parameter}))"),
            Self::Postgres => format!(
                "{column} = ANY(ARRAY(SELECT jsonb_array_elements_text({parameter}::jsonb)::BIGINT))"
            ),
        }
    }

    /// A `FROM` item named `alias`: one row per object of the JSON array `parameter`.
    pub(crate) fn rows(self, parameter: &str, alias: &str, columns: &[(&str, Kind)]) -> String {
        match self {
            Self::Sqlite => {
                let picked: Vec<String> = columns
                    .iter()
                    .map(|(name, _)| format!("value ->> '{name}' AS {name}"))
                    .collect();
                format!(
                    "(SELECT {} FROM json_each({parameter})) AS {alias}",
                    picked.join(", ")
                )
            }
            Self::Postgres => {
                let typed: Vec<String> = columns
                    .iter()
                    .map(|(name, kind)| {
                        let kind = match kind {
                            Kind::Text => "TEXT",
                            Kind::Int => "BIGINT",
                            Kind::Real => "DOUBLE PRECISION",
                            Kind::Flag => "BOOLEAN",
                        };
                        format!("{name} {kind}")
                    })
                    .collect();
                format!(
                    "json_to_recordset({parameter}::json) AS {alias}({})",
                    typed.join(", ")
                )
            }
        }
    }

    /// Locks the rows of `table` that a `SELECT` returns and waits for whoever holds them.
    /// SQLite needs nothing: a write transaction is alone.
    pub(crate) fn for_update(self, table: &str) -> String {
        match self {
            Self::Sqlite => String::new(),
            Self::Postgres => format!("FOR NO KEY UPDATE OF {table}"),
        }
    }

    /// Like [`Dialect::for_update`], but leaves out rows that somebody else holds.
    pub(crate) fn for_update_skip_locked(self, table: &str) -> String {
        match self {
            Self::Sqlite => String::new(),
            Self::Postgres => format!("FOR NO KEY UPDATE OF {table} SKIP LOCKED"),
        }
    }
}
