//! What the demo shows: the first rows, the totals, and what to try next.

use std::collections::BTreeMap;
use std::path::Path;

use payouts_model::Amount;

use crate::client::{Fetched, TotalView};
use crate::console;
use crate::failure::{Context, Failure};

const ROWS_SHOWN: usize = 6;
/// Columns that fit beside each other, in this order; the amount gets its currency.
const COLUMNS: [&str; 6] = ["participantID", "participantName", "programName", AMOUNT, "paymentStatus", "paymentDate"];
const AMOUNT: &str = "totalPayment";
const CURRENCY: &str = "paymentCurrencyCode";

/// The first rows of the downloaded file, and the totals of its manifest.
pub fn file(path: &Path, fetched: &Fetched) -> Result<(), Failure> {
    let doing = || format!("cannot read {}", path.display());
    let mut archive = zip::ZipArchive::new(std::fs::File::open(path).context(doing())?).context(doing())?;
    let mut reader = csv::Reader::from_reader(archive.by_index(0).context(doing())?);
    let header = reader.headers().context(doing())?.clone();
    let value = |record: &csv::StringRecord, name: &str| {
        let place = header.iter().position(|h| h == name);
        place.and_then(|place| record.get(place)).unwrap_or_default().to_owned()
    };
    let mut rows = Vec::new();
    for record in reader.records().take(ROWS_SHOWN) {
        let record = record.context(doing())?;
        let cell = |name: &&str| match *name {
            AMOUNT => format!("{} {}", console::grouped_text(&value(&record, AMOUNT)), value(&record, CURRENCY)),
            name => value(&record, name),
        };
        rows.push(COLUMNS.iter().map(cell).collect());
    }
    let right: Vec<usize> = COLUMNS.iter().position(|n| *n == AMOUNT).into_iter().collect();
    let left = fetched.checked.rows.saturating_sub(rows.len() as u64);
    println!("\n{}", console::table(&COLUMNS, &rows, &right));
    println!("  … and {} in {}\n", console::count(left, "row more", "rows more"), path.display());
    println!("{}", totals(&fetched.manifest.totals));
    let version = fetched.manifest.data_version.map_or_else(String::new, |v| format!(" of data version {v}"));
    println!("  the manifest's totals{version}: exact, and the same at every export of these data");
    Ok(())
}

/// What is paid, by currency.
fn totals(all: &[TotalView]) -> String {
    let mut sums: BTreeMap<&str, (u64, Amount)> = BTreeMap::new();
    for TotalView { column, currency, payment_status: _, rows, sum, negative_sum: _ } in all {
        if column != AMOUNT {
            continue;
        }
        let of = sums.entry(currency).or_default();
        of.0 += rows;
        of.1 = Amount(of.1.0 + sum.parse::<Amount>().unwrap_or_default().0);
    }
    let rows: Vec<Vec<String>> = sums
        .into_iter()
        .map(|(currency, (rows, sum))| {
            vec![currency.to_owned(), console::grouped(rows), console::grouped_text(&sum.to_string())]
        })
        .collect();
    console::table(&["currency", "payments", "totalPayment"], &rows, &[1, 2])
}

/// Complete lines to paste.
pub fn what_next(url: &str, page: &str, token: &str, participants: &[String], dir: &Path) -> Result<(), Failure> {
    let participant = participants.first().map_or("1000042", String::as_str);
    console::print(&format!(
        r#"
Open the export page (this link signs you in, once, within ten minutes; later {url}/ lets you choose):

  {page}

Try next, in another terminal (the token is good for a day, for this demo only):

  TOKEN={token}

  # ask for a plain CSV of one participant's payments; the answer has the id and its address
  curl -s -X POST -H "Authorization: Bearer $TOKEN" \
    "{url}/v1.0/payouts/payments?fileFormat=csv&\$filter=enrollmentParticipantId%20eq%20%27{participant}%27"

  # all requests, newest first: their state, and a link to each file
  curl -s -H "Authorization: Bearer $TOKEN" {url}/v1.0/payouts/payments

  # or let this program do it all, checks included
  payouts export transactionhistory --url {url} --token "$TOKEN" --out earnings.csv

  the API page       {url}/docs/
  its description    {url}/openapi.json
  your own data      payouts import payments FILE --data DIR; payouts grant …; payouts serve …

The service runs until Ctrl-C. Its data is in {dir}.
"#,
        dir = dir.display()
    ))
}
