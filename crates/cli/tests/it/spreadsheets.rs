//! Files for spreadsheets: workbooks and `csv.excel`, read by programs from outside and compared
//! with the CSV of the same export.

use std::path::Path;

use payouts_testkit::TestServer;
use reqwest::Method;

use crate::oracles::{python, run_tool};
use crate::wire::Api;
use crate::{Folder, payouts};

/// Names that something could make another text of, or a formula.
const TEXTS: [&str; 20] = [
    "=1+1",
    "+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1:A9)",
    "\t=1+1",
    "\r=1+1",
    "'=1+1",
    "-12.50",
    "+3",
    "Fabrikam, Inc. \"West\"",
    "O'Hara; Söhne & <Töchter> 漢字 🎉",
    " blanks at both ends  ",
    "two\nlines",
    "three\r\nlines\r",
    "_x0041_ is no A, and _x12 no escape",
    "\u{1}control\u{1f}",
    "",
    "0012",
    "1e5",
    "2023-05-15",
];

/// Amounts at the limits of what a spreadsheet keeps, and beyond.
const AMOUNTS: [&str; 8] = [
    "0",
    "-0.01",
    "1250.4",
    "-99999999999.9999",
    "99999999999999.9",
    "10000000000000.0001",
    "-99999999999999.9999",
    "1.2345",
];

/// A file of payments, one of earnings.
fn awkward(folder: &Folder) -> [String; 2] {
    let write = |name: &str, rows: Vec<Vec<String>>| {
        let mut writer = csv::WriterBuilder::new().quote_style(csv::QuoteStyle::Always).from_writer(Vec::new());
        rows.iter().for_each(|row| writer.write_record(row).unwrap());
        // Nothing between commas is null; "" is an empty text.
        let text = String::from_utf8(writer.into_inner().unwrap()).unwrap().replace("\"NULL\"", "");
        folder.write(name, &text)
    };
    let columns = |names: &str| names.split(' ').map(str::to_owned).collect::<Vec<String>>();
    let mut payments = vec![columns(
        "participantID participantIDType participantName programName earned earnedUSD withheldTax salesTax serviceFeeTax \
         totalPayment earnedCurrencyCode paymentCurrencyCode paymentMethod paymentID paymentStatus \
         paymentStatusDescription paymentDate CIReferenceNumber payoutOrderType payoutStatusUpdateTS",
    )];
    let mut earnings = vec![columns(
        "earningId participantId participantIdType participantName programName earningType earningAmount \
         earningAmountUSD earningDate paymentStatus payableSubType payoutStatusUpdateTS transactionId quantity",
    )];
    for (n, text) in TEXTS.iter().enumerate() {
        let amount = |shift: usize| AMOUNTS[(n + shift) % AMOUNTS.len()].to_owned();
        let or_null = |value: String| if n % 3 == 0 { "NULL".to_owned() } else { value };
        let day = ["1900-02-28", "1900-03-01", "2023-05-15", "9999-12-31"][n % 4].to_owned();
        let instants = ["2023-05-15T04:11:55.647123Z", "1969-12-31T23:59:59.999999Z", "2079-06-04T23:59:59.999999Z"];
        let more = ["2079-06-05T00:00:00.000001Z", "2100-01-01T12:00:00.001Z", "1899-12-31T00:00:00Z"];
        let instant = [instants, more].concat()[n % 6].to_owned();
        let id = format!("{:018}", 42 + n);
        let text = (*text).to_owned();
        let filled = |values: &[&str]| values.iter().map(ToString::to_string).collect::<Vec<String>>();
        payments.push(
            [
                filled(&["000042", "MPN"]),
                vec![
                    text.clone(),
                    "CSP".into(),
                    amount(0),
                    amount(1),
                    amount(2),
                    or_null(amount(3)),
                    or_null(amount(4)),
                ],
                vec![amount(5), "EUR".into(), "JPY".into(), "Wire".into(), id.clone(), "SENT".into()],
                vec![or_null(text.clone()), or_null(day.clone()), or_null(text.clone()), "FEE".into(), instant.clone()],
            ]
            .concat(),
        );
        earnings.push(
            [
                vec![id, "000042".into(), "MPN".into(), text.clone(), "CSP".into(), "Fee".into(), amount(0), amount(1)],
                vec![day, "SENT".into(), "FEE".into(), instant, or_null(text), or_null("123456789.12345678".into())],
            ]
            .concat(),
        );
    }
    [write("payments.csv", payments), write("earnings.csv", earnings)]
}

struct Served {
    folder: Folder,
    server: TestServer,
    token: String,
}

/// A small sample with the awkward rows among it.
fn served() -> Served {
    let folder = Folder::new();
    let data = folder.at("data");
    payouts().run(["sample", "--data", &data, "--rows", "3000", "--earnings", "300"]).good();
    payouts().run(["grant", "--data", &data, "--tenant", "contoso", "--all-participants"]).good();
    for (report, file) in ["payments", "transactionhistory"].into_iter().zip(awkward(&folder)) {
        payouts().run(["import", report, &file, "--data", &data]).good();
    }
    let server = TestServer::start(&payouts(), Path::new(&data));
    let token = payouts().token(Path::new(&data), "contoso", "ann");
    Served { folder, server, token }
}

#[test]
fn openpyxl_reads_what_the_csv_says() {
    let Some(python) = python(&["duckdb", "openpyxl"], &[]) else { return };
    let served = served();
    run_tool(&python, "xlsx.py", &[&served.server.url, &served.token, "true"]);
}

/// A second reader, for the long run: `PAYOUTS_TEST_SOFFICE` names its program.
#[test]
fn libreoffice_reads_what_the_csv_says() {
    let Some(soffice) = std::env::var("PAYOUTS_TEST_SOFFICE").ok().filter(|path| !path.is_empty()) else {
        eprintln!("SKIPPED: PAYOUTS_TEST_SOFFICE names no LibreOffice; .ci/long sheets does");
        return;
    };
    let Some(python) = python(&["duckdb", "openpyxl"], &[]) else { return };
    let served = served();
    run_tool(&python, "xlsx.py", &[&served.server.url, &served.token, "true", &soffice]);
}

#[test]
fn every_format_is_what_its_manifest_says_also_with_awkward_rows() {
    let served = served();
    let export = |report: &str, name: &str, more: &[&str]| {
        let (out, manifest) = (served.folder.at(name), served.folder.at(&format!("{name}.json")));
        let base = ["export", report, "--url", &served.server.url, "--out", &out, "--manifest", &manifest];
        let mut command = payouts().command([&base[..], &["--filter", "true"], more].concat());
        payouts_testkit::process::ran(command.env("PAYOUTS_TOKEN", &served.token)).good();
        let ran = payouts().run(["verify", &out, "--manifest", &manifest]).good();
        let manifest: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(manifest).unwrap()).unwrap();
        assert!(!ran.stderr.contains(" 0 totals"), "{}", ran.stderr);
        (manifest, std::fs::read(out).unwrap())
    };
    for report in ["payments", "transactionhistory"] {
        let (plain, _) = export(report, "a.csv", &[]);
        for (name, more) in [
            ("a.xlsx", &[][..]),
            ("b.csv", &["--format", "csv.excel"]),
            ("c.csv", &["--format", "csv.excel", "--decimal", "comma"]),
            ("d.csv", &["--format", "csv.excel", "--decimal", "comma", "--separator", "tab"]),
        ] {
            let (manifest, bytes) = export(report, name, more);
            for member in ["rowCount", "totals", "totalsByProgram", "dates"] {
                assert_eq!(manifest[member], plain[member], "{report} {name}: {member}");
            }
            assert_eq!(bytes.starts_with("\u{feff}".as_bytes()), name != "a.xlsx");
            let warned = manifest["warnings"].as_array().unwrap().iter().any(|w| w["code"] == "ValuesAsText");
            assert_eq!(warned, name == "a.xlsx", "{}", manifest["warnings"]);
        }
        let (manifest, _) = export(report, "e.csv", &["--format", "csv.excel", "--decimal", "comma"]);
        assert_eq!(manifest["dialect"], serde_json::json!({"separator": "semicolon", "decimal": "comma"}));
        assert_eq!(plain.get("dialect"), None);
    }
}

#[test]
fn another_sign_is_another_request() {
    let served = served();
    let api = Api::new(&served.server.url, &served.token);
    let post = |query: &str| {
        let path = format!("/v1.0/payouts/payments?fileFormat=csv.excel{query}");
        api.call(Method::POST, &path, &[("Idempotency-Key", "one")])
    };
    let first = post("&decimal=comma").expect(202);
    let again = post("&decimal=comma").expect(202);
    assert_eq!(
        (again.header("idempotency-replayed"), again.json()["requestId"].clone()),
        ("true", first.json()["requestId"].clone())
    );
    let other = post("&decimal=comma&separator=tab").expect(400);
    assert_eq!(other.json()["error"]["code"], "IdempotencyKeyReused");
}
