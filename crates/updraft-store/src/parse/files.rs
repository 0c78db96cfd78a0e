//! Bundles, files that vanished, and requests to parse a file soon.

use std::collections::BTreeSet;

use jiff::Timestamp;
use updraft_model::{BundleName, DagId, ViewUrl};

use crate::change::Change;
use crate::row::{Columns, assembled, micros, text_array};
use crate::{Error, Reader, Tx};

/// A row of `dag_bundle`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    pub name: BundleName,
    pub is_active: bool,
    pub version: Option<String>,
    pub last_refreshed: Option<Timestamp>,
}

/// A file to parse before its turn.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ParseRequest {
    pub bundle_name: BundleName,
    pub relative_fileloc: String,
}

/// What is remembered of the last parse of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct FileStats {
    pub relative_fileloc: String,
    pub last_finish_time: Timestamp,
    pub last_duration_secs: f64,
    pub content_hash: Option<String>,
}

impl Tx {
    /// Makes the bundle rows match the configuration. Dags of bundles that left it become stale.
    pub async fn sync_bundles(&mut self, names: &[BundleName]) -> Result<(), Error> {
        for name in names {
            let statement = sqlx::query(
                "INSERT INTO dag_bundle (name, active)
                 VALUES ($1, TRUE)
                 ON CONFLICT (name) DO UPDATE SET active = TRUE",
            )
            .bind(name.as_str());
            self.execute("write a bundle", statement).await?;
        }
        let configured = self.dialect().one_of_texts("name", "$1");
        let statement = sqlx::query(assembled(format!(
            "UPDATE dag_bundle SET active = FALSE WHERE NOT ({configured})"
        )))
        .bind(text_array(names));
        self.execute("deactivate bundles", statement).await?;
        let statement = sqlx::query(
            "UPDATE dag
                SET is_stale = TRUE
              WHERE NOT is_stale
                AND bundle_name IN (SELECT name FROM dag_bundle WHERE NOT active)",
        );
        self.execute("mark Dags of inactive bundles as stale", statement)
            .await?;
        Ok(())
    }

    /// Notes a refresh of a bundle.
    pub async fn note_bundle_refresh(
        &mut self,
        name: &BundleName,
        version: Option<&str>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let statement =
            sqlx::query("UPDATE dag_bundle SET version = $2, last_refreshed = $3 WHERE name = $1")
                .bind(name.as_str())
                .bind(version)
                .bind(micros(now));
        self.execute("note a bundle refresh", statement).await?;
        Ok(())
    }

    /// Notes where people look at the versions of a bundle.
    pub async fn set_bundle_url(
        &mut self,
        name: &BundleName,
        url: Option<&ViewUrl>,
    ) -> Result<(), Error> {
        let params = url.map(|url| serde_json::to_string(&url.params));
        let statement = sqlx::query(
            "UPDATE dag_bundle SET url_template = $2, template_params = $3 WHERE name = $1",
        )
        .bind(name.as_str())
        .bind(url.map(|url| url.template.as_str()))
        .bind(params.transpose().expect("a map of texts is JSON"));
        self.execute("note the address of a bundle", statement)
            .await?;
        Ok(())
    }

    /// Forgets the files of a bundle that are not among `present`: their Dags become stale, their
    /// import errors and statistics go. Returns those Dags.
    pub async fn forget_missing_files(
        &mut self,
        bundle_name: &BundleName,
        present: &BTreeSet<String>,
        now: Timestamp,
    ) -> Result<Vec<DagId>, Error> {
        let is_present = |file: &str| {
            // What lies in a zip file has the zip file's path in front.
            present.contains(file)
                || file
                    .match_indices('/')
                    .any(|(end, _)| present.contains(&file[..end]))
        };
        let mut gone = Vec::new();
        for (dag_id, file) in self.dag_places(bundle_name).await? {
            if !is_present(&file) {
                gone.push(dag_id);
            }
        }
        self.mark_stale(&gone).await?;
        if !gone.is_empty() {
            self.forget_asset_references(&gone).await?;
            self.refresh_active_assets(now).await?;
        }
        for (table, column) in [
            ("import_error", "filename"),
            ("dag_file", "relative_fileloc"),
        ] {
            let files = self.known_files(table, column, bundle_name).await?;
            let missing: Vec<String> = files.into_iter().filter(|file| !is_present(file)).collect();
            if missing.is_empty() {
                continue;
            }
            let theirs = self.dialect().one_of_texts(column, "$2");
            let statement = sqlx::query(assembled(format!(
                "DELETE FROM {table} WHERE bundle_name = $1 AND {theirs}"
            )))
            .bind(bundle_name.as_str())
            .bind(text_array(missing));
            self.execute("forget missing files", statement).await?;
        }
        Ok(gone)
    }

    async fn dag_places(
        &mut self,
        bundle_name: &BundleName,
    ) -> Result<Vec<(DagId, String)>, Error> {
        let statement = sqlx::query(
            "SELECT dag_id, relative_fileloc FROM dag WHERE bundle_name = $1 AND NOT is_stale",
        )
        .bind(bundle_name.as_str());
        self.fetch_all("load the files of Dags", statement)
            .await?
            .iter()
            .map(|row| {
                let mut columns = Columns::of("dag", row);
                Ok((columns.id()?, columns.owned()?))
            })
            .collect()
    }

    async fn known_files(
        &mut self,
        table: &'static str,
        column: &'static str,
        bundle_name: &BundleName,
    ) -> Result<Vec<String>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT {column} FROM {table} WHERE bundle_name = $1"
        )))
        .bind(bundle_name.as_str());
        self.fetch_all("load known files", statement)
            .await?
            .iter()
            .map(|row| Columns::of(table, row).owned())
            .collect()
    }

    pub(crate) async fn mark_stale(&mut self, dag_ids: &[DagId]) -> Result<(), Error> {
        if dag_ids.is_empty() {
            return Ok(());
        }
        let theirs = self.dialect().one_of_texts("dag_id", "$1");
        let statement = sqlx::query(assembled(format!(
            "UPDATE dag SET is_stale = TRUE WHERE {theirs}"
        )))
        .bind(text_array(dag_ids));
        self.execute("mark Dags as stale", statement).await?;
        for dag_id in dag_ids {
            self.dag_changed(dag_id);
        }
        Ok(())
    }

    /// Asks for a file to be parsed soon.
    pub async fn request_parse(&mut self, request: &ParseRequest) -> Result<(), Error> {
        let statement = sqlx::query(
            "INSERT INTO dag_priority_parsing_request (bundle_name, relative_fileloc)
             VALUES ($1, $2)
             ON CONFLICT DO NOTHING",
        )
        .bind(request.bundle_name.as_str())
        .bind(request.relative_fileloc.as_str());
        self.execute("request a parse", statement).await?;
        self.changed(Change::ParseRequested);
        Ok(())
    }

    /// Takes the requests for these bundles off the table.
    pub async fn take_parse_requests(
        &mut self,
        bundles: &[BundleName],
    ) -> Result<Vec<ParseRequest>, Error> {
        let theirs = self.dialect().one_of_texts("bundle_name", "$1");
        let statement = sqlx::query(assembled(format!(
            "DELETE FROM dag_priority_parsing_request
              WHERE {theirs}
              RETURNING bundle_name, relative_fileloc"
        )))
        .bind(text_array(bundles));
        self.fetch_all("take parse requests", statement)
            .await?
            .iter()
            .map(|row| {
                let mut columns = Columns::of("dag_priority_parsing_request", row);
                Ok(ParseRequest {
                    bundle_name: columns.id()?,
                    relative_fileloc: columns.owned()?,
                })
            })
            .collect()
    }
}

impl Reader {
    /// All bundles ever configured, by name.
    pub async fn load_bundles(&mut self) -> Result<Vec<Bundle>, Error> {
        let statement = sqlx::query(
            "SELECT name, active, version, last_refreshed FROM dag_bundle ORDER BY name",
        );
        self.fetch_all("load the bundles", statement)
            .await?
            .iter()
            .map(|row| {
                let mut columns = Columns::of("dag_bundle", row);
                Ok(Bundle {
                    name: columns.id()?,
                    is_active: columns.flag()?,
                    version: columns.owned_or_null()?,
                    last_refreshed: columns.instant_or_null()?,
                })
            })
            .collect()
    }

    /// The versions of bundles that unfinished runs are pinned to.
    pub async fn load_pinned_bundle_versions(
        &mut self,
    ) -> Result<BTreeSet<(BundleName, String)>, Error> {
        let statement = sqlx::query(
            "SELECT DISTINCT bundle_name, bundle_version
               FROM dag_run
              WHERE state IN ('queued', 'running')
                AND bundle_name IS NOT NULL
                AND bundle_version IS NOT NULL",
        );
        self.fetch_all("load the pinned versions of bundles", statement)
            .await?
            .iter()
            .map(|row| {
                let mut columns = Columns::of("dag_run", row);
                Ok((columns.id()?, columns.owned()?))
            })
            .collect()
    }

    /// What is remembered of the files of a bundle: a restarted processor need not parse what did
    /// not change.
    pub async fn load_file_stats(
        &mut self,
        bundle_name: &BundleName,
    ) -> Result<Vec<FileStats>, Error> {
        let statement = sqlx::query(
            "SELECT relative_fileloc, last_finish_time, last_duration, content_hash
               FROM dag_file
              WHERE bundle_name = $1
              ORDER BY relative_fileloc",
        )
        .bind(bundle_name.as_str());
        self.fetch_all("load file statistics", statement)
            .await?
            .iter()
            .map(|row| {
                let mut columns = Columns::of("dag_file", row);
                Ok(FileStats {
                    relative_fileloc: columns.owned()?,
                    last_finish_time: columns.instant()?,
                    last_duration_secs: columns.real()?,
                    content_hash: columns.owned_or_null()?,
                })
            })
            .collect()
    }
}
