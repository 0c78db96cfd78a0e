//! Rows of `dag_favorite`: Dags that a user likes to have at hand.

use updraft_model::DagId;

use crate::row::Columns;
use crate::{Error, Reader, Tx};

impl Tx {
    /// Marks a Dag as a favourite of a user. `false`: it is one already.
    pub async fn add_favorite(&mut self, user_id: &str, dag_id: &DagId) -> Result<bool, Error> {
        let statement = sqlx::query(
            "INSERT INTO dag_favorite (user_id, dag_id)
             VALUES ($1, $2)
             ON CONFLICT DO NOTHING",
        )
        .bind(user_id)
        .bind(dag_id.as_str());
        Ok(self.execute("mark a favourite", statement).await? == 1)
    }

    /// Takes the mark away. `false`: there is none.
    pub async fn remove_favorite(&mut self, user_id: &str, dag_id: &DagId) -> Result<bool, Error> {
        let statement = sqlx::query("DELETE FROM dag_favorite WHERE user_id = $1 AND dag_id = $2")
            .bind(user_id)
            .bind(dag_id.as_str());
        Ok(self.execute("unmark a favourite", statement).await? == 1)
    }
}

impl Reader {
    /// Whether a Dag is a favourite of a user.
    pub async fn is_favorite(&mut self, user_id: &str, dag_id: &DagId) -> Result<bool, Error> {
        let statement = sqlx::query(
            "SELECT CASE WHEN EXISTS (SELECT 1 FROM dag_favorite
                                       WHERE user_id = $1 AND dag_id = $2)
                         THEN 1 ELSE 0 END",
        )
        .bind(user_id)
        .bind(dag_id.as_str());
        let row = self.fetch_one("look for a favourite", statement).await?;
        Columns::of("dag_favorite", &row).flag()
    }
}
