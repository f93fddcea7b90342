//! Sessions, their cookies, and forms of others.

use http::{HeaderValue, header};
use payouts_model::{PrincipalId, TenantId};

use super::*;

fn identity(principal: &str) -> Identity {
    Identity { caller: Caller { tenant: TenantId::new("t"), principal: PrincipalId::new(principal) }, admin: false }
}

fn config(public_url: Option<&str>) -> Config {
    let mut config = Config::dev(std::path::Path::new("/nowhere"), "127.0.0.1:7070".parse().unwrap()).unwrap();
    config.public_url = public_url.map(str::to_owned);
    config
}

fn with_cookie(config: &Config, secret: &str) -> HeaderMap {
    let text = format!("other=1; {}={secret}; x=y", Cookies::new(config).session);
    HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_str(&text).unwrap())])
}

#[test]
fn a_session_ends_with_its_identity_and_at_sign_out() {
    let (sessions, config, now) = (Sessions::default(), config(None), Timestamp(0));
    let secret = sessions.begin(identity("ann"), Some("Ann\u{7} Bell"), now.plus_ms(5_000), now);
    let headers = with_cookie(&config, &secret);
    let session = sessions.of(&config, &headers, now).unwrap();
    assert_eq!((session.name(), session.caller().principal.as_str()), ("Ann Bell", "ann"));
    assert!(sessions.of(&config, &headers, now.plus_ms(4_999)).is_some());
    assert!(sessions.of(&config, &headers, now.plus_ms(5_000)).is_none());
    assert!(!sessions.lasts(&session, now.plus_ms(5_000)));
    assert!(sessions.of(&config, &with_cookie(&config, &session.csrf), now).is_none(), "another secret");
    sessions.end(&session);
    assert!(sessions.of(&config, &headers, now).is_none() && !sessions.lasts(&session, now));
}

#[test]
fn no_session_is_longer_than_a_working_day_and_none_pile_up() {
    let (sessions, now) = (Sessions::default(), Timestamp(0));
    let secrets: Vec<String> =
        (0..50).map(|n| sessions.begin(identity("ann"), None, now.plus_ms(n + 1_000), now)).collect();
    let bob = sessions.begin(identity("bob"), None, Timestamp(i64::MAX), now);
    let config = config(None);
    let alive = secrets.iter().filter(|s| sessions.of(&config, &with_cookie(&config, s), now).is_some()).count();
    assert_eq!(alive, SESSIONS_OF_CALLER_MAX);
    let bob = sessions.of(&config, &with_cookie(&config, &bob), now).unwrap();
    assert_eq!((bob.name(), bob.expires_at()), ("bob", now.plus_ms(SESSION_MS_MAX)));
}

#[test]
fn cookies_are_secure_wherever_browsers_come_by_https() {
    let set = |url: Option<&str>| {
        let cookies = Cookies::new(&config(url));
        cookies.set(&cookies.session, "v", 60).to_str().unwrap().to_owned()
    };
    assert_eq!(
        set(Some("https://p.example")),
        "__Host-payouts-session=v; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=60"
    );
    assert_eq!(
        set(Some("https://p.example/api")),
        "__Secure-payouts-session=v; Path=/api; HttpOnly; SameSite=Lax; Secure; Max-Age=60"
    );
    assert_eq!(
        set(Some("http://p.example")),
        "__Host-payouts-session=v; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=60",
        "plain http is for loopback alone"
    );
    assert!(
        cookies_unusable(&config(Some("http://p.example"))) && !cookies_unusable(&config(Some("https://p.example")))
    );
    assert_eq!(
        set(Some("http://localhost:7070")),
        "payouts-session-7070=v; Path=/; HttpOnly; SameSite=Lax; Max-Age=60"
    );
    assert_eq!(set(None), "payouts-session-7070=v; Path=/; HttpOnly; SameSite=Lax; Max-Age=60");
}

#[test]
fn forms_of_other_origins_are_refused() {
    let base = BaseUrl("https://p.example/api".into());
    let check = |pairs: &[(&'static str, &'static str)]| {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        check_origin(&headers, &base).is_ok()
    };
    assert!(check(&[("sec-fetch-site", "same-origin"), ("origin", "https://p.example")]));
    assert!(check(&[("sec-fetch-site", "none")]) && check(&[]));
    assert!(check(&[("origin", "https://p.example")]) && check(&[("origin", "https://p.example:443")]));
    assert!(!check(&[("sec-fetch-site", "same-site"), ("origin", "https://p.example")]));
    assert!(!check(&[("sec-fetch-site", "cross-site")]));
    for bad in ["null", "", "https://evil.example", "http://p.example", "https://p.example:444", "data:x"] {
        assert!(!check(&[("origin", bad)]), "{bad}");
    }
}
