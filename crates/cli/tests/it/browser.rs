//! The export page as people use it: Debian's chromium, driven by playwright-core, over the real
//! binary. Skips out loud where node, the browser or the packages are missing;
//! `PAYOUTS_TEST_TOOLS=required` turns that into a failure.
//!
//! `PAYOUTS_TEST_PICTURES` names a folder to keep pictures of every page in.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use payouts_testkit::TestServer;
use serde_json::{Value, json};

use crate::{Folder, payouts};

/// Node's packages and the browser.
struct Tools {
    modules: PathBuf,
    chromium: PathBuf,
}

/// What is needed; `None` after saying what is missing.
fn tools() -> Option<Tools> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/browser");
    let modules = std::env::var_os("PAYOUTS_TEST_BROWSER").map_or(own, PathBuf::from);
    let chromium = std::env::var_os("PAYOUTS_TEST_CHROMIUM").map_or_else(|| "/usr/bin/chromium".into(), PathBuf::from);
    let node = Command::new("node").arg("--version").stdout(Stdio::null()).status().is_ok_and(|s| s.success());
    let packages = ["playwright-core", "axe-core"].iter().all(|p| modules.join("node_modules").join(p).is_dir());
    let mut missing = Vec::new();
    if !node {
        missing.push("node".to_owned());
    }
    if !packages {
        missing.push(
            "playwright-core and axe-core (npm ci in crates/cli/tests/tools/browser, or PAYOUTS_TEST_BROWSER)"
                .to_owned(),
        );
    }
    if !chromium.is_file() {
        missing.push(format!("{} (or PAYOUTS_TEST_CHROMIUM)", chromium.display()));
    }
    if missing.is_empty() {
        return Some(Tools { modules, chromium });
    }
    let required = std::env::var("PAYOUTS_TEST_TOOLS").is_ok_and(|v| v == "required");
    assert!(!required, "missing: {}", missing.join("; "));
    eprintln!("SKIPPED for want of {}", missing.join("; "));
    None
}

/// A service with two tenants' users in it, and what a scenario needs to know of it.
struct Setting {
    tools: Tools,
    folder: Folder,
    server: TestServer,
}

impl Setting {
    /// `ann` of contoso sees everything there, `bob` of fabrikam one participant.
    fn new(rows: u64) -> Option<Self> {
        Self::with_faults(rows, "", "")
    }

    /// The same with lines of configuration, and faults at points of an export's life; `{folder}` in them
    /// is the folder of the test.
    fn with_faults(rows: u64, config: &str, faults: &str) -> Option<Self> {
        let tools = tools()?;
        let folder = Folder::new();
        let data = folder.path().join("data");
        payouts().sample(&data, rows);
        let grant = |args: &[&str]| payouts().run([&["grant", "--data", &folder.at("data")], args].concat()).good();
        grant(&["--tenant", "contoso", "--principal", "ann", "--all-participants"]);
        grant(&["--tenant", "fabrikam", "--principal", "bob", "--participant", "1000042"]);
        let config = folder.write("payouts.toml", config);
        let mut command = payouts().command(["serve", "--dev", "--listen", "127.0.0.1:0", "--admin-listen", "none"]);
        command.args(["--data", &folder.at("data"), "--config", &config]);
        if !faults.is_empty() {
            std::fs::write(data.join(payouts_faults::PERMIT), "").expect("the folder can be written");
            command.env(payouts_faults::VARIABLE, faults.replace("{folder}", &folder.path().display().to_string()));
        }
        let server = TestServer::start_command(&mut command);
        Some(Self { tools, folder, server })
    }

    /// Runs a scenario; its failure is the test's.
    fn run(&self, scenario: &str, more: Value) {
        let Self { tools, folder, server } = self;
        let data = folder.path().join("data");
        let work = folder.path().join(scenario.replace('.', "-"));
        std::fs::create_dir_all(&work).expect("the folder can be written");
        let mut config = json!({
            "url": server.url,
            "payouts": env!("CARGO_BIN_EXE_payouts"),
            "chromium": tools.chromium,
            "folder": work,
            "pictures": std::env::var("PAYOUTS_TEST_PICTURES").ok(),
            "tokens": {
                "ann": payouts().token(&data, "contoso", "ann"),
                "bob": payouts().token(&data, "fabrikam", "bob"),
            },
        });
        if let (Some(config), Value::Object(more)) = (config.as_object_mut(), more) {
            config.extend(more);
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/browser").join(scenario);
        // What a command line of the page calls by name is the binary under test.
        let here = Path::new(env!("CARGO_BIN_EXE_payouts")).parent().expect("a file is in a folder");
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let paths = std::env::join_paths([here.to_owned()].into_iter().chain(std::env::split_paths(&paths)));
        let output = Command::new("node")
            .arg(path)
            .arg(&tools.modules)
            .arg(config.to_string())
            .env("PATH", paths.expect("paths without separators in them"))
            .stdin(Stdio::null())
            .output()
            .expect("node was there a moment ago");
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        println!("{text}");
        assert!(output.status.success(), "{scenario}: {text}\n{}", server.log());
    }
}

#[test]
fn a_user_chooses_previews_asks_watches_downloads_copies_and_deletes() {
    let Some(setting) = Setting::new(20_000) else { return };
    setting.run("whole_way.mjs", json!({}));
}

#[test]
fn the_same_without_javascript() {
    let Some(setting) = Setting::new(20_000) else { return };
    setting.run("without_script.mjs", json!({}));
}

#[test]
fn the_same_by_keyboard_alone() {
    let Some(setting) = Setting::new(20_000) else { return };
    setting.run("keyboard.mjs", json!({}));
}

#[test]
fn two_users_do_not_see_each_others_requests() {
    let Some(setting) = Setting::new(5_000) else { return };
    setting.run("two_users.mjs", json!({}));
}

#[test]
fn every_page_and_state_is_accessible_and_fits() {
    let faults = "export.sealed=full@2,export.planned=hang@3+";
    let Some(setting) = Setting::with_faults(20_000, "workers = 1\n", faults) else { return };
    setting.run("states.mjs", json!({}));
}

#[test]
fn what_the_page_shows_does_not_depend_on_the_order_of_answers() {
    let Some(setting) = Setting::with_faults(20_000, "workers = 1\n", "export.planned=hang@1") else { return };
    setting.run("races.mjs", json!({}));
}

#[test]
fn the_form_is_there_before_it_is_known_what_there_is_to_choose_from() {
    let faults = "page.values=hang,until={folder}/known";
    // It must not be given up before the test says that it is known.
    let config = "[limits]\npreview_seconds = 600\n";
    let Some(setting) = Setting::with_faults(20_000, config, faults) else { return };
    setting.run("late_values.mjs", json!({ "known": setting.folder.at("known") }));
}

#[test]
fn a_preview_ends_when_the_choice_changes() {
    // A user has one place for previews: the second gets it only if the first, which never ends by itself,
    // is given up.
    let faults = "page.preview=hang@1,page.values=error";
    let Some(setting) = Setting::with_faults(20_000, "", faults) else { return };
    setting.run("given_up.mjs", json!({}));
}
