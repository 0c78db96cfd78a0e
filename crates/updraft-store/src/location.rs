//! Reads the database URL, in our form or in SQLAlchemy's.

use std::path::{Path, PathBuf};

use crate::{Dialect, Error};

/// Where the metadata database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Location {
    Sqlite(PathBuf),
    Postgres {
        /// For the driver, with the password.
        url: String,
        /// For messages, without it.
        shown: String,
    },
}

impl Location {
    /// Understands `sqlite:///path`, `postgresql://…` and SQLAlchemy's `dialect+driver` forms.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let refuse = |problem| Error::Location {
            url: without_password(text),
            problem,
        };
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| refuse("expected `sqlite:///path` or `postgresql://…`"))?;
        let (dialect, _driver) = scheme.split_once('+').unwrap_or((scheme, ""));
        match dialect {
            "sqlite" => {
                let path = rest.split_once('?').map_or(rest, |(path, _)| path);
                // SQLAlchemy writes an absolute path with four slashes, everybody else with three.
                let path = match path.strip_prefix("//") {
                    Some(path) => format!("/{path}"),
                    None => path.to_owned(),
                };
                if !Path::new(&path).is_absolute() || path == "/" {
                    return Err(refuse("expected an absolute path to a file"));
                }
                Ok(Self::Sqlite(PathBuf::from(path)))
            }
            "postgres" | "postgresql" => Ok(Self::Postgres {
                url: format!("postgresql://{rest}"),
                shown: without_password(&format!("postgresql://{rest}")),
            }),
            _ => Err(refuse(
                "only SQLite and PostgreSQL are supported as metadata databases",
            )),
        }
    }

    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres { .. } => Dialect::Postgres,
        }
    }

    /// For messages: the path or the URL without its password.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("SQLite database `{}`", path.display()),
            Self::Postgres { shown, .. } => format!("PostgreSQL database `{shown}`"),
        }
    }
}

fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return "…".to_owned();
    };
    let Some((user_info, place)) = rest.rsplit_once('@') else {
        return url.to_owned();
    };
    let user = user_info.split(':').next().unwrap_or_default();
    format!("{scheme}://{user}@{place}")
}

#[cfg(test)]
mod tests;
