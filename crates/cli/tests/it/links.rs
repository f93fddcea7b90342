//! File links through the real server: what is not exactly a link that it made, for a viewer who
//! may still see a file that is still there, gets nothing. Keys are rotated under links that live.

use std::path::PathBuf;

use payouts_blob::link::{Link, LinkKeys};
use payouts_model::{PrincipalId, TenantId, Timestamp};
use payouts_store::{SqliteStore, Store as _};
use payouts_testkit::TestServer;
use reqwest::Method;
use serde_json::Value;

use crate::wire::{Answer, Api};
use crate::{Folder, payouts};

struct Setting {
    data: PathBuf,
    server: TestServer,
    api: Api,
    export: Value,
    link: String,
    _folder: Folder,
}

fn setting() -> Setting {
    let folder = Folder::with_sample(1000);
    let data = folder.path().join("data");
    let server = TestServer::start(&payouts(), &data);
    let api = Api::new(&server.url, &payouts().token(&data, "contoso", "ann"));
    let export = api.export("payments", "fileFormat=csv");
    let link = export["blobLocation"].as_str().unwrap().to_owned();
    api.get(&link).expect(200);
    Setting { data, server, api, export, link, _folder: folder }
}

impl Setting {
    fn path(&self) -> String {
        format!("/v1.0/payouts/payments/{}", self.export["requestId"].as_str().unwrap())
    }
    fn again(&self) -> Value {
        self.api.get_json(&self.path())
    }
    fn keys(&self) -> PathBuf {
        self.data.join("keys/links.json")
    }
    fn command(&self, args: &[&str]) -> payouts_testkit::Ran {
        let data = self.data.display().to_string();
        payouts().run([args, &["--data", &data]].concat()).good()
    }

    /// A link as the service's own newest key would sign it.
    fn signed(&self, change: impl FnOnce(&mut Link)) -> String {
        let file = self.link.split('/').nth(4).unwrap();
        let (export, fence) = file.rsplit_once('-').unwrap();
        let download_name = self.link.split('/').nth(5).unwrap().split('?').next().unwrap();
        let mut link = Link {
            export: export.parse().unwrap(),
            fence: fence.parse().unwrap(),
            download_name: download_name.to_owned(),
            tenant: TenantId::new("contoso"),
            principal: PrincipalId::new("ann"),
            expires_at: chrono::DateTime::parse_from_rfc3339("2100-01-01T00:00:00Z").unwrap().to_utc().into(),
        };
        change(&mut link);
        format!("{}{}", self.server.url, LinkKeys::load_or_create(self.keys()).unwrap().sign(&link))
    }
}

/// The refusal tells its code and nothing of a file.
#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{answer:?}");
    for name in ["etag", "content-disposition", "last-modified", "content-range", "accept-ranges"] {
        assert_eq!(answer.header(name), "", "{name}");
    }
    assert_eq!(answer.header("cache-control"), "private, no-store");
}

#[test]
fn a_forged_link_is_refused_and_a_genuine_one_only_as_it_was_signed() {
    let setting = setting();
    setting.api.get(&setting.signed(|_| {})).expect(200);
    let other = LinkKeys::generate().unwrap();
    let (head, query) = setting.link.split_once('?').unwrap();
    let foreign = {
        let whole = setting.signed(|_| {});
        let id = other.infos()[0].id.clone();
        let own = LinkKeys::load_or_create(setting.keys()).unwrap().infos()[0].id.clone();
        whole.replace(&own, &id)
    };
    let changed = |from: &str, to: &str| {
        assert!(setting.link.contains(from), "{from}");
        setting.link.replacen(from, to, 1)
    };
    for link in [
        foreign,
        head.to_owned(),
        format!("{head}?"),
        changed("sig=", "sig=A"),
        changed("sig=", "gis="),
        changed("sp=r", "sp=rw"),
        changed("&se=20", "&se=21"),
        changed("payments-", "payment-"),
        changed("/files/", "/files/0"),
        format!("{}&sig=AAAA", setting.link),
        format!("{}&se=2100-01-01T00%3A00%3A00Z", setting.link),
        setting.link.replace("-1/", "-2/"),
        format!("{head}/?{query}").replace("/?", "%2F?"),
        format!("{}?{query}", head.replace("/files/", "/files/%2e%2e%2f")),
        format!("{}?{query}", head.rsplit_once('/').unwrap().0.to_owned() + "/..%2f..%2fkeys%2flinks.json"),
        format!("{}?{query}", head.rsplit_once('/').unwrap().0.to_owned() + "/x%0d%0aSet-Cookie:%20a=b"),
    ] {
        let answer = setting.api.get(&link);
        refused(&answer, 403, "LinkInvalid");
        assert_eq!(answer.header("set-cookie"), "");
    }
}

#[test]
fn a_link_that_was_cut_anywhere_is_refused() {
    let setting = setting();
    let query = setting.link.find('?').unwrap();
    for end in (query..setting.link.len()).rev() {
        refused(&setting.api.get(&setting.link[..end]), 403, "LinkInvalid");
    }
    // In the path it is another path, or the link of a file that has another name.
    let host = setting.server.url.len() + 1;
    for end in (host..query).step_by(3) {
        let answer = setting.api.get(&format!("{}{}", &setting.link[..end], &setting.link[query..]));
        assert!(matches!(answer.status.as_u16(), 303 | 307 | 403 | 404), "{answer:?}");
        assert_eq!(answer.header("etag"), "");
    }
}

#[test]
fn a_link_ends_at_its_second_and_opens_nothing_else() {
    let setting = setting();
    let expired = chrono::DateTime::parse_from_rfc3339("2020-01-01T00:00:00Z").unwrap().to_utc();
    let answer = setting.api.get(&setting.signed(|link| link.expires_at = expired.into()));
    refused(&answer, 403, "LinkExpired");
    assert_eq!(answer.header("x-ms-error-code"), "AuthenticationFailed");

    // The query of one file's link behind the path of another.
    let other = setting.api.export("payments", "fileFormat=tsv");
    let other = other["blobLocation"].as_str().unwrap();
    let (path, query) = (other.split_once('?').unwrap().0, setting.link.split_once('?').unwrap().1);
    refused(&setting.api.get(&format!("{path}?{query}")), 403, "LinkInvalid");

    // Even a good signature opens only what the viewer may see, and only what is there.
    refused(&setting.api.get(&setting.signed(|link| link.fence += 1)), 404, "FileNotFound");
    refused(&setting.api.get(&setting.signed(|link| link.tenant = TenantId::new("fabrikam"))), 403, "LinkInvalid");
    setting.command(&["grant", "--tenant", "fabrikam", "--all-participants", "--role", "admin"]);
    refused(&setting.api.get(&setting.signed(|link| link.tenant = TenantId::new("fabrikam"))), 404, "FileNotFound");
    setting.command(&["grant", "--tenant", "narrow", "--participant", "1000042", "--role", "admin"]);
    refused(&setting.api.get(&setting.signed(|link| link.tenant = TenantId::new("narrow"))), 404, "FileNotFound");
}

#[test]
fn a_deleted_export_takes_its_links_along() {
    let setting = setting();
    setting.api.delete(&setting.path()).expect(200);
    for method in [Method::GET, Method::HEAD] {
        assert_eq!(setting.api.call(method, &setting.link, &[]).status, 404);
    }
    refused(&setting.api.get(&setting.link), 404, "FileNotFound");
    // Whatever is still valid for the client's copy of it.
    refused(&setting.api.call(Method::GET, &setting.link, &[("if-none-match", "*")]), 404, "FileNotFound");
}

#[test]
fn a_revoked_grant_takes_links_along_and_a_new_one_brings_them_back() {
    let setting = setting();
    setting.command(&["revoke", "--tenant", "contoso", "--all"]);
    refused(&setting.api.get(&setting.link), 403, "LinkInvalid");
    // Less than the export needs is not enough, "all" least of all; nor is a grant that has ended.
    setting.command(&["grant", "--tenant", "contoso", "--participant", "1000042"]);
    setting.command(&["grant", "--tenant", "contoso", "--all-participants", "--until", "2020-01-01"]);
    setting.command(&["grant", "--tenant", "contoso", "--principal", "bea", "--all-participants"]);
    setting.command(&["grant", "--tenant", "contoso", "--participant", "1", "--role", "admin"]);
    refused(&setting.api.get(&setting.link), 404, "FileNotFound");
    setting.command(&["grant", "--tenant", "contoso", "--principal", "ann", "--all-participants"]);
    setting.api.get(&setting.link).expect(200);
}

#[test]
fn after_its_retention_a_file_has_no_link() {
    let setting = setting();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = SqliteStore::open(&setting.data).await.unwrap();
        assert_eq!(store.expire_files(Timestamp(i64::MAX / 2), 10).await.unwrap().len(), 1);
    });
    refused(&setting.api.get(&setting.link), 404, "FileNotFound");
    let export = setting.again();
    assert_eq!((&export["status"], &export["blobLocation"]), (&"Completed".into(), &"".into()));
    assert_eq!(export["warnings"][0]["code"], "FileExpired");
}

#[test]
fn keys_are_rotated_under_a_running_service_and_links_that_are_out_go_on() {
    let mut setting = setting();
    let first = setting.link.clone();
    let rotated = setting.command(&["keys", "rotate"]);
    let ids: Vec<&str> = rotated.stdout.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(ids.len(), 2, "{}", rotated.stdout);
    assert!(first.contains(&format!("si={}", ids[0])));

    // At work at once: new links are signed with the new key, the old one goes on.
    let second = setting.again()["blobLocation"].as_str().unwrap().to_owned();
    assert!(second.contains(&format!("si={}", ids[1])), "{second}");
    setting.api.get(&first).expect(200);
    setting.api.get(&second).expect(200);
    assert_eq!(setting.command(&["keys"]).stdout, rotated.stdout);
    let secrets = std::fs::read_to_string(setting.keys()).unwrap();
    let secrets: Value = serde_json::from_str(&secrets).unwrap();
    for key in secrets["keys"].as_array().unwrap() {
        let secret = key["secret"].as_str().unwrap();
        assert!(!rotated.stdout.contains(secret) && !setting.server.log().contains(secret));
    }

    // And after a restart: the links have another host then, and nothing else.
    setting.server.kill();
    let server = TestServer::start(&payouts(), &setting.data);
    let moved = |link: &str| link.replace(&setting.server.url, &server.url);
    setting.api.get(&moved(&first)).expect(200);
    setting.api.get(&moved(&second)).expect(200);

    // A key that others may know goes with every link that it signed.
    setting.command(&["keys", "rotate", "--drop-old"]);
    refused(&setting.api.get(&moved(&first)), 403, "LinkInvalid");
    refused(&setting.api.get(&moved(&second)), 403, "LinkInvalid");
    let api = Api::new(&server.url, &payouts().token(&setting.data, "contoso", "ann"));
    let third = api.get_json(&setting.path())["blobLocation"].as_str().unwrap().to_owned();
    api.get(&third).expect(200);
}

#[test]
fn keys_are_not_rotated_where_there_is_no_service() {
    let folder = Folder::new();
    payouts()
        .run(["keys", "rotate", "--data", &folder.at("typo")])
        .failed(1, &["there are no link keys", "payouts serve"]);
    assert!(!folder.path().join("typo").exists());
    payouts().run(["keys"]).failed(2, &["--data DIR"]);
}
