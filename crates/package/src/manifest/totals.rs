//! Sums as rows of JSON, for the manifest and for previews.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use foldhash::fast::FixedState;
use payouts_model::Totals;
use payouts_model::totals::{Sum, TotalKey};
use serde::{Deserialize, Serialize};

/// The sum of an amount column over the rows of one currency and payment status. Rows whose amount
/// is empty are not in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Total {
    /// The amount column.
    pub column: Arc<str>,
    /// Its currency in these rows.
    pub currency: Arc<str>,
    /// The payment status of these rows.
    pub payment_status: Arc<str>,
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
    pub program_name: Arc<str>,
    /// The order type.
    pub order_type: Arc<str>,
    /// The sum.
    #[serde(flatten)]
    pub total: Total,
}

impl Total {
    fn new(key: &TotalKey, sum: Sum) -> Self {
        let Sum { rows, sum, negative } = sum;
        Self {
            column: key.column.clone(),
            currency: key.currency.clone(),
            payment_status: key.status.clone(),
            rows,
            sum: sum.to_string(),
            negative_sum: negative.to_string(),
        }
    }
}

/// Sums by amount column, currency and payment status, sorted by these.
pub fn totals(totals: &Totals) -> Vec<Total> {
    let mut sums: BTreeMap<[u32; 3], (&TotalKey, Sum)> = BTreeMap::new();
    let [columns, currencies, statuses] = [column, currency, status].map(|name| Places::of(totals, name));
    for (key, sum) in &totals.sums {
        let places = [columns.of_key(key), currencies.of_key(key), statuses.of_key(key)];
        sums.entry(places).or_insert((key, Sum::default())).1.merge(*sum);
    }
    sums.into_values().map(|(key, sum)| Total::new(key, sum)).collect()
}

/// Sums by program and order type, then by amount column, currency and payment status, sorted by
/// these.
pub fn totals_by_program(totals: &Totals) -> Vec<ProgramTotal> {
    let order = [program, order_type, column, currency, status].map(|name| Places::of(totals, name));
    let place = |(key, sum)| (order.each_ref().map(|places| places.of_key(key)), key, sum);
    let mut rows: Vec<([u32; 5], &TotalKey, &Sum)> = totals.sums.iter().map(place).collect();
    rows.sort_unstable_by_key(|(places, _, _)| *places);
    rows.into_iter()
        .map(|(_, key, sum)| ProgramTotal {
            program_name: key.program.clone(),
            order_type: key.order_type.clone(),
            total: Total::new(key, *sum),
        })
        .collect()
}

fn column(key: &TotalKey) -> &str {
    &key.column
}

fn currency(key: &TotalKey) -> &str {
    &key.currency
}

fn status(key: &TotalKey) -> &str {
    &key.status
}

fn program(key: &TotalKey) -> &str {
    &key.program
}

fn order_type(key: &TotalKey) -> &str {
    &key.order_type
}

/// A part of keys: one of their names.
type Name = fn(&TotalKey) -> &str;

/// Where each name that occurs in a part of the keys stands among its like, so that tens of thousands
/// of keys are sorted by numbers.
struct Places<'a> {
    name: Name,
    places: HashMap<&'a str, u32, FixedState>,
}

impl<'a> Places<'a> {
    fn of(totals: &'a Totals, name: Name) -> Self {
        let mut places: HashMap<&str, u32, FixedState> = totals.sums.keys().map(|key| (name(key), 0)).collect();
        let mut names: Vec<&str> = places.keys().copied().collect();
        names.sort_unstable();
        places.extend(names.into_iter().zip(0..));
        Self { name, places }
    }

    fn of_key(&self, key: &TotalKey) -> u32 {
        self.places[(self.name)(key)]
    }
}
