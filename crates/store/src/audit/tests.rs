//! The chain's arithmetic, and every way in which it can be broken.

use payouts_model::{Role, Scope, Timestamp};

use super::*;

fn chain(texts: &[&str]) -> Vec<Entry> {
    let mut head = Head::NONE;
    let entry = |text: &&str| {
        head = head.after(text);
        Entry { seq: head.seq, record: (*text).to_owned(), hash: head.hash }
    };
    texts.iter().map(entry).collect()
}

fn check(entries: &[Entry], noted: &[Head]) -> Result<Head, Broken> {
    let mut check = Check::new(noted.to_vec());
    entries.iter().try_for_each(|entry| check.next(entry))?;
    check.end()
}

/// The hash can be computed with any tool: this one by `printf '1\n%064d\n{}\n' 0 | sha256sum`.
#[test]
fn the_hash_is_that_of_three_lines() {
    let hash = Hash::of(1, &Hash::NONE, "{}");
    assert_eq!(hash.to_string(), "6cce7e95438fd097c3253fb131bc75344ecccdb1c4610d3d53e4e2267227db3b");
}

#[test]
fn heads_are_read_as_they_are_written() {
    let head = Head::NONE.after("{}");
    assert_eq!(head.to_string().parse(), Ok(head));
    for wrong in ["", "1", "1:", "1:zz", "x:00", &format!("1:{}", "g".repeat(64)), &format!("-1:{}", "0".repeat(64))] {
        assert!(wrong.parse::<Head>().is_err(), "{wrong}");
    }
}

#[test]
fn every_break_is_found_where_it_is() {
    let whole = chain(&["a", "b", "c", "d"]);
    let heads: Vec<Head> = whole.iter().map(|e| Head { seq: e.seq, hash: e.hash }).collect();
    assert_eq!(check(&whole, &[]), Ok(heads[3]));
    assert_eq!(check(&whole, &heads), Ok(heads[3]));
    assert_eq!(check(&[], &[Head::NONE]), Ok(Head::NONE));
    for place in 0..4 {
        let seq = place as u64 + 1;
        let mut text = whole.clone();
        text[place].record.push(' ');
        assert_eq!(check(&text, &[]), Err(Broken::Changed { seq }));
        let mut hash = whole.clone();
        hash[place].hash.0[31] ^= 1;
        assert_eq!(check(&hash, &[]), Err(Broken::Changed { seq }));
        let mut gone = whole.clone();
        gone.remove(place);
        let expected = if place == 3 { Ok(heads[2]) } else { Err(Broken::Gap { after: seq - 1, found: seq + 1 }) };
        assert_eq!(check(&gone, &[]), expected);
        assert_eq!(check(&whole[..place], &[heads[3]]), Err(Broken::CutOff { last: place as u64, noted: 4 }));
    }
    // Somebody who computes the hashes anew from the changed record on.
    let forged = chain(&["a", "b", "x", "d"]);
    assert!(check(&forged, &[]).is_ok());
    let (found, logged) = (forged[3].hash, heads[3].hash);
    assert_eq!(check(&forged, &[heads[3], heads[1]]), Err(Broken::Rewritten { agreed: 2, seq: 4, found, logged }));
    // Two records that changed places, numbers and all.
    let mut swapped = whole.clone();
    let (b, c) = (swapped[1].record.clone(), swapped[2].record.clone());
    (swapped[1].record, swapped[2].record) = (c, b);
    assert_eq!(check(&swapped, &[]), Err(Broken::Changed { seq: 2 }));
}

#[test]
fn a_record_is_one_line_of_plain_members() {
    let by = By {
        actor: (&crate::conformance::viewer("t\n\"", "p", Role::Viewer, Scope::everything())).into(),
        at: Timestamp(0),
    };
    let event = Event::DownloadEnded { export: crate::conformance::id(1), request: "r".into(), sent_bytes: 7 };
    let text = Record::new(&by, event).to_text();
    let expected = "{\"at\":\"1970-01-01T00:00:00Z\",\"by\":{\"tenant\":\"t\\n\\\"\",\"principal\":\"p\"},\
         \"action\":\"download.ended\",\"export\":\"00000000-0000-0000-0000-000000000001\",\"request\":\"r\",\"sentBytes\":7}";
    assert_eq!(text, expected);
}

#[test]
fn an_acceptance_holds_digests_in_place_of_what_was_asked() {
    let mut create = crate::conformance::request(0);
    create.query.filter = "participantName eq 'Secret Payee' and totalPayment gt 4711.25".to_owned();
    create.query.text.clone_from(&create.query.filter);
    let text = Record::accepted(&create).to_text();
    let digest = hex(&Sha256::digest(&create.query.filter));
    assert!(text.contains(&digest) && text.contains(&create.scope.digest()), "{text}");
    for secret in ["Secret", "4711.25", "participantName"] {
        assert!(!text.contains(secret), "{text}");
    }
}
