//! A form that a page of ours sent.
//!
//! A browser says where a request comes from (`Sec-Fetch-Site`, otherwise `Origin`), and every form
//! of ours holds the session's own token in `csrf`: both must be right before a handler sees it.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequest, FromRequestParts, Request};
use http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use payouts_model::ErrorCode;
use subtle::ConstantTimeEq;

use super::{NoVisit, Visit};
use crate::app::App;
use crate::config::Limits;
use crate::http::Error;
use crate::http::base_url::BaseUrl;

/// Extractor: somebody signed in, and the fields of a form that is really this service's.
#[derive(Clone, Debug)]
pub struct Posted {
    /// Who, as for any page.
    pub visit: Visit,
    /// Names and values in their order, decoded; without `csrf`.
    pub fields: Vec<(String, String)>,
}

impl Posted {
    /// The first value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

impl FromRequest<Arc<App>> for Posted {
    type Rejection = NoVisit;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, NoVisit> {
        let (mut parts, body) = request.into_parts();
        let visit = Visit::from_request_parts(&mut parts, app).await?;
        check_origin(&parts.headers, &visit.base)?;
        let mut fields = read_form(&parts.headers, body, &app.config.limits).await?;
        let token = fields.iter().find(|(name, _)| name == "csrf").map_or("", |(_, value)| value);
        if !bool::from(token.as_bytes().ct_eq(visit.session.csrf().as_bytes())) {
            return Err(foreign("the form's token is not this session's").into());
        }
        fields.retain(|(name, _)| name != "csrf");
        Ok(Self { visit, fields })
    }
}

/// Refuses what a page of another origin sent, as far as the browser says so.
pub fn check_origin(headers: &HeaderMap, base: &BaseUrl) -> Result<(), Error> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or(""));
    match (text("sec-fetch-site"), text(header::ORIGIN.as_str())) {
        // `none`: the user's own doing, such as sending a form again.
        (Some("same-origin" | "none"), _) => Ok(()),
        (Some(_), _) => Err(foreign("it comes from another site")),
        (None, Some(origin)) if origin_of(origin) == origin_of(&base.0) => Ok(()),
        (None, Some(_)) => Err(foreign("its origin is another one")),
        // Not a browser, or a very old one: the token decides.
        (None, None) => Ok(()),
    }
}

fn origin_of(url: &str) -> Option<url::Origin> {
    url::Url::parse(url).ok().map(|url| url.origin()).filter(url::Origin::is_tuple)
}

fn foreign(reason: &'static str) -> Error {
    tracing::debug!(reason, "form refused");
    let message = "This did not come from a page of this service that you have open now. Open the page again, and repeat it there.";
    Error::new(ErrorCode::InvalidHeader, message).target("csrf")
}

/// The fields of a form body.
pub async fn read_form(
    headers: &HeaderMap,
    body: axum::body::Body,
    limits: &Limits,
) -> Result<Vec<(String, String)>, Error> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    let essence = content_type.split(';').next().unwrap_or("").trim();
    if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        let message = "A form must be sent as application/x-www-form-urlencoded.";
        return Err(Error::new(ErrorCode::UnsupportedMediaType, message).target("Content-Type"));
    }
    let collected = Limited::new(body, limits.body_bytes).collect();
    let collected = tokio::time::timeout(Duration::from_secs(limits.body_seconds), collected).await;
    let collected = collected.map_err(|_| {
        let message =
            format!("The form took longer than {} s (limits.body_seconds). Send it again.", limits.body_seconds);
        Error::new(ErrorCode::RequestTimeout, message)
    })?;
    let bytes = match collected {
        Ok(collected) => collected.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            let message = format!(
                "The form is larger than {} bytes (limits.body_bytes). Paste fewer ids at a time.",
                limits.body_bytes
            );
            return Err(Error::new(ErrorCode::BodyTooLarge, message));
        }
        Err(_) => return Err(Error::new(ErrorCode::InvalidBody, "The form did not arrive whole. Send it again.")),
    };
    Ok(url::form_urlencoded::parse(&bytes).into_owned().collect())
}
