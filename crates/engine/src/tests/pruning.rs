//! One participant's export touches little of the table.

use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::MetricValue;
use futures::StreamExt;
use payouts_filter::Expr;
use payouts_filter::ast::{Collation, Value};
use payouts_model::Scope;

use super::fixture::{engine, field, plan, table};
use crate::layout::Layout;
use crate::scan::Scan;

#[tokio::test]
async fn one_participant_prunes_row_groups_and_pages() {
    let table = table(10_000, 5_000, 1_000);
    let only = Expr::In {
        operand: Box::new(Expr::Field(field("participantID"))),
        collation: Collation::Id,
        list: vec![Value::Text("1000400".into())],
    };
    let plan = plan(&table.snapshot, Some(only), Scope::everything());
    let engine = engine(1);
    let scan = Scan::new(&plan, &Layout::for_file(&plan), engine.pipeline.context()).unwrap();
    let mut rows = 0;
    for part in 0..scan.parts() {
        let mut stream = scan.open(part).unwrap();
        while let Some(batch) = stream.next().await {
            rows += batch.unwrap().num_rows();
        }
    }
    assert_eq!(rows, 10);
    let metrics = scan.exec().unwrap().metrics().unwrap();
    let (mut pruned, mut matched) = (0, 0);
    for metric in metrics.iter() {
        if let MetricValue::PruningMetrics { name, pruning_metrics } = metric.value()
            && name == "row_groups_pruned_statistics"
        {
            pruned += pruning_metrics.pruned();
            matched += pruning_metrics.matched();
        }
    }
    // Ids with zeros in front lie elsewhere in the order of texts, so a few groups more may match.
    assert!(matched <= 2 && pruned >= 8, "{matched} matched, {pruned} pruned: {metrics}");
}
