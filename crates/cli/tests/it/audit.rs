//! The audit record through the binary: what is in it, and every way of tampering with it, done to
//! the database's file and found by `payouts audit verify`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use payouts_testkit::{Ran, TestServer};
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection};

use crate::wire::Api;
use crate::{Folder, payouts};

fn verify(data: &str, heads: &[&str]) -> Ran {
    let heads = heads.iter().flat_map(|head| ["--head", head]);
    payouts().run(["audit", "verify", "--data", data].into_iter().chain(heads))
}

/// The head that a good chain has.
fn head(data: &str) -> String {
    let said = verify(data, &[]).good().stdout;
    said.lines().find_map(|line| line.strip_prefix("head ")).expect("a head").to_owned()
}

/// The records of a data directory, oldest first.
fn records(data: &str) -> Vec<Value> {
    let lines = payouts().run(["audit", "export", "--data", data, "--format", "jsonl"]).good().stdout;
    lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["record"].clone()).collect()
}

fn of<'a>(records: &'a [Value], action: &str) -> Vec<&'a Value> {
    records.iter().filter(|r| r["action"] == action).collect()
}

/// Does to the database what somebody does who has the file and knows what guards it.
fn tamper(data: &str, statements: &[String]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let options = SqliteConnectOptions::new().filename(Path::new(data).join("payouts.db"));
        let mut database = SqliteConnection::connect_with(&options).await.expect("the database");
        for guard in ["DROP TRIGGER audit_is_not_changed", "DROP TRIGGER audit_is_not_deleted"] {
            sqlx::raw_sql(guard).execute(&mut database).await.expect("a guard");
        }
        for statement in statements {
            let done = sqlx::raw_sql(AssertSqlSafe(statement.clone())).execute(&mut database).await;
            assert!(done.expect("a statement").rows_affected() > 0, "{statement}");
        }
        database.close().await.expect("closed");
    });
}

/// Statements that compute every hash anew over changed texts, as the documentation describes it.
fn rewritten(records: &[String]) -> Vec<String> {
    let mut before = "0".repeat(64);
    let mut statements = Vec::new();
    for (record, seq) in records.iter().zip(1..) {
        let digest = Sha256::digest(format!("{seq}\n{before}\n{record}\n"));
        before = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let record = record.replace('\'', "''");
        statements.push(format!("UPDATE audit SET record = '{record}', hash = x'{before}' WHERE seq = {seq}"));
    }
    statements
}

/// A data directory with six records, each a grant.
fn six() -> Folder {
    let folder = Folder::new();
    for participant in ["1", "2", "3", "4", "5", "6"] {
        let data = folder.at("data");
        payouts().run(["grant", "--data", &data, "--tenant", "t", "--participant", participant]).good();
    }
    folder
}

#[test]
fn a_whole_record_is_said_to_be_whole() {
    let folder = six();
    let data = folder.at("data");
    let at_six = head(&data);
    assert!(at_six.starts_with("6:"), "{at_six}");
    payouts().run(["revoke", "--data", &data, "--tenant", "t", "--participant", "6"]).good();
    let said = verify(&data, &[&at_six, &head(&data)]).good().stdout;
    assert!(said.starts_with("7 records: the chain is whole and holds 2 noted heads\nhead 7:"), "{said}");
    verify(&data, &["6:9f"]).failed(2, &["--head"]);
    verify(&folder.at("typo"), &[]).failed(2, &["payouts.db"]);
    assert!(!folder.path().join("typo").exists(), "checking makes nothing");
}

#[test]
fn a_changed_record_is_found() {
    let folder = six();
    let text = "UPDATE audit SET record = replace(record, '\"3\"', '\"9\"') WHERE seq = 3".to_owned();
    tamper(&folder.at("data"), &[text]);
    verify(&folder.at("data"), &[]).failed(1, &["not whole", "record 3 was changed"]);
    let folder = six();
    tamper(&folder.at("data"), &["UPDATE audit SET hash = zeroblob(32) WHERE seq = 4".to_owned()]);
    verify(&folder.at("data"), &[]).failed(1, &["record 4 was changed"]);
}

#[test]
fn a_missing_record_is_found() {
    for (gone, said) in [(1, "after record 0 comes record 2"), (3, "after record 2 comes record 4")] {
        let folder = six();
        tamper(&folder.at("data"), &[format!("DELETE FROM audit WHERE seq = {gone}")]);
        verify(&folder.at("data"), &[]).failed(1, &[said]);
    }
    // The others moved together, so that no number is missing.
    let folder = six();
    let mut statements = vec!["DELETE FROM audit WHERE seq = 3".to_owned()];
    statements.extend((4..=6).map(|seq| format!("UPDATE audit SET seq = {} WHERE seq = {seq}", seq - 1)));
    tamper(&folder.at("data"), &statements);
    verify(&folder.at("data"), &[]).failed(1, &["record 3 was changed"]);
}

#[test]
fn an_added_record_is_found() {
    let folder = six();
    let copy = "INSERT INTO audit (seq, record, hash) SELECT 7, record, hash FROM audit WHERE seq = 6".to_owned();
    tamper(&folder.at("data"), &[copy]);
    verify(&folder.at("data"), &[]).failed(1, &["record 7 was changed"]);
    let folder = six();
    let below = "INSERT INTO audit (seq, record, hash) SELECT -1, record, hash FROM audit WHERE seq = 6".to_owned();
    tamper(&folder.at("data"), &[below]);
    verify(&folder.at("data"), &[]).failed(1, &["audit record -1"]);
}

#[test]
fn a_cut_tail_is_found_with_a_head() {
    let folder = six();
    let data = folder.at("data");
    let noted = head(&data);
    tamper(&data, &["DELETE FROM audit WHERE seq > 4".to_owned()]);
    verify(&data, &[]).good();
    verify(&data, &[&noted]).failed(1, &["missing at the end", "the last is record 4", "record 6"]);
    // Filled up again by what happens later: the number is there, its hash is another.
    for participant in ["7", "8", "9"] {
        payouts().run(["grant", "--data", &data, "--tenant", "t", "--participant", participant]).good();
    }
    verify(&data, &[&noted]).failed(1, &["rewritten", "record 6"]);
}

#[test]
fn a_rewritten_whole_is_found_with_a_head() {
    let folder = six();
    let data = folder.at("data");
    let noted = head(&data);
    let lines = payouts().run(["audit", "export", "--data", &data, "--format", "jsonl"]).good().stdout;
    let texts: Vec<String> = lines
        .lines()
        .map(|line| line.split_once("\"record\":").expect("a record").1.strip_suffix('}').expect("a line").to_owned())
        .collect();
    // With nothing changed the same hashes come out: the arithmetic is the documented one.
    tamper(&data, &rewritten(&texts));
    verify(&data, &[&noted]).good();
    let forged: Vec<String> =
        texts.iter().map(|text| text.replace("\"participant\":\"2\"", "\"participant\":\"77\"")).collect();
    let folder = six();
    let data = folder.at("data");
    let noted = head(&data);
    tamper(&data, &rewritten(&forged));
    verify(&data, &[]).good();
    verify(&data, &[&noted]).failed(1, &["rewritten somewhere from record 1 to record 6"]);
}

#[test]
fn the_command_line_is_recorded() {
    let folder = Folder::new();
    let data = folder.at("data");
    let header = "tenant,principal,participant,program,role,until\n";
    payouts().run(["grant", "--data", &data, "--tenant", "a", "--participant", "1"]).good();
    let file = folder.write("grants.csv", &format!("{header}b,ann,2,CSP,admin,2099-01-31\n"));
    payouts().run(["grants", "apply", &file, "--data", &data]).good();
    payouts().run(["revoke", "--data", &data, "--tenant", "b", "--all"]).good();
    payouts().run(["sample", "--data", &data, "--rows", "500"]).good();
    let csv = folder.write("own.csv", "participantID\n1\n");
    payouts().run(["import", "payments", &csv, "--data", &data]).failed(1, &["nothing was imported"]);
    payouts().run(["import", "payments", &csv, "--data", &data, "--dry-run"]).failed(1, &["nothing was imported"]);
    let text = own_csv("1", "Payee", "10.00");
    let csv = folder.write("own.csv", &text);
    payouts().run(["import", "payments", &csv, "--data", &data, "--order-type", "REBATE"]).good();

    let records = records(&data);
    let actions: Vec<&str> = records.iter().map(|r| r["action"].as_str().unwrap()).collect();
    assert_eq!(
        actions,
        [
            "grant.given",
            "grant.revoked",
            "grant.given",
            "grant.revoked",
            "ledger.started",
            "ledger.ended",
            "ledger.started",
            "ledger.failed",
            "ledger.started",
            "ledger.ended"
        ]
    );
    assert!(records.iter().all(|r| r["by"]["operator"].as_str().is_some_and(|name| !name.is_empty())), "{records:#?}");
    let applied: Vec<bool> = records[..4].iter().map(|r| r["applied"].as_bool().unwrap()).collect();
    assert_eq!(applied, [false, true, true, false]);
    let given = &records[2]["grant"];
    assert_eq!(given["until"], "2099-01-31T00:00:00Z");
    assert_eq!(given["principal"], "ann");
    assert_eq!(given["participant"], "2");
    assert_eq!(given["role"], "admin");
    assert_eq!(records[5]["operation"], "sample");
    assert_eq!(records[5]["rows"]["inserted"], 550);
    let (started, ended) = (&records[8], &records[9]);
    assert_eq!(started["change"], ended["change"]);
    assert_eq!(started["operation"], "import");
    assert_eq!(started["files"][0], csv);
    assert_eq!(ended["version"], 1);
    assert_eq!(ended["rows"]["inserted"], 1);
    verify(&data, &[]).good();
}

#[test]
fn rotations_of_link_keys_are_recorded() {
    let folder = Folder::new();
    let data = folder.at("data");
    // A start makes the first key.
    assert_eq!(TestServer::start(&payouts(), &folder.path().join("data")).terminate(), 0);
    let listed = |args: &[&str]| payouts().run([&["keys", "--data", &data], args].concat()).good().stdout;
    let newest = |listed: String| listed.lines().last().expect("a key").split(',').next().expect("an id").to_owned();
    let (second, third) = (newest(listed(&["rotate"])), newest(listed(&["rotate", "--drop-old"])));
    // One that cannot be done leaves its beginning alone.
    let keys = folder.path().join("data/keys");
    let file = std::fs::read_dir(&keys).expect("the keys").flatten().map(|entry| entry.path());
    let file =
        file.filter(|path| path.is_file()).find(|path| std::fs::read_to_string(path).is_ok_and(|t| t.contains(&third)));
    std::fs::write(file.expect("the file of link keys"), "torn").expect("the file can be written");
    payouts().run(["keys", "--data", &data, "rotate"]).failed(1, &["the keys were not rotated"]);

    let records = records(&data);
    let told: Vec<_> =
        records.iter().map(|r| (r["action"].as_str(), r["key"].as_str(), r["dropOld"].as_bool())).collect();
    assert_eq!(
        told,
        [
            (Some("keys.rotating"), None, Some(false)),
            (Some("keys.rotated"), Some(&*second), Some(false)),
            (Some("keys.rotating"), None, Some(true)),
            (Some("keys.rotated"), Some(&*third), Some(true)),
            (Some("keys.rotating"), None, Some(false)),
        ]
    );
    assert!(records.iter().all(|r| r["by"]["operator"].is_string()), "{records:#?}");
    verify(&data, &[]).good();
}

/// One payment, as files have it.
pub fn own_csv(participant: &str, name: &str, amount: &str) -> String {
    format!(
        "participantID,participantIDType,participantName,programName,earned,earnedUSD,withheldTax,salesTax,serviceFeeTax,totalPayment,\
         currencyCode,paymentMethod,paymentID,paymentStatus,paymentStatusDescription,paymentDate\r\n\
         {participant},MPN,{name},CSP Direct Bill Partner,{amount},{amount},0,0,0,{amount},USD,Wire,77001,SENT,,2026-06-30\r\n"
    )
}

/// Reads the beginning of an answer and goes away.
fn read_a_little(link: &str) {
    let rest = link.strip_prefix("http://").expect("plain HTTP");
    let (address, path) = rest.split_at(rest.find('/').expect("a path"));
    let mut socket = TcpStream::connect(address).unwrap();
    write!(socket, "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    let mut beginning = [0; 4096];
    socket.read_exact(&mut beginning).unwrap();
    assert!(beginning.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&beginning));
}

#[test]
fn a_session_is_recorded_with_what_was_taken() {
    let folder = Folder::with_sample(120_000);
    let data = folder.at("data");
    let server = TestServer::start(&payouts(), &folder.path().join("data"));
    let api = Api::new(&server.url, &payouts().token(&folder.path().join("data"), "contoso", "ann"));
    let export = api.export("payments", "$filter=paymentAmount%20gt%20-1e12&fileFormat=csv");
    let (id, link) = (export["requestId"].as_str().unwrap(), export["blobLocation"].as_str().unwrap());
    let whole = api.get(link).expect(200);
    let size = whole.body.len() as u64;
    assert!(size > 16 << 20, "more than the sockets hold: {size}");
    read_a_little(link);
    let begin = Instant::now();
    let interrupted = loop {
        let records = records(&data);
        if let [one] = of(&records, "download.interrupted")[..] {
            break one.clone();
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "{records:#?}");
    };
    let sent = interrupted["sentBytes"].as_u64().unwrap();
    assert!((4096..size).contains(&sent), "{sent} of {size}");
    api.delete(&format!("/v1.0/payouts/payments/{id}")).expect(200);

    let records = records(&data);
    let by = serde_json::json!({"tenant": "contoso", "principal": "ann"});
    for action in ["export.accepted", "download.ended", "download.interrupted", "export.deleted"] {
        let [one] = of(&records, action)[..] else { panic!("{action}: {records:#?}") };
        assert_eq!(one["by"], by, "{one}");
        assert_eq!(one["export"], id, "{one}");
    }
    let started = of(&records, "download.started");
    assert_eq!(started.len(), 2);
    assert!(started.iter().all(|r| r["askedBytes"] == size));
    let ended = of(&records, "download.ended")[0];
    assert_eq!(ended["sentBytes"], size);
    assert_eq!(ended["request"], whole.header("request-id"));
    assert_eq!(interrupted["request"], started[1]["request"]);

    // As CSV, and from an instant on.
    let all = payouts().run(["audit", "export", "--data", &data]).good().stdout;
    assert!(all.starts_with("seq,at,action,tenant,principal,operator,export,request,details,hash\n1,"), "{all}");
    assert_eq!(all.lines().count(), records.len() + 1);
    let deleted = of(&records, "export.deleted")[0]["at"].as_str().unwrap();
    let late = payouts().run(["audit", "export", "--data", &data, "--since", deleted]).good().stdout;
    assert_eq!(late.lines().filter(|line| line.contains(",export.deleted,contoso,ann,,")).count(), 1, "{late}");
    let early = payouts().run(["audit", "export", "--data", &data, "--until", deleted]).good().stdout;
    assert_eq!(early.lines().count() + late.lines().count(), all.lines().count() + 1);
    verify(&data, &[]).good();
}

#[test]
fn many_at_once_keep_the_chain_whole() {
    let folder = Folder::with_sample(2_000);
    let data = folder.at("data");
    let server = TestServer::start(&payouts(), &folder.path().join("data"));
    let token = payouts().token(&folder.path().join("data"), "contoso", "ann");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let client = payouts_testkit::client();
    runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..64 {
            let url = format!("{}/v1.0/payouts/payments?$filter=paymentId={n}", server.url);
            let request = client.post(url).bearer_auth(&token).body("");
            tasks.spawn(async move { request.send().await.unwrap().status().as_u16() });
        }
        // Another process writes at the same time.
        for participant in ["1", "2", "3"] {
            let grant = ["grant", "--data", &data, "--tenant", "t", "--participant", participant].map(str::to_owned);
            tasks.spawn_blocking(move || {
                payouts().run(grant).good();
                202
            });
        }
        assert!(tasks.join_all().await.iter().all(|status| *status == 202));
    });
    let records = records(&data);
    let accepted = of(&records, "export.accepted");
    let ids: std::collections::BTreeSet<&str> = accepted.iter().map(|r| r["export"].as_str().unwrap()).collect();
    assert_eq!((accepted.len(), ids.len()), (64, 64));
    assert_eq!(of(&records, "grant.given").len(), 4);
    verify(&data, &[]).good();
}

#[cfg(unix)]
#[test]
fn the_heads_in_the_log_prove_what_was_there() {
    let folder = Folder::with_sample(500);
    let data = folder.at("data");
    let server = TestServer::start_with(
        &payouts(),
        &[
            "--log-format",
            "json",
            "serve",
            "--dev",
            "--data",
            &data,
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "none",
        ],
    );
    let api = Api::new(&server.url, &payouts().token(&folder.path().join("data"), "contoso", "ann"));
    api.file(&api.export("payments", "$filter=paymentAmount%20gt%200"));
    let (code, log) = server.stopped();
    assert_eq!(code, 0, "{log}");
    let heads: Vec<String> = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|line| line["audit.head"].as_str().map(str::to_owned))
        .collect();
    let [started, stopped] = &heads[..] else { panic!("{heads:?}") };
    assert!(started.starts_with("3:"), "sample and grant: {started}");
    assert_eq!(*stopped, head(&data), "the end of the download is in it");
    assert_eq!(of(&records(&data), "download.ended").len(), 1);
    verify(&data, &[started, stopped]).good();
    tamper(&data, &["DELETE FROM audit WHERE seq > 4".to_owned()]);
    verify(&data, &[started]).good();
    verify(&data, &[started, stopped]).failed(1, &["missing at the end"]);
}
