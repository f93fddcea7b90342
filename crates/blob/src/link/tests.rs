//! Links that must be taken, and links that must not.

use std::fs;

use super::*;

const NOW: Timestamp = Timestamp(1_780_000_000_000_000);
const EXPORT: &str = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";

fn link() -> Link {
    Link {
        export: EXPORT.parse().unwrap(),
        fence: 3,
        download_name: "payments-2026-05-28.csv.zip".into(),
        tenant: TenantId::new("contoso"),
        principal: PrincipalId::new("alice@contoso.example"),
        expires_at: LinkLife::default().expires_at(NOW),
    }
}

/// The decoded second and third segment and the raw query, as a server gets them.
fn parts(text: &str) -> (String, String, String) {
    let (path, query) = text.split_once('?').unwrap();
    let segments: Vec<String> =
        path.split('/').map(|s| percent_encoding::percent_decode_str(s).decode_utf8().unwrap().into_owned()).collect();
    let [empty, prefix, file, name] = segments.try_into().unwrap();
    assert_eq!((empty.as_str(), prefix.as_str()), ("", PATH_PREFIX));
    (file, name, query.to_owned())
}

fn check(keys: &LinkKeys, text: &str) -> Result<Link, LinkError> {
    let (file, name, query) = parts(text);
    keys.verify(&file, &name, &query, NOW)
}

fn malformed(part: &'static str) -> Result<Link, LinkError> {
    Err(LinkError::Malformed { part })
}

#[test]
fn a_genuine_link_says_what_was_signed() {
    let keys = LinkKeys::generate().unwrap();
    let text = keys.sign(&link());
    assert_eq!(check(&keys, &text), Ok(link()));
    assert_eq!(text, keys.sign(&link()));
    let expected = format!(
        "/files/{EXPORT}-3/payments-2026-05-28.csv.zip?sv=2024-11-04&se=2026-05-28T21%3A00%3A00Z&sr=b&sp=r&si="
    );
    assert!(text.starts_with(&expected), "{text}");

    // Any text is possible in the viewer and in the name.
    let odd = Link {
        download_name: "päy ments%2F+&?.csv".into(),
        tenant: TenantId::new("ten/ant ü"),
        principal: PrincipalId::new("a&b=c+d\0"),
        fence: u64::MAX,
        ..link()
    };
    assert_eq!(check(&keys, &keys.sign(&odd)), Ok(odd));
}

#[test]
fn only_names_of_the_azure_set_are_used_and_none_is_empty() {
    let text = LinkKeys::generate().unwrap().sign(&link());
    let (_, _, query) = parts(&text);
    let names: Vec<String> = form_urlencoded::parse(query.as_bytes())
        .map(|(name, value)| {
            assert!(!value.is_empty());
            name.into_owned()
        })
        .collect();
    assert_eq!(names, Query::PARTS);
    assert!(!text.ends_with('/') && !text.contains('+'));
}

#[test]
fn a_changed_link_is_refused() {
    let keys = LinkKeys::generate().unwrap();
    let text = keys.sign(&link());
    let encode = |s: &str| URL_SAFE_NO_PAD.encode(s);
    for (from, to) in [
        (EXPORT, "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5c"),
        ("4a5b-3/", "4a5b-4/"),
        ("payments-2026", "payments-2027"),
        ("csv.zip?", "csv?"),
        ("2026-05-28T21", "2026-05-28T22"),
        ("2026-05-28T21", "2020-05-28T21"),
        (&encode("contoso"), &encode("fabrikam")),
        (&encode("alice@contoso.example"), &encode("mallory@contoso.example")),
    ] {
        assert!(text.contains(from), "{from}");
        assert_eq!(check(&keys, &text.replace(from, to)), Err(LinkError::Forged), "{from}");
    }
    // Tenant and principal cannot change places, nor a letter move from one to the other.
    let (file, name, query) = parts(&text);
    let swapped = query.replace("skoid", "x").replace("sktid", "skoid").replace("x=", "sktid=");
    assert_eq!(keys.verify(&file, &name, &swapped, NOW), Err(LinkError::Forged));
    for (tenant, principal) in [("contosoa", "lice@contoso.example"), ("contos", "oalice@contoso.example")] {
        let other = query.replace(&encode("contoso"), &encode(tenant));
        let other = other.replace(&encode("alice@contoso.example"), &encode(principal));
        assert_eq!(keys.verify(&file, &name, &other, NOW), Err(LinkError::Forged));
    }
}

#[test]
fn every_changed_character_of_the_signature_is_refused() {
    let keys = LinkKeys::generate().unwrap();
    let text = keys.sign(&link());
    let start = text.find("sig=").unwrap() + 4;
    for i in start..text.len() {
        let other = if &text[i..=i] == "A" { "B" } else { "A" };
        let changed = format!("{}{other}{}", &text[..i], &text[i + 1..]);
        // A changed last character may not even be base64.
        assert!(matches!(check(&keys, &changed), Err(LinkError::Forged | LinkError::Malformed { part: "sig" })));
    }
}

#[test]
fn a_link_cut_anywhere_is_refused() {
    let keys = LinkKeys::generate().unwrap();
    let text = keys.sign(&link());
    for end in text.find('?').unwrap() + 1..text.len() {
        let error = check(&keys, &text[..end]).unwrap_err();
        assert!(matches!(error, LinkError::Forged | LinkError::Malformed { .. }), "{error}");
    }
}

#[test]
fn missing_doubled_and_wrong_parts_are_named() {
    let keys = LinkKeys::generate().unwrap();
    let (file, name, query) = parts(&keys.sign(&link()));
    for part in Query::PARTS {
        let pairs: Vec<&str> = query.split('&').collect();
        let own = format!("{part}=");
        let without: Vec<&str> = pairs.iter().copied().filter(|p| !p.starts_with(&own)).collect();
        assert_eq!(keys.verify(&file, &name, &without.join("&"), NOW), malformed(part));
        let pair = pairs.iter().find(|p| p.starts_with(&own)).unwrap();
        assert_eq!(keys.verify(&file, &name, &format!("{query}&{pair}"), NOW), malformed(part), "twice");
    }
    for (from, to, part) in [
        ("sr=b", "sr=c", "sr"),
        ("sp=r", "sp=rw", "sp"),
        ("sv=2024-11-04", "sv=2019-01-01", "sv"),
        ("se=2026", "se=never", "se"),
        ("skoid=", "skoid=%21", "skoid"),
    ] {
        assert_eq!(keys.verify(&file, &name, &query.replace(from, to), NOW), malformed(part));
    }
    for file in
        ["", "x", EXPORT, &format!("{EXPORT}-03"), &format!("{EXPORT}-"), &format!("{}-3", EXPORT.to_uppercase())]
    {
        assert_eq!(keys.verify(file, &name, &query, NOW), malformed("path"), "{file}");
    }
}

#[test]
fn a_link_dies_at_its_second() {
    let keys = LinkKeys::generate().unwrap();
    let (file, name, query) = parts(&keys.sign(&link()));
    let end = link().expires_at;
    assert!(keys.verify(&file, &name, &query, Timestamp(end.0 - 1)).is_ok());
    assert_eq!(keys.verify(&file, &name, &query, end), Err(LinkError::Expired { expired_at: end }));
    // A forged one is not told that it expired.
    let later = query.replace("T21", "T20");
    assert_eq!(keys.verify(&file, &name, &later, end), Err(LinkError::Forged));
}

#[test]
fn clients_may_write_the_same_link_differently() {
    let keys = LinkKeys::generate().unwrap();
    let (file, name, query) = parts(&keys.sign(&link()));
    let mut reversed: Vec<&str> = query.split('&').collect();
    reversed.reverse();
    let encoded: String = query
        .bytes()
        .map(|b| {
            if matches!(b, b'=' | b'&' | b'%') || b.is_ascii_digit() || b.is_ascii_uppercase() {
                (b as char).to_string()
            } else {
                format!("%{b:02x}")
            }
        })
        .collect();
    for other in [
        reversed.join("&"),
        encoded,
        query.replace("%3A", ":"),
        query.replace("%3A", "%3a"),
        query.replace("00Z", "00.0000000Z"),
        query.replace("00Z", "00%2B00:00"),
        format!("comp=block&{query}&timeout=30&restype=x"),
    ] {
        assert_eq!(keys.verify(&file, &name, &other, NOW), Ok(link()), "{other}");
    }
}

#[test]
fn links_live_through_a_rotation_until_their_key_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("links.json");
    let ring = Keyring::open(&path).unwrap();
    let verify = |text: &str| {
        let (file, name, query) = parts(text);
        ring.verify(&file, &name, &query, NOW)
    };
    let old = ring.sign(&link());
    assert_eq!(LinkKeys::rotate(&path, false, NOW).unwrap().infos().len(), 2);
    // At once, in a ring that was open before.
    let new = ring.sign(&link());
    assert_ne!(old, new);
    assert_eq!((verify(&old), verify(&new)), (Ok(link()), Ok(link())));

    assert_eq!(ring.drop_superseded(NOW).unwrap(), 0, "superseded now, not before");
    assert_eq!(verify(&old), Ok(link()));
    assert_eq!(ring.drop_superseded(Timestamp(NOW.0 + 1)).unwrap(), 1);
    assert_eq!((verify(&old), verify(&new)), (Err(LinkError::UnknownKey), Ok(link())));
    assert_eq!(ring.drop_superseded(Timestamp(i64::MAX)).unwrap(), 0, "the key that signs stays");

    // A second rotation leaves the first one's instant; a leak is answered by dropping all.
    LinkKeys::rotate(&path, false, NOW).unwrap();
    let infos = LinkKeys::rotate(&path, false, Timestamp(NOW.0 + 5)).unwrap().infos();
    let superseded: Vec<_> = infos.iter().map(|info| info.superseded_at).collect();
    assert_eq!(superseded, [Some(NOW), Some(Timestamp(NOW.0 + 5)), None]);
    assert_eq!(LinkKeys::rotate(&path, true, NOW).unwrap().infos().len(), 1);
    assert_eq!(verify(&new), Err(LinkError::UnknownKey));

    // The id of one key under the signature of another.
    let (one, other) = (LinkKeys::generate().unwrap(), LinkKeys::generate().unwrap());
    let both = LinkKeys { keys: [one.keys.clone(), other.keys.clone()].concat() };
    let text = one.sign(&link()).replace(&one.newest().id, &other.newest().id);
    assert_eq!(check(&both, &text), Err(LinkError::Forged));
}

#[test]
fn rotations_at_the_same_time_lose_no_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("links.json");
    let first = LinkKeys::load_or_create(&path).unwrap().sign(&link());
    let texts: Vec<String> = std::thread::scope(|scope| {
        let rotate = || LinkKeys::rotate(&path, false, NOW).unwrap().sign(&link());
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(rotate)).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    let keys = LinkKeys::load_or_create(&path).unwrap();
    assert_eq!(keys.infos().len(), 9);
    for text in texts.iter().chain([&first]) {
        assert_eq!(check(&keys, text), Ok(link()));
    }
}

#[test]
fn a_ring_keeps_its_keys_while_the_file_cannot_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("links.json");
    let ring = Keyring::open(&path).unwrap();
    let text = ring.sign(&link());
    let good = fs::read(&path).unwrap();
    for bad in [&b"{"[..], b""] {
        fs::write(&path, bad).unwrap();
        assert_eq!(ring.sign(&link()), text);
    }
    fs::remove_file(&path).unwrap();
    assert_eq!(ring.sign(&link()), text);
    fs::write(&path, good).unwrap();
    #[cfg(unix)]
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    LinkKeys::rotate(&path, false, NOW).unwrap();
    assert_ne!(ring.sign(&link()), text);
}

#[test]
fn keys_are_made_once_however_many_ask() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("links.json");
    let texts: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..8).map(|_| scope.spawn(|| LinkKeys::load_or_create(&path).unwrap().sign(&link()))).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert!(texts.iter().all(|t| *t == texts[0]));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn damaged_key_files_are_refused_and_secrets_not_shown() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("links.json");
    let keys = LinkKeys::load_or_create(&path).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let secret = URL_SAFE_NO_PAD.encode(&keys.newest().secret);
    assert_eq!(secret.len(), 43);
    assert!(text.contains(&secret) && !format!("{keys:?}").contains(&secret));
    for bad in [
        "".into(),
        "{}".into(),
        r#"{"keys": []}"#.into(),
        text.replace(&secret, "c2hvcnQ"),
        text.replace("\"secret\": \"", "\"secret\": {"),
    ] {
        fs::write(&path, &bad).unwrap();
        let error = LinkKeys::load_or_create(&path).unwrap_err();
        assert!(matches!(&error, KeysError::Invalid { .. }) && !error.to_string().contains(&secret), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn a_key_file_open_to_others_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("links.json");
    LinkKeys::load_or_create(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let error = LinkKeys::load_or_create(&path).unwrap_err().to_string();
    assert!(error.contains("mode 640") && error.contains("chmod 600"), "{error}");
}

#[test]
fn lives_are_between_half_and_whole_and_stable_in_between() {
    for seconds in [0, 2, 3, 61, 3600, u32::MAX] {
        let life = LinkLife::from_seconds(seconds);
        let half = life.half_us;
        for now in [0, 1, half - 1, half, half + 1, 2 * half - 1, 2 * half, NOW.0].map(Timestamp) {
            let (expiry, until) = (life.expires_at(now), life.stable_until(now));
            let rest = expiry.0 - now.0;
            assert!(rest > half && rest <= 2 * half, "{seconds} {now:?}");
            assert_eq!(expiry.0 % MICROS, 0);
            assert_eq!(life.expires_at(Timestamp(until.0 - 1)), expiry);
            assert_ne!(life.expires_at(until), expiry);
            assert!(until > now);
        }
    }
    assert_eq!(LinkLife::default().half_us, 1800 * MICROS);
}
