//! A real HTTP client, as small as tests need it.

use std::time::{Duration, Instant};

use payouts_testkit::secrets;
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;

/// The longest wait for an Export to end.
const WAIT: Duration = Duration::from_secs(300);

/// What an answer was.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }
    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or("").to_owned()
    }
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.body));
        self
    }
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().expect("an ASCII header"))
    }
}

/// What was asked for and the link to it: no log of any test may hold them.
fn plant_secrets(path: &str, answer: &Answer) {
    if let Some((_, query)) = path.split_once('?').filter(|(_, query)| query.contains("$filter")) {
        secrets::plant(query);
    }
    let Ok(export) = serde_json::from_slice::<Value>(&answer.body) else { return };
    secrets::plant(export["requestQueryString"].as_str().unwrap_or_default());
    if let Some((_, link)) = export["blobLocation"].as_str().and_then(|link| link.split_once('?')) {
        secrets::plant(link);
        link.split('&').filter_map(|part| part.strip_prefix("sig=")).for_each(secrets::plant);
    }
}

/// One caller's view of a service.
pub struct Api {
    url: String,
    token: Option<String>,
    client: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

impl Api {
    pub fn new(url: &str, token: &str) -> Self {
        Self { token: Some(token.into()), ..Self::anonymous(url) }
    }

    /// Somebody without a token.
    pub fn anonymous(url: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { url: url.into(), token: None, client: payouts_testkit::client(), runtime }
    }

    /// Sends a request to a path of the service or to a whole URL.
    pub fn call(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.url) };
        let mut request = self.client.request(method.clone(), url);
        if method == Method::POST {
            request = request.body("");
        }
        if let Some(token) = self.token.as_ref().filter(|_| !path.contains("/files/")) {
            request = request.bearer_auth(token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = async {
            let response: Response = request.send().await.expect("the service answers");
            let (status, headers) = (response.status(), response.headers().clone());
            Answer { status, headers, body: response.bytes().await.expect("the whole body").to_vec() }
        };
        let answer = self.runtime.block_on(answer);
        plant_secrets(path, &answer);
        answer
    }

    /// Sends a JSON body.
    pub fn post_json(&self, path: &str, body: &str) -> Answer {
        let request = self
            .client
            .post(format!("{}{path}", self.url))
            .bearer_auth(self.token.as_deref().expect("a caller with a token"));
        let request = request.header("content-type", "application/json").body(body.to_owned());
        self.runtime.block_on(async {
            let response = request.send().await.expect("the service answers");
            let (status, headers) = (response.status(), response.headers().clone());
            Answer { status, headers, body: response.bytes().await.expect("the whole body").to_vec() }
        })
    }

    pub fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, &[])
    }
    pub fn post(&self, path: &str) -> Answer {
        self.call(Method::POST, path, &[])
    }
    pub fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, &[])
    }
    pub fn get_json(&self, path: &str) -> Value {
        self.get(path).expect(200).json()
    }

    /// Polls an Export to its end.
    pub fn wait(&self, report: &str, id: &str) -> Value {
        let begin = Instant::now();
        loop {
            let answer = self.call(Method::GET, &format!("/v1.0/payouts/{report}/{id}"), &[("prefer", "wait=20")]);
            let export = answer.expect(200).json();
            if export["status"] == "Completed" || export["status"] == "Failed" {
                return export;
            }
            assert!(begin.elapsed() < WAIT, "not ended: {export}");
        }
    }

    /// Asks for an export and waits until it is Completed.
    #[track_caller]
    pub fn export(&self, report: &str, query: &str) -> Value {
        let asked = self.post(&format!("/v1.0/payouts/{report}?{query}")).expect(202).json();
        let export = self.wait(report, asked["requestId"].as_str().expect("an id"));
        assert_eq!(export["status"], "Completed", "{export}");
        export
    }

    /// The bytes of an export's file.
    pub fn file(&self, export: &Value) -> Vec<u8> {
        self.get(export["blobLocation"].as_str().expect("a link")).expect(200).body
    }
}
