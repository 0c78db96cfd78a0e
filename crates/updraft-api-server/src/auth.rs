//! Users, passwords and tokens.

mod endpoints;
mod password;
mod token;

pub(crate) use endpoints::{
    create_token, create_token_all_admins, create_token_cli, login, login_all_admins, logout,
};
pub use password::hash_password;
pub(crate) use token::{TokenError, Tokens};

use axum::http::{HeaderMap, header};

use crate::error::ApiError;
use crate::state::ApiState;

/// A role of the simple auth manager; each may do all the one before may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Viewer,
    User,
    Op,
    Admin,
}

impl Role {
    /// The role's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::User => "user",
            Self::Op => "op",
            Self::Admin => "admin",
        }
    }

    /// Reads a role, whatever the case.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Viewer, Self::User, Self::Op, Self::Admin]
            .into_iter()
            .find(|role| role.as_str().eq_ignore_ascii_case(name))
    }
}

/// Who makes a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) role: Role,
}

impl User {
    /// Everybody, when everybody is an admin.
    pub(crate) fn anonymous() -> Self {
        Self {
            name: "Anonymous".to_owned(),
            role: Role::Admin,
        }
    }
}

/// The cookie that holds a browser's token.
pub(crate) const TOKEN_COOKIE: &str = "_token";

/// Finds out who makes a request: the header goes before the cookie.
pub(crate) fn authenticate(state: &ApiState, headers: &HeaderMap) -> Result<User, ApiError> {
    let token = bearer_token(headers).or_else(|| cookie(headers, TOKEN_COOKIE));
    let Some(token) = token else {
        return if state.settings().core.simple_auth_manager_all_admins {
            Ok(User::anonymous())
        } else {
            Err(ApiError::not_authenticated())
        };
    };
    let now = state.clock().now();
    state
        .tokens()
        .verify(token, now)
        .map_err(|error| match error {
            TokenError::Expired => ApiError::unauthorized("Token Expired"),
            TokenError::Invalid => ApiError::forbidden("Invalid JWT token"),
        })
}

fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim())
        .filter(|token| !token.is_empty())
}

/// The value of a cookie.
pub(crate) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.trim_matches('"'))
}
