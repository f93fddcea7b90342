//! Several imports against a ledger that is a list in memory, by random cases.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// The rules, said once more and as plainly as possible.
#[derive(Default)]
struct Naive {
    rows: Vec<Row>,
}

fn key(row: &Row) -> [String; 6] {
    let id = |text: &str| payouts_model::id::canonical(text).to_owned();
    [
        id(&row.participant),
        row.program.into(),
        row.order_type.into(),
        row.method.into(),
        row.currency.into(),
        id(&row.payment),
    ]
}

fn group(row: &Row) -> [String; 3] {
    let [a, b, c, ..] = key(row);
    [a, b, c]
}

fn time(row: &Row) -> String {
    if row.time.is_empty() { NOW.to_string() } else { row.time.clone() }
}

fn same(a: &Row, b: &Row) -> bool {
    key(a) == key(b) && a.status == b.status && a.total == b.total
}

impl Naive {
    /// Takes an import; the counts.
    #[expect(clippy::too_many_lines, reason = "the rules in the order they are documented, each a few lines")]
    fn import(&mut self, rows: &[Row]) -> (u64, u64, u64, u64, u64) {
        let (mut inserted, mut changed, mut unchanged, mut removed, mut rejected) = (0, 0, 0, 0, 0);
        let mut by_key: BTreeMap<[String; 6], BTreeMap<String, Vec<&Row>>> = BTreeMap::new();
        for row in rows.iter().filter(|r| !r.payment.is_empty()) {
            by_key.entry(key(row)).or_default().entry(time(row)).or_default().push(row);
        }
        for (key_, times) in by_key {
            let old = self.rows.iter().position(|r| !r.payment.is_empty() && key(r) == key_);
            let mut winner: Option<Row> = None;
            for (time_, same_time) in times {
                let n = same_time.len() as u64;
                let first = same_time[0];
                let contradicts = old.is_some_and(|o| time(&self.rows[o]) == time_ && !same(&self.rows[o], first));
                if contradicts || same_time.iter().any(|r| !same(first, r)) {
                    rejected += n;
                    continue;
                }
                unchanged += n;
                let newer = old.is_none_or(|o| time(&self.rows[o]) < time_);
                let repeats =
                    old.is_some_and(|o| same(&self.rows[o], first)) && same_time.iter().any(|r| r.time.is_empty());
                if newer && !repeats {
                    winner = Some(Row { time: time_, ..first.clone() });
                }
            }
            match (winner, old) {
                (None, _) => {}
                (Some(row), Some(old)) => {
                    unchanged -= 1;
                    changed += 1;
                    self.rows[old] = row;
                }
                (Some(row), None) => {
                    unchanged -= 1;
                    inserted += 1;
                    self.rows.push(row);
                }
            }
        }
        let named: BTreeSet<[String; 3]> = rows.iter().map(group).collect();
        for group_ in named {
            let newest = rows.iter().filter(|r| group(r) == group_).map(time).max();
            let (olds, rest): (Vec<Row>, Vec<Row>) =
                std::mem::take(&mut self.rows).into_iter().partition(|r| r.payment.is_empty() && group(r) == group_);
            self.rows = rest;
            let mut news: Vec<Row> =
                rows.iter().filter(|r| r.payment.is_empty() && group(r) == group_).cloned().collect();
            if olds.iter().map(time).max() > newest {
                unchanged += news.len() as u64;
                self.rows.extend(olds);
                continue;
            }
            // Rows that have a time of their own choose their partners first.
            news.sort_by_key(|r| r.time.is_empty());
            let mut olds = olds;
            let mut left = 0;
            for new in news {
                let mut partners: Vec<usize> = (0..olds.len())
                    .filter(|&i| same(&olds[i], &new) && (new.time.is_empty() || time(&olds[i]) == time(&new)))
                    .collect();
                match partners.pop() {
                    Some(i) => {
                        unchanged += 1;
                        self.rows.push(olds.remove(i));
                    }
                    None => {
                        left += 1;
                        let time = time(&new);
                        self.rows.push(Row { time, ..new });
                    }
                }
            }
            let gone = olds.len() as u64;
            changed += gone.min(left);
            inserted += left - gone.min(left);
            removed += gone - gone.min(left);
        }
        (inserted, changed, unchanged, removed, rejected)
    }

    fn shown(&self) -> Vec<String> {
        let mut shown: Vec<String> = self
            .rows
            .iter()
            .map(|r| format!("{} {} {}.00 {} {}", key(r).join("/"), r.status, r.total, time(r), group(r).len()))
            .collect();
        shown.sort();
        shown
    }
}

fn shown(place: &Place) -> Vec<String> {
    let fields = [
        "participantID",
        "programName",
        "payoutOrderType",
        "paymentMethod",
        "paymentCurrencyCode",
        "paymentID",
        "paymentStatus",
        "totalPayment",
        "payoutStatusUpdateTS",
    ];
    let indexes: Vec<usize> = fields.iter().map(|f| place.report.index_of(f).unwrap()).collect();
    let show = |row: Vec<Option<String>>| {
        let v: Vec<String> = indexes.iter().map(|&i| row[i].clone().unwrap_or_default()).collect();
        let id = |text: &str| payouts_model::id::canonical(text).to_owned();
        let key = [id(&v[0]), v[1].clone(), v[2].clone(), v[3].clone(), v[4].clone(), id(&v[5])];
        format!("{} {} {} {} 3", key.join("/"), v[6], v[7], v[8])
    };
    let mut shown: Vec<String> = place.rows().into_iter().map(show).collect();
    shown.sort();
    shown
}

fn any_row() -> impl Strategy<Value = Row> {
    let pick = |of: &'static [&'static str]| prop::sample::select(of);
    (
        pick(&["1", "01", "2", "30", "4", "5"]),
        pick(&["CSP", "CSP", "Other"]),
        pick(&["REBATE", "FEE"]),
        pick(&["Wire", "PayPal"]),
        pick(&["EUR", "EUR", "USD"]),
        pick(&["", "", "1", "001", "2"]),
        pick(&["SENT", "FAILED"]),
        pick(&["1", "2"]),
        pick(&[T1, T2, T3, "", "2024-06-01T00:00:00Z"]),
    )
        .prop_map(|(participant, program, order_type, method, currency, payment, status, total, time)| Row {
            program,
            order_type,
            method,
            currency,
            status,
            ..row(participant, payment, total, time)
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn imports_do_what_the_rules_say(imports in prop::collection::vec(prop::collection::vec(any_row(), 0..40), 1..5), chunk_bytes in 1000usize..9000, waiting_rows in 1usize..10, range_rows in 1u64..60) {
        let mut place = payments();
        place.limits = Limits { memory_bytes: chunk_bytes, chunk_bytes, waiting_rows, range_rows, ..Limits::default() };
        let mut naive = Naive::default();
        for rows in &imports {
            let before = shown(&place);
            let path = place.write("in.csv", csv(rows));
            let options = Options { rejects: Some(place.path("rejects.csv")), ..place.options(&[path]) };
            let outcome = place.run(&options).unwrap();
            prop_assert_eq!(counts(&outcome), naive.import(rows));
            prop_assert_eq!(shown(&place), naive.shown());
            prop_assert_eq!(outcome.inserted + outcome.changed + outcome.unchanged + outcome.rejected, rows.len() as u64);
            if outcome.version.is_none() {
                prop_assert_eq!(&before, &shown(&place));
            }
            // The order depends on the content alone: its export gives the same ledger.
            let export = place.export();
            let copy = payments();
            copy.import_text(&export).unwrap();
            prop_assert_eq!(copy.export(), export);
        }
    }
}
