//! Rows of `variable`; the value is encrypted at rest.

use sqlx::any::AnyRow;
use updraft_model::variable::Variable;

use crate::row::{Columns, assembled};
use crate::{Error, Keyring, Reader, Tx};

pub(crate) const VARIABLE_COLUMNS: &str = "key, val, description, team_name, is_encrypted";

/// A page of variable keys, and how many there are in all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VariableKeys {
    pub keys: Vec<String>,
    pub total: i64,
}

impl Reader {
    /// One variable, decrypted.
    pub async fn find_variable(&mut self, key: &str) -> Result<Option<Variable>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT {VARIABLE_COLUMNS} FROM variable WHERE key = $1"
        )))
        .bind(key);
        let keyring = self.keyring();
        self.fetch_optional("load a variable", statement)
            .await?
            .map(|row| variable_from(&row, &keyring))
            .transpose()
    }

    /// All variables, decrypted, by key.
    pub async fn load_variables(&mut self) -> Result<Vec<Variable>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT {VARIABLE_COLUMNS} FROM variable ORDER BY key"
        )));
        let keyring = self.keyring();
        self.fetch_all("load the variables", statement)
            .await?
            .iter()
            .map(|row| variable_from(row, &keyring))
            .collect()
    }

    /// All keys, in order. Needs no fernet key.
    pub async fn load_variable_keys(&mut self) -> Result<Vec<String>, Error> {
        Ok(self.page_variable_keys("", i64::MAX, 0).await?.keys)
    }

    /// Some of the keys that start with `prefix`, in order. Needs no fernet key.
    pub async fn page_variable_keys(
        &mut self,
        prefix: &str,
        limit: i64,
        offset: i64,
    ) -> Result<VariableKeys, Error> {
        let statement = sqlx::query(
            "SELECT key
               FROM variable
              WHERE substr(key, 1, length($1)) = $1
              ORDER BY key
              LIMIT $2 OFFSET $3",
        )
        .bind(prefix)
        .bind(limit)
        .bind(offset);
        let keys = self
            .fetch_all("load variable keys", statement)
            .await?
            .iter()
            .map(|row| Columns::of("variable", row).owned())
            .collect::<Result<_, _>>()?;
        let statement =
            sqlx::query("SELECT COUNT(*) FROM variable WHERE substr(key, 1, length($1)) = $1")
                .bind(prefix);
        let row = self.fetch_one("count variables", statement).await?;
        Ok(VariableKeys {
            keys,
            total: Columns::of("variable", &row).big()?,
        })
    }
}

impl Tx {
    /// Creates a variable. `false`: one with this key exists.
    pub async fn create_variable(&mut self, variable: &Variable) -> Result<bool, Error> {
        let sql = "INSERT INTO variable (key, val, description, team_name, is_encrypted)
             VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (key) DO NOTHING";
        Ok(self.write_variable(sql, variable).await? == 1)
    }

    /// Creates a variable or replaces everything but its key.
    pub async fn set_variable(&mut self, variable: &Variable) -> Result<(), Error> {
        let sql = "INSERT INTO variable (key, val, description, team_name, is_encrypted)
             VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (key) DO UPDATE
                SET val = excluded.val, description = excluded.description,
                    team_name = excluded.team_name, is_encrypted = excluded.is_encrypted";
        self.write_variable(sql, variable).await?;
        Ok(())
    }

    async fn write_variable(
        &mut self,
        sql: &'static str,
        variable: &Variable,
    ) -> Result<u64, Error> {
        let keyring = self.keyring();
        let statement = sqlx::query(sql)
            .bind(variable.key.as_str())
            .bind(keyring.seal(&variable.value))
            .bind(variable.description.as_deref())
            .bind(variable.team_name.as_deref())
            .bind(keyring.encrypts());
        self.execute("write a variable", statement).await
    }

    /// Deletes a variable. `false`: there is no such variable.
    pub async fn delete_variable(&mut self, key: &str) -> Result<bool, Error> {
        let statement = sqlx::query("DELETE FROM variable WHERE key = $1").bind(key);
        Ok(self.execute("delete a variable", statement).await? == 1)
    }
}

/// Decrypts what is encrypted.
pub(crate) fn variable_from(row: &AnyRow, keyring: &Keyring) -> Result<Variable, Error> {
    let mut columns = Columns::of("variable", row);
    let mut variable = Variable {
        key: columns.owned()?,
        value: columns.owned()?,
        description: columns.owned_or_null()?,
        team_name: columns.owned_or_null()?,
    };
    if columns.flag()? {
        variable.value =
            keyring.open(&variable.value, || format!("variable `{}`", variable.key))?;
    }
    Ok(variable)
}
