//! The configuration file: its keys, how it lies over the defaults, and the checks of each value.

mod issuers;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use payouts_filter::suggest;
use payouts_ledger::TableSource;
use payouts_ledger::source::ColumnMapping;
use payouts_model::ReportName;
use payouts_model::report::ExtraColumn;
use serde::Deserialize;

use self::issuers::{IssuerTable, issuers};
use super::{Config, DEFAULTS, Error, FormConfig, Limits, Overrides, Retention, TlsConfig};

/// Declares a table of the file: every key optional, unknown ones refused, and one table can be
/// laid over another.
macro_rules! layered {
    ($name:ident { $($field:ident: $kind:ty),* $(,)? } $({ $($section:ident: $table:ty),* $(,)? })?) => {
        #[derive(Debug, Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        struct $name {
            $($field: Option<$kind>,)*
            $($($section: $table,)*)?
        }

        impl $name {
            fn over(self, below: Self) -> Self {
                Self {
                    $($field: self.$field.or(below.$field),)*
                    $($($section: self.$section.over(below.$section),)*)?
                }
            }
        }
    };
}

layered!(File {
    data_dir: PathBuf,
    listen: String,
    admin_listen: String,
    public_url: String,
    dev: bool,
    workers: usize,
    large_rows: u64,
    lease_ms: i64,
    attempts_max: u32,
    lost_leases_max: u32,
    shutdown_grace_ms: u64,
    issuers: Vec<IssuerTable>,
    reports: Reports,
    program_aliases: HashMap<String, Vec<String>>,
} {
    engine: EngineTable,
    retention: RetentionTable,
    links: LinksTable,
    limits: LimitsTable,
    tls: TlsTable,
    form: FormTable,
});
layered!(FormTable { fiscal_year_first_month: u32, time_zone: String });
layered!(EngineTable { threads: usize, memory_bytes: usize, export_memory_bytes: usize });
layered!(RetentionTable { file_days: i64, export_days: i64, version_days: i64 });
layered!(TlsTable { certificate: PathBuf, key: PathBuf });
layered!(LinksTable { lifetime_seconds: i64 });
layered!(LimitsTable {
    tenant_queue_max: u64,
    queue_max: u64,
    tenant_running_max: u64,
    tenant_files_bytes: u64,
    files_bytes: u64,
    body_bytes: usize,
    header_bytes: usize,
    in_flight_max: usize,
    request_seconds: u64,
    caller_per_second: u32,
    caller_burst: u32,
    preview_seconds: u64,
    tenant_posts_per_second: u32,
    tenant_gets_per_second: u32,
    tenant_in_flight_max: usize,
    downloads_max: usize,
    tenant_downloads_max: usize,
    held_max: usize,
    tenant_held_max: usize,
    connections_max: usize,
    head_seconds: u64,
    body_seconds: u64,
    stall_seconds: u64,
});

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Reports {
    payments: Option<ReportTable>,
    transactionhistory: Option<ReportTable>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ReportTable {
    table: Option<PathBuf>,
    columns: Option<HashMap<String, ColumnMapping>>,
    extra_columns: Vec<ExtraColumn>,
    values: HashMap<String, Vec<String>>,
}

/// Reads, layers and checks; see [`Config::load_offline`].
pub(super) fn load(path: Option<&Path>, overrides: &Overrides) -> Result<Config, Error> {
    let defaults = parse("of the defaults", DEFAULTS).expect("the compiled-in defaults are valid, which a test checks");
    let (own, base) = match path {
        None => (File::default(), PathBuf::new()),
        Some(path) => {
            let shown = path.display().to_string();
            let text = std::fs::read_to_string(path).map_err(|source| Error::Read { path: shown.clone(), source })?;
            (parse(&shown, &text)?, path.parent().map(Path::to_path_buf).unwrap_or_default())
        }
    };
    resolve(own.over(defaults), &base, overrides)
}

fn parse(path: &str, text: &str) -> Result<File, Error> {
    toml::from_str(text).map_err(|e| Error::Syntax { path: path.to_owned(), reason: explain(&e) })
}

/// The parser's message, which shows the line, and for an unknown key the nearest known one.
fn explain(error: &toml::de::Error) -> String {
    let text = error.to_string();
    let quoted: Vec<&str> = error.message().split('`').skip(1).step_by(2).collect();
    let hint = match quoted.as_slice() {
        [unknown, known @ ..] if error.message().starts_with("unknown field") => {
            suggest::hint(&suggest::nearest(unknown, known.iter().copied()))
        }
        _ => String::new(),
    };
    format!("{}\n{}", text.trim_end(), hint.trim_start()).trim_end().to_owned()
}

/// A key that the compiled-in defaults set.
fn set<T>(value: Option<T>) -> T {
    value.expect("the compiled-in defaults set every key")
}

fn resolve(file: File, base: &Path, overrides: &Overrides) -> Result<Config, Error> {
    let insecure = overrides.dev_insecure_listen;
    let listen = match insecure.or(overrides.listen) {
        Some(address) => address,
        None => address("listen", &set(file.listen))?,
    };
    let admin_listen = match (&overrides.admin_listen, set(file.admin_listen).as_str()) {
        (Some(chosen), _) => *chosen,
        (None, "") => None,
        (None, text) => Some(address("admin_listen", text)?),
    };
    let public_url = match overrides.public_url.clone().unwrap_or_else(|| set(file.public_url)) {
        text if text.is_empty() => None,
        text => Some(base_url("public_url", &text)?),
    };
    let mut config = Config {
        data_dir: overrides.data_dir.clone().unwrap_or_else(|| base.join(set(file.data_dir))),
        listen,
        admin_listen,
        public_url,
        dev: overrides.dev || insecure.is_some() || set(file.dev),
        dev_insecure: insecure.is_some(),
        issuers: issuers(file.issuers.unwrap_or_default(), base)?,
        tls: tls(&file.tls, base)?,
        workers: set(file.workers),
        large_rows: at_least("large_rows", set(file.large_rows), 1)?,
        export_memory_bytes: at_least("engine.export_memory_bytes", set(file.engine.export_memory_bytes), 1 << 20)?,
        engine: payouts_engine::Limits {
            threads: match set(file.engine.threads) {
                0 => std::thread::available_parallelism().map_or(1, usize::from),
                threads => threads,
            },
            memory_bytes: at_least("engine.memory_bytes", set(file.engine.memory_bytes), 16 << 20)?,
        },
        lease_ms: at_least("lease_ms", set(file.lease_ms), 100)?,
        attempts_max: at_least("attempts_max", set(file.attempts_max), 1)?,
        lost_leases_max: at_least("lost_leases_max", set(file.lost_leases_max), 1)?,
        shutdown_grace_ms: set(file.shutdown_grace_ms),
        retention: Retention {
            file_days: at_least("retention.file_days", set(file.retention.file_days), 1)?,
            export_days: at_least("retention.export_days", set(file.retention.export_days), 1)?,
            version_days: at_least(
                "retention.version_days",
                set(file.retention.version_days),
                i64::from(payouts_ledger::upkeep::VACUUM_DAYS_MIN),
            )?,
        },
        link_lifetime_seconds: at_least("links.lifetime_seconds", set(file.links.lifetime_seconds), 10)?,
        limits: limits(&file.limits)?,
        form: form(&file.form)?,
        sources: HashMap::new(),
        extra_columns: HashMap::new(),
        extra_values: HashMap::new(),
        program_aliases: file.program_aliases.unwrap_or_default(),
    };
    if config.retention.export_days < config.retention.file_days {
        return Err(Error::Conflict(
            "configuration: retention.export_days is less than retention.file_days: a file would outlive its Export"
                .into(),
        ));
    }
    let reports = file.reports.unwrap_or_default();
    for (name, table) in
        [(ReportName::Payments, reports.payments), (ReportName::TransactionHistory, reports.transactionhistory)]
    {
        if let Some(table) = table {
            report(&mut config, name, table, base)?;
        }
    }
    // Wrong columns and values are a matter of the configuration: said at start, not at first use.
    config.catalog()?;
    Ok(config)
}

/// Both files or none; an empty name is none.
fn tls(table: &TlsTable, base: &Path) -> Result<Option<TlsConfig>, Error> {
    let named = |path: &Option<PathBuf>| path.as_ref().filter(|p| !p.as_os_str().is_empty()).map(|p| base.join(p));
    match (named(&table.certificate), named(&table.key)) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => Ok(Some(TlsConfig { certificate, key })),
        (certificate, _) => Err(Error::Conflict(format!(
            "configuration: [tls] needs both files, and {} is not set",
            if certificate.is_some() { "tls.key" } else { "tls.certificate" }
        ))),
    }
}

fn form(table: &FormTable) -> Result<FormConfig, Error> {
    let name = set(table.time_zone.as_deref());
    let time_zone = name.parse().map_err(|_| Error::Value {
        key: "form.time_zone".into(),
        value: format!("{name:?}"),
        reason: "not an IANA time zone such as UTC, Europe/Berlin or America/New_York".into(),
    })?;
    let fiscal_year_first_month = at_least("form.fiscal_year_first_month", set(table.fiscal_year_first_month), 1)?;
    if fiscal_year_first_month > 12 {
        return Err(Error::Value {
            key: "form.fiscal_year_first_month".into(),
            value: fiscal_year_first_month.to_string(),
            reason: "a year has twelve months: 1 (January) to 12".into(),
        });
    }
    Ok(FormConfig { fiscal_year_first_month, time_zone })
}

fn limits(table: &LimitsTable) -> Result<Limits, Error> {
    Ok(Limits {
        tenant_queue_max: at_least("limits.tenant_queue_max", set(table.tenant_queue_max), 1)?,
        queue_max: at_least("limits.queue_max", set(table.queue_max), 1)?,
        tenant_running_max: at_least("limits.tenant_running_max", set(table.tenant_running_max), 1)?,
        tenant_files_bytes: at_least("limits.tenant_files_bytes", set(table.tenant_files_bytes), 1)?,
        files_bytes: at_least("limits.files_bytes", set(table.files_bytes), 1)?,
        body_bytes: at_least("limits.body_bytes", set(table.body_bytes), 1024)?,
        header_bytes: at_least("limits.header_bytes", set(table.header_bytes), 8192)?,
        in_flight_max: at_least("limits.in_flight_max", set(table.in_flight_max), 1)?,
        request_seconds: at_least("limits.request_seconds", set(table.request_seconds), 1)?,
        caller_per_second: at_least("limits.caller_per_second", set(table.caller_per_second), 1)?,
        caller_burst: at_least("limits.caller_burst", set(table.caller_burst), 1)?,
        preview_seconds: at_least("limits.preview_seconds", set(table.preview_seconds), 1)?,
        tenant_posts_per_second: at_least("limits.tenant_posts_per_second", set(table.tenant_posts_per_second), 1)?,
        tenant_gets_per_second: at_least("limits.tenant_gets_per_second", set(table.tenant_gets_per_second), 1)?,
        tenant_in_flight_max: at_least("limits.tenant_in_flight_max", set(table.tenant_in_flight_max), 1)?,
        downloads_max: at_least("limits.downloads_max", set(table.downloads_max), 1)?,
        tenant_downloads_max: at_least("limits.tenant_downloads_max", set(table.tenant_downloads_max), 1)?,
        held_max: at_least("limits.held_max", set(table.held_max), 1)?,
        tenant_held_max: at_least("limits.tenant_held_max", set(table.tenant_held_max), 1)?,
        connections_max: at_least("limits.connections_max", set(table.connections_max), 1)?,
        head_seconds: at_least("limits.head_seconds", set(table.head_seconds), 1)?,
        body_seconds: at_least("limits.body_seconds", set(table.body_seconds), 1)?,
        stall_seconds: at_least("limits.stall_seconds", set(table.stall_seconds), 1)?,
    })
}

fn report(config: &mut Config, name: ReportName, table: ReportTable, base: &Path) -> Result<(), Error> {
    match (table.table, table.columns) {
        (Some(path), columns) => {
            config.sources.insert(name, TableSource { table: base.join(path), columns: columns.unwrap_or_default() });
        }
        (None, Some(_)) => {
            return Err(Error::Conflict(format!(
                "configuration: reports.{name}.columns maps the columns of another table, but reports.{name}.table does not say which"
            )));
        }
        (None, None) => {}
    }
    config.extra_columns.insert(name, table.extra_columns);
    config.extra_values.insert(name, table.values);
    Ok(())
}

fn at_least<T: PartialOrd + std::fmt::Display>(key: &str, value: T, least: T) -> Result<T, Error> {
    if value < least {
        return Err(Error::Value {
            key: key.into(),
            value: value.to_string(),
            reason: format!("must be {least} or more"),
        });
    }
    Ok(value)
}

fn address(key: &str, text: &str) -> Result<SocketAddr, Error> {
    text.parse().map_err(|_| Error::Value {
        key: key.into(),
        value: format!("{text:?}"),
        reason: "not an address with a port, such as 127.0.0.1:8080 or [::1]:8080".into(),
    })
}

fn http_url(key: &str, text: &str) -> Result<url::Url, Error> {
    let fail = |reason: &str| Error::Value { key: key.into(), value: format!("{text:?}"), reason: reason.into() };
    let url = url::Url::parse(text).map_err(|_| fail("not an absolute URL such as https://payouts.example.com"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(fail("must begin with https:// (or http://) and name a host"));
    }
    Ok(url)
}

fn base_url(key: &str, text: &str) -> Result<String, Error> {
    let url = http_url(key, text)?;
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
        return Err(Error::Value {
            key: key.into(),
            value: format!("{text:?}"),
            reason: "must have no user, query or fragment".into(),
        });
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}
