//! Any path segments and query as a link, and genuine links with any changes: what was signed is
//! taken in any order and escape, and nothing else is.

#![no_main]

use std::borrow::Cow;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use payouts_blob::link::{Link, LinkError, LinkKeys};
use payouts_fuzz::input::Input;
use payouts_model::{PrincipalId, TenantId, Timestamp};
use url::form_urlencoded;

const NOW: Timestamp = Timestamp(1_780_000_000_000_000);
/// Two keys; the second signs. The same in every run, so that inputs keep their meaning.
const KEYS: &str = r#"{"keys": [
    {"id": "old", "secret": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", "supersededAt": "2026-05-01T00:00:00Z"},
    {"id": "new", "secret": "Hx4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA"}]}"#;

/// The longest changed part.
const LENGTH_MAX: usize = 4096;

struct Minted {
    link: Link,
    file: String,
    name: String,
    query: String,
    /// The query's names and values.
    parts: Vec<(String, String)>,
}

struct Setting {
    keys: LinkKeys,
    minted: Vec<Minted>,
}

static SETTING: LazyLock<Setting> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let path = folder.path().join("links.json");
    std::fs::write(&path, KEYS).expect("room for a file");
    #[cfg(unix)]
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("our own file");
    let keys = LinkKeys::load_or_create(&path).expect("good keys");
    let link = |fence: u64, name: &str, principal: &str, hours: i64| Link {
        export: "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b".parse().expect("an id"),
        fence,
        download_name: name.into(),
        tenant: TenantId::new("contoso"),
        principal: PrincipalId::new(principal),
        expires_at: Timestamp(NOW.0 + hours * 3_600_000_000),
    };
    let links = [
        link(3, "payments.csv.zip", "ann", 1),
        link(4, "payments.csv.zip", "ann", 1),
        link(u64::MAX, "p\u{e4}y ments%2F+&?.csv", "a&b=c+d\0", 24),
        link(0, "old.csv", "ann", -1),
    ];
    let minted = links.into_iter().map(|link| {
        let text = keys.sign(&link);
        let (path, query) = text.split_once('?').expect("a query");
        let file = format!("{}-{}", link.export, link.fence);
        assert!(path.starts_with(&format!("/files/{file}/")));
        let parts = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        Minted { file, name: link.download_name.clone(), query: query.to_owned(), parts, link }
    });
    Setting { minted: minted.collect(), keys }
});

/// The one value of each of the link's own names; `None` if one is missing or comes twice.
fn own<'q>(query: &'q str, minted: &Minted) -> Option<Vec<Cow<'q, str>>> {
    let sent: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
    let values = minted.parts.iter().map(|(name, _)| {
        let mut found = sent.iter().filter(|(n, _)| n == name);
        let value = found.next()?;
        found.next().is_none().then(|| value.1.clone())
    });
    values.collect()
}

fn check(file: &str, name: &str, query: &str) {
    let Setting { keys, minted } = &*SETTING;
    let outcome = keys.verify(file, name, query, NOW);
    // All but the end's spelling: clients read it as a time and print it again.
    let same = |m: &&Minted, but: &str| {
        m.file == file
            && m.name == name
            && own(query, m).is_some_and(|values| {
                m.parts.iter().zip(values).all(|((n, wanted), value)| n == but || *wanted == value)
            })
    };
    match &outcome {
        Ok(link) => {
            let found = minted.iter().find(|m| same(m, "se")).expect("only what was signed is taken");
            assert_eq!(*link, found.link);
            assert!(NOW < link.expires_at);
            assert_eq!(
                keys.verify(file, name, query, link.expires_at),
                Err(LinkError::Expired { expired_at: link.expires_at })
            );
        }
        Err(LinkError::Expired { expired_at }) => {
            let found = minted.iter().find(|m| same(m, "se")).expect("an end that was not signed says nothing");
            assert_eq!(*expired_at, found.link.expires_at);
        }
        Err(_) => {
            assert!(!minted.iter().any(|m| same(&m, "")), "genuine, and refused: {outcome:?}");
        }
    }
}

/// A genuine link after some changes.
fn changed(input: &mut Input<'_>) -> (String, String, String) {
    let minted = input.one_of(&SETTING.minted);
    let mut texts = [minted.file.clone(), minted.name.clone(), minted.query.clone()];
    // Escapes of escapes grow without end.
    while input.some() && texts.iter().all(|text| text.len() < LENGTH_MAX) {
        let kind = input.byte();
        let text = &mut texts[usize::from(kind >> 4) % 3];
        let mut pieces: Vec<String> = text.split('&').map(str::to_owned).collect();
        let place = usize::from(input.byte());
        let piece = place % pieces.len();
        match kind % 8 {
            0 => pieces.rotate_left(piece),
            1 => pieces.swap(0, piece),
            2 => pieces.push(pieces[piece].clone()),
            3 => drop(pieces.remove(piece)),
            // Another escape for the same.
            4 => {
                let escaped: String = pieces[piece]
                    .char_indices()
                    .map(|(i, c)| match c.is_ascii_alphanumeric() && i % 3 == place % 3 {
                        true => format!("%{:02x}", c as u32),
                        false => c.to_string(),
                    })
                    .collect();
                pieces[piece] = escaped;
            }
            5 => pieces.insert(piece, String::from_utf8_lossy(input.counted()).into_owned()),
            6 => pieces[piece] = pieces[piece].to_uppercase(),
            _ => {
                let mut chars: Vec<char> = pieces[piece].chars().collect();
                if let Some(at) = usize::from(input.byte()).checked_rem(chars.len()) {
                    chars[at] = char::from(input.byte());
                }
                pieces[piece] = chars.into_iter().collect();
            }
        }
        *text = pieces.join("&");
    }
    texts.into()
}

fuzz_target!(|data: &[u8]| {
    match data.split_first() {
        Some((0, rest)) => {
            let (file, name, query) = changed(&mut Input(rest));
            check(&file, &name, &query);
        }
        _ => {
            let text = String::from_utf8_lossy(data);
            let mut lines = text.splitn(3, '\n');
            let mut line = || lines.next().unwrap_or_default();
            check(line(), line(), line());
        }
    }
});
