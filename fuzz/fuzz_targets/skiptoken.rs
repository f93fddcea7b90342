//! Any text as the query of a list: a `$skiptoken` is taken only in the one spelling that is given
//! out, and every one that is given out is taken.

#![no_main]

use libfuzzer_sys::fuzz_target;
use payouts_model::{ErrorCode, ExportId, Timestamp};
use payouts_service::http::exports::list::{read_token, write_token};
use payouts_service::http::params::{ListParams, TOP_MAX};

/// The form that `/openapi.json` states, read byte by byte.
fn of_the_form(token: &str) -> bool {
    let Some((at, id)) = token.split_once('.') else { return false };
    let digits = (1..=18).contains(&at.len()) && at.bytes().all(|b| b.is_ascii_digit());
    let groups: Vec<usize> = id.split('-').map(str::len).collect();
    let hex = id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'-'));
    digits && (at == "0" || !at.starts_with('0')) && groups == [8, 4, 4, 4, 12] && hex
}

fn check(token: &str) {
    match read_token(token) {
        Ok(place) => {
            assert_eq!(write_token(place), token, "another spelling");
            assert!(of_the_form(token), "{token}");
        }
        Err(error) => {
            assert!(!of_the_form(token), "{token}");
            assert_eq!(error.code(), ErrorCode::InvalidParameter);
        }
    }
}

fuzz_target!(|data: (bool, u64, u128, usize, u8, &str)| {
    let (made, at, id, place, byte, raw) = data;
    if made {
        let at = Timestamp((at % 1_000_000_000_000_000_000) as i64);
        let id: ExportId = format!("{id:032x}").parse().expect("an id");
        let token = write_token((at, id));
        assert_eq!(read_token(&token).expect("one that was given out"), (at, id));
        check(&token);
        // Another character anywhere, or one less, or more.
        let place = place % token.len();
        let other = char::from(byte);
        for changed in [
            format!("{}{other}{}", &token[..place], &token[place + 1..]),
            format!("{}{other}{}", &token[..place], &token[place..]),
            format!("{}{}", &token[..place], &token[place + 1..]),
        ] {
            check(&changed);
        }
    }
    check(raw);
    match ListParams::parse(raw) {
        Ok(params) => {
            assert!(params.top.is_none_or(|top| (1..=TOP_MAX).contains(&top)));
            params.skip_token.iter().for_each(|token| check(token));
        }
        Err(error) => assert_eq!(error.code().status(), 400, "{error:?}"),
    }
});
