//! One participant's export touches little of the table.

use std::sync::Arc;

use datafusion::physical_plan::metrics::MetricValue;
use datafusion::physical_plan::{ExecutionPlan, displayable};
use futures::StreamExt;
use payouts_filter::Expr;
use payouts_filter::ast::{Collation, Value};
use payouts_model::access::Pair;
use payouts_model::{ParticipantId, Scope};

use super::fixture::{collect, collect_every_way, engine, field, plan, records, table_of, value, with_hints};
use crate::Plan;
use crate::layout::Layout;
use crate::scan::{How, Scan, Survey};

#[derive(Debug, Default)]
struct Touched {
    rows: usize,
    groups: usize,
    pages_pruned: usize,
}

async fn touched(plan: &Plan) -> (Touched, String) {
    let engine = engine(1);
    let context = engine.pipeline.context();
    let survey = Arc::new(Survey::new(plan, &context).unwrap());
    let scan = Scan::new(survey, Layout::for_file(plan).stored(), context, &How::Pushed).unwrap();
    let mut touched = Touched::default();
    for part in 0..scan.parts() {
        let mut stream = scan.open(part).unwrap();
        while let Some(batch) = stream.next().await {
            touched.rows += batch.unwrap().num_rows();
        }
    }
    let Some(exec) = scan.pushing() else { return (touched, String::new()) };
    for metric in exec.metrics().unwrap().iter() {
        let MetricValue::PruningMetrics { name, pruning_metrics } = metric.value() else {
            continue;
        };
        match name.as_ref() {
            "row_groups_pruned_statistics" => {
                touched.groups += pruning_metrics.matched() + pruning_metrics.pruned();
            }
            "page_index_pages_pruned" => touched.pages_pruned += pruning_metrics.pruned(),
            _ => {}
        }
    }
    (touched, displayable(exec.as_ref()).one_line().to_string())
}

#[tokio::test]
async fn one_participant_prunes_row_groups_and_pages() {
    for (participant, wanted) in [
        ((|row| (1_000_000 + row / 10).to_string()) as fn(usize) -> String, "1000400"),
        (|row| format!("{:0>12}", 1_000_000 + row / 10), "1000400"),
        (|row| format!("{:0>12}", 1_000_000 + row / 10), "00001000400"),
    ] {
        let table = table_of(10_000, 5_000, 1_000, participant);
        let ids = vec![Value::Text(payouts_model::id::canonical(wanted).into())];
        let only =
            Expr::In { operand: Box::new(Expr::Field(field("participantID"))), collation: Collation::Id, list: ids };
        let scope: Scope =
            [Pair { participant: Some(ParticipantId::new(wanted)), program: None }].into_iter().collect();
        for plan in [plan(&table.snapshot, Some(only), Scope::everything()), plan(&table.snapshot, None, scope)] {
            let (touched, shown) = touched(&plan).await;
            assert_eq!(touched.rows, 10, "{touched:?}");
            assert_eq!(touched.groups, 1, "{touched:?}\n{shown}");
            assert!(touched.pages_pruned > 0, "{touched:?}\n{shown}");
            assert!(shown.contains("predicate=participantID@0 IN") && shown.contains("pruning_predicate="), "{shown}");
        }
    }
}

#[tokio::test]
async fn dates_amounts_and_words_prune() {
    let table = table_of(10_000, 5_000, 1_000, |row| format!("P-{row:06}"));
    let compare = |op, collation, name: &str, value| Expr::Compare {
        op,
        collation,
        left: Box::new(Expr::Field(field(name))),
        right: Box::new(Expr::Literal(value)),
    };
    use payouts_filter::ast::{CompareOp::*, Function};
    let word = |t: &str| Value::Text(t.into());
    for predicate in [
        compare(Gt, Collation::Exact, "paymentDate", Value::Date(30_000)),
        compare(Lt, Collation::Exact, "payoutStatusUpdateTS", Value::Instant(0)),
        compare(
            Ge,
            Collation::Exact,
            "totalPayment",
            Value::Number(payouts_filter::number::Decimal::parse("500.00001").unwrap()),
        ),
        compare(Eq, Collation::IgnoreCase, "paymentMethod", word("zzz")),
        Expr::Not(Box::new(compare(Le, Collation::Exact, "participantName", word("北京科技有限公司")))),
        Expr::Call {
            function: Function::StartsWith,
            args: vec![Expr::Field(field("participantID")), Expr::Literal(word("Q"))],
        },
    ] {
        let (touched, shown) = touched(&plan(&table.snapshot, Some(predicate), Scope::everything())).await;
        assert_eq!((touched.rows, touched.groups), (0, 0), "{touched:?}\n{shown}");
    }
}

/// Ten rows each, in the order of the canonical ids, spelled in three ways.
fn spelled(row: usize) -> String {
    let width = [7, 9, 12][row % 3];
    format!("{:0>width$}", 1_000_000 + row / 10)
}

fn ids(name: &str, collation: Collation, ids: impl IntoIterator<Item = String>) -> Expr {
    let list = ids.into_iter().map(Value::Text).collect();
    Expr::In { operand: Box::new(Expr::Field(field(name))), collation, list }
}

#[tokio::test]
async fn marks_find_a_participant_however_it_is_spelled() {
    let table = table_of(10_000, 5_000, 1_000, spelled);
    let snapshot = with_hints(&table, 100);
    for (participant, wanted) in [(405, 10), (0, 10), (999, 10), (1_000, 0)] {
        let only = ids("participantID", Collation::Id, [(1_000_000 + participant).to_string()]);
        let (touched, shown) = touched(&plan(&snapshot, Some(only), Scope::everything())).await;
        assert_eq!((touched.rows, touched.groups), (wanted, wanted.min(1)), "{touched:?}\n{shown}");
    }
}

#[tokio::test]
async fn one_payment_id_touches_the_row_groups_whose_filters_say_maybe() {
    let table = table_of(10_000, 5_000, 1_000, spelled);
    let snapshot = with_hints(&table, 100);
    let Value::Text(payment) = value("paymentID", 7_001) else { panic!("row 7,001 has a payment id") };
    for asked in [payment.as_str(), payment.trim_start_matches('0')] {
        let only = ids("paymentID", Collation::Id, [payouts_model::id::canonical(asked).to_owned()]);
        let plan = plan(&snapshot, Some(only), Scope::everything());
        let (touched, shown) = touched(&plan).await;
        assert_eq!((touched.rows, touched.groups), (1, 1), "{touched:?}\n{shown}");
        assert!(shown.contains(&format!("paymentID@13 = {payment}")), "one spelling is left: {shown}");
    }
}

#[tokio::test]
async fn hints_lose_no_row() {
    let table = table_of(3_000, 700, 90, spelled);
    let engine = engine(2);
    let number = |i: usize| (1_000_000 + i).to_string();
    for every_rows in [1, 64, 10_000] {
        let hinted = with_hints(&table, every_rows);
        let lists: Vec<Vec<usize>> = vec![
            vec![0],
            vec![299],
            vec![300],
            vec![],
            vec![69, 70, 71],
            (0..300).collect(),
            (3..300).step_by(41).collect(),
        ];
        for (n, list) in lists.iter().enumerate() {
            let participants = ids("participantID", Collation::Id, list.iter().map(|&i| number(i)));
            let exact = ids("participantID", Collation::Exact, list.iter().map(|&i| spelled(i * 10 + n)));
            let payments = ids("paymentID", Collation::Id, ["6772000017".into(), "6772025500".into(), "5".into()]);
            let scope: Scope = (list.iter().step_by(2))
                .map(|&i| Pair { participant: Some(ParticipantId::new(&number(i))), program: None })
                .collect();
            for (predicate, scope) in [
                (Some(participants.clone()), Scope::everything()),
                (Some(exact.clone()), Scope::everything()),
                (None, scope.clone()),
                (Some(participants.clone()), scope),
                (Some(Expr::Or(vec![participants.clone(), exact.clone()])), Scope::everything()),
                (Some(Expr::Or(vec![participants.clone(), payments.clone()])), Scope::everything()),
                (Some(Expr::Not(Box::new(participants.clone()))), Scope::everything()),
                (Some(Expr::And(vec![participants, exact])), Scope::everything()),
                (Some(payments), Scope::everything()),
            ] {
                let with = plan(&hinted, predicate.clone(), scope.clone());
                let without = plan(&table.snapshot, predicate, scope);
                let found = records(&collect_every_way(&engine, &with).await.unwrap());
                assert_eq!(
                    found,
                    records(&collect(&engine, &without).await.unwrap()),
                    "{every_rows} {:?}",
                    with.predicate
                );
                assert_eq!(engine.start(&with).await.unwrap().rows, found.len() as u64);
            }
        }
    }
}

#[tokio::test]
async fn hints_that_do_not_fit_their_file_are_not_believed() {
    let table = table_of(1_000, 1_000, 100, spelled);
    let only = ids("participantID", Collation::Id, ["1000050".to_owned()]);
    for change in [0, 1, 2] {
        let mut snapshot = (*with_hints(&table, 10)).clone();
        let file = &mut snapshot.files[0];
        let marks = file.hints.marks.as_mut().unwrap();
        match change {
            0 => marks.participants.truncate(20),
            1 => marks.participants.reverse(),
            _ => file.rows = None,
        }
        let plan = plan(&std::sync::Arc::new(snapshot), Some(only.clone()), Scope::everything());
        assert_eq!(engine(1).count(&plan).await.unwrap(), 10);
    }
}
