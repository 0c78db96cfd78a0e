//! Lists of Dags and of what the Dag processor says about them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sqlx::any::AnyRow;
use updraft_model::dag::{Dag, DagWarning, ImportError};
use updraft_model::filter::{Page, Pattern, Range};
use updraft_model::{DagId, DagRunState};

use super::order::{Order, Orderable};
use super::select::{List, Select};
use super::{ListError, Listed};
use crate::dag::{dag_columns, dag_from};
use crate::row::Columns;
use crate::{Error, Reader};

/// The run that was created last, as filters on "the last run" mean it.
const LAST_RUN: &str = "(SELECT MAX(r.id) FROM dag_run r WHERE r.dag_id = dag.dag_id)";

/// The name people see.
const DISPLAY_NAME: &str = "COALESCE(dag.dag_display_name, dag.dag_id)";

const DAG_ORDER: &[Orderable] = &[
    ("dag_id", "dag.dag_id"),
    (
        "dag_display_name",
        "COALESCE(dag.dag_display_name, dag.dag_id)",
    ),
    ("next_dagrun", "dag.next_dagrun"),
    (
        "state",
        "(SELECT l.state FROM dag_run l WHERE l.dag_id = dag.dag_id ORDER BY l.id DESC LIMIT 1)",
    ),
    (
        "last_run_state",
        "(SELECT l.state FROM dag_run l WHERE l.dag_id = dag.dag_id ORDER BY l.id DESC LIMIT 1)",
    ),
    (
        "start_date",
        "(SELECT l.start_date FROM dag_run l WHERE l.dag_id = dag.dag_id \
          ORDER BY l.id DESC LIMIT 1)",
    ),
    (
        "last_run_start_date",
        "(SELECT l.start_date FROM dag_run l WHERE l.dag_id = dag.dag_id \
          ORDER BY l.id DESC LIMIT 1)",
    ),
];

/// Which Dags are listed.
#[derive(Clone, Debug, Default)]
pub struct DagFilter {
    pub tags: Vec<String>,
    /// All of the tags instead of any.
    pub all_tags: bool,
    pub owners: Vec<String>,
    pub dag_ids: Vec<DagId>,
    pub dag_id: Pattern,
    pub dag_display_name: Pattern,
    /// Leave out Dags whose file no longer defines them.
    pub exclude_stale: bool,
    pub paused: Option<bool>,
    pub has_import_errors: Option<bool>,
    pub last_dag_run_state: Option<DagRunState>,
    pub dag_run_state: Vec<DagRunState>,
    pub dag_run_start_date: Range<Timestamp>,
    pub dag_run_end_date: Range<Timestamp>,
    pub bundle_name: Option<String>,
    pub bundle_version: Option<String>,
    pub has_asset_schedule: Option<bool>,
    /// Part of the name or URI of an asset that the Dag is scheduled on.
    pub asset_dependency: Option<String>,
    pub timetable_type: Vec<String>,
    /// The favourites of a user, or all others.
    pub favorites: Option<FavoriteFilter>,
}

/// Whose favourites are meant, and whether they are wanted or left out.
#[derive(Clone, Debug)]
pub struct FavoriteFilter {
    pub user_id: String,
    pub wanted: bool,
}

/// Which tags are listed.
#[derive(Clone, Debug, Default)]
pub struct DagTagFilter {
    pub name: Pattern,
}

/// Which import errors are listed.
#[derive(Clone, Debug, Default)]
pub struct ImportErrorFilter {
    pub filename: Pattern,
    pub exact_filename: Option<String>,
    pub bundle_name: Option<String>,
}

/// Which warnings are listed.
#[derive(Clone, Debug, Default)]
pub struct DagWarningFilter {
    pub dag_id: Option<DagId>,
    pub warning_type: Option<String>,
}

/// How many runs of a Dag are in one state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DagRunCount {
    pub dag_id: DagId,
    pub state: DagRunState,
    pub count: i64,
}

impl Reader {
    /// A page of Dags. `now` stands for dates that are still missing.
    pub async fn list_dags(
        &mut self,
        filter: &DagFilter,
        page: &Page,
        now: Timestamp,
    ) -> Result<Listed<Dag>, ListError> {
        let mut select = Select::new(self.dialect());
        narrow_by_row(&mut select, filter);
        narrow_by_relations(&mut select, filter);
        narrow_by_last_run(&mut select, filter, now);
        let list = List {
            doing: "list Dags",
            columns: &dag_columns(self.dialect(), "dag"),
            from: "dag",
            order: Order::parse(DAG_ORDER, "dag_id", &["dag.dag_id"], &page.order_by)?,
            limit: page.limit,
            offset: page.offset,
        };
        Ok(self.page(&list, &select, dag_from).await?)
    }

    /// The names people see, of those Dags that exist.
    pub async fn load_dag_display_names(
        &mut self,
        dag_ids: &[DagId],
    ) -> Result<BTreeMap<DagId, String>, Error> {
        let mut select = Select::new(self.dialect());
        select.one_of("dag_id", dag_ids);
        let sql = format!("SELECT dag_id, {DISPLAY_NAME} FROM dag {}", select.filter());
        self.fetch_all("load names of Dags", select.statement(sql))
            .await?
            .iter()
            .map(|row| {
                let mut columns = Columns::of("dag", row);
                Ok((columns.id()?, columns.owned()?))
            })
            .collect()
    }

    /// A page of tag names.
    pub async fn list_dag_tags(
        &mut self,
        filter: &DagTagFilter,
        page: &Page,
    ) -> Result<Listed<String>, ListError> {
        let mut select = Select::new(self.dialect());
        select.pattern("name", &filter.name);
        let list = List {
            doing: "list tags",
            columns: "name",
            from: "(SELECT DISTINCT name FROM dag_tag) AS tag",
            order: Order::parse(&[("name", "name")], "name", &[], &page.order_by)?,
            limit: page.limit,
            offset: page.offset,
        };
        let read = |row: &AnyRow| Columns::of("dag_tag", row).owned();
        Ok(self.page(&list, &select, read).await?)
    }

    /// A page of import errors.
    pub async fn list_import_errors(
        &mut self,
        filter: &ImportErrorFilter,
        page: &Page,
    ) -> Result<Listed<ImportError>, ListError> {
        const ORDER: &[Orderable] = &[
            ("id", "id"),
            ("import_error_id", "id"),
            ("timestamp", "timestamp"),
            ("filename", "filename"),
            ("bundle_name", "bundle_name"),
            ("stacktrace", "stacktrace"),
        ];
        let mut select = Select::new(self.dialect());
        select.pattern("filename", &filter.filename);
        select.equals("filename", filter.exact_filename.as_deref());
        select.equals("bundle_name", filter.bundle_name.as_deref());
        let list = List {
            doing: "list import errors",
            columns: IMPORT_ERROR_COLUMNS,
            from: "import_error",
            order: Order::parse(ORDER, "id", &["id"], &page.order_by)?,
            limit: page.limit,
            offset: page.offset,
        };
        Ok(self.page(&list, &select, import_error_from).await?)
    }

    /// One import error.
    pub async fn find_import_error(&mut self, id: i64) -> Result<Option<ImportError>, Error> {
        let mut select = Select::new(self.dialect());
        select.equals_int("id", Some(id));
        let sql = format!(
            "SELECT {IMPORT_ERROR_COLUMNS} FROM import_error {}",
            select.filter()
        );
        self.fetch_optional("load an import error", select.statement(sql))
            .await?
            .as_ref()
            .map(import_error_from)
            .transpose()
    }

    /// A page of warnings.
    pub async fn list_dag_warnings(
        &mut self,
        filter: &DagWarningFilter,
        page: &Page,
    ) -> Result<Listed<DagWarning>, ListError> {
        const ORDER: &[Orderable] = &[
            ("dag_id", "dag_id"),
            ("warning_type", "warning_type"),
            ("message", "message"),
            ("timestamp", "timestamp"),
        ];
        let mut select = Select::new(self.dialect());
        select.equals("dag_id", filter.dag_id.as_ref().map(DagId::as_str));
        select.equals("warning_type", filter.warning_type.as_deref());
        let primary = &["dag_id", "warning_type"];
        let list = List {
            doing: "list Dag warnings",
            columns: "dag_id, warning_type, message, timestamp",
            from: "dag_warning",
            order: Order::parse(ORDER, "dag_id", primary, &page.order_by)?,
            limit: page.limit,
            offset: page.offset,
        };
        Ok(self.page(&list, &select, dag_warning_from).await?)
    }

    /// How many runs each Dag has in each state; Dags without runs and states without runs are
    /// missing. No ids mean every Dag.
    pub async fn count_dag_runs_by_state(
        &mut self,
        dag_ids: &[DagId],
    ) -> Result<Vec<DagRunCount>, Error> {
        let mut select = Select::new(self.dialect());
        select.one_of("dag_id", dag_ids);
        let sql = format!(
            "SELECT dag_id, state, COUNT(*) FROM dag_run {} GROUP BY dag_id, state ORDER BY dag_id",
            select.filter()
        );
        self.fetch_all("count Dag runs", select.statement(sql))
            .await?
            .iter()
            .map(|row| {
                let mut columns = Columns::of("dag_run", row);
                Ok(DagRunCount {
                    dag_id: columns.id()?,
                    state: columns.parsed()?,
                    count: columns.big()?,
                })
            })
            .collect()
    }

    /// Links of owners of a Dag.
    pub async fn load_owner_links(
        &mut self,
        dag_id: &DagId,
    ) -> Result<BTreeMap<String, String>, Error> {
        let statement =
            sqlx::query("SELECT owner, link FROM dag_owner_attributes WHERE dag_id = $1")
                .bind(dag_id.as_str().to_owned());
        self.fetch_all("load links of owners", statement)
            .await?
            .iter()
            .map(|row| {
                let mut columns = Columns::of("dag_owner_attributes", row);
                Ok((columns.owned()?, columns.owned()?))
            })
            .collect()
    }
}

fn narrow_by_row(select: &mut Select, filter: &DagFilter) {
    select.one_of("dag.dag_id", &filter.dag_ids);
    select.pattern("dag.dag_id", &filter.dag_id);
    select.pattern(DISPLAY_NAME, &filter.dag_display_name);
    if filter.exclude_stale {
        select.flag("dag.is_stale", Some(false));
    }
    select.flag("dag.is_paused", filter.paused);
    select.flag("dag.has_import_errors", filter.has_import_errors);
    select.equals("dag.bundle_name", filter.bundle_name.as_deref());
    select.equals("dag.bundle_version", filter.bundle_version.as_deref());
    select.one_of("dag.timetable_type", &filter.timetable_type);
    select.contains_any("dag.owners", &filter.owners);
}

fn narrow_by_relations(select: &mut Select, filter: &DagFilter) {
    const TAGGED: &str = "SELECT 1 FROM dag_tag t WHERE t.dag_id = dag.dag_id";
    if filter.all_tags {
        for tag in &filter.tags {
            select.exists(TAGGED, |select| select.equals("t.name", Some(tag)));
        }
    } else {
        select.exists(TAGGED, |select| select.one_of("t.name", &filter.tags));
    }
    if let Some(wanted) = filter.has_asset_schedule {
        let not = if wanted { "" } else { "NOT " };
        select.require(format!(
            "{not}EXISTS (SELECT 1 FROM dag_schedule_asset_reference s \
              WHERE s.dag_id = dag.dag_id)"
        ));
    }
    if let Some(FavoriteFilter { user_id, wanted }) = &filter.favorites {
        let not = if *wanted { "" } else { "NOT " };
        let user = select.text(user_id);
        select.require(format!(
            "{not}EXISTS (SELECT 1 FROM dag_favorite f \
              WHERE f.dag_id = dag.dag_id AND f.user_id = {user})"
        ));
    }
    if let Some(asset) = &filter.asset_dependency {
        let named = select.containing("a.name", asset);
        let located = select.containing("a.uri", asset);
        select.require(format!(
            "EXISTS (SELECT 1 FROM dag_schedule_asset_reference s \
               JOIN asset a ON a.id = s.asset_id \
              WHERE s.dag_id = dag.dag_id AND ({named} OR {located}))"
        ));
    }
}

fn narrow_by_last_run(select: &mut Select, filter: &DagFilter, now: Timestamp) {
    let last_run = format!("SELECT 1 FROM dag_run l WHERE l.id = {LAST_RUN}");
    select.exists(&last_run, |run| {
        run.equals(
            "l.state",
            filter.last_dag_run_state.map(DagRunState::as_str),
        );
        run.one_of("l.state", &filter.dag_run_state);
        run.range_or_now("l.start_date", &filter.dag_run_start_date, now);
        run.range_or_now("l.end_date", &filter.dag_run_end_date, now);
    });
}

const IMPORT_ERROR_COLUMNS: &str = "id, timestamp, bundle_name, filename, stacktrace";

fn import_error_from(row: &AnyRow) -> Result<ImportError, Error> {
    let mut columns = Columns::of("import_error", row);
    Ok(ImportError {
        id: columns.big()?,
        timestamp: columns.instant()?,
        bundle_name: columns.id()?,
        filename: columns.owned()?,
        stacktrace: columns.owned()?,
    })
}

fn dag_warning_from(row: &AnyRow) -> Result<DagWarning, Error> {
    let mut columns = Columns::of("dag_warning", row);
    Ok(DagWarning {
        dag_id: columns.id()?,
        warning_type: columns.owned()?,
        message: columns.owned()?,
        timestamp: columns.instant()?,
    })
}
