//! Rows of `connection_test_request`; password and extra are encrypted at rest.

use jiff::Timestamp;
use sqlx::any::AnyRow;
use updraft_model::JobId;
use updraft_model::connection::Connection;
use updraft_model::connection_test::{ConnectionTest, ConnectionTestState};
use uuid::Uuid;

use crate::change::Change;
use crate::connection::open_secrets;
use crate::row::{Columns, assembled, micros};
use crate::{Error, Keyring, Reader, Tx};

/// In the order in which [`test_from`] takes them.
const COLUMNS: &str = "id, token, connection_id, conn_type, host, schema, login, password, port, \
    extra, is_encrypted, team_name, commit_on_success, executor, queue, state, result_message, \
    created_at, updated_at";

/// Longest message that is kept.
const MESSAGE_CHARS_MAX: usize = 2_000;

/// A test to make.
#[derive(Clone, Debug)]
pub struct NewConnectionTest {
    pub id: Uuid,
    pub token: String,
    pub connection: Connection,
    pub commit_on_success: bool,
    pub executor: Option<String>,
    pub queue: Option<String>,
}

impl Tx {
    /// Stores a test. `false`: one for the same connection is not over yet.
    pub async fn create_connection_test(
        &mut self,
        new: &NewConnectionTest,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let keyring = self.keyring();
        let sealed = |secret: &Option<String>| secret.as_ref().map(|text| keyring.seal(text));
        let connection = &new.connection;
        let statement = sqlx::query(
            "INSERT INTO connection_test_request (id, token, connection_id, active_connection_id,
                 state, created_at, updated_at, executor, queue, conn_type, host, schema, login,
                 password, port, extra, is_encrypted, commit_on_success, team_name)
             VALUES ($1, $2, $3, $3, 'pending', $4, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13,
                 $14, $15, $16)
             ON CONFLICT (active_connection_id) DO NOTHING",
        )
        .bind(new.id.to_string())
        .bind(new.token.as_str())
        .bind(connection.conn_id.as_str())
        .bind(micros(now))
        .bind(new.executor.as_deref())
        .bind(new.queue.as_deref())
        .bind(connection.conn_type.as_str())
        .bind(connection.host.as_deref())
        .bind(connection.schema.as_deref())
        .bind(connection.login.as_deref())
        .bind(sealed(&connection.password))
        .bind(connection.port)
        .bind(sealed(&connection.extra))
        .bind(keyring.encrypts())
        .bind(new.commit_on_success)
        .bind(connection.team_name.as_deref());
        let is_new = self.execute("store a connection test", statement).await? == 1;
        if is_new {
            self.changed(Change::Urgent);
            self.changed(Change::Deadline);
        }
        Ok(is_new)
    }

    /// Queues tests that wait, the oldest first, as long as no more than `active_max` are under way.
    pub async fn queue_connection_tests(
        &mut self,
        job_id: JobId,
        active_max: i64,
        now: Timestamp,
    ) -> Result<Vec<ConnectionTest>, Error> {
        let lock = self.dialect().for_update_skip_locked("t");
        let statement = sqlx::query(assembled(format!(
            "UPDATE connection_test_request
                SET state = 'queued', queued_by_job_id = $1, updated_at = $3
              WHERE id IN (SELECT t.id
                             FROM connection_test_request AS t
                            WHERE t.state = 'pending'
                            ORDER BY t.created_at, t.id
                            LIMIT (SELECT CASE WHEN COUNT(*) < $2 THEN $2 - COUNT(*) ELSE 0 END
                                     FROM connection_test_request AS a
                                    WHERE a.state IN ('queued', 'running'))
                            {lock})
              RETURNING {COLUMNS}"
        )))
        .bind(job_id.0)
        .bind(active_max)
        .bind(micros(now));
        let keyring = self.keyring();
        self.fetch_all("queue connection tests", statement)
            .await?
            .iter()
            .map(|row| test_from(row, &keyring))
            .collect()
    }

    /// Marks a queued test as running. `None`: somebody else has it, or it is over.
    pub async fn start_connection_test(
        &mut self,
        id: Uuid,
        now: Timestamp,
    ) -> Result<Option<ConnectionTest>, Error> {
        let statement = sqlx::query(assembled(format!(
            "UPDATE connection_test_request
                SET state = 'running', updated_at = $2
              WHERE id = $1 AND state = 'queued'
              RETURNING {COLUMNS}"
        )))
        .bind(id.to_string())
        .bind(micros(now));
        let keyring = self.keyring();
        self.fetch_optional("start a connection test", statement)
            .await?
            .map(|row| test_from(&row, &keyring))
            .transpose()
    }

    /// Ends a test. `false`: it is over already.
    pub async fn finish_connection_test(
        &mut self,
        id: Uuid,
        state: ConnectionTestState,
        message: &str,
        now: Timestamp,
    ) -> Result<bool, Error> {
        debug_assert!(state.is_finished());
        let message: String = message.chars().take(MESSAGE_CHARS_MAX).collect();
        let statement = sqlx::query(
            "UPDATE connection_test_request
                SET state = $2, result_message = $3, active_connection_id = NULL, updated_at = $4,
                    password = NULL, extra = NULL
              WHERE id = $1 AND state IN ('pending', 'queued', 'running')",
        )
        .bind(id.to_string())
        .bind(state.as_str())
        .bind(message)
        .bind(micros(now));
        let won = self.execute("end a connection test", statement).await? == 1;
        if won {
            // Another one may have waited for this.
            self.changed(Change::Urgent);
        }
        Ok(won)
    }

    /// Takes tests that nothing has happened to since, at most `limit`.
    pub async fn lock_stale_connection_tests(
        &mut self,
        since: Timestamp,
        limit: i64,
    ) -> Result<Vec<ConnectionTest>, Error> {
        let lock = self
            .dialect()
            .for_update_skip_locked("connection_test_request");
        let statement = sqlx::query(assembled(format!(
            "SELECT {COLUMNS}
               FROM connection_test_request
              WHERE state IN ('pending', 'queued', 'running') AND updated_at < $1
              ORDER BY updated_at, id
              LIMIT $2
              {lock}"
        )))
        .bind(micros(since))
        .bind(limit);
        let keyring = self.keyring();
        self.fetch_all("find stale connection tests", statement)
            .await?
            .iter()
            .map(|row| test_from(row, &keyring))
            .collect()
    }
}

impl Reader {
    /// The test that has this token.
    pub async fn find_connection_test(
        &mut self,
        token: &str,
    ) -> Result<Option<ConnectionTest>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT {COLUMNS} FROM connection_test_request WHERE token = $1"
        )))
        .bind(token);
        let keyring = self.keyring();
        self.fetch_optional("load a connection test", statement)
            .await?
            .map(|row| test_from(&row, &keyring))
            .transpose()
    }

    /// When the test that has waited longest last moved on.
    pub async fn find_oldest_connection_test(&mut self) -> Result<Option<Timestamp>, Error> {
        let statement = sqlx::query(
            "SELECT MIN(updated_at)
               FROM connection_test_request
              WHERE state IN ('pending', 'queued', 'running')",
        );
        let row = self
            .fetch_one("find the oldest connection test", statement)
            .await?;
        Columns::of("connection_test_request", &row).instant_or_null()
    }
}

fn test_from(row: &AnyRow, keyring: &Keyring) -> Result<ConnectionTest, Error> {
    let mut columns = Columns::of("connection_test_request", row);
    let id = columns.uuid()?;
    let token = columns.owned()?;
    let mut connection = Connection {
        conn_id: columns.owned()?,
        conn_type: columns.owned()?,
        description: None,
        host: columns.owned_or_null()?,
        schema: columns.owned_or_null()?,
        login: columns.owned_or_null()?,
        password: columns.owned_or_null()?,
        port: columns.int_or_null()?,
        extra: columns.owned_or_null()?,
        team_name: None,
    };
    if columns.flag()? {
        open_secrets(&mut connection, "the test of connection", keyring)?;
    }
    connection.team_name = columns.owned_or_null()?;
    Ok(ConnectionTest {
        id,
        token,
        connection,
        commit_on_success: columns.flag()?,
        executor: columns.owned_or_null()?,
        queue: columns.owned_or_null()?,
        state: columns.parsed()?,
        result_message: columns.owned_or_null()?,
        created_at: columns.instant()?,
        updated_at: columns.instant()?,
    })
}
