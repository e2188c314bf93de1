//! How the API says no: one JSON form for people and programs.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};

use crate::Finding;

/// The body of every answer that is not a success.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ErrorBody {
    pub error: ApiError,
}

/// Why a request was not fulfilled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ApiError {
    /// What kind of failure it is; never translated.
    pub reason: Reason,
    pub message: String,
    /// What to try next; may be empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hint: String,
    /// What is wrong with the files that were handed in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

/// The kinds of failures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// The request makes no sense.
    BadRequest,
    /// A file that was handed in is wrong.
    BadInput,
    /// Nothing has that name.
    NotFound,
    /// The request is refused because of where it comes from.
    Forbidden,
    /// Something changed meanwhile.
    Conflict,
    /// The control plane is not in a state to do it.
    Unavailable,
    #[default]
    Internal,
}

impl ApiError {
    pub(crate) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), ..Self::default() }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    pub(crate) fn ending() -> Self {
        let hint = "try again in a moment";
        Self::new(Reason::Unavailable, "the control plane is starting or ending").hint(hint)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = match self.reason {
            Reason::BadRequest => StatusCode::BAD_REQUEST,
            Reason::BadInput => StatusCode::UNPROCESSABLE_ENTITY,
            Reason::NotFound => StatusCode::NOT_FOUND,
            Reason::Forbidden => StatusCode::FORBIDDEN,
            Reason::Conflict => StatusCode::CONFLICT,
            Reason::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Reason::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, Json(ErrorBody { error: self })).into_response()
    }
}
