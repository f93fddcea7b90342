//! Sweeps over the real parts, with a clock that is moved.

use payouts_blob::BlobName;
use payouts_blob::link::LinkKeys;
use payouts_model::{Clock, ExportId, Status};

use super::{DAY_MS, LINK_KEY_MARGIN_MS, Swept, sweep};
use crate::worker::tests::Bench;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_go_after_their_days_and_exports_after_theirs() {
    let bench = Bench::new().await;
    let (stop, worker) = bench.start().await;
    let id = bench.ask(|_| {}).await;
    let done = bench.until_ended(id).await;
    stop.end();
    worker.await.unwrap();
    let name = BlobName::ExportFile { export: id, fence: done.fence };
    assert_eq!(sweep(&bench.app, true).await, Swept::default());

    bench.clock.advance_ms(bench.app.config.retention.file_days * DAY_MS);
    assert_eq!(bench.app.blobs.list().await.unwrap(), [name]);
    assert_eq!(sweep(&bench.app, false).await, Swept { files_expired: 1, ..Swept::default() });
    assert_eq!(bench.app.blobs.list().await.unwrap(), []);
    let seen = bench.see(id).await;
    assert_eq!((seen.status, seen.file.is_none()), (Status::Completed, true));
    assert_eq!(seen.warnings.last().map(|w| w.code.as_str()), Some("FileExpired"));

    bench.clock.advance_ms(bench.app.config.retention.export_days * DAY_MS);
    assert_eq!(sweep(&bench.app, true).await, Swept { exports_purged: 1, ..Swept::default() });
    assert_eq!(bench.app.store.counts().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_without_an_owner_go() {
    let bench = Bench::new().await;
    let id = bench.ask(|_| {}).await;
    let claim = bench
        .app
        .store
        .claim("node", &payouts_store::ClaimTerms::any(10_000, 10), bench.app.clock.now())
        .await
        .unwrap()
        .unwrap();
    let owned = BlobName::ExportFile { export: id, fence: claim.fence };
    let old = BlobName::ExportFile { export: id, fence: 0 };
    let strange = BlobName::ExportFile { export: ExportId(uuid::Uuid::new_v4()), fence: 1 };
    for name in [owned, old, strange] {
        bench.app.blobs.create(name).unwrap().seal(0).unwrap();
    }
    assert_eq!(sweep(&bench.app, true).await, Swept { files_without_owner: 2, ..Swept::default() });
    assert_eq!(bench.app.blobs.list().await.unwrap(), [owned]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_superseded_link_key_stays_as_long_as_its_links_live() {
    let bench = Bench::new().await;
    let path = bench.app.config.link_keys_path();
    LinkKeys::rotate(&path, false, bench.clock.now()).unwrap();
    let life_ms = bench.app.config.link_lifetime_seconds * 1000;
    bench.clock.advance_ms(life_ms);
    assert_eq!(sweep(&bench.app, false).await, Swept::default());
    bench.clock.advance_ms(LINK_KEY_MARGIN_MS + 1);
    assert_eq!(sweep(&bench.app, false).await, Swept { link_keys_dropped: 1, ..Swept::default() });
    assert_eq!(LinkKeys::load_or_create(&path).unwrap().infos().len(), 1);
}
