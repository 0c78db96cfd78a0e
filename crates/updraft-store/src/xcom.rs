//! Rows of `xcom` and `task_map`.

use sqlx::any::AnyRow;
use updraft_model::xcom::{XCOM_RETURN_KEY, XCom};
use updraft_model::{DagId, MapIndex, RunId, TaskId};

use crate::row::{Columns, assembled, micros, text_array};
use crate::{Error, Reader, Tx};

const XCOM_COLUMNS: &str = "dag_id, run_id, task_id, map_index, key, value, dag_result, timestamp";

/// Names the values one task pushed under one key in one run, over all map indexes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XComKey {
    pub dag_id: DagId,
    pub run_id: RunId,
    pub task_id: TaskId,
    pub key: String,
}

/// Python's `[start:stop:step]`; each part may be missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    pub start: Option<i64>,
    pub stop: Option<i64>,
    pub step: Option<i64>,
}

impl Tx {
    /// Stores a value, replacing an earlier one. `mapped_length` tells the scheduler how many
    /// instances a task mapped over this value has.
    ///
    /// Values for a run that does not exist are not stored: `false`.
    pub async fn set_xcom(
        &mut self,
        xcom: &XCom,
        mapped_length: Option<u32>,
    ) -> Result<bool, Error> {
        let statement = sqlx::query(
            "INSERT INTO xcom (dag_id, run_id, task_id, map_index, key, value, dag_result, timestamp)
             SELECT dag_id, run_id, $3, $4, $5, $6, $7, $8
               FROM dag_run
              WHERE dag_id = $1 AND run_id = $2
             ON CONFLICT (dag_id, run_id, task_id, map_index, key) DO UPDATE
                SET value = excluded.value, dag_result = excluded.dag_result,
                    timestamp = excluded.timestamp",
        )
        .bind(xcom.dag_id.as_str())
        .bind(xcom.run_id.as_str())
        .bind(xcom.task_id.as_str())
        .bind(xcom.map_index.0)
        .bind(xcom.key.as_str())
        .bind(xcom.value.as_str())
        .bind(xcom.dag_result)
        .bind(micros(xcom.timestamp));
        let is_stored = self.execute("store an XCom", statement).await? == 1;
        if let (true, Some(length)) = (is_stored, mapped_length) {
            self.set_mapped_length(xcom, length).await?;
        }
        Ok(is_stored)
    }

    async fn set_mapped_length(&mut self, xcom: &XCom, length: u32) -> Result<(), Error> {
        let statement = sqlx::query(
            "INSERT INTO task_map (dag_id, run_id, task_id, map_index, length)
             VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (dag_id, run_id, task_id, map_index) DO UPDATE
                SET length = excluded.length",
        )
        .bind(xcom.dag_id.as_str())
        .bind(xcom.run_id.as_str())
        .bind(xcom.task_id.as_str())
        .bind(xcom.map_index.0)
        .bind(i64::from(length));
        self.execute("store a mapped length", statement).await?;
        Ok(())
    }

    /// Deletes a value. `false`: there was none.
    pub async fn delete_xcom(&mut self, key: &XComKey, map_index: MapIndex) -> Result<bool, Error> {
        let statement = sqlx::query(
            "DELETE FROM xcom
              WHERE dag_id = $1 AND run_id = $2 AND task_id = $3 AND key = $4 AND map_index = $5",
        )
        .bind(key.dag_id.as_str())
        .bind(key.run_id.as_str())
        .bind(key.task_id.as_str())
        .bind(key.key.as_str())
        .bind(map_index.0);
        Ok(self.execute("delete an XCom", statement).await? == 1)
    }
}

impl Reader {
    /// One value.
    pub async fn find_xcom(
        &mut self,
        key: &XComKey,
        map_index: MapIndex,
    ) -> Result<Option<XCom>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT {XCOM_COLUMNS}
               FROM xcom
              WHERE dag_id = $1 AND run_id = $2 AND task_id = $3 AND key = $4 AND map_index = $5"
        )))
        .bind(key.dag_id.as_str())
        .bind(key.run_id.as_str())
        .bind(key.task_id.as_str())
        .bind(key.key.as_str())
        .bind(map_index.0);
        self.fetch_optional("load an XCom", statement)
            .await?
            .as_ref()
            .map(xcom_from)
            .transpose()
    }

    /// The value in this run or, if it has none, in the latest run before it that has one.
    pub async fn find_xcom_or_earlier(
        &mut self,
        key: &XComKey,
        map_index: MapIndex,
    ) -> Result<Option<XCom>, Error> {
        let statement = sqlx::query(
            "SELECT x.dag_id, x.run_id, x.task_id, x.map_index, x.key, x.value, x.dag_result,
                    x.timestamp
               FROM dag_run AS this
               JOIN dag_run AS r
                 ON r.dag_id = this.dag_id
                AND COALESCE(r.logical_date, r.run_after)
                    <= COALESCE(this.logical_date, this.run_after)
               JOIN xcom AS x ON x.dag_id = r.dag_id AND x.run_id = r.run_id
              WHERE this.dag_id = $1 AND this.run_id = $2
                AND x.task_id = $3 AND x.key = $4 AND x.map_index = $5
              ORDER BY COALESCE(r.logical_date, r.run_after) DESC, x.timestamp DESC
              LIMIT 1",
        )
        .bind(key.dag_id.as_str())
        .bind(key.run_id.as_str())
        .bind(key.task_id.as_str())
        .bind(key.key.as_str())
        .bind(map_index.0);
        self.fetch_optional("load an XCom of an earlier run", statement)
            .await?
            .as_ref()
            .map(xcom_from)
            .transpose()
    }

    /// The return values of these tasks of a run, by task and map index; of those that the Dag
    /// calls its result when none are named.
    pub async fn load_results(
        &mut self,
        dag_id: &DagId,
        run_id: &RunId,
        task_ids: Option<&[TaskId]>,
    ) -> Result<Vec<XCom>, Error> {
        let theirs = match task_ids {
            Some(_) => self.dialect().one_of_texts("task_id", "$3"),
            None => "dag_result AND $3 = '[]'".to_owned(),
        };
        let statement = sqlx::query(assembled(format!(
            "SELECT {XCOM_COLUMNS}
               FROM xcom
              WHERE dag_id = $1 AND run_id = $2 AND key = '{XCOM_RETURN_KEY}' AND {theirs}
              ORDER BY task_id, map_index"
        )))
        .bind(dag_id.as_str())
        .bind(run_id.as_str())
        .bind(text_array(task_ids.unwrap_or_default()));
        self.fetch_all("load the results of a run", statement)
            .await?
            .iter()
            .map(xcom_from)
            .collect()
    }

    /// How many values there are over all map indexes.
    pub async fn count_xcoms(&mut self, key: &XComKey) -> Result<i64, Error> {
        let statement = sqlx::query(
            "SELECT COUNT(*)
               FROM xcom
              WHERE dag_id = $1 AND run_id = $2 AND task_id = $3 AND key = $4",
        )
        .bind(key.dag_id.as_str())
        .bind(key.run_id.as_str())
        .bind(key.task_id.as_str())
        .bind(key.key.as_str());
        let row = self.fetch_one("count XComs", statement).await?;
        Columns::of("xcom", &row).big()
    }

    /// The value at a place in the order of map indexes; a negative one counts from the end.
    pub async fn find_xcom_at(
        &mut self,
        key: &XComKey,
        offset: i64,
    ) -> Result<Option<XCom>, Error> {
        let (direction, offset) = if offset < 0 {
            ("DESC", -1 - offset)
        } else {
            ("ASC", offset)
        };
        let page = self.xcom_page(key, direction, offset, 1).await?;
        Ok(page.into_iter().next())
    }

    /// Some of the values in the order of map indexes, by Python's rules for slices.
    pub async fn load_xcom_slice(
        &mut self,
        key: &XComKey,
        slice: Slice,
    ) -> Result<Vec<XCom>, Error> {
        let length = self.count_xcoms(key).await?;
        let (first, count, step) = slice.indices(length);
        if count == 0 {
            return Ok(Vec::new());
        }
        // One page covers the whole stretch; the step then leaves rows out.
        let width = (count - 1) * step.abs() + 1;
        let page = if step > 0 {
            self.xcom_page(key, "ASC", first, width).await?
        } else {
            self.xcom_page(key, "DESC", length - 1 - first, width)
                .await?
        };
        let stride = usize::try_from(step.abs()).unwrap_or(usize::MAX);
        Ok(page.into_iter().step_by(stride).collect())
    }

    /// `direction` is a literal of this file.
    async fn xcom_page(
        &mut self,
        key: &XComKey,
        direction: &'static str,
        offset: i64,
        limit: i64,
    ) -> Result<Vec<XCom>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT {XCOM_COLUMNS}
               FROM xcom
              WHERE dag_id = $1 AND run_id = $2 AND task_id = $3 AND key = $4
              ORDER BY map_index {direction}
              LIMIT $5 OFFSET $6"
        )))
        .bind(key.dag_id.as_str())
        .bind(key.run_id.as_str())
        .bind(key.task_id.as_str())
        .bind(key.key.as_str())
        .bind(limit)
        .bind(offset);
        self.fetch_all("load XComs", statement)
            .await?
            .iter()
            .map(xcom_from)
            .collect()
    }
}

impl Slice {
    /// The first place, how many places and the step for a list of this length, as Python's
    /// `slice.indices`. A step of 0 selects nothing.
    fn indices(self, length: i64) -> (i64, i64, i64) {
        let step = self.step.unwrap_or(1);
        let (lowest, highest) = if step < 0 {
            (-1, length - 1)
        } else {
            (0, length)
        };
        let place = |place: Option<i64>, default: i64| match place {
            None => default,
            Some(place) if place < 0 => place.saturating_add(length).max(lowest),
            Some(place) => place.min(highest),
        };
        let (start, stop) = if step < 0 {
            (place(self.start, highest), place(self.stop, lowest))
        } else {
            (place(self.start, lowest), place(self.stop, highest))
        };
        let count = match step {
            0 => 0,
            step if step > 0 => (stop - start)
                .max(0)
                .unsigned_abs()
                .div_ceil(step.unsigned_abs()),
            step => (start - stop)
                .max(0)
                .unsigned_abs()
                .div_ceil(step.unsigned_abs()),
        };
        (start, i64::try_from(count).unwrap_or(0), step)
    }
}

fn xcom_from(row: &AnyRow) -> Result<XCom, Error> {
    let mut columns = Columns::of("xcom", row);
    Ok(XCom {
        dag_id: columns.id()?,
        run_id: columns.id()?,
        task_id: columns.id()?,
        map_index: MapIndex(columns.int()?),
        key: columns.owned()?,
        value: columns.owned()?,
        dag_result: columns.flag()?,
        timestamp: columns.instant()?,
    })
}

#[cfg(test)]
mod tests;
