//! Rows of `user_account`: who may log in, with hashed passwords.

use jiff::Timestamp;

use crate::row::{Columns, micros};
use crate::{Error, Reader, Tx};

/// Somebody who may log in.
#[derive(Clone, PartialEq, Eq)]
pub struct UserAccount {
    pub username: String,
    /// In the PHC string format.
    pub password_hash: String,
    /// A role of the auth manager.
    pub role: String,
    pub created_at: Timestamp,
}

impl std::fmt::Debug for UserAccount {
    /// Leaves the hash out: it can be guessed at.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserAccount")
            .field("username", &self.username)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

impl Reader {
    /// One account.
    pub async fn find_user_account(
        &mut self,
        username: &str,
    ) -> Result<Option<UserAccount>, Error> {
        let statement = sqlx::query(
            "SELECT username, password_hash, role, created_at
               FROM user_account
              WHERE username = $1",
        )
        .bind(username);
        self.fetch_optional("load a user account", statement)
            .await?
            .map(|row| {
                let mut columns = Columns::of("user_account", &row);
                Ok(UserAccount {
                    username: columns.owned()?,
                    password_hash: columns.owned()?,
                    role: columns.owned()?,
                    created_at: columns.instant()?,
                })
            })
            .transpose()
    }

    /// How many accounts there are.
    pub async fn count_user_accounts(&mut self) -> Result<i64, Error> {
        let statement = sqlx::query("SELECT COUNT(*) FROM user_account");
        let row = self.fetch_one("count user accounts", statement).await?;
        Columns::of("user_account", &row).big()
    }
}

impl Tx {
    /// Creates an account, or replaces its password and role.
    pub async fn set_user_account(&mut self, account: &UserAccount) -> Result<(), Error> {
        let statement = sqlx::query(
            "INSERT INTO user_account (username, password_hash, role, created_at)
             VALUES ($1, $2, $3, $4)
             ON CONFLICT (username) DO UPDATE
                SET password_hash = excluded.password_hash, role = excluded.role",
        )
        .bind(account.username.as_str())
        .bind(account.password_hash.as_str())
        .bind(account.role.as_str())
        .bind(micros(account.created_at));
        self.execute("write a user account", statement).await?;
        Ok(())
    }
}
