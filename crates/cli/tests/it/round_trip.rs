//! Import and export close the loop: the export of a ledger with its ledger-only columns, imported
//! into an empty ledger, gives a ledger whose exports are the same bytes.

use payouts_testkit::TestServer;

use crate::wire::Api;
use crate::{Folder, payouts};

const REPORTS: [(&str, &str, &str); 2] = [
    ("payments", "*,payoutOrderType,payoutStatusUpdateTS", "paymentAmount%20gt%20-1e12"),
    ("transactionhistory", "*,payableSubType,payoutStatusUpdateTS", "earningAmount%20gt%20-1e12"),
];

fn exported(data: &std::path::Path, format: &str) -> Vec<Vec<u8>> {
    let server = TestServer::start(&payouts(), data);
    let api = Api::new(&server.url, &payouts().token(data, "contoso", "ann"));
    let file = |(report, select, filter): &(&str, &str, &str)| {
        api.file(&api.export(report, &format!("$filter={filter}&$select={select}&fileFormat={format}")))
    };
    REPORTS.iter().map(file).collect()
}

#[test]
fn an_imported_export_exports_the_same_bytes() {
    let first = Folder::with_sample(20_000);
    let original = exported(&first.path().join("data"), "csv");
    for format in ["csv", "tsv", "csv.zip", "csv.gz"] {
        let files = exported(&first.path().join("data"), format);
        let second = Folder::new();
        let data = second.at("data");
        payouts().run(["grant", "--data", &data, "--tenant", "contoso", "--all-participants"]).good();
        for ((report, ..), bytes) in REPORTS.iter().zip(&files) {
            let file = second.at(&format!("{report}.{}", format.replace("csv.zip", "zip")));
            std::fs::write(&file, bytes).unwrap();
            payouts().run(["import", report, &file, "--data", &data]).good();
            // The same file again changes nothing.
            let again = payouts().run(["import", report, &file, "--data", &data]).good();
            assert!(format!("{}{}", again.stdout, again.stderr).contains("unchanged"), "{again:?}");
        }
        assert!(exported(&second.path().join("data"), "csv") == original, "{format}: other bytes after the loop");
    }
}
