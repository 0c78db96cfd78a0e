//! Rows of `trigger`, whose arguments are encrypted at rest.

use jiff::Timestamp;

use crate::execution::outcome::TriggerKwargs;
use crate::row::{Columns, micros};
use crate::{Error, Tx};

impl Tx {
    /// Creates a trigger with these arguments, JSON text; gives its row number.
    pub async fn create_trigger(
        &mut self,
        classpath: &str,
        kwargs: &str,
        queue: Option<&str>,
        now: Timestamp,
    ) -> Result<i64, Error> {
        let kwargs = TriggerKwargs::Plain(kwargs.to_owned());
        self.insert_trigger(classpath, &kwargs, queue, now).await
    }

    pub(crate) async fn insert_trigger(
        &mut self,
        classpath: &str,
        kwargs: &TriggerKwargs,
        queue: Option<&str>,
        now: Timestamp,
    ) -> Result<i64, Error> {
        let kwargs = match kwargs {
            TriggerKwargs::Plain(text) => self.keyring().seal(text),
            TriggerKwargs::Sealed(text) => text.clone(),
        };
        let statement = sqlx::query(
            "INSERT INTO trigger (classpath, kwargs, created_date, queue)
             VALUES ($1, $2, $3, $4)
             RETURNING id",
        )
        .bind(classpath)
        .bind(kwargs)
        .bind(micros(now))
        .bind(queue);
        let row = self.fetch_one("create a trigger", statement).await?;
        Columns::of("trigger", &row).big()
    }
}
