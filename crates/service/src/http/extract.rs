//! What handlers ask for in their arguments: the report of the path, the viewer, the Export's id.
//! A handler that has them is already allowed to act on them.

use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;
use payouts_model::{ErrorCode, ExportId, ReportName, Viewer};

use super::error::Error;
use crate::app::App;
use crate::auth::{self, Authenticated};

/// The version in the path is one that is served. First of all extractors, so that a caller of
/// another version learns that before anything else.
#[derive(Clone, Copy, Debug)]
pub struct Version;

/// The report of the path, of a version that is served.
#[derive(Clone, Copy, Debug)]
pub struct Reported(pub ReportName);

/// Somebody with a valid token and at least one grant.
#[derive(Clone, Debug)]
pub struct Viewing(pub Viewer);

/// The same for a look at one Export; the handler counts it, by [`crate::auth::Verifier::count_look`].
#[derive(Clone, Debug)]
pub struct Looking(pub Viewer);

/// The Export's id in the path.
#[derive(Clone, Copy, Debug)]
pub struct Identified(pub ExportId);

async fn path_part(parts: &mut Parts, name: &str) -> Result<String, Error> {
    let params = RawPathParams::from_request_parts(parts, &()).await.map_err(|_| {
        Error::new(ErrorCode::InvalidPath, "The path is not valid UTF-8 once its percent escapes are decoded.")
    })?;
    let found = params.iter().find(|(n, _)| *n == name).map(|(_, value)| value.to_owned());
    found.ok_or_else(|| Error::broken(format!("the route has no path part '{name}'")))
}

/// Nothing is served at this path.
pub fn path_not_found() -> Error {
    Error::new(
        ErrorCode::PathNotFound,
        "There is nothing at this path. Exports are at /v1.0/payouts/payments and /v1.0/payouts/transactionhistory; /docs/ describes them.",
    )
}

/// Whether a version is served, and how it is refused if not.
fn check_version(version: &str) -> Result<(), Error> {
    if matches!(version, "v1" | "v1.0" | "V1" | "V1.0") {
        return Ok(());
    }
    let digits = version.strip_prefix(['v', 'V']).filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let Some(digits) = digits else { return Err(path_not_found()) };
    let shown: String = digits.chars().take(20).collect();
    let message = format!("Version '{shown}' is not served. The version is 1.0: /v1.0/payouts/…");
    Err(Error::new(ErrorCode::UnsupportedVersion, message).target("version"))
}

impl FromRequestParts<Arc<App>> for Version {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _app: &Arc<App>) -> Result<Self, Error> {
        check_version(&path_part(parts, "version").await?)?;
        Ok(Self)
    }
}

impl FromRequestParts<Arc<App>> for Reported {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Error> {
        Version::from_request_parts(parts, app).await?;
        let report = path_part(parts, "report").await?;
        report.parse().map(Self).map_err(|_| path_not_found())
    }
}

impl FromRequestParts<Arc<App>> for Viewing {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Error> {
        let Authenticated { viewer } = Authenticated::from_request_parts(parts, app).await?;
        Ok(Self(viewer))
    }
}

impl FromRequestParts<Arc<App>> for Looking {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Error> {
        Ok(Self(auth::authenticate_look(parts, app).await?))
    }
}

impl FromRequestParts<Arc<App>> for Identified {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _app: &Arc<App>) -> Result<Self, Error> {
        let text = path_part(parts, "id").await?;
        text.trim().parse().map(Self).map_err(|_| {
            let shown: String = text.chars().take(60).collect();
            let message =
                format!("'{shown}' is not a request id: a GUID such as 6a1d1f0e-7c3b-4f52-9d0a-2f6c4c1b8e11.");
            Error::new(ErrorCode::InvalidPath, message).target("requestId")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert!(check_version("v1.0").is_ok() && check_version("v1").is_ok());
        for (version, code) in [
            ("v2.0", ErrorCode::UnsupportedVersion),
            ("v1.1", ErrorCode::UnsupportedVersion),
            ("vx", ErrorCode::PathNotFound),
            ("1.0", ErrorCode::PathNotFound),
        ] {
            assert_eq!(check_version(version).unwrap_err().code(), code, "{version}");
        }
    }
}
