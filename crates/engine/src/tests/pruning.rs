//! One participant's export touches little of the table.

use datafusion::physical_plan::metrics::MetricValue;
use datafusion::physical_plan::{ExecutionPlan, displayable};
use futures::StreamExt;
use payouts_filter::Expr;
use payouts_filter::ast::{Collation, Value};
use payouts_model::access::Pair;
use payouts_model::{ParticipantId, Scope};

use super::fixture::{engine, field, plan, table_of};
use crate::Plan;
use crate::layout::Layout;
use crate::scan::Scan;

#[derive(Debug, Default)]
struct Touched {
    rows: usize,
    groups: usize,
    groups_pruned: usize,
    pages_pruned: usize,
}

async fn touched(plan: &Plan) -> (Touched, String) {
    let engine = engine(1);
    let scan = Scan::new(plan, &Layout::for_file(plan), engine.pipeline.context()).unwrap();
    let mut touched = Touched::default();
    for part in 0..scan.parts() {
        let mut stream = scan.open(part).unwrap();
        while let Some(batch) = stream.next().await {
            touched.rows += batch.unwrap().num_rows();
        }
    }
    let exec = scan.exec().unwrap();
    for metric in exec.metrics().unwrap().iter() {
        let MetricValue::PruningMetrics { name, pruning_metrics } = metric.value() else {
            continue;
        };
        match name.as_ref() {
            "row_groups_pruned_statistics" => {
                touched.groups += pruning_metrics.matched();
                touched.groups_pruned += pruning_metrics.pruned();
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
            assert_eq!((touched.groups, touched.groups_pruned), (1, 9), "{touched:?}\n{shown}");
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
