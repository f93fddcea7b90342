//! What absolute URLs begin with, and which Host is answered.
//!
//! `public_url` makes every absolute URL. Only with `--dev` and without a `public_url` the Host
//! header does, and then only a loopback one is believed: any other is refused, and so is a request
//! that a web page of another origin sends, so that no web page can talk to a development server,
//! whatever its name resolves to.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, Uri, Version, header};
use payouts_model::ErrorCode;

use super::error::Error;
use crate::app::App;
use crate::config::Config;

/// What absolute URLs begin with: scheme, host, path prefix; no slash at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(pub String);

impl BaseUrl {
    /// The absolute URL of a path of this service. `path` begins with a slash.
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    /// The base of this request.
    pub fn of(config: &Config, headers: &HeaderMap, uri: &Uri) -> Result<Self, Error> {
        if let Some(url) = &config.public_url {
            return Ok(Self(url.trim_end_matches('/').to_owned()));
        }
        Ok(Self(match asked_host(headers, uri) {
            Some(host) => format!("{}://{}", config.scheme(), believed(config, host)?),
            None => format!("{}://{}", config.scheme(), config.listen),
        }))
    }
}

/// Refuses an HTTP/1.1 request that does not name one host, as RFC 9112 asks for, and a host that
/// a development server does not answer for. Without `--dev` nothing depends on which host it is.
pub fn check_host(config: &Config, version: Version, headers: &HeaderMap, uri: &Uri) -> Result<(), Error> {
    let hosts = headers.get_all(header::HOST).iter().count();
    let named = hosts == 1 || (hosts == 0 && (version != Version::HTTP_11 || uri.authority().is_some()));
    if !named {
        let message = format!("A request must have one Host header; this one has {hosts}.");
        return Err(Error::new(ErrorCode::InvalidHeader, message).target("Host"));
    }
    if !config.dev {
        return Ok(());
    }
    if let Some(host) = asked_host(headers, uri) {
        believed(config, host)?;
    }
    headers.get_all(header::ORIGIN).iter().try_for_each(|origin| check_origin(config, origin.to_str().unwrap_or("")))
}

/// Refuses a request of a web page that a development server did not serve; `null` is one, too.
fn check_origin(config: &Config, origin: &str) -> Result<(), Error> {
    let page = origin.parse::<Uri>().ok().filter(|page| page.scheme().is_some());
    let host = page.as_ref().and_then(Uri::authority).map(Authority::as_str);
    match host {
        Some(host) if believed(config, host).is_ok() => Ok(()),
        _ if config.dev_insecure => Ok(()),
        _ => Err(Error::new(
            ErrorCode::MisdirectedRequest,
            "A development server takes no requests of web pages but its own.",
        )
        .target("Origin")),
    }
}

/// The path prefix of `public_url`: empty, or with a slash at the front and none at the end.
pub fn path_prefix(config: &Config) -> String {
    let url = config.public_url.as_deref().and_then(|u| url::Url::parse(u).ok());
    url.map(|u| u.path().trim_end_matches('/').to_owned()).unwrap_or_default()
}

fn asked_host<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Option<&'a str> {
    uri.authority().map(Authority::as_str).or_else(|| headers.get(header::HOST).map(|v| v.to_str().unwrap_or("")))
}

fn believed<'a>(config: &Config, host: &'a str) -> Result<&'a str, Error> {
    let authority = host.parse::<Authority>().ok().filter(|_| !host.contains('@'));
    let own = config.public_url.as_deref().and_then(|u| u.parse::<Uri>().ok());
    let own_host = own.as_ref().and_then(Uri::host);
    match authority {
        Some(a) if config.dev_insecure || loopback(a.host()) || own_host == Some(a.host()) => Ok(host),
        _ => Err(Error::new(
            ErrorCode::MisdirectedRequest,
            "A development server answers only for localhost, 127.0.0.1 and [::1]. Use one of these in the URL.",
        )
        .target("Host")),
    }
}

/// Whether a host is this machine's own.
pub fn loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

impl FromRequestParts<Arc<App>> for BaseUrl {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Error> {
        Self::of(&app.config, &parts.headers, &parts.uri)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(dev: bool, public_url: Option<&str>) -> Config {
        let mut config = Config::dev(std::path::Path::new("/nowhere"), "127.0.0.1:7070".parse().unwrap()).unwrap();
        config.dev = dev;
        config.public_url = public_url.map(str::to_owned);
        config
    }
    fn host(text: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::HOST, text.parse().unwrap())])
    }

    #[test]
    fn a_development_server_believes_loopback_hosts_alone() {
        let config = config(true, None);
        for good in ["localhost:1", "LOCALHOST", "127.0.0.1:80", "[::1]:80", "127.8.8.8"] {
            assert_eq!(BaseUrl::of(&config, &host(good), &Uri::default()).unwrap().0, format!("http://{good}"));
        }
        for bad in ["example.com", "localhost.example.com", "10.0.0.1", "a@localhost", "", "localhost/x"] {
            assert!(check_host(&config, Version::HTTP_11, &host(bad), &Uri::default()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_development_server_takes_requests_of_its_own_pages_alone() {
        let check = |config: &Config, origin: &'static str| {
            let mut headers = host("localhost:7070");
            headers.insert(header::ORIGIN, http::HeaderValue::from_static(origin));
            check_host(config, Version::HTTP_11, &headers, &Uri::default()).map_err(|e| e.code())
        };
        let dev = config(true, None);
        for good in ["http://localhost:7070", "http://127.0.0.1:7070", "http://[::1]"] {
            assert_eq!(check(&dev, good), Ok(()), "{good}");
        }
        for bad in ["https://evil.example", "null", "", "http://localhost.evil.example", "http://a@127.0.0.1"] {
            assert_eq!(check(&dev, bad), Err(ErrorCode::MisdirectedRequest), "{bad}");
        }
        assert_eq!(check(&config(false, Some("https://p.example")), "https://app.example"), Ok(()));
    }

    #[test]
    fn a_request_names_one_host() {
        let check = |version, hosts: &[&'static str], uri: &'static str| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(header::HOST, http::HeaderValue::from_static(host));
            }
            check_host(&config(false, None), version, &headers, &Uri::from_static(uri)).map_err(|e| e.code())
        };
        let refused = Err(ErrorCode::InvalidHeader);
        assert_eq!(check(Version::HTTP_11, &["a"], "/"), Ok(()));
        assert_eq!(check(Version::HTTP_11, &[], "/"), refused);
        assert_eq!(check(Version::HTTP_11, &["a", "a"], "/"), refused);
        assert_eq!(check(Version::HTTP_10, &[], "/"), Ok(()));
        assert_eq!(check(Version::HTTP_2, &[], "http://a/"), Ok(()));
    }

    #[test]
    fn a_public_url_wins_over_any_host() {
        let config = config(false, Some("https://api.example.com/payouts"));
        assert!(check_host(&config, Version::HTTP_11, &host("evil.example"), &Uri::default()).is_ok());
        let base = BaseUrl::of(&config, &host("evil.example"), &Uri::default()).unwrap();
        assert_eq!(base.join("/v1.0/x"), "https://api.example.com/payouts/v1.0/x");
        assert_eq!(path_prefix(&config), "/payouts");
        assert_eq!(path_prefix(&self::config(false, Some("https://api.example.com"))), "");
    }
}
