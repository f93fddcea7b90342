//! Rows per second of one plan over a data directory:
//! `cargo run --release --example throughput -p payouts-engine -- DATA [payments|transactionhistory] [THREADS] [csv|csv.gz|…] [FILTER]`.
//! With `PREVIEW` set a preview is timed as well.

use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;

use futures::StreamExt;
use payouts_engine::{Engine, Limits, Plan};
use payouts_filter::{Context, Filter};
use payouts_ledger::Ledger;
use payouts_model::{Catalog, Clock, FileFormat, Packaging, ReportName, Scope, time::SystemClock};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let arg = |at: usize, default: &str| args.get(at).cloned().unwrap_or_else(|| default.to_owned());
    let data = arg(0, ".");
    let report: ReportName = arg(1, "payments").parse()?;
    let threads: usize = arg(2, "2").parse()?;
    let format = FileFormat::parse(&arg(3, "csv.zip")).ok_or("unknown format")?;
    let ledger = Ledger::new(Path::new(&data), Catalog::builtin(), HashMap::new());
    let snapshot = ledger.snapshot(report, None).await?;
    let aliases = HashMap::new();
    let context = Context {
        report: &snapshot.report,
        time_zone: chrono_tz::UTC,
        now: SystemClock.now(),
        program_aliases: &aliases,
    };
    let predicate = match args.get(4) {
        Some(text) => Filter::parse(text, &context)?.map(|f| f.predicate),
        None => None,
    };
    let columns = snapshot.report.default_columns();
    let plan = Plan {
        snapshot,
        predicate,
        scope: Scope::everything(),
        columns,
        text: format.text,
        packaging: format.packaging,
    };
    let engine = Engine::new(Limits { threads, memory_bytes: 256 << 20 });
    let begin = Instant::now();
    let counted = engine.count(&plan).await?;
    println!("count {counted} in {:?}", begin.elapsed());
    if std::env::var_os("PREVIEW").is_some() {
        let begin = Instant::now();
        let preview = engine.preview(&plan, chrono_tz::UTC, &[], 20).await?;
        println!("preview of {} rows, {} months in {:?}", preview.totals.rows, preview.months.len(), begin.elapsed());
    }
    let begin = Instant::now();
    let (mut rows, mut text, mut packed) = (0_u64, 0_u64, 0_u64);
    let mut chunks = engine.run(&plan);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        rows += chunk.rows;
        text += chunk.text.len() as u64;
        packed += chunk.deflated.map_or(0, |d| d.len() as u64);
    }
    let seconds = begin.elapsed().as_secs_f64();
    let packed = if plan.packaging == Packaging::Plain { text } else { packed };
    println!(
        "{rows} rows, {text} bytes of text, {packed} in the file, {seconds:.2} s, {:.0} rows/s",
        rows as f64 / seconds
    );
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        for line in status.lines().filter(|l| l.starts_with("VmHWM")) {
            println!("{line}");
        }
    }
    Ok(())
}
