//! Non-interference: two services whose ledgers and requests are equal within the caller's grants
//! and differ without give the caller the same answers, byte for byte.
//!
//! What differs by its nature is taken out first, and only that: ids and instants of Exports, which
//! are drawn and read from a clock (each is replaced by its place in the script), the links and
//! ETags that are made of them (an Export's ETag must be the digest of its body, so that nothing
//! else can be in it), `Request-ID`, `Date`, `RateLimit`, and `Retry-After`. Everything else is
//! compared: files, manifests, previews, lists, refusals, headers, places in the queue, progress.

mod filters;
mod world;

use payouts_model::FileFormat;
use reqwest::Method;
use serde_json::Value;

use self::filters::Filters;
use self::world::{Draw, Plan, World, normal};

/// Pairs of worlds, and requests in each. More of both: `PAYOUTS_TEST_WORLDS`.
const WORLDS: u64 = 4;
const EXPORTS: usize = 14;

fn seed() -> u64 {
    std::env::var("PAYOUTS_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_261_122)
}

/// One request of the script.
#[derive(Clone, Debug)]
struct Request {
    report: &'static str,
    query: String,
}

fn encode(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

fn request(draw: &mut Draw, filters: &Filters) -> Request {
    let report = if draw.one_in(3) { "transactionhistory" } else { "payments" };
    let mut query = format!("fileFormat={}", FileFormat::ALL[draw.below(FileFormat::ALL.len())]);
    if !draw.one_in(8) {
        query += &format!("&$filter={}", encode(&filters.draw(draw, report)));
    }
    if draw.one_in(4) {
        query += &format!("&enrollmentParticipantId={}", encode(&filters.participant(draw)));
    }
    if draw.one_in(4) {
        query += "&$select=*";
    }
    if draw.one_in(4) {
        query += "&timeZone=America/New_York";
    }
    Request { report, query }
}

/// The same call in both worlds; the answers must be the same once ids and instants are out.
fn same(worlds: &[World; 2], method: &Method, path: &str, what: &str) -> [Value; 2] {
    let answers = worlds.each_ref().map(|world| {
        let answer = world.call(method.clone(), path);
        let json: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        let new = json["requestId"].as_str().filter(|_| answer.status == 202).map(str::to_owned);
        let ids: Vec<String> = world.made.iter().cloned().chain(new).collect();
        (normal(world, &ids, &answer), json)
    });
    let [(left, one), (right, other)] = answers;
    assert!(left == right, "{what}\n{method} {path}\nleft:  {left}\nright: {right}");
    [one, other]
}

/// What the caller sees of all its Exports, and of the lists.
fn look_at_all(worlds: &[World; 2], made: &[(Request, bool)], what: &str) {
    for (number, (request, _)) in made.iter().filter(|(_, accepted)| *accepted).enumerate() {
        let path = format!("/v1.0/payouts/{}/{{{number}}}", request.report);
        same(worlds, &Method::GET, &path, what);
        same(worlds, &Method::GET, &format!("{path}/manifest"), what);
    }
    for query in ["", "?$top=3", "?status=Queued", "?status=Completed&$top=200", "?status=Failed"] {
        for report in ["payments", "transactionhistory"] {
            same(worlds, &Method::GET, &format!("/v1.0/payouts/{report}{query}"), what);
        }
    }
}

/// The files of all Exports, whole and in part.
fn download_all(worlds: &[World; 2], made: &[(Request, bool)], what: &str) -> u64 {
    let mut rows = 0;
    for (number, (request, _)) in made.iter().filter(|(_, accepted)| *accepted).enumerate() {
        let path = format!("/v1.0/payouts/{}/{{{number}}}", request.report);
        let exports = same(worlds, &Method::GET, &path, what);
        rows += exports[0]["rowCount"].as_u64().expect("completed");
        let files = worlds.each_ref().map(|world| {
            let own = world.id(number);
            let link = exports.iter().find(|e| e["requestId"] == own).expect("its own")["blobLocation"]
                .as_str()
                .expect("a link");
            let whole = world.api.get(link).expect(200);
            let part = world.api.call(Method::GET, link, &[("range", "bytes=0-99")]);
            let headers = ["etag", "content-length", "content-type", "content-range", "x-ms-blob-type"];
            let of = |answer: &crate::wire::Answer| headers.map(|name| answer.header(name).to_owned());
            (of(&whole), of(&part), whole.body)
        });
        assert!(
            files[0].0 == files[1].0 && files[0].1 == files[1].1,
            "{what}: headers of {request:?}: {:?} {:?}",
            files[0].0,
            files[1].0
        );
        assert!(files[0].2 == files[1].2, "{what}: bytes of {request:?}");
    }
    rows
}

fn compare(seed: u64) -> u64 {
    let mut draw = Draw(seed);
    let plan = Plan::draw(&mut draw);
    let what = format!("seed {seed}, grants {:?}", plan.caller_grants);
    let mut worlds = plan.worlds();
    let filters = Filters::new(&plan);

    // Nothing runs: the queue as it fills, between others' requests that only one world has.
    let mut made: Vec<(Request, bool)> = Vec::new();
    for at in 0..EXPORTS {
        if at % 4 == 1 {
            worlds.iter_mut().for_each(World::others_ask);
        }
        let request = request(&mut draw, &filters);
        let path = format!("/v1.0/payouts/{}?{}", request.report, request.query);
        let answers = same(&worlds, &Method::POST, &path, &what);
        let ids = answers.map(|answer| answer["requestId"].as_str().map(str::to_owned));
        let accepted = ids[0].is_some();
        for (world, id) in worlds.iter_mut().zip(ids) {
            world.made.extend(id);
        }
        same(&worlds, &Method::POST, &path.replace('?', "/preview?"), &what);
        made.push((request, accepted));
    }
    look_at_all(&worlds, &made, &what);
    for report in ["payments", "transactionhistory"] {
        // Ids that only one world has are like ids that none has.
        for verb in [Method::GET, Method::DELETE] {
            same(&worlds, &verb, &format!("/v1.0/payouts/{report}/{{others}}"), &what);
        }
    }

    // All of it runs, and is looked at again.
    worlds.iter_mut().for_each(World::run_all);
    look_at_all(&worlds, &made, &what);
    let rows = download_all(&worlds, &made, &what);
    if made.iter().any(|(_, accepted)| *accepted) {
        let first = made.iter().find(|(_, accepted)| *accepted).expect("one").0.report;
        same(&worlds, &Method::DELETE, &format!("/v1.0/payouts/{first}/{{0}}"), &what);
        same(&worlds, &Method::GET, &format!("/v1.0/payouts/{first}/{{0}}"), &what);
    }
    rows
}

#[test]
fn nothing_that_a_caller_gets_depends_on_what_is_not_granted() {
    let worlds = std::env::var("PAYOUTS_TEST_WORLDS").ok().and_then(|text| text.parse().ok()).unwrap_or(WORLDS);
    let rows: u64 = (0..worlds).map(|n| compare(seed() + n)).sum();
    assert!(rows > 100, "the exports were empty: {rows} rows");
}
