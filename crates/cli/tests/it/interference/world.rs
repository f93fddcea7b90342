//! Two worlds of one plan: the same rows within the caller's grants, other rows without, other
//! requests by others; and answers without what must differ.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use payouts_ledger::import::{self, Options};
use payouts_ledger::{Ledger, Sources};
use payouts_model::{Catalog, Pair, ParticipantId, ReportName, Scope, Timestamp};
use payouts_testkit::TestServer;
use reqwest::Method;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::wire::{Answer, Api};
use crate::{Folder, payouts};

/// When everything was imported, in both worlds.
const IMPORTED_AT: Timestamp = Timestamp(1_782_820_800_000_000);

/// Draws that a seed repeats (`SplitMix64`).
pub struct Draw(pub u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    /// From 0 up to `end`, itself excluded.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).expect("less than a usize")
    }
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// The rows that worlds are made of: those of a sample, all columns.
#[derive(Clone)]
pub struct Table {
    pub report: &'static str,
    pub header: Vec<String>,
    pub rows: Vec<Vec<String>>,
    pub participant: usize,
    program: usize,
}

fn tables() -> &'static [Table; 2] {
    static TABLES: OnceLock<[Table; 2]> = OnceLock::new();
    TABLES.get_or_init(|| {
        let folder = Folder::new();
        let data = folder.at("data");
        payouts().run(["sample", "--data", &data, "--rows", "1500", "--earnings", "700"]).good();
        payouts().run(["grant", "--data", &data, "--tenant", "all", "--all-participants"]).good();
        let path = folder.path().join("data");
        let server = TestServer::start(&payouts(), &path);
        let api = Api::new(&server.url, &payouts().token(&path, "all", "all"));
        ["payments", "transactionhistory"].map(|report| {
            let catalog = Catalog::builtin();
            let fields = &catalog.report(report.parse::<ReportName>().unwrap()).fields;
            let header: Vec<String> = fields.iter().map(|f| f.name.to_string()).collect();
            let export = api.export(report, &format!("$filter=true&fileFormat=csv&$select={}", header.join(",")));
            let file = api.file(&export);
            let rows = csv::Reader::from_reader(&file[..]).into_records();
            let rows = rows.map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect();
            let at = |name: &str| header.iter().position(|h| h.eq_ignore_ascii_case(name)).unwrap();
            Table { report, participant: at("participantId"), program: at("programName"), rows, header }
        })
    })
}

/// What two worlds share.
pub struct Plan {
    pub tables: &'static [Table; 2],
    /// Grants of the caller: whose (its own or everybody's of the tenant), pair.
    pub caller_grants: Vec<(bool, Pair)>,
    admin: bool,
    scope: Scope,
    /// By table, the rows of either world.
    rows: [[Vec<Vec<String>>; 2]; 2],
}

impl Plan {
    pub fn draw(draw: &mut Draw) -> Self {
        let tables = tables();
        let payments = &tables[0];
        let mut caller_grants = Vec::new();
        for _ in 0..1 + draw.below(3) {
            let row = &payments.rows[draw.below(payments.rows.len())];
            let participant = Some(ParticipantId::new(&row[payments.participant]));
            let program = Some(row[payments.program].clone());
            let pair = match draw.below(4) {
                0 => Pair { participant, program },
                1 => Pair { participant: None, program },
                _ => Pair { participant, program: None },
            };
            caller_grants.push((draw.one_in(2), pair));
        }
        let scope: Scope = caller_grants.iter().map(|(_, pair)| pair.clone()).collect();
        let rows = [0, 1].map(|which| {
            let table: &Table = &tables[which];
            let mut worlds = [Vec::new(), Vec::new()];
            for row in &table.rows {
                if scope.allows(&row[table.participant], &row[table.program]) {
                    worlds[0].push(row.clone());
                    worlds[1].push(row.clone());
                } else if !draw.one_in(3) {
                    // In one world or in the other; the second has few of them.
                    worlds[usize::from(draw.one_in(5))].push(row.clone());
                }
            }
            worlds
        });
        Self { tables, caller_grants, admin: draw.one_in(3), scope, rows }
    }

    pub fn worlds(&self) -> [World; 2] {
        [0, 1].map(|which| World::new(self, which))
    }
}

/// One of the two.
pub struct World {
    pub api: Api,
    /// The ids of the caller's Exports, in the order they were made.
    pub made: Vec<String>,
    /// Who else asks, and how often at a time.
    others: Vec<(&'static str, &'static str, usize)>,
    /// Ids of Exports that the caller may not see; in the first world, of none.
    hidden: String,
    server: TestServer,
    data: PathBuf,
    folder: Folder,
}

/// The id of no Export.
const NOBODYS: &str = "00000000-0000-4000-8000-000000000000";

/// The longest wait for the others' exports.
const WAIT: Duration = Duration::from_secs(300);

const CALLER: (&str, &str) = ("home", "caller");

impl World {
    fn new(plan: &Plan, which: usize) -> Self {
        let folder = Folder::new();
        let data = folder.path().join("data");
        for (table, rows) in plan.tables.iter().zip(&plan.rows) {
            import(&data, &folder, table, &rows[which]);
        }
        grant(&data, plan, which);
        let server = start(&folder, &data, 0);
        let api = |tenant: &str, principal: &str| Api::new(&server.url, &payouts().token(&data, tenant, principal));
        // An admin sees the requests of the whole tenant, so those are the same in both worlds.
        let fellow = if plan.admin { 2 } else { 3 * which };
        let others = vec![("home", "wide", fellow), ("abroad", "caller", 1 + 4 * which)];
        let api = api(CALLER.0, CALLER.1);
        Self { api, made: Vec::new(), others, hidden: NOBODYS.to_owned(), server, data, folder }
    }

    pub fn id(&self, number: usize) -> &str {
        &self.made[number]
    }

    fn api_of(&self, tenant: &str, principal: &str) -> Api {
        Api::new(&self.server.url, &payouts().token(&self.data, tenant, principal))
    }

    /// Requests of others, more in one world than in the other.
    pub fn others_ask(&mut self) {
        for &(tenant, principal, count) in &self.others.clone() {
            let api = self.api_of(tenant, principal);
            for _ in 0..count {
                let asked = api.post("/v1.0/payouts/payments?$filter=true&fileFormat=csv").expect(202).json();
                if count > 2 && self.hidden == NOBODYS {
                    self.hidden = asked["requestId"].as_str().unwrap().to_owned();
                }
            }
        }
    }

    /// Starts again with workers, and waits until all of the caller's have ended.
    pub fn run_all(&mut self) {
        self.server.kill();
        self.server = start(&self.folder, &self.data, 2);
        self.api = self.api_of(CALLER.0, CALLER.1);
        for id in &self.made {
            let report = ["payments", "transactionhistory"]
                .into_iter()
                .find(|report| self.api.get(&format!("/v1.0/payouts/{report}/{id}")).status == 200);
            assert_eq!(self.api.wait(report.expect("it is there"), id)["status"], "Completed");
        }
        for &(tenant, principal, _) in &self.others {
            let api = self.api_of(tenant, principal);
            let none =
                |status: &str| api.get_json(&format!("/v1.0/payouts/payments?status={status}"))["totalCount"] == 0;
            let begin = Instant::now();
            while !(none("Queued") && none("Processing")) {
                assert!(begin.elapsed() < WAIT, "the others' exports do not end");
                std::thread::yield_now();
            }
        }
    }

    /// A call of the caller; `{3}` is its fourth Export, `{others}` one that it may not see.
    pub fn call(&self, method: Method, path: &str) -> Answer {
        let mut path = path.replace("{others}", &self.hidden);
        for (number, id) in self.made.iter().enumerate() {
            path = path.replace(&format!("{{{number}}}"), id);
        }
        self.api.call(method, &path, &[])
    }
}

fn start(folder: &Folder, data: &Path, workers: usize) -> TestServer {
    let config = folder.write(
        "payouts.toml",
        &format!("workers = {workers}\n[limits]\ncaller_per_second = 100000\ncaller_burst = 100000\ntenant_posts_per_second = 100000\ntenant_gets_per_second = 100000\n"),
    );
    let data = data.display().to_string();
    let args =
        ["serve", "--dev", "--config", &config, "--data", &data, "--listen", "127.0.0.1:0", "--admin-listen", "none"];
    TestServer::start_with(&payouts(), &args)
}

fn import(data: &Path, folder: &Folder, table: &Table, rows: &[Vec<String>]) {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&table.header).unwrap();
    rows.iter().for_each(|row| writer.write_record(row).unwrap());
    let file = folder.write("rows.csv", &String::from_utf8(writer.into_inner().unwrap()).unwrap());
    let ledger = Ledger::new(data, Catalog::builtin(), Sources::default());
    let report: ReportName = table.report.parse().unwrap();
    let options = Options {
        report,
        files: vec![file.into()],
        rejects: None,
        order_type: None,
        status_time: None,
        dry_run: false,
        now: IMPORTED_AT,
    };
    let outcome = import::run(&ledger, Catalog::builtin().report(report), &options, &|_, _| {}).unwrap();
    assert!(outcome.version.is_some() && outcome.rejected == 0, "{outcome:?}");
}

/// The caller's grants, and others' that must not matter: more of them in the second world.
fn grant(data: &Path, plan: &Plan, which: usize) {
    let data = data.display().to_string();
    let give = |args: &[&str]| payouts().run([&["grant", "--data", &data], args].concat()).good();
    for (own, pair) in &plan.caller_grants {
        let mut args = vec!["--tenant", CALLER.0, "--role", if plan.admin && *own { "admin" } else { "viewer" }];
        if *own {
            args.extend(["--principal", CALLER.1]);
        }
        match &pair.participant {
            Some(participant) => args.extend(["--participant", participant.as_str()]),
            None => args.push("--all-participants"),
        }
        if let Some(program) = &pair.program {
            args.extend(["--program", program]);
        }
        give(&args);
    }
    if plan.admin {
        // Whatever was drawn: one of the pairs as an admin.
        let participant = plan.scope.pairs().find_map(|p| p.participant.clone().filter(|_| p.program.is_none()));
        if let Some(participant) = participant {
            give(&[
                "--tenant",
                CALLER.0,
                "--principal",
                CALLER.1,
                "--role",
                "admin",
                "--participant",
                participant.as_str(),
            ]);
        }
    }
    give(&["--tenant", CALLER.0, "--principal", "wide", "--all-participants"]);
    give(&["--tenant", "abroad", "--all-participants", "--role", "admin"]);
    if which == 1 {
        give(&["--tenant", CALLER.0, "--principal", CALLER.1, "--all-participants", "--until", "2020-01-01"]);
        give(&["--tenant", CALLER.0, "--principal", "nobody", "--all-participants", "--role", "admin"]);
        give(&["--tenant", "abroad", "--principal", CALLER.1, "--all-participants"]);
    }
}

/// Members that are instants of the clock.
const INSTANTS: [&str; 11] = [
    "requestDateTime",
    "processingStartDateTime",
    "completedDateTime",
    "linkExpirationDateTime",
    "fileExpirationDateTime",
    "requestedAt",
    "startedAt",
    "endedAt",
    "now",
    "expiresAt",
    // Of the data version, whose files it promises.
    "reproducibleUntil",
];

/// An answer without what must differ: status, headers, body. `ids` are the caller's Exports.
pub fn normal(world: &World, ids: &[String], answer: &Answer) -> String {
    let mut lines = vec![answer.status.to_string()];
    // RateLimit counts the caller's own requests, by the clock.
    let left_out = ["date", "request-id", "retry-after", "ratelimit"];
    for (name, value) in answer.headers.iter().filter(|(name, _)| !left_out.contains(&name.as_str())) {
        let text = value.to_str().unwrap();
        if name == "etag" {
            let digest = Sha256::digest(&answer.body);
            let hex: String = digest.iter().take(16).map(|b| format!("{b:02x}")).collect();
            assert_eq!(text, format!("\"{hex}\""), "an ETag of the body alone");
            lines.push("etag: of the body".to_owned());
        } else if name == "content-length" {
            // Instants without trailing zeros make bodies longer or shorter.
            assert_eq!(text, answer.body.len().to_string());
        } else {
            lines.push(format!("{name}: {}", named(world, ids, text)));
        }
    }
    lines.sort();
    let body = match serde_json::from_slice::<Value>(&answer.body) {
        Ok(mut json) => {
            without(ids, &mut json);
            json.to_string()
        }
        Err(_) => String::from_utf8_lossy(&answer.body).into_owned(),
    };
    format!("{}\n{}", lines.join("\n"), named(world, ids, &body))
}

/// The text with the world's own ids and address by name.
fn named(world: &World, ids: &[String], text: &str) -> String {
    let mut text = text.replace(&world.server.url, "http://server");
    for (number, id) in ids.iter().enumerate() {
        text = text
            .replace(id, &format!("export {number}"))
            .replace(&format!("-{}.", &id[28..]), &format!("-export {number}."));
    }
    text.replace(&world.hidden, "hidden")
}

fn without(ids: &[String], json: &mut Value) {
    match json {
        Value::Object(members) => {
            // Not an Export of the caller's: an admin sees it, and its id is drawn.
            let own: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
            let foreign = members.get("status").is_some()
                && members.get("requestId").and_then(Value::as_str).is_some_and(|id| !own.contains(id));
            let is_error = members.len() == 1 && members.contains_key("requestId");
            for (name, value) in members.iter_mut() {
                match (name.as_str(), &mut *value) {
                    (name, Value::String(text)) if INSTANTS.contains(&name) && !text.is_empty() => *text = "at".into(),
                    ("blobLocation", Value::String(text)) if !text.is_empty() => *text = "link".into(),
                    ("nextLink", Value::String(text)) => {
                        *text = text.split("$skiptoken=").next().unwrap_or_default().to_owned();
                    }
                    // Of an error: the id of the call.
                    ("requestId", Value::String(text)) if is_error || foreign => *text = "id".into(),
                    (_, other) => without(ids, other),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|value| without(ids, value)),
        _ => {}
    }
}
