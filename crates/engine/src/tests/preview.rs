//! A preview is what the export would be.

use payouts_model::totals::TotalKey;
use payouts_model::{Scope, Totals};

use super::fixture::{collect, engine, field, plan, table};

#[tokio::test]
async fn a_preview_adds_up_to_the_export() {
    let table = table(5_000, 1_500, 400);
    let engine = engine(2);
    let plan = plan(&table.snapshot, None, Scope::everything());
    let mut totals = Totals::default();
    for chunk in collect(&engine, &plan).await.unwrap() {
        totals.merge(chunk.totals.clone());
    }
    let ids = vec!["6772000017".to_owned(), "006772000034".to_owned(), "42".to_owned(), "0042".to_owned()];
    let preview = engine.preview(&plan, chrono_tz::Pacific::Auckland, &[(field("paymentID"), ids)], 20).await.unwrap();
    assert_eq!(preview.totals, totals);
    assert_eq!(preview.not_found, ["42", "0042"]);
    assert_eq!(preview.first_rows.len(), 20);
    assert_eq!(preview.first_rows[0][0].as_deref(), Some("1000000"));
    assert_eq!(preview.first_rows[0][13], None);
    assert_eq!(preview.first_rows[3][15].as_deref(), Some(""));
    assert_eq!(preview.months.values().map(|t| t.rows).sum::<u64>(), 5_000);
    let mut months = Totals::default();
    for month in preview.months.values() {
        months.merge(month.clone());
    }
    let mut coarse = Totals::default();
    for (key, sum) in &totals.sums {
        let empty = || "".into();
        let key = TotalKey { status: empty(), program: empty(), order_type: empty(), ..key.clone() };
        coarse.sums.entry(key).or_default().merge(*sum);
    }
    assert_eq!(months.sums, coarse.sums);
    // 2023-01-01T00:00Z is already January in Auckland; the month there ends eleven hours early.
    assert!(preview.months.contains_key("2023-01") && !preview.months.contains_key("2022-12"));
    let utc = engine.preview(&plan, chrono_tz::UTC, &[], 0).await.unwrap();
    assert_ne!(utc.months["2023-01"].rows, preview.months["2023-01"].rows);
}
