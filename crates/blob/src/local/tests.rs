//! What every store of blobs must do, and what only a local folder does.

use futures::TryStreamExt;

use super::*;

fn name(export: u128, fence: u64) -> BlobName {
    // The first digits differ, so that folders do.
    BlobName::ExportFile { export: ExportId(uuid::Uuid::from_u128(export << 120 | export)), fence }
}

fn put(store: &dyn BlobStore, name: BlobName, pieces: &[&[u8]]) -> Result<(), Error> {
    let mut writer = store.create(name)?;
    pieces.iter().for_each(|p| writer.write_all(p).unwrap());
    writer.seal(pieces.iter().map(|p| p.len() as u64).sum())
}

async fn get(store: &dyn BlobStore, name: BlobName, range: Range<u64>) -> Result<Vec<u8>, Error> {
    let pieces: Vec<Bytes> = store.read(name, range).await?.try_collect().await?;
    Ok(pieces.concat())
}

fn files(folder: &Path) -> usize {
    entries(folder).unwrap().into_iter().map(|p| if p.is_dir() { files(&p) } else { 1 }).sum()
}

fn store() -> (tempfile::TempDir, LocalBlobs) {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalBlobs::open(dir.path().join("a/blobs")).unwrap();
    (dir, store)
}

#[tokio::test]
async fn a_sealed_blob_is_read_by_range() {
    let (_dir, store) = store();
    let bytes: Vec<u8> = (0..2_000_003_u32).map(|i| (i % 251) as u8).collect();
    let blob = name(1, 7);
    put(&store, blob, &[&bytes[..3], &bytes[3..1_500_000], &bytes[1_500_000..]]).unwrap();
    let size = store.size(blob).await.unwrap();
    assert_eq!(size, bytes.len() as u64);
    for range in [0..size, 0..0, size..size, 5..6, 524_287..1_048_577, size - 1..size] {
        let part = &bytes[range.start as usize..range.end as usize];
        assert_eq!(get(&store, blob, range.clone()).await.unwrap(), part, "{range:?}");
    }
    for range in [0..size + 1, size + 1..size + 2, Range { start: 2, end: 1 }] {
        assert!(matches!(get(&store, blob, range).await, Err(Error::Io { .. })));
    }
}

#[tokio::test]
async fn what_is_not_sealed_is_not_there() {
    let (dir, store) = store();
    let blob = name(2, 1);
    let mut writer = store.create(blob).unwrap();
    writer.write_all(b"abc").unwrap();
    assert!(matches!(store.size(blob).await, Err(Error::NotFound)));
    assert!(matches!(store.read(blob, 0..1).await, Err(Error::NotFound)));
    assert_eq!(store.list().await.unwrap(), []);
    assert_eq!(files(dir.path()), 1);
    drop(writer);
    assert_eq!(files(dir.path()), 0);
}

#[tokio::test]
async fn a_wrong_length_is_not_sealed() {
    let (dir, store) = store();
    for announced in [2, 4] {
        let mut writer = store.create(name(2, 1)).unwrap();
        writer.write_all(b"abc").unwrap();
        let error = writer.seal(announced).unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(cause, format!("3 bytes were written where {announced} were announced"));
    }
    assert_eq!(files(dir.path()), 0);
}

#[tokio::test]
async fn names_are_listed_and_deleted() {
    let (dir, store) = store();
    let names = [name(1, 1), name(1, 2), name(0xab, 1), name(0xff, u64::MAX)];
    names.iter().rev().for_each(|n| put(&store, *n, &[b"x"]).unwrap());
    assert_eq!(store.list().await.unwrap(), names);
    store.delete(names[1]).await.unwrap();
    store.delete(names[1]).await.unwrap();
    assert_eq!(store.list().await.unwrap(), [names[0], names[2], names[3]]);
    assert_eq!(get(&store, names[0], 0..1).await.unwrap(), b"x");
    assert_eq!(LocalBlobs::open(dir.path().join("a/blobs")).unwrap().list().await.unwrap().len(), 3);
}

#[tokio::test]
async fn clean_takes_what_dead_writers_left() {
    let (_dir, store) = store();
    put(&store, name(1, 1), &[b"x"]).unwrap();
    std::mem::forget(store.create(name(1, 2)).unwrap());
    std::mem::forget(store.create(name(1, 2)).unwrap());
    assert_eq!(store.clean().await.unwrap(), 2);
    assert_eq!(store.clean().await.unwrap(), 0);
    assert_eq!(store.list().await.unwrap(), [name(1, 1)]);
}

#[tokio::test]
async fn a_download_outlives_the_deletion() {
    let (_dir, store) = store();
    let bytes = vec![7; 3 * 512 * 1024];
    put(&store, name(1, 1), &[&bytes]).unwrap();
    let mut stream = store.read(name(1, 1), 0..bytes.len() as u64).await.unwrap();
    let first = stream.try_next().await.unwrap().unwrap();
    store.delete(name(1, 1)).await.unwrap();
    let rest: Vec<Bytes> = stream.try_collect().await.unwrap();
    assert_eq!([&[first][..], &rest[..]].concat().concat(), bytes);
}

#[tokio::test]
async fn a_file_cut_short_is_an_error_not_an_end() {
    let (_dir, store) = store();
    put(&store, name(1, 1), &[&vec![7; 2 * 512 * 1024]]).unwrap();
    let mut stream = store.read(name(1, 1), 0..2 * 512 * 1024).await.unwrap();
    stream.try_next().await.unwrap().unwrap();
    File::options().write(true).open(store.path(name(1, 1))).unwrap().set_len(600_000).unwrap();
    let error = stream.try_next().await.unwrap_err();
    assert!(matches!(error, Error::Io { source, .. } if source.kind() == io::ErrorKind::UnexpectedEof));
}

#[test]
fn only_our_own_names_parse() {
    let good = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b.12";
    assert_eq!(file_name(parse_file_name(good).unwrap()), good);
    for bad in [
        "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b",
        "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b.",
        "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b.012",
        "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b.+1",
        "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b.1.2",
        "0190A1B2-c3d4-7e5f-8a9b-0c1d2e3f4a5b.1",
        "0190a1b2c3d47e5f8a9b0c1d2e3f4a5b.1",
        "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b.99999999999999999999",
        ".1",
        "",
    ] {
        assert_eq!(parse_file_name(bad), None, "{bad}");
    }
}

#[tokio::test]
async fn foreign_files_are_left_alone() {
    let (_dir, store) = store();
    put(&store, name(1, 1), &[b"x"]).unwrap();
    fs::write(store.root.join("01/notes.txt"), "mine").unwrap();
    fs::write(store.root.join("README"), "mine").unwrap();
    fs::create_dir(store.root.join("zz")).unwrap();
    assert_eq!(store.list().await.unwrap(), [name(1, 1)]);
}

#[cfg(unix)]
#[test]
fn files_and_folders_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let (_dir, store) = store();
    put(&store, name(1, 1), &[b"x"]).unwrap();
    let mode = |p: &Path| fs::metadata(p).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode(&store.root), mode(&store.root.join("partial")), mode(&store.root.join("01"))),
        (0o700, 0o700, 0o700)
    );
    assert_eq!(mode(&store.path(name(1, 1))), 0o600);
}

#[test]
fn no_room_is_told_apart() {
    for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
        assert!(matches!(Error::from_io("x", kind.into()), Error::StorageFull(_)));
    }
    assert!(matches!(Error::from_io("x", io::ErrorKind::PermissionDenied.into()), Error::Io { .. }));
}
