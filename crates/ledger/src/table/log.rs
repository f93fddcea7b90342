//! Reading and writing a table's log.
//!
//! Reading goes through the Delta library; writing is a handful of JSON lines whose file appears
//! under its final name at once or not at all, and never over another one.
//!
//! Invariant: a state is handed out only if every row of its files is a row of the table: tables
//! with deletion vectors, mapped columns or features that are not understood are refused.

mod commit;

use std::io::Write;
use std::path::{Path, PathBuf};

use arrow::datatypes::{Schema, SchemaRef};
use deltalake_core::kernel::StructType;
use deltalake_core::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake_core::{DeltaTable, DeltaTableBuilder, DeltaTableError};
use payouts_faults::{Point, reach};
use payouts_model::{Report, ReportName, Timestamp};
use serde_json::{Value, json};
use url::Url;

use super::{CommitNote, Hints, Key, KeyRange, NewFile, TableFile};
use crate::Error;

pub(crate) use commit::{Commit, commit, content_version, data_as_of, lines};

/// A checkpoint is written at every so many versions, so that readers need not replay more.
pub(crate) const CHECKPOINT_EVERY: u64 = 10;

/// The property of a commit that says which version it restored.
pub(crate) const RESTORED: &str = "payouts.restored.version";

/// Where a checkpoint is made, beside the log in the table's folder.
const CHECKPOINT_FOLDER: &str = ".checkpoint";
/// The hint that points at the newest checkpoint.
const LAST_CHECKPOINT: &str = "_last_checkpoint";
const FIRST: &str = "payouts.first";
const LAST: &str = "payouts.last";
const MARKS: &str = "payouts.marks";
const ID_LENGTHS: &str = "payouts.idLengths";

/// A file with what only readers of foreign tables need.
#[derive(Clone, Debug)]
pub(crate) struct LogFile {
    pub file: TableFile,
    pub partition_values: Vec<(String, Option<String>)>,
    pub modified: Timestamp,
    pub hints: Hints,
}

/// One version of a table as its log tells it.
#[derive(Clone, Debug)]
pub(crate) struct State {
    /// Columns of the table, partition columns among them.
    pub schema: SchemaRef,
    pub partition_columns: Vec<String>,
    /// In ledger order: by first key, then files without one by path.
    pub files: Vec<LogFile>,
    /// The metadata action.
    pub metadata: Value,
    pub protocol: Value,
}

/// The folder of the log.
fn log_folder(root: &Path) -> PathBuf {
    root.join("_delta_log")
}

fn commit_path(root: &Path, version: u64) -> PathBuf {
    log_folder(root).join(format!("{version:020}.json"))
}

fn io(context: String) -> impl FnOnce(std::io::Error) -> Error {
    |source| Error::Io { context, source }
}

/// The newest version in the log, `None` if there is no log. Lists one folder.
pub(crate) fn newest_version(root: &Path) -> Result<Option<u64>, Error> {
    let folder = log_folder(root);
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(format!("listing {}", folder.display()))(error)),
    };
    let mut newest = None;
    for entry in entries {
        let name = entry.map_err(io(format!("listing {}", folder.display())))?.file_name();
        newest = newest.max(name.to_str().and_then(version_of));
    }
    Ok(newest)
}

/// The version that a file of the log belongs to: a commit or a checkpoint.
fn version_of(name: &str) -> Option<u64> {
    let (digits, rest) = name.split_once('.')?;
    let counts = rest == "json" || (rest.starts_with("checkpoint.") && rest.ends_with("parquet"));
    (digits.len() == 20 && counts).then(|| digits.parse().ok()).flatten()
}

/// Reads one version of a table and refuses what cannot be read rightly.
pub(crate) async fn load(root: &Path, report: ReportName, version: u64) -> Result<State, Error> {
    let unsupported = |reason: String| Error::Unsupported { report, path: root.display().to_string(), reason };
    let table = match open(root, version).await {
        Ok(table) => table,
        Err(error) => return Err(load_error(root, report, version, error)),
    };
    let snapshot = table.snapshot()?;
    let protocol = serde_json::to_value(snapshot.protocol())
        .map_err(|e| unsupported(format!("its protocol cannot be read: {e}")))?;
    let metadata = serde_json::to_value(snapshot.metadata())
        .map_err(|e| unsupported(format!("its metadata cannot be read: {e}")))?;
    refuse_features(&protocol, &metadata).map_err(unsupported)?;
    let eager = snapshot.snapshot();
    let mut files = Vec::new();
    for view in eager.try_log_data()?.iter() {
        #[expect(deprecated, reason = "the arrow form of the log has no stable schema for tags")]
        let add = view.add_action();
        if add.deletion_vector.is_some() {
            return Err(unsupported(format!(
                "file {} has a deletion vector, which would have to be applied to every read; \
                 rewrite such files with `REORG TABLE … APPLY (PURGE)` and switch them off with \
                 `ALTER TABLE … SET TBLPROPERTIES ('delta.enableDeletionVectors' = false)`",
                add.path
            )));
        }
        files.push(log_file(root, add).map_err(unsupported)?);
    }
    files.sort_by(|a, b| {
        let first = |f: &LogFile| f.file.range.as_ref().map(|r| r.first.clone());
        let (x, y) = (first(a), first(b));
        x.is_none().cmp(&y.is_none()).then_with(|| x.cmp(&y)).then_with(|| a.file.name.cmp(&b.file.name))
    });
    let partition_columns = eager.metadata().partition_columns().to_vec();
    Ok(State { schema: eager.arrow_schema(), partition_columns, files, metadata, protocol })
}

async fn open(root: &Path, version: u64) -> Result<DeltaTable, DeltaTableError> {
    let url = Url::from_directory_path(root)
        .map_err(|()| DeltaTableError::InvalidTableLocation(root.display().to_string()))?;
    DeltaTableBuilder::from_url(url)?.with_version(version).load().await
}

/// What it means that a version could not be loaded.
fn load_error(root: &Path, report: ReportName, version: u64, error: DeltaTableError) -> Error {
    let newest = newest_version(root).ok().flatten();
    let text = error.to_string();
    if let DeltaTableError::KernelError(_) | DeltaTableError::Kernel { .. } = &error
        && text.to_lowercase().contains("unsupported")
    {
        return Error::Unsupported {
            report,
            path: root.display().to_string(),
            reason: format!(
                "it needs a table feature that is not understood ({text}); drop the feature with `ALTER TABLE … DROP FEATURE`"
            ),
        };
    }
    if newest != Some(version) || !commit_path(root, version).exists() {
        return Error::VersionGone { report, version };
    }
    Error::Delta(error)
}

fn rows_of(stats: Option<&str>) -> Option<u64> {
    serde_json::from_str::<Value>(stats?).ok()?.get("numRecords")?.as_u64()
}

fn log_file(root: &Path, add: deltalake_core::kernel::Add) -> Result<LogFile, String> {
    let path = match Url::parse(&add.path) {
        Ok(url) if url.scheme() == "file" => {
            url.to_file_path().map_err(|()| format!("file {} is not a path of this machine", add.path))?
        }
        // A drive letter or a colon in a name is no scheme that anything could fetch from.
        Ok(url) if url.has_host() => {
            return Err(format!(
                "file {} is not on this machine; copy the table (a shallow clone refers to another one)",
                add.path
            ));
        }
        _ => root.join(&add.path),
    };
    let range = add.tags.as_ref().and_then(|tags| {
        let key = |name: &str| serde_json::from_str::<Key>(tags.get(name)?.as_deref()?).ok();
        Some(KeyRange { first: key(FIRST)?, last: key(LAST)? })
    });
    // The log may be written by others as well: what cannot be read is as good as missing.
    let text = |name: &str| add.tags.as_ref()?.get(name)?.as_deref();
    let hints = Hints {
        marks: text(MARKS).and_then(|t| serde_json::from_str(t).ok()),
        id_lengths: text(ID_LENGTHS).and_then(|t| serde_json::from_str(t).ok()).unwrap_or_default(),
    };
    let rows = rows_of(add.stats.as_deref());
    // An empty text is how the log writes an empty value.
    let value = |v: Option<String>| v.filter(|text| !text.is_empty());
    let mut partition_values: Vec<_> = add.partition_values.into_iter().map(|(n, v)| (n, value(v))).collect();
    partition_values.sort();
    let size_bytes =
        u64::try_from(add.size).map_err(|_| format!("file {} has a negative size in the log", add.path))?;
    let modified = Timestamp(add.modification_time.saturating_mul(1000));
    Ok(LogFile { file: TableFile { name: add.path, path, size_bytes, rows, range }, partition_values, modified, hints })
}

/// Reader features whose tables can be read rightly (deletion vectors: as long as no file has one).
const KNOWN_READER_FEATURES: [&str; 5] =
    ["columnMapping", "deletionVectors", "timestampNtz", "v2Checkpoint", "vacuumProtocolCheck"];

fn refuse_features(protocol: &Value, metadata: &Value) -> Result<(), String> {
    let mode = property(metadata, "delta.columnMapping.mode").unwrap_or("none");
    if mode != "none" {
        return Err(format!(
            "it has column mapping (delta.columnMapping.mode = {mode}), under which columns have other names in the files; \
             rewrite it with `ALTER TABLE … SET TBLPROPERTIES ('delta.columnMapping.mode' = 'none')` \
             or point the report at a copy without column mapping"
        ));
    }
    let reader = protocol.get("minReaderVersion").and_then(Value::as_i64).unwrap_or_default();
    if reader > 3 {
        return Err(format!("it needs a reader of protocol version {reader}; up to 3 is understood"));
    }
    let features =
        protocol.get("readerFeatures").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    match features.into_iter().find(|f| !KNOWN_READER_FEATURES.contains(f)) {
        Some(feature) => Err(format!(
            "it needs the reader feature '{feature}', which is not understood; drop it with `ALTER TABLE … DROP FEATURE {feature}` \
             or point the report at a copy without it"
        )),
        None => Ok(()),
    }
}

/// Refuses to write into a table that something else has taken over.
pub(crate) fn refuse_foreign_writes(state: &State, report: ReportName, root: &Path) -> Result<(), Error> {
    let unsupported = |reason: String| Error::Unsupported { report, path: root.display().to_string(), reason };
    let writer = state.protocol.get("minWriterVersion").and_then(Value::as_i64).unwrap_or_default();
    if writer > 2 {
        return Err(unsupported(format!(
            "it needs a writer of protocol version {writer}, this program writes version 2; \
             downgrade it with the tool that raised it (`ALTER TABLE … DROP FEATURE`), or import into a new data directory"
        )));
    }
    if property(&state.metadata, "delta.appendOnly") == Some("true") {
        return Err(unsupported(
            "it is append-only, so rows cannot be changed: set the table property delta.appendOnly to false".into(),
        ));
    }
    if !state.partition_columns.is_empty() {
        return Err(unsupported(
            "it is partitioned, which the service's own tables are not: import into a new data directory".into(),
        ));
    }
    Ok(())
}

fn property<'a>(metadata: &'a Value, name: &str) -> Option<&'a str> {
    metadata.get("configuration")?.get(name)?.as_str()
}

/// The commit info line.
pub(super) fn commit_info(read_version: Option<u64>, note: &CommitNote) -> Value {
    let properties: serde_json::Map<String, Value> =
        note.properties.iter().map(|(k, v)| (k.clone(), v.as_str().into())).collect();
    let mut info = json!({
        "timestamp": note.now.0.div_euclid(1000),
        "operation": note.operation,
        "operationParameters": {},
        "isolationLevel": "Serializable",
        "isBlindAppend": false,
        "engineInfo": concat!("payouts/", env!("CARGO_PKG_VERSION")),
        "userMetadata": Value::Object(properties).to_string(),
    });
    if let Some(version) = read_version {
        info["readVersion"] = version.into();
    }
    json!({ "commitInfo": info })
}

/// The protocol line: plain tables that every reader understands.
pub(super) fn protocol() -> Value {
    json!({ "protocol": { "minReaderVersion": 1, "minWriterVersion": 2 } })
}

/// The metadata line.
pub(super) fn metadata(report: &Report, schema: &Schema, id: &str, now: Timestamp) -> Result<Value, Error> {
    let schema: StructType = schema.try_into_kernel()?;
    let schema =
        serde_json::to_string(&schema).map_err(|e| Error::Invalid(format!("schema of {}: {e}", report.name)))?;
    Ok(json!({ "metaData": {
        "id": id,
        "name": report.name.as_str(),
        "format": { "provider": "parquet", "options": {} },
        "schemaString": schema,
        "partitionColumns": [],
        "configuration": {},
        "createdTime": now.0.div_euclid(1000),
    } }))
}

/// The line that adds a file.
pub(super) fn add(file: &NewFile, now: Timestamp, data_change: bool) -> Result<Value, Error> {
    fn tag(file: &NewFile, value: &impl serde::Serialize) -> Result<String, Error> {
        serde_json::to_string(value).map_err(|e| Error::Invalid(format!("tags of {}: {e}", file.name)))
    }
    Ok(json!({ "add": {
        "path": file.name,
        "partitionValues": {},
        "size": file.size_bytes,
        "modificationTime": now.0.div_euclid(1000),
        "dataChange": data_change,
        "stats": file.stats,
        "tags": {
            FIRST: tag(file, &file.range.first)?,
            LAST: tag(file, &file.range.last)?,
            MARKS: tag(file, &file.hints.marks)?,
            ID_LENGTHS: tag(file, &file.hints.id_lengths)?,
        },
    } }))
}

/// The line that removes a file.
pub(super) fn remove(file: &TableFile, now: Timestamp, data_change: bool) -> Value {
    json!({ "remove": {
        "path": file.name,
        "deletionTimestamp": now.0.div_euclid(1000),
        "dataChange": data_change,
        "extendedFileMetadata": true,
        "partitionValues": {},
        "size": file.size_bytes,
    } })
}

/// Writes a commit, durably and only if `version` is not there yet.
pub(super) fn write(root: &Path, report: ReportName, version: u64, lines: &[Value]) -> Result<(), Error> {
    let folder = log_folder(root);
    std::fs::create_dir_all(&folder).map_err(io(format!("making {}", folder.display())))?;
    let path = commit_path(root, version);
    let context = || format!("writing {}", path.display());
    let mut temporary = tempfile::Builder::new().prefix(".commit-").tempfile_in(&folder).map_err(io(context()))?;
    for line in lines {
        writeln!(temporary, "{line}").map_err(io(context()))?;
    }
    reach(Point::ImportCommit).and_then(|()| temporary.as_file().sync_all()).map_err(io(context()))?;
    // Temporary files are private; the log is as public as the folder that it is in.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        temporary.as_file().set_permissions(std::fs::Permissions::from_mode(0o644)).map_err(io(context()))?;
    }
    reach(Point::ImportCommitName).map_err(io(context()))?;
    match temporary.persist_noclobber(&path) {
        Ok(_) => {
            reach(Point::ImportCommitted).map_err(io(context()))?;
            super::writer::sync_folder(&folder)?;
            reach(Point::ImportDone).map_err(io(context()))
        }
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(Error::Conflict { report, version })
        }
        Err(error) => Err(io(context())(error.error)),
    }
}

/// Writes a checkpoint of `version`, durably.
///
/// The library syncs nothing, and a checkpoint whose bytes are lost makes a table unreadable. So it
/// is made beside the log, over links to it, synced, and only then moved into it; the hint that
/// points at it comes last.
pub(crate) async fn checkpoint(root: &Path, version: u64) -> Result<(), Error> {
    let beside = root.join(CHECKPOINT_FOLDER);
    let doing = |source| Error::Io { context: format!("writing a checkpoint in {}", beside.display()), source };
    match std::fs::remove_dir_all(&beside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(doing(error)),
        _ => {}
    }
    let made = checkpoint_beside(root, &beside, version).await;
    let removed = std::fs::remove_dir_all(&beside).map_err(doing);
    made.and(removed)
}

async fn checkpoint_beside(root: &Path, beside: &Path, version: u64) -> Result<(), Error> {
    let (log, copy) = (log_folder(root), log_folder(beside));
    let doing = |source| Error::Io { context: format!("writing a checkpoint in {}", beside.display()), source };
    std::fs::create_dir_all(&copy).map_err(doing)?;
    for entry in std::fs::read_dir(&log).map_err(doing)? {
        let entry = entry.map_err(doing)?;
        let name = entry.file_name();
        let hidden = name.to_string_lossy().starts_with('.');
        // The hint would be written through a link.
        if !hidden && name != LAST_CHECKPOINT && entry.file_type().map_err(doing)?.is_file() {
            link_or_copy(&entry.path(), &copy.join(&name)).map_err(doing)?;
        }
    }
    let table = open(beside, version).await?;
    deltalake_core::checkpoints::create_checkpoint(&table, None).await?;
    let made = format!("{version:020}.checkpoint.parquet");
    for name in [made.as_str(), LAST_CHECKPOINT] {
        let from = copy.join(name);
        std::fs::File::open(&from).and_then(|file| file.sync_all()).map_err(doing)?;
        std::fs::rename(&from, log.join(name)).map_err(doing)?;
        super::writer::sync_folder(&log)?;
    }
    Ok(())
}

/// A second name of a file, or a copy where the file system has no links.
fn link_or_copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::hard_link(from, to).or_else(|_| std::fs::copy(from, to).map(|_| ()))
}
