//! What an export would hold: totals over all selected rows, and the first rows as texts.
//!
//! The totals read only the columns that they add up; the first rows read every column but stop
//! as soon as there are enough. Dropping the future stops both.

use std::collections::HashSet;
use std::sync::Arc;

use futures::StreamExt;
use payouts_model::FieldType;
use payouts_model::id::canonical;
use payouts_model::report::FieldRole;

use crate::encode::plain_text;
use crate::layout::{Layout, needed_fields};
use crate::pipeline::{Part, Pipeline};
use crate::totals::{Adder, Adders, TotalsPlan};
use crate::{Error, Plan, Preview};

/// Rows that are added up at a time.
const ROWS_PER_JOB: usize = 32_768;

pub(crate) async fn run(
    pipeline: &Pipeline,
    plan: &Plan,
    summed: &[usize],
    zone: chrono_tz::Tz,
    id_lists: &[(usize, Vec<String>)],
    first_rows_max: usize,
) -> Result<Preview, Error> {
    let first_rows = first_rows(pipeline, plan, first_rows_max);
    let sums = sums(pipeline, plan, summed, zone, id_lists);
    let (mut preview, first_rows) = futures::future::try_join(sums, first_rows).await?;
    preview.first_rows = first_rows;
    Ok(preview)
}

async fn first_rows(pipeline: &Pipeline, plan: &Plan, max: usize) -> Result<Vec<Vec<Option<String>>>, Error> {
    let mut texts = Vec::new();
    if max == 0 {
        return Ok(texts);
    }
    let layout = Layout::new(&plan.snapshot, &plan.columns, &needed_fields(&plan.snapshot.report, &plan.columns));
    let scan = pipeline.plan(plan, &layout).await?;
    // The adder is here for its check of the scope alone.
    let guard = Arc::new(TotalsPlan::new(&layout, &[], &plan.scope, None));
    let read = move |part: Part| {
        let mut texts = Vec::new();
        for batch in &part.batches {
            let batch = layout.read(batch)?;
            Adder::new(&guard).add(&batch)?;
            for row in 0..batch.rows() {
                texts.push(layout.file().iter().map(|&at| plain_text(batch.column(at), row)).collect());
            }
        }
        Ok(texts)
    };
    let mut parts = pipeline.run(scan, max, read).boxed();
    if let Some(part) = parts.next().await {
        texts = part?;
    }
    Ok(texts)
}

async fn sums(
    pipeline: &Pipeline,
    plan: &Plan,
    summed: &[usize],
    zone: chrono_tz::Tz,
    id_lists: &[(usize, Vec<String>)],
) -> Result<Preview, Error> {
    let report = &plan.snapshot.report;
    let window = report.role(FieldRole::Window);
    let mut fields = needed_fields(report, summed);
    let added = |kind| matches!(kind, FieldType::Amount | FieldType::Date | FieldType::Timestamp);
    fields.extend(summed.iter().copied().filter(|&c| added(report.fields[c].kind)));
    fields.push(window);
    fields.extend(id_lists.iter().map(|(field, _)| *field));
    let layout = Layout::new(&plan.snapshot, &[], &fields);
    let scan = pipeline.plan(plan, &layout).await?;
    let totals = TotalsPlan::new(&layout, summed, &plan.scope, Some((window, zone)));
    let sums = Arc::new(Adders::new(totals, pipeline.threads()));
    let wanted: Vec<(usize, HashSet<String>)> = id_lists
        .iter()
        .map(|(field, ids)| {
            (
                layout.position(*field).expect("the layout reads them"),
                ids.iter().map(|id| canonical(id).to_owned()).collect(),
            )
        })
        .collect();
    let wanted = Arc::new(wanted);
    let adders = sums.clone();
    let add = move |part: Part| {
        let mut found = vec![HashSet::new(); wanted.len()];
        for batch in &part.batches {
            let batch = layout.read(batch)?;
            adders.add(&batch)?;
            for ((position, ids), found) in wanted.iter().zip(&mut found) {
                let mut last = None;
                for id in (0..batch.rows()).filter_map(|row| batch.column(*position).text(row)) {
                    if last != Some(id) && ids.contains(canonical(id)) {
                        found.insert(canonical(id).to_owned());
                    }
                    last = Some(id);
                }
            }
        }
        Ok(found)
    };
    let mut preview = Preview::default();
    let mut found: Vec<HashSet<String>> = vec![HashSet::new(); id_lists.len()];
    let mut parts = pipeline.run(scan, ROWS_PER_JOB, add).boxed();
    while let Some(part) = parts.next().await {
        for (all, some) in found.iter_mut().zip(part?) {
            all.extend(some);
        }
    }
    if let Some(sum) = sums.sum() {
        preview.months = sum.by_month();
        preview.totals = sum.finish();
    }
    for ((_, ids), found) in id_lists.iter().zip(&found) {
        preview.not_found.extend(ids.iter().filter(|id| !found.contains(canonical(id))).cloned());
    }
    Ok(preview)
}
