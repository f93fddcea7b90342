//! `payouts audit`: whether the record of who did what is whole, and the record itself.

use std::path::Path;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use payouts_model::Timestamp;
use payouts_store::Store as _;
use payouts_store::audit::{Broken, Check, Entry, Head};
use payouts_store::sqlite::SqliteStore;
use serde_json::{Map, Value};

use crate::console;
use crate::data::{self, DataArgs};
use crate::failure::{Context, Failure};

const EXAMPLES: &str = "\
Examples
  payouts audit verify --data ./data
  payouts audit verify --data ./data --head 1284:9f0c…
  payouts audit export --data ./data --since 2026-06-01 --format jsonl > june.jsonl

The record says who asked for, downloaded, deleted, granted, revoked and imported what. The service
logs its head (audit.head) when it starts, every hour and when it stops.";

const VERIFY_EXAMPLES: &str = "\
Examples
  payouts audit verify --data ./data
  payouts audit verify --data ./data --head 1284:9f0c… --head 1310:77ab…

Every record holds a hash of itself and of the one before. A changed or missing record is found by
that alone. That records were cut off at the end, or that somebody computed all hashes anew, is
found with a head that was noted before. Exit code 1: not whole, and stderr says where.";

const EXPORT_EXAMPLES: &str = "\
Examples
  payouts audit export --data ./data > audit.csv
  payouts audit export --data ./data --since 2026-06-01 --until 2026-07-01 --format jsonl

A line of jsonl holds seq, hash and record. The hash is SHA-256 over three lines, each with a line
feed: seq, the hash of the record before (64 zeros before the first), the record as it stands.";

/// Records that are read at a time.
const PAGE: u64 = 2_000;
/// The columns of CSV. What a record has besides is JSON in `details`.
const COLUMNS: [&str; 10] =
    ["seq", "at", "action", "tenant", "principal", "operator", "export", "request", "details", "hash"];

/// Check or list the record of who asked for, downloaded, deleted, granted and imported what
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Check that no record was changed, removed or added
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify {
        #[command(flatten)]
        data: DataArgs,
        /// A head from the log: what was recorded up to it must still be there
        #[arg(long, value_name = "SEQ:HASH")]
        head: Vec<Head>,
    },
    /// Write the records to stdout
    #[command(after_help = EXPORT_EXAMPLES)]
    Export {
        #[command(flatten)]
        data: DataArgs,
        /// Records of this instant or later
        #[arg(long, value_name = "INSTANT", value_parser = data::instant)]
        since: Option<Timestamp>,
        /// Records before this instant
        #[arg(long, value_name = "INSTANT", value_parser = data::instant)]
        until: Option<Timestamp>,
        /// How they are written
        #[arg(long, value_enum, default_value_t = Format::Csv)]
        format: Format,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Csv,
    Jsonl,
}

/// Verifies or exports.
pub fn run(args: Args) -> Result<(), Failure> {
    let runtime = data::runtime()?;
    match args.action {
        Action::Verify { data, head } => runtime.block_on(verify(&data.config()?.data_dir, head)),
        Action::Export { data, since, until, format } => {
            let within = |at: Option<Timestamp>| match at {
                Some(at) => since.is_none_or(|since| since <= at) && until.is_none_or(|until| at < until),
                // One that says no time is not left out: somebody may have wished so.
                None => true,
            };
            runtime.block_on(export(&data.config()?.data_dir, within, format))
        }
    }
}

/// The database, which must be there: one made now would say that nothing ever happened.
async fn open(data_dir: &Path) -> Result<SqliteStore, Failure> {
    let path = data_dir.join(payouts_store::sqlite::FILE_NAME);
    if !path.exists() {
        return Err(Failure::usage(format!("there is no {}", path.display()))
            .try_this("give the data directory that the service runs over"));
    }
    data::store(data_dir).await
}

/// Calls `each` with every record in order.
async fn walk(store: &SqliteStore, mut each: impl FnMut(Vec<Entry>) -> Result<(), Failure>) -> Result<(), Failure> {
    let mut after = 0;
    loop {
        let page = store.audit_entries(after, PAGE).await.context("the audit record cannot be read")?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.seq;
        each(page)?;
    }
}

async fn verify(data_dir: &Path, noted: Vec<Head>) -> Result<(), Failure> {
    let store = open(data_dir).await?;
    let not_whole = |broken: Broken| {
        Failure::new("the audit record is not whole").because(broken).try_this(
            "keep a copy of payouts.db as it is; a backup and the heads in the log tell what was there before",
        )
    };
    let heads = noted.len() as u64;
    let mut check = Check::new(noted);
    walk(&store, |page| page.iter().try_for_each(|entry| check.next(entry)).map_err(not_whole)).await?;
    let head = check.end().map_err(not_whole)?;
    let agrees = match heads {
        0 => String::new(),
        n => format!(" and holds {}", console::count(n, "noted head", "noted heads")),
    };
    console::print(&format!(
        "{}: the chain is whole{agrees}\nhead {head}\n",
        console::count(head.seq, "record", "records")
    ))
}

async fn export(data_dir: &Path, within: impl Fn(Option<Timestamp>) -> bool, format: Format) -> Result<(), Failure> {
    let store = open(data_dir).await?;
    if format == Format::Csv {
        console::print(&format!("{}\n", COLUMNS.join(",")))?;
    }
    walk(&store, |page| {
        let chosen = page.iter().map(|entry| (entry, members(entry))).filter(|(_, record)| within(at(record)));
        match format {
            Format::Csv => console::print(&csv_rows(chosen)?),
            Format::Jsonl => {
                console::print(&chosen.map(|(entry, record)| jsonl(entry, !record.is_empty())).collect::<String>())
            }
        }
    })
    .await
}

/// The record's members; none if somebody made it unreadable.
fn members(entry: &Entry) -> Map<String, Value> {
    serde_json::from_str(&entry.record).unwrap_or_default()
}

fn at(record: &Map<String, Value>) -> Option<Timestamp> {
    record.get("at").and_then(Value::as_str).and_then(|text| data::instant(text).ok())
}

/// The text is put in as it was hashed; one that somebody made unreadable, as a text.
fn jsonl(entry: &Entry, readable: bool) -> String {
    let Entry { seq, record, hash } = entry;
    let record = if readable { record.clone() } else { Value::from(record.as_str()).to_string() };
    format!("{{\"seq\":{seq},\"hash\":\"{hash}\",\"record\":{record}}}\n")
}

/// Takes a member out, as text.
fn take(members: &mut Map<String, Value>, name: &str) -> String {
    match members.shift_remove(name) {
        Some(Value::String(text)) => text,
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

fn csv_rows<'a>(records: impl Iterator<Item = (&'a Entry, Map<String, Value>)>) -> Result<String, Failure> {
    let cannot = "cannot write the list";
    let mut writer = csv::Writer::from_writer(Vec::new());
    for (Entry { seq, record, hash }, mut members) in records {
        let readable = !members.is_empty();
        let mut by = members.shift_remove("by").and_then(|by| by.as_object().cloned()).unwrap_or_default();
        let [at, action, export, request] = ["at", "action", "export", "request"].map(|name| take(&mut members, name));
        let [tenant, principal, operator] = ["tenant", "principal", "operator"].map(|name| take(&mut by, name));
        let details = if readable { Value::Object(members).to_string() } else { record.clone() };
        let (seq, hash) = (seq.to_string(), hash.to_string());
        let row = [seq, at, action, tenant, principal, operator, export, request, details, hash];
        writer.write_record(row).context(cannot)?;
    }
    let bytes = writer.into_inner().map_err(|e| Failure::new(cannot).because(e.to_string()))?;
    String::from_utf8(bytes).context(cannot)
}
