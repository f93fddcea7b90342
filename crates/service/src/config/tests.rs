//! What a configuration file may say, and how a mistake in it is answered.

use super::*;

fn load(text: &str) -> Result<Config, Error> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("payouts.toml");
    std::fs::write(&path, text).unwrap();
    Config::load(Some(&path), &Overrides::default())
}

fn refused(text: &str) -> String {
    let error = load(text).expect_err(text);
    error.to_string()
}

const ISSUER: &str =
    "public_url = \"https://p.example\"\n[[issuers]]\nissuer = \"https://login.example/x\"\naudiences = [\"a\"]\n";

#[test]
fn the_defaults_are_whole_and_say_what_is_missing() {
    let config = Config::load_offline(None, &Overrides::default()).unwrap();
    assert_eq!(config.listen, "127.0.0.1:8080".parse().unwrap());
    assert_eq!(config.attempts_max, 3);
    assert_eq!(config.retention, Retention { file_days: 30, export_days: 2555, version_days: 30 });
    assert!(config.engine.threads > 0);
    let said = Config::load(None, &Overrides::default()).unwrap_err().to_string();
    assert!(said.contains("[[issuers]]") && said.contains("--dev"), "{said}");
}

#[test]
fn an_unknown_key_names_the_nearest_and_the_line() {
    let said = refused("workers = 1\nlisen = \"127.0.0.1:1\"\n");
    assert!(said.contains("line 2") && said.contains("Did you mean 'listen'?"), "{said}");
    let said = refused("[limits]\nbody_byte = 3\n");
    assert!(said.contains("Did you mean 'body_bytes'?"), "{said}");
}

#[test]
fn a_file_lies_over_the_defaults_and_the_command_line_on_top() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.toml");
    std::fs::write(&path, format!("{ISSUER}\n[limits]\npreview_seconds = 3\n[reports.payments]\ntable = \"lake/p\"\nvalues = {{ payoutOrderType = [\"BONUS\"] }}\n")).unwrap();
    let overrides = Overrides { listen: Some("127.0.0.1:7".parse().unwrap()), ..Overrides::default() };
    let config = Config::load(Some(&path), &overrides).unwrap();
    assert_eq!((config.limits.preview_seconds, config.limits.tenant_queue_max), (3, 10_000));
    assert_eq!(config.listen.port(), 7);
    assert_eq!(config.data_dir, dir.path().join("payouts-data"));
    assert_eq!(config.sources[&ReportName::Payments].table, dir.path().join("lake/p"));
    assert!(
        config
            .catalog()
            .unwrap()
            .report(ReportName::Payments)
            .field("payoutOrderType")
            .unwrap()
            .values
            .iter()
            .any(|v| &**v == "BONUS")
    );
    assert_eq!(config.issuers[0].discovery_url, "https://login.example/x/.well-known/openid-configuration");
}

#[test]
fn dev_takes_loopback_only() {
    let at = |listen: &str| {
        Config::load(None, &Overrides { dev: true, listen: Some(listen.parse().unwrap()), ..Overrides::default() })
    };
    assert!(at("127.0.0.1:0").is_ok() && at("[::1]:0").is_ok());
    assert!(at("0.0.0.0:8080").unwrap_err().to_string().contains("loopback"));
    let insecure = Overrides { dev_insecure_listen: Some("0.0.0.0:80".parse().unwrap()), ..Overrides::default() };
    let config = Config::load(None, &insecure).unwrap();
    assert!(config.dev && config.dev_insecure);
}

#[test]
fn issuers_cannot_speak_for_each_other() {
    let two = |a: &str, b: &str| {
        format!(
            "public_url = \"https://p\"\n[[issuers]]\nissuer = \"https://a\"\naudiences = [\"x\"]\n{a}\n[[issuers]]\nissuer = \"https://b\"\naudiences = [\"x\"]\n{b}\n"
        )
    };
    assert!(refused(&two("", "tenant_prefix = \"b:\"")).contains("any tenant"));
    assert!(refused(&two("tenant_prefix = \"b:\"", "tenant = \"b:x\"")).contains("same tenant"));
    assert!(load(&two("tenant = \"a\"", "tenant_prefix = \"b:\"")).is_ok());
    assert!(refused("[[issuers]]\nissuer = \"https://a\"\naudiences = []\n").contains("audience"));
    assert!(refused("[[issuers]]\nissuer = \"https://a/{tid}/v2.0\"\naudiences = [\"x\"]\n").contains("discovery_url"));
}

#[test]
fn the_page_is_a_client_of_an_issuer() {
    let with =
        |page: &str| format!("{ISSUER}aliases = [{{ issuer = \"https://other.example\" }}]\n[issuers.page]\n{page}\n");
    let config = load(&with("client_id = \"c\"\nclient_secret_file = \"secret\"")).unwrap();
    let page = config.issuers.iter().filter_map(|i| i.page.as_ref()).collect::<Vec<_>>();
    assert_eq!(page.len(), 1, "under the first name alone");
    assert_eq!((page[0].scopes.as_slice(), page[0].identity), (&["openid".to_owned()][..], IdentityToken::AccessToken));
    let secret = page[0].client_secret_file.as_ref().unwrap();
    assert!(secret.is_absolute() && secret.ends_with("secret"), "{secret:?}");
    assert!(refused(&with("client_id = \" \"")).contains("issuers.page.client_id"));
    assert!(refused(&with("client_id = \"c\"\nscopes = [\"profile\"]")).contains("openid"));
    assert!(refused(&with("client_id = \"c\"\nidentity = \"cookie\"")).contains("access_token"));
    assert!(refused(&with("client_id = \"c\"\nclient_secret = \"x\"")).contains("client_secret_file"));
}

#[test]
fn one_authority_may_have_several_names() {
    let config = load(
        "public_url = \"https://p\"\n[[issuers]]\nissuer = \"https://v2/{tid}/v2.0\"\ndiscovery_url = \"https://v2/d\"\naudiences = [\"a\", \"b\"]\n\
         tenant_prefix = \"entra:\"\naliases = [{ issuer = \"https://v1/{tid}/\", discovery_url = \"https://v1/d\" }]\n\
         [[issuers]]\nissuer = \"https://v2/one/v2.0\"\naudiences = [\"a\"]\ntenant = \"one\"\n",
    )
    .unwrap();
    let names: Vec<(&str, &str)> =
        config.issuers.iter().map(|i| (i.issuer.as_str(), i.discovery_url.as_str())).collect();
    assert_eq!(
        names,
        [
            ("https://v2/one/v2.0", "https://v2/one/v2.0/.well-known/openid-configuration"),
            ("https://v2/{tid}/v2.0", "https://v2/d"),
            ("https://v1/{tid}/", "https://v1/d"),
        ],
        "plain names come first"
    );
    assert_eq!(
        (&config.issuers[1].tenant, &config.issuers[1].audiences),
        (&config.issuers[2].tenant, &config.issuers[2].audiences)
    );
    let twice = "public_url = \"https://p\"\n[[issuers]]\nissuer = \"https://a\"\naudiences = [\"a\"]\naliases = [{ issuer = \"https://a\" }]\n";
    assert!(refused(twice).contains("twice"));
    assert!(
        refused(&format!("{ISSUER}aliases = [{{ issuer = \"https://v1/{{tid}}/\" }}]\n")).contains("discovery_url")
    );
    assert!(refused(&format!("{ISSUER}required_scopes = [\"a b\"]\n")).contains("required_scopes"));
}

#[test]
fn tls_needs_both_files_and_links_that_lead_to_it() {
    let config = load(&format!("{ISSUER}[tls]\ncertificate = \"c.pem\"\nkey = \"k/k.pem\"\n")).unwrap();
    let tls = config.tls.clone().unwrap();
    assert!(tls.certificate.is_absolute() && tls.key.ends_with("k/k.pem"), "{tls:?}");
    assert_eq!(config.scheme(), "https");
    assert!(load(ISSUER).unwrap().tls.is_none());
    assert!(refused(&format!("{ISSUER}[tls]\ncertificate = \"c.pem\"\n")).contains("tls.key"));
    let plain = ISSUER.replace("https://p.example", "http://p.example");
    assert!(refused(&format!("{plain}[tls]\ncertificate = \"c.pem\"\nkey = \"k.pem\"\n")).contains("public_url"));
}

#[test]
fn values_out_of_range_name_their_key() {
    assert!(refused("attempts_max = 0").contains("attempts_max = 0: must be 1 or more"));
    assert!(refused("dev = true\nlisten = \"localhost\"").contains("listen = \"localhost\""));
    assert!(refused(&format!("{ISSUER}\n[retention]\nfile_days = 9999\n")).contains("outlive"));
    assert!(refused("public_url = \"payouts.example\"").contains("public_url"));
}
