//! The page's cookies: their names, what they may do, and reading them.

use http::{HeaderMap, HeaderValue, header};

use crate::config::Config;
use crate::http::base_url::{self, path_prefix};

/// Names and attributes, which depend on where the service is reached.
///
/// Over https a cookie is `Secure`, and its name says so to the browser (`__Host-`, or `__Secure-`
/// where the page stands below a path), so that no neighbour can plant one. Over plain http, which
/// is for loopback, browsers take no such names; ports then share cookies, so the name holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookies {
    /// The name of the session's.
    pub session: String,
    /// The name of the one that a sign-in under way has.
    pub sign_in: String,
    attributes: String,
}

impl Cookies {
    /// Of the service that `config` describes.
    pub fn new(config: &Config) -> Self {
        let prefix = path_prefix(config);
        let secure = secure(config);
        let name = |what: &str| match (secure, prefix.is_empty()) {
            (true, true) => format!("__Host-payouts-{what}"),
            (true, false) => format!("__Secure-payouts-{what}"),
            (false, _) => format!("payouts-{what}-{}", config.listen.port()),
        };
        let path = if prefix.is_empty() { "/" } else { &prefix };
        let flag = if secure { "; Secure" } else { "" };
        Self {
            session: name("session"),
            sign_in: name("sign-in"),
            attributes: format!("; Path={path}; HttpOnly; SameSite=Lax{flag}"),
        }
    }

    /// A `Set-Cookie` of `value` for so many seconds; 0 takes the cookie away.
    pub fn set(&self, name: &str, value: &str, seconds: i64) -> HeaderValue {
        let text = format!("{name}={value}{}; Max-Age={seconds}", self.attributes);
        HeaderValue::from_str(&text).expect("names, base64 and digits are a header value")
    }
}

/// Whether a cookie may go over https alone: always, but for plain http on loopback, and for a
/// development server, which has no other name than the one it was asked by.
fn secure(config: &Config) -> bool {
    match config.public_url.as_ref().and_then(|url| url::Url::parse(url).ok()) {
        Some(url) => url.scheme() == "https" || !base_url::loopback(url.host_str().unwrap_or("")),
        None => config.scheme() == "https",
    }
}

/// Whether browsers would not send a session's cookie back: the service says http, and not on loopback.
pub fn unusable(config: &Config) -> bool {
    secure(config) && config.public_url.as_ref().is_some_and(|url| url.starts_with("http:"))
}

/// The values of the cookies of this name.
pub fn values<'h>(headers: &'h HeaderMap, name: &'h str) -> impl Iterator<Item = &'h str> {
    let all = headers.get_all(header::COOKIE).into_iter().filter_map(|v| v.to_str().ok());
    all.flat_map(|line| line.split(';')).filter_map(move |pair| {
        let (found, value) = pair.trim().split_once('=')?;
        (found == name).then_some(value)
    })
}
