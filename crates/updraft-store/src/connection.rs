//! Rows of `connection`; password and extra are encrypted at rest.

use sqlx::any::AnyRow;
use updraft_model::connection::Connection;

use crate::row::{Columns, assembled};
use crate::{Error, Keyring, Reader, Tx};

pub(crate) const CONNECTION_COLUMNS: &str = "conn_id, conn_type, description, host, schema, \
    login, password, port, extra, team_name, is_encrypted";

impl Reader {
    /// One connection, decrypted.
    pub async fn find_connection(&mut self, conn_id: &str) -> Result<Option<Connection>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT {CONNECTION_COLUMNS} FROM connection WHERE conn_id = $1"
        )))
        .bind(conn_id);
        let keyring = self.keyring();
        self.fetch_optional("load a connection", statement)
            .await?
            .map(|row| connection_from(&row, &keyring))
            .transpose()
    }

    /// All connections, decrypted, by id.
    pub async fn load_connections(&mut self) -> Result<Vec<Connection>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT {CONNECTION_COLUMNS} FROM connection ORDER BY conn_id"
        )));
        let keyring = self.keyring();
        self.fetch_all("load the connections", statement)
            .await?
            .iter()
            .map(|row| connection_from(row, &keyring))
            .collect()
    }
}

impl Tx {
    /// Creates a connection. `false`: one with this id exists.
    pub async fn create_connection(&mut self, connection: &Connection) -> Result<bool, Error> {
        let sql = "INSERT INTO connection (conn_id, conn_type, description, host, schema, login,
                 password, port, extra, team_name, is_encrypted)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
             ON CONFLICT (conn_id) DO NOTHING";
        Ok(self.write_connection(sql, connection).await? == 1)
    }

    /// Creates a connection or replaces everything but its id.
    pub async fn set_connection(&mut self, connection: &Connection) -> Result<(), Error> {
        let sql = "INSERT INTO connection (conn_id, conn_type, description, host, schema, login,
                 password, port, extra, team_name, is_encrypted)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
             ON CONFLICT (conn_id) DO UPDATE
                SET conn_type = excluded.conn_type, description = excluded.description,
                    host = excluded.host, schema = excluded.schema, login = excluded.login,
                    password = excluded.password, port = excluded.port, extra = excluded.extra,
                    team_name = excluded.team_name, is_encrypted = excluded.is_encrypted";
        self.write_connection(sql, connection).await?;
        Ok(())
    }

    async fn write_connection(
        &mut self,
        sql: &'static str,
        connection: &Connection,
    ) -> Result<u64, Error> {
        let keyring = self.keyring();
        let sealed = |secret: &Option<String>| secret.as_ref().map(|text| keyring.seal(text));
        let statement = sqlx::query(sql)
            .bind(connection.conn_id.as_str())
            .bind(connection.conn_type.as_str())
            .bind(connection.description.as_deref())
            .bind(connection.host.as_deref())
            .bind(connection.schema.as_deref())
            .bind(connection.login.as_deref())
            .bind(sealed(&connection.password))
            .bind(connection.port)
            .bind(sealed(&connection.extra))
            .bind(connection.team_name.as_deref())
            .bind(keyring.encrypts());
        self.execute("write a connection", statement).await
    }

    /// Deletes a connection. `false`: there is no such connection.
    pub async fn delete_connection(&mut self, conn_id: &str) -> Result<bool, Error> {
        let statement = sqlx::query("DELETE FROM connection WHERE conn_id = $1").bind(conn_id);
        Ok(self.execute("delete a connection", statement).await? == 1)
    }
}

/// Decrypts what is encrypted.
pub(crate) fn connection_from(row: &AnyRow, keyring: &Keyring) -> Result<Connection, Error> {
    let mut columns = Columns::of("connection", row);
    let mut connection = Connection {
        conn_id: columns.owned()?,
        conn_type: columns.owned()?,
        description: columns.owned_or_null()?,
        host: columns.owned_or_null()?,
        schema: columns.owned_or_null()?,
        login: columns.owned_or_null()?,
        password: columns.owned_or_null()?,
        port: columns.int_or_null()?,
        extra: columns.owned_or_null()?,
        team_name: columns.owned_or_null()?,
    };
    if columns.flag()? {
        open_secrets(&mut connection, "connection", keyring)?;
    }
    Ok(connection)
}

/// Decrypts the secrets of a connection. Errors call it `what` and its id.
pub(crate) fn open_secrets(
    connection: &mut Connection,
    what: &str,
    keyring: &Keyring,
) -> Result<(), Error> {
    let open = |secret: &str, sealed: Option<&String>| {
        let what = || format!("{secret} of {what} `{}`", connection.conn_id);
        sealed.map(|sealed| keyring.open(sealed, what)).transpose()
    };
    let password = open("password", connection.password.as_ref())?;
    let extra = open("extra", connection.extra.as_ref())?;
    (connection.password, connection.extra) = (password, extra);
    Ok(())
}
