//! Sums against a plain loop, and the scope's last check.

use std::sync::Arc;

use payouts_model::money::Amount;
use payouts_model::totals::{Moment, Sum, TotalKey};
use payouts_model::{Scope, Timestamp, Totals};

use super::{Adder, TotalsPlan};
use crate::layout::Layout;
use crate::tests::fixture::{collect, engine, field, plan, records, table};

#[tokio::test]
async fn sums_are_those_of_the_rows() {
    let table = table(3_000, 1_000, 300);
    let mut plan = plan(&table.snapshot, None, Scope::everything());
    plan.columns = [
        "earned",
        "earnedUSD",
        "salesTax",
        "earnedCurrencyCode",
        "paymentCurrencyCode",
        "paymentStatus",
        "programName",
        "payoutOrderType",
        "paymentDate",
        "payoutStatusUpdateTS",
    ]
    .iter()
    .map(|n| field(n))
    .collect();
    let chunks = collect(&engine(2), &plan).await.unwrap();
    let mut totals = Totals::default();
    chunks.iter().for_each(|c| totals.merge(c.totals.clone()));
    let mut expected = Totals::default();
    for r in records(&chunks) {
        expected.rows += 1;
        for (column, at, currency) in
            [("earned", 0, r[3].as_str()), ("earnedUSD", 1, "USD"), ("salesTax", 2, r[4].as_str())]
        {
            if !r[at].is_empty() {
                let text = |t: &str| Arc::from(t);
                let key = TotalKey {
                    column: text(column),
                    currency: text(currency),
                    status: text(&r[5]),
                    program: text(&r[6]),
                    order_type: text(&r[7]),
                };
                let sum: &mut Sum = expected.sums.entry(key).or_default();
                sum.add(r[at].parse::<Amount>().unwrap());
            }
        }
        if let Ok(day) = r[8].parse::<chrono::NaiveDate>() {
            let day = Moment::Date(day.to_epoch_days());
            expected.widen(&"paymentDate".into(), (day, day));
        }
        let at = Moment::Instant(Timestamp::from(r[9].parse::<chrono::DateTime<chrono::Utc>>().unwrap()));
        expected.widen(&"payoutStatusUpdateTS".into(), (at, at));
    }
    assert_eq!(totals, expected);
    // Nothing of what is added up has to be in the file.
    plan.columns = vec![field("earned")];
    let mut narrow = Totals::default();
    collect(&engine(1), &plan).await.unwrap().iter().for_each(|c| narrow.merge(c.totals.clone()));
    expected.spans.clear();
    expected.sums.retain(|key, _| &*key.column == "earned");
    assert_eq!(narrow, expected);
}

#[tokio::test]
async fn a_row_outside_the_scope_is_never_given_out() {
    let table = table(50, 50, 50);
    let plan = plan(&table.snapshot, None, Scope::everything());
    let layout = Layout::for_file(&plan);
    let narrow: Scope =
        [payouts_model::Pair { participant: Some(payouts_model::ParticipantId::new("1000000")), program: None }]
            .into_iter()
            .collect();
    let guard = std::sync::Arc::new(TotalsPlan::new(&layout, &plan.columns, &narrow, None));
    let scan = engine(1).pipeline.plan(&plan, &layout).await.unwrap();
    let mut stream = scan.open(0).unwrap();
    let batch = futures::StreamExt::next(&mut stream).await.unwrap().unwrap();
    assert!(Adder::new(&guard).add(&layout.read(&batch.slice(0, 10)).unwrap()).is_ok());
    assert!(Adder::new(&guard).add(&layout.read(&batch).unwrap()).is_err());
}
