//! A browser without JavaScript, as small as tests need it: cookies, redirects, forms.

use std::collections::BTreeMap;

use payouts_testkit::client;
use reqwest::{Method, StatusCode};

/// What a page was.
#[derive(Debug)]
pub struct Page {
    /// Where it was found, redirects followed.
    pub url: String,
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Page {
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}: {}", self.url, self.text);
        self
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().expect("an ASCII header"))
    }

    /// The value of the first field `csrf`.
    #[track_caller]
    pub fn csrf(&self) -> String {
        self.between("name=\"csrf\" value=\"", "\"")
    }

    /// The text between two texts, entities decoded.
    #[track_caller]
    pub fn between(&self, before: &str, after: &str) -> String {
        let (_, rest) = self.text.split_once(before).unwrap_or_else(|| panic!("no {before} in {}", self.text));
        let found = rest.split_once(after).unwrap_or_else(|| panic!("no {after} behind {before}")).0;
        let entities = [("&#34;", "\""), ("&#39;", "'"), ("&#60;", "<"), ("&#62;", ">"), ("&#38;", "&")];
        entities.into_iter().fold(found.to_owned(), |text, (entity, char)| text.replace(entity, char))
    }

    /// The ids of the requests in the list, in order.
    pub fn ids(&self) -> Vec<String> {
        self.text.split("<li class=\"request\" id=\"request-").skip(1).map(|rest| rest[..36].to_owned()).collect()
    }
}

/// One user's browser.
#[derive(Debug, Default)]
pub struct Browser {
    /// By origin and name.
    cookies: BTreeMap<(String, String), String>,
    /// Every `Set-Cookie` that came.
    pub set_cookies: Vec<String>,
    /// Sent with every request.
    pub headers: Vec<(&'static str, String)>,
}

fn origin(url: &str) -> String {
    url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/")
}

impl Browser {
    /// One that sends these headers with every request.
    pub fn with_headers(headers: Vec<(&'static str, String)>) -> Self {
        Self { headers, ..Self::default() }
    }

    /// One request, no redirect followed.
    pub async fn send(&mut self, method: Method, url: &str, form: Option<&[(&str, &str)]>) -> Page {
        let own = origin(url);
        let mut request = client().request(method, url);
        let cookies = self.cookies.iter().filter(|((origin, _), _)| *origin == own);
        let cookies: Vec<String> = cookies.map(|((_, name), value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            request = request.header("cookie", cookies.join("; "));
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        if let Some(form) = form {
            let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
            request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        }
        let response = request.send().await.unwrap_or_else(|e| panic!("{url}: {e}"));
        for value in response.headers().get_all("set-cookie") {
            let text = value.to_str().expect("an ASCII cookie").to_owned();
            let (pair, attributes) = text.split_once(';').unwrap_or((&text, ""));
            let (name, value) = pair.split_once('=').expect("a name and a value");
            let key = (own.clone(), name.to_owned());
            match attributes.contains("Max-Age=0") || attributes.contains("1970") {
                true => drop(self.cookies.remove(&key)),
                false => drop(self.cookies.insert(key, value.to_owned())),
            }
            self.set_cookies.push(text);
        }
        let (status, headers) = (response.status(), response.headers().clone());
        Page { url: url.to_owned(), status, headers, text: response.text().await.expect("text") }
    }

    /// Opens an address, and whatever it leads to.
    pub async fn open(&mut self, url: &str) -> Page {
        let page = self.send(Method::GET, url, None).await;
        self.follow(page).await
    }

    /// Sends a form, and opens what it leads to.
    pub async fn post(&mut self, url: &str, form: &[(&str, &str)]) -> Page {
        let page = self.send(Method::POST, url, Some(form)).await;
        self.follow(page).await
    }

    async fn follow(&mut self, mut page: Page) -> Page {
        for _ in 0..10 {
            if !page.status.is_redirection() {
                return page;
            }
            let next = url::Url::parse(&page.url).and_then(|base| base.join(page.header("location")));
            let next = next.unwrap_or_else(|e| panic!("{}: {e}", page.header("location")));
            page = self.send(Method::GET, next.as_str(), None).await;
        }
        panic!("too many redirects: {}", page.url)
    }

    /// Signs in by the page of a development server.
    pub async fn signed_in(url: &str, user: &str) -> (Self, Page) {
        let mut browser = Self::default();
        let page = browser.post(&format!("{url}/sign-in/dev"), &[("user", user), ("to", "/")]).await;
        assert!(page.text.contains("id=\"requests\""), "{}", page.text);
        (browser, page)
    }

    /// The value of the cookie of the session.
    pub fn session(&self) -> String {
        let found = self.cookies.iter().find(|((_, name), _)| name.contains("payouts-session"));
        found.map(|(_, value)| value.clone()).expect("a session")
    }
}
