//! Exports that are put into a data directory without a service: old ones, held ones, ones whose
//! worker died. For tests of upkeep.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use payouts_blob::local::LocalBlobs;
use payouts_blob::{BlobName, BlobStore as _};
use payouts_model::export::{FileInfo, Query};
use payouts_model::{ExportId, FileFormat, PrincipalId, ReportName, Scope, TenantId, Timestamp, Viewer};
use payouts_store::sqlite::SqliteStore;
use payouts_store::{AcceptLimits, Accepted, Claim, ClaimTerms, Completion, CreateExport, Store as _};

const DAY_MS: i64 = 86_400_000;

/// 2026-01-01T00:00:00Z.
pub const LONG_AGO: Timestamp = Timestamp(1_767_225_600_000_000);

/// An Export to plant.
#[derive(Clone, Debug)]
pub struct Planted {
    /// Tells it from others.
    pub number: u128,
    /// When it was made, and ended.
    pub at: Timestamp,
    /// Whether it has a file, with these bytes.
    pub text: Option<&'static str>,
    /// When the file's time is over.
    pub file_expires_at: Timestamp,
}

impl Default for Planted {
    fn default() -> Self {
        let file_expires_at = LONG_AGO.plus_ms(36_500 * DAY_MS);
        Self { number: 0, at: LONG_AGO, text: Some("paymentID\r\n1\r\n"), file_expires_at }
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime").block_on(future)
}

fn id(number: u128) -> ExportId {
    ExportId(uuid::Uuid::from_u128(0xabcd_0000_0000_4000_8000_0000_0000_0000 + number))
}

async fn claimed(store: &SqliteStore, number: u128, at: Timestamp) -> Claim {
    let create = CreateExport {
        id: id(number),
        report: ReportName::Payments,
        tenant: TenantId::new("contoso"),
        principal: PrincipalId::new("ann"),
        query: Query {
            text: String::new(),
            filter: String::new(),
            columns: vec!["paymentID".into()],
            format: FileFormat::parse("csv").expect("a format"),
            time_zone: "UTC".into(),
            now: at,
        },
        scope: Scope::everything(),
        warnings: Vec::new(),
        idempotency: None,
        created_at: at,
        trace: None,
    };
    assert!(matches!(
        store.accept(create, AcceptLimits::of_tenant_queue(1_000)).await.expect("accepted"),
        Accepted::New { .. }
    ));
    let claim = store
        .claim("a node that is gone", &ClaimTerms::any(1_000, 10), at)
        .await
        .expect("claimed")
        .expect("there is one");
    assert_eq!(claim.export.id, id(number));
    claim
}

/// A Completed Export; answers its id and where its file is.
pub fn completed(data: &Path, planted: &Planted) -> (String, PathBuf) {
    let Planted { number, at, text, file_expires_at } = planted.clone();
    block_on(async {
        let store = SqliteStore::open(data).await.expect("the store opens");
        let claim = claimed(&store, number, at).await;
        let text = text.unwrap_or_default();
        let name = BlobName::ExportFile { export: claim.export.id, fence: claim.fence };
        let blobs = LocalBlobs::open(data.join("files")).expect("a folder");
        let mut blob = blobs.create(name).expect("a file");
        blob.write_all(text.as_bytes()).expect("written");
        blob.seal(text.len() as u64).expect("sealed");
        let completion = Completion {
            file: FileInfo {
                fence: claim.fence,
                format: claim.export.query.format,
                download_name: "planted.csv".into(),
                size_bytes: text.len() as u64,
                sha256: String::new(),
                rows: 1,
            },
            manifest: "{}".into(),
            file_expires_at,
            reproducible_until: None,
            warnings: Vec::new(),
        };
        assert!(store.complete(&claim, completion, at).await.expect("completed"));
        store.close().await;
        (claim.export.id.to_string(), payouts_blob::local::path_under(&data.join("files"), name))
    })
}

/// One whose worker died long ago, with the data version that it began with; answers its id.
pub fn processing(data: &Path, version: Option<u64>) -> String {
    block_on(async {
        let store = SqliteStore::open(data).await.expect("the store opens");
        let claim = claimed(&store, 9_999, LONG_AGO).await;
        if let Some(version) = version {
            store.fix_data_version(&claim, version).await.expect("fixed");
        }
        store.close().await;
        claim.export.id.to_string()
    })
}

/// Deletes one.
pub fn remove(data: &Path, id: &str) {
    let viewer = Viewer {
        tenant: TenantId::new("contoso"),
        principal: PrincipalId::new("ann"),
        role: payouts_model::Role::Viewer,
        scope: Scope::everything(),
    };
    let id = id.parse().expect("an id");
    block_on(async {
        let store = SqliteStore::open(data).await.expect("the store opens");
        store.delete(&viewer, ReportName::Payments, id, LONG_AGO).await.expect("deleted");
        store.close().await;
    });
}
