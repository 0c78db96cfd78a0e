//! Where tokens are given out and taken back.

use axum::http::{HeaderValue, header};
use axum::response::Response;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use updraft_model::python_repr::repr;
use updraft_rest_api::fields::{Body, Fields, read_body};
use updraft_rest_api::issue::{Issue, Step};
use updraft_rest_api::service::LoginResponse;
use updraft_rest_api::value;

use super::password::find_user;
use super::{TOKEN_COOKIE, User, cookie};
use crate::call::{Answer, Call, created, redirect};
use crate::error::ApiError;

/// Refusal where tokens are not free.
const NOT_ALL_ADMINS: &str =
    "This method is only allowed if ``[core] simple_auth_manager_all_admins`` is True";

struct LoginBody {
    username: String,
    password: SecretString,
}

impl Body for LoginBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            username: fields.required("username", value::text),
            password: fields.required("password", value::text).into(),
        }
    }
}

/// `POST /auth/token`.
pub(crate) async fn create_token(call: Call) -> Answer {
    let body = login_body(&call)?;
    let life = call.state.tokens().life();
    log_in(&call, &body, life).await
}

/// `POST /auth/token/cli`: a token with the shorter life of the command line's.
pub(crate) async fn create_token_cli(call: Call) -> Answer {
    let body = call.read::<LoginBody>()?;
    let life = call.state.tokens().cli_life();
    log_in(&call, &body, life).await
}

/// `GET /auth/token`: a token for everybody.
pub(crate) async fn create_token_all_admins(call: Call) -> Answer {
    created(&LoginResponse {
        access_token: free_token(&call)?,
    })
}

/// `GET /auth/token/login`: the same as a cookie.
pub(crate) async fn login_all_admins(call: Call) -> Answer {
    let token = free_token(&call)?;
    let mut response = redirect(&base_path(&call))?;
    set_cookie(&call, &mut response, &token, None)?;
    Ok(response)
}

/// `GET /api/v2/auth/login`: on to the login page.
pub(crate) async fn login(call: Call) -> Answer {
    let next = call.query().text("next");
    if let Some(next) = &next
        && !is_safe(&call, next)
    {
        return Err(ApiError::bad_request("Invalid or unsafe next URL"));
    }
    let page = if call.state.settings().core.simple_auth_manager_all_admins {
        "auth/token/login"
    } else {
        "auth/login"
    };
    let query = next.map_or_else(String::new, |next| {
        let pair = form_urlencoded::Serializer::new(String::new())
            .append_pair("next", &next)
            .finish();
        format!("?{pair}")
    });
    redirect(&format!("{}{page}{query}", base_path(&call)))
}

/// `GET /api/v2/auth/logout`: the token is void from now on.
pub(crate) async fn logout(call: Call) -> Answer {
    if let Some(token) = cookie(&call.headers, TOKEN_COOKIE) {
        let now = call.state.clock().now();
        call.state.tokens().revoke(token, now);
    }
    let mut response = redirect(&format!("{}auth/login", base_path(&call)))?;
    set_cookie(&call, &mut response, "", Some(0))?;
    Ok(response)
}

async fn log_in(call: &Call, body: &LoginBody, life: std::time::Duration) -> Answer {
    let password = body.password.expose_secret();
    if body.username.is_empty() || password.is_empty() {
        return Err(ApiError::bad_request(
            "Username and password must be provided",
        ));
    }
    let user = find_user(&call.state, &body.username, password).await?;
    let user = user.ok_or_else(|| ApiError::unauthorized("Invalid credentials"))?;
    let now = call.state.clock().now();
    created(&LoginResponse {
        access_token: call.state.tokens().issue(&user, now, life),
    })
}

fn free_token(call: &Call) -> Result<String, ApiError> {
    if !call.state.settings().core.simple_auth_manager_all_admins {
        return Err(ApiError::forbidden(NOT_ALL_ADMINS));
    }
    let tokens = call.state.tokens();
    let now = call.state.clock().now();
    Ok(tokens.issue(&User::anonymous(), now, tokens.life()))
}

/// Takes JSON or a form; problems come as one text. Quirk, HTTP surface §1.3.
fn login_body(call: &Call) -> Result<LoginBody, ApiError> {
    let kind = call.headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let body = if kind.starts_with("application/json") {
        let malformed = "The request body is not a JSON object";
        serde_json::from_slice::<Value>(&call.body)
            .ok()
            .filter(Value::is_object)
            .ok_or_else(|| ApiError::unprocessable(malformed))?
    } else if kind.starts_with("application/x-www-form-urlencoded") {
        form_urlencoded::parse(&call.body)
            .into_owned()
            .map(|(name, value)| (name, Value::from(value)))
            .collect()
    } else {
        return Err(ApiError::new(
            axum::http::StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Only application/json or application/x-www-form-urlencoded is supported",
        ));
    };
    read_body(&body).map_err(|issues| ApiError::unprocessable(as_text("LoginBody", &issues)))
}

/// Problems in the form in which pydantic prints them.
fn as_text(model: &str, issues: &[Issue]) -> String {
    let count = issues.len();
    let plural = if count == 1 { "" } else { "s" };
    let mut text = format!("{count} validation error{plural} for {model}");
    for issue in issues {
        let place: Vec<String> = issue
            .loc
            .iter()
            .map(|step| match step {
                Step::Field(name) => name.clone(),
                Step::Index(index) => index.to_string(),
            })
            .collect();
        let kind = issue.kind;
        text.push_str(&format!(
            "\n{}\n  {} [type={kind}, input_value={}, input_type={}]\n    \
             For further information visit https://errors.pydantic.dev/2.14/v/{kind}",
            place.join("."),
            issue.msg,
            repr(&issue.input),
            python_type(&issue.input),
        ));
    }
    text
}

fn python_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}

/// Where the API server stands, ending in a slash.
fn base_path(call: &Call) -> String {
    let base = call.state.settings().api.base_url.as_deref().unwrap_or("/");
    let path = base.split_once("://").map_or(base, |(_, rest)| {
        rest.find('/').map_or("/", |at| &rest[at..])
    });
    format!("{}/", path.trim_end_matches('/'))
}

/// A page of this server: a path, or a URL that begins with our own.
fn is_safe(call: &Call, next: &str) -> bool {
    let is_path = next.starts_with('/') && !next.starts_with("//") && !next.contains('\\');
    let base = call.state.settings().api.base_url.as_deref();
    let is_ours = base.is_some_and(|base| {
        next.strip_prefix(base.trim_end_matches('/'))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    is_path || is_ours
}

fn set_cookie(
    call: &Call,
    response: &mut Response,
    token: &str,
    max_age: Option<u32>,
) -> Result<(), ApiError> {
    let base = call.state.settings().api.base_url.as_deref().unwrap_or("");
    let secure = if base.starts_with("https") {
        "; Secure"
    } else {
        ""
    };
    let age = max_age.map_or_else(String::new, |age| format!("; Max-Age={age}"));
    let text = format!(
        "{TOKEN_COOKIE}={token}; Path={}; HttpOnly; SameSite=Lax{secure}{age}",
        base_path(call)
    );
    let value = HeaderValue::try_from(text)
        .map_err(|_| ApiError::bad_request("[api] base_url does not fit into a cookie"))?;
    response.headers_mut().insert(header::SET_COOKIE, value);
    Ok(())
}
