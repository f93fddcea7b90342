//! The form and the preview over HTTP: what is offered, what a preview says and what the file then
//! holds, mistakes where they were made, and the answers that the page's script asks for.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::World;
use super::browser::{Browser, Page};

/// No wait in these tests is longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// The values of the controls of one name in a page, entities decoded.
fn offered(page: &str, control: &str) -> BTreeSet<String> {
    let mark = format!("name=\"{control}\" value=\"");
    let value = |rest: &str| decoded(rest.split('"').next().unwrap_or_default());
    page.split(&mark).skip(1).map(value).collect()
}

/// The values of the options of a menu.
fn options(page: &str, id: &str) -> BTreeSet<String> {
    let (_, rest) = page.split_once(&format!("<select id=\"{id}\"")).unwrap_or_else(|| panic!("no {id} in {page}"));
    let menu = rest.split("</select>").next().unwrap_or_default();
    let value = |rest: &str| decoded(rest.split('"').next().unwrap_or_default());
    menu.split("<option value=\"").skip(1).map(value).filter(|v| !v.is_empty()).collect()
}

fn decoded(text: &str) -> String {
    let entities = [("&#34;", "\""), ("&#39;", "'"), ("&#60;", "<"), ("&#62;", ">"), ("&#38;", "&")];
    entities.into_iter().fold(text.to_owned(), |text, (entity, char)| text.replace(entity, char))
}

/// One user with the page open.
struct Desk {
    browser: Browser,
    home: Page,
    url: String,
}

impl Desk {
    async fn of(world: &World, user: &str) -> Self {
        let (browser, home) = Browser::signed_in(&world.server.url, user).await;
        Self { browser, home, url: world.server.url.clone() }
    }

    async fn send(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let csrf = self.home.csrf();
        let form: Vec<(&str, &str)> = [("csrf", csrf.as_str())].into_iter().chain(fields.iter().copied()).collect();
        self.browser.send(reqwest::Method::POST, &format!("{}{path}", self.url), Some(&form)).await
    }

    /// The form of a report once it is known what there is to choose from, which a page does not wait for.
    async fn form(&mut self, report: &str) -> Page {
        let url = format!("{}/?report={report}", self.url);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let page = self.browser.open(&url).await.expect(200);
            if !page.text.contains("data-looking") {
                return page;
            }
            assert!(Instant::now() < deadline, "it is never known what there is to choose from: {}", page.text);
        }
    }

    async fn json(&mut self, path: &str, fields: &[(&str, &str)]) -> Value {
        self.browser.headers = vec![("accept", "application/json".into())];
        let page = self.send(path, fields).await;
        self.browser.headers.clear();
        serde_json::from_str(&page.text).unwrap_or_else(|e| panic!("{e}: {}", page.text))
    }
}

/// The distinct values of columns in the rows that a user's exports have.
async fn in_rows(world: &World, user: &str, report: &str, columns: &[&str]) -> Vec<BTreeSet<String>> {
    let api = world.api(user);
    let (report, select) = (report.to_owned(), columns.join(","));
    let text = tokio::task::spawn_blocking(move || {
        let export = api.export(&report, &format!("$filter=true&fileFormat=csv&$select={select}"));
        api.file(&export)
    });
    let text = text.await.expect("a file");
    let mut reader = csv::Reader::from_reader(text.as_slice());
    let mut found = vec![BTreeSet::new(); columns.len()];
    for record in reader.records() {
        for (values, value) in found.iter_mut().zip(record.expect("a record").iter()) {
            values.insert(value.to_owned());
        }
    }
    found
}

#[tokio::test]
async fn nothing_is_offered_that_is_not_granted() {
    let world = World::new();
    let payments = ["programName", "paymentStatus", "payoutOrderType", "participantID", "paymentCurrencyCode"];
    let earnings = ["programName", "earningType", "lever", "engagementName", "participantId", "transactionCurrency"];
    for (user, own, foreign) in [("ann", "1000042", "1000113"), ("bob", "001000113", "1000042")] {
        let mut desk = Desk::of(&world, &format!("{user}@home")).await;
        for (report, columns) in [("payments", &payments[..]), ("transactionhistory", &earnings)] {
            let page = desk.form(report).await;
            let rows = in_rows(&world, user, report, columns).await;
            for (column, values) in columns.iter().zip(rows) {
                let (form, values): (_, BTreeSet<String>) = match *column {
                    "participantID" | "participantId" => (offered(&page.text, "participant"), [own.to_owned()].into()),
                    "paymentCurrencyCode" | "transactionCurrency" => (options(&page.text, "currency"), values),
                    column => (offered(&page.text, &format!("value.{column}")), values),
                };
                let values: BTreeSet<String> = values.into_iter().filter(|v| !v.is_empty()).collect();
                assert!(!values.is_empty(), "{user} {column}");
                assert_eq!(form, values, "{user} {report} {column}");
            }
            assert!(!page.text.contains(foreign), "{user} sees {foreign}: {}", page.text);
            // Neither a search nor a filter finds what is another's.
            let found = desk.send("/form/participants", &[("report", report), ("find", foreign)]).await.expect(200);
            assert!(!found.text.contains(&format!("value=\"{foreign}\"")), "{}", found.text);
            let filter = format!("enrollmentParticipantId eq '{foreign}'");
            let fields = [("report", report), ("use", "filter"), ("filter", &*filter)];
            let panel = desk.json("/preview/panel", &fields).await;
            assert!(panel["html"].is_null() && panel["problems"][0]["message"].is_string(), "{panel}");
            desk.send("/exports", &fields).await.expect(400);
        }
    }
}

#[tokio::test]
async fn a_preview_says_what_the_file_then_holds() {
    let world = World::new();
    let mut desk = Desk::of(&world, "ann@home").await;
    let keys = [
        "5a0c1de2-7f0b-4f6e-9a55-0d2a3b4c5d01",
        "5a0c1de2-7f0b-4f6e-9a55-0d2a3b4c5d02",
        "5a0c1de2-7f0b-4f6e-9a55-0d2a3b4c5d03",
    ];
    let choices = [
        ("payments", &[("value.paymentStatus", "SENT"), ("period", "36-months")][..]),
        ("payments", &[("period", "any"), ("currency", "USD"), ("least", "1.000,00"), ("columns", "all")]),
        (
            "transactionhistory",
            &[("period", "any"), ("timeZone", "Pacific/Auckland"), ("columns", "own"), ("column", "earningId")],
        ),
    ];
    for ((report, more), key) in choices.into_iter().zip(keys) {
        let fields: Vec<(&str, &str)> =
            [("report", report), ("format", "csv"), ("key", key)].into_iter().chain(more.iter().copied()).collect();
        let page = desk.send("/preview", &fields).await.expect(200);
        super::check_page(&page);
        let rows: u64 = page.between("<dt>Rows</dt><dd><data value=\"", "\"").parse().expect("a number");
        assert!(rows > 0, "{}", page.text);
        let asked = desk.json("/exports", &fields).await;
        let id = asked["requestId"].as_str().unwrap_or_else(|| panic!("{asked}")).to_owned();
        let api = world.api("ann");
        let (name, of) = (report.to_owned(), id.clone());
        let export = tokio::task::spawn_blocking(move || api.wait(&name, &of)).await.expect("it ends");
        assert_eq!(export["rowCount"], rows, "{export}");
        assert_eq!(export["requestQueryString"], page.between("<span class=\"sr\">Filter: </span><code>", "</code>"));
        // The same form sent again asks for nothing new; another choice does.
        let again = desk.json("/exports", &fields).await;
        assert_eq!(again["requestId"], *id);
        let other: Vec<(&str, &str)> =
            fields.iter().map(|&(n, v)| (n, if n == "format" { "tsv" } else { v })).collect();
        assert_ne!(desk.json("/exports", &other).await["requestId"], *id);
    }
}

#[tokio::test]
async fn signs_of_a_csv_for_spreadsheets_are_chosen_in_the_form() {
    let world = World::new();
    let mut desk = Desk::of(&world, "ann@home").await;
    assert_eq!(options(&desk.home.text, "separator").len(), 4);
    let signs = |separator, decimal| {
        let own = [("report", "payments"), ("format", "csv.excel"), ("period", "36-months")];
        [&own[..], &[("separator", separator), ("decimal", decimal)]].concat()
    };
    let page = desk.send("/preview", &signs("tab", "comma")).await.expect(200);
    for kept in ["value=\"tab\" selected", "value=\"comma\" selected", "value=\"csv.excel\" selected"] {
        assert!(page.text.contains(kept), "{kept} is not in {}", page.text);
    }
    let page = desk.send("/exports", &signs("comma", "comma")).await.expect(400);
    assert!(page.text.contains("data-error=\"separator\">A comma cannot stand"), "{}", page.text);
    let asked = desk.json("/exports", &signs("semicolon", "comma")).await;
    let id = asked["requestId"].as_str().unwrap_or_else(|| panic!("{asked}")).to_owned();
    let api = world.api("ann");
    let file = tokio::task::spawn_blocking(move || api.file(&api.wait("payments", &id))).await.expect("a file");
    let text = String::from_utf8(file).expect("UTF-8");
    let mut lines = text.lines();
    let (header, row) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    assert!(header.contains(";paymentStatus") && !header.contains(','), "{header}");
    let amounts =
        row.split(';').filter(|v| v.split_once(',').is_some_and(|(a, b)| a.parse::<i64>().is_ok() && b.len() >= 2));
    assert!(amounts.count() > 0, "{row}");
}

#[tokio::test]
async fn mistakes_are_shown_where_they_were_made() {
    let world = World::new();
    let mut desk = Desk::of(&world, "ann@home").await;
    let fields = [("report", "payments"), ("least", "12"), ("payments", "6.77E+09"), ("value.paymentStatus", "SENT")];
    for path in ["/exports", "/preview"] {
        let page = desk.send(path, &fields).await.expect(400);
        super::check_page(&page);
        assert!(page.text.contains("Please correct 2 things"), "{}", page.text);
        for kept in [
            "name=\"least\" value=\"12\"",
            ">6.77E+09</textarea>",
            "value=\"SENT\" checked",
            "id=\"currency-error\" data-error=\"currency\">Choose the currency first",
            "aria-invalid=\"true\"",
        ] {
            assert!(page.text.contains(kept), "{kept} is not in {}", page.text);
        }
    }
    let panel = desk.json("/preview/panel", &fields).await;
    let controls: Vec<&str> =
        panel["problems"].as_array().unwrap().iter().filter_map(|p| p["control"].as_str()).collect();
    assert_eq!(controls, ["payments", "currency"]);
    assert!(panel["html"].is_null());
    assert_eq!(world.api_json("ann", "/v1.0/payouts/payments").await.1["totalCount"], 0, "nothing was asked for");
}

#[tokio::test]
async fn a_filter_is_checked_as_it_is_written() {
    let world = World::new();
    let mut desk = Desk::of(&world, "ann@home").await;
    let mut check = async |filter: &str| {
        desk.json("/form/check", &[("report", "payments"), ("use", "filter"), ("filter", filter)]).await
    };
    let misspelt = check("payoutOrderType eq 'REBATE' and paymntAmount ge 5").await;
    let place = &misspelt["problem"]["place"];
    assert_eq!((place["offset"].as_u64(), place["length"].as_u64()), (Some(32), Some(12)), "{misspelt}");
    assert_eq!(place["nearest"][0], "paymentAmount", "{misspelt}");
    let shown = check("paymentStatus eq 'SENT' and payoutStatusUpdateTS ge 2024-01-31").await;
    assert_eq!((shown["problem"].is_null(), shown["expressible"].as_bool()), (true, Some(true)));
    let controls = shown["controls"].as_str().unwrap();
    assert!(controls.contains("value=\"SENT\" checked") && controls.contains("name=\"from\" value=\"2024-01-31\""));
    let beyond = check("earned gt totalPayment").await;
    assert_eq!((beyond["problem"].is_null(), beyond["expressible"].as_bool()), (true, Some(false)), "{beyond}");
    let page =
        desk.send("/preview", &[("report", "payments"), ("use", "filter"), ("filter", "earned gt totalPayment")]);
    let page = page.await.expect(200);
    assert!(page.text.contains("class=\"controls\" disabled"), "{}", page.text);
    let back = [("report", "payments"), ("use", "filter"), ("filter", "earned gt totalPayment"), ("do", "form")];
    let page = desk.send("/preview", &back).await.expect(200);
    assert!(!page.text.contains("class=\"controls\" disabled"), "{}", page.text);
}

#[tokio::test]
async fn pasted_ids_that_are_not_there_are_named_as_they_were_pasted() {
    let world = World::new();
    let mut desk = Desk::of(&world, "ann@home").await;
    let known = in_rows(&world, "ann", "payments", &["paymentID"]).await.remove(0);
    let known = known.iter().find(|id| !id.is_empty()).expect("a payment").clone();
    let pasted = format!("paymentID\r\n{known}\r\n'000000000042'\t43");
    let fields = [("report", "payments"), ("period", "any"), ("payments", &*pasted)];
    let page = desk.send("/preview", &fields).await.expect(200);
    assert!(page.text.contains("<span class=\"number\">2</span> of the ids that you pasted"), "{}", page.text);
    assert!(page.text.contains(">000000000042, 43<"), "{}", page.text);
    assert!(!page.text.contains(&format!(">{known}, ")), "{}", page.text);
}

#[tokio::test]
async fn a_form_of_another_page_is_refused() {
    let world = World::new();
    let mut desk = Desk::of(&world, "ann@home").await;
    let (form, own) =
        (["/form", "/form/check", "/form/controls", "/form/participants"], ["/exports", "/preview", "/preview/panel"]);
    for path in own.into_iter().chain(form) {
        let url = world.at(path);
        let without = desk.browser.send(reqwest::Method::POST, &url, Some(&[("report", "payments")])).await;
        assert_eq!(without.status.as_u16(), 400, "{path}: {}", without.text);
        let mut nobody = Browser::with_headers(vec![("sec-fetch-mode", "cors".into())]);
        let signed_out = nobody.send(reqwest::Method::POST, &url, Some(&[("report", "payments")])).await;
        assert_eq!(signed_out.status.as_u16(), 401, "{path}: {}", signed_out.text);
    }
    // Two previews of one user at once: the second waits for the first, and both are answered.
    let csrf = desk.home.csrf();
    let fields = [("csrf", csrf.as_str()), ("report", "payments"), ("period", "any")];
    let url = world.at("/preview/panel");
    let (mut other, _) = Browser::signed_in(&world.server.url, "bob@home").await;
    let of_other = other.open(&world.at("/")).await.csrf();
    let refused = other.send(reqwest::Method::POST, &url, Some(&fields)).await;
    assert_ne!(csrf, of_other);
    assert_eq!(refused.status.as_u16(), 400, "another session's token: {}", refused.text);
}
