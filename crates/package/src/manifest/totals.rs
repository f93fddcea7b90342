//! Sums as rows of JSON, for the manifest and for previews.

use std::collections::BTreeMap;

use payouts_model::Totals;
use payouts_model::totals::{Sum, TotalKey};
use serde::{Deserialize, Serialize};

/// The sum of an amount column over the rows of one currency and payment status. Rows whose amount
/// is empty are not in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Total {
    /// The amount column.
    pub column: String,
    /// Its currency in these rows.
    pub currency: String,
    /// The payment status of these rows.
    pub payment_status: String,
    /// Rows with an amount.
    pub rows: u64,
    /// Their sum, exact.
    pub sum: String,
    /// The sum of the negative ones, exact.
    pub negative_sum: String,
}

/// A [`Total`] of one program and order type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProgramTotal {
    /// The program.
    pub program_name: String,
    /// The order type.
    pub order_type: String,
    /// The sum.
    #[serde(flatten)]
    pub total: Total,
}

impl Total {
    fn new(column: &str, currency: &str, status: &str, sum: Sum) -> Self {
        let Sum { rows, sum, negative } = sum;
        Self {
            column: column.to_owned(),
            currency: currency.to_owned(),
            payment_status: status.to_owned(),
            rows,
            sum: sum.to_string(),
            negative_sum: negative.to_string(),
        }
    }
}

/// Sums by amount column, currency and payment status, sorted by these.
pub fn totals(totals: &Totals) -> Vec<Total> {
    let mut sums: BTreeMap<(&str, &str, &str), Sum> = BTreeMap::new();
    for (TotalKey { column, currency, status, program: _, order_type: _ }, sum) in &totals.sums {
        sums.entry((column, currency, status)).or_default().merge(*sum);
    }
    sums.into_iter().map(|((column, currency, status), sum)| Total::new(column, currency, status, sum)).collect()
}

/// Sums by program and order type, then by amount column, currency and payment status, sorted by
/// these.
pub fn totals_by_program(totals: &Totals) -> Vec<ProgramTotal> {
    let mut rows: Vec<ProgramTotal> = totals
        .sums
        .iter()
        .map(|(TotalKey { column, currency, status, program, order_type }, sum)| ProgramTotal {
            program_name: program.to_string(),
            order_type: order_type.to_string(),
            total: Total::new(column, currency, status, *sum),
        })
        .collect();
    rows.sort_by(|a, b| order(a).cmp(&order(b)));
    rows
}

fn order(row: &ProgramTotal) -> [&str; 5] {
    let ProgramTotal { program_name, order_type, total } = row;
    [program_name, order_type, &total.column, &total.currency, &total.payment_status]
}
