//! `grant`, `grants`, `grants apply`, `revoke`.

use crate::{Folder, payouts};

fn list(data: &str) -> String {
    payouts().run(["grants", "--data", data]).good().stdout
}

const HEADER: &str = "tenant,principal,participant,program,role,until\n";

#[test]
fn grants_are_listed_as_they_were_given() {
    let folder = Folder::new();
    let data = folder.at("data");
    assert_eq!(list(&data), HEADER);
    let warned = payouts()
        .run([
            "grant",
            "--data",
            &data,
            "--tenant",
            "contoso",
            "--principal",
            "ann",
            "--participant",
            "0042",
            "7",
            "--program",
            "CSP, Direct",
        ])
        .good();
    assert!(warned.stderr.contains("no ledger"), "{}", warned.stderr);
    payouts()
        .run([
            "grant",
            "--data",
            &data,
            "--tenant",
            "contoso",
            "--all-participants",
            "--role",
            "admin",
            "--until",
            "2099-01-31",
        ])
        .good();
    let rows = "contoso,*,*,*,admin,2099-01-31T00:00:00Z\ncontoso,ann,42,\"CSP, Direct\",viewer,\ncontoso,ann,7,\"CSP, Direct\",viewer,\n";
    assert_eq!(list(&data), format!("{HEADER}{rows}"));

    payouts().run(["grant", "--data", &data, "--tenant", "contoso"]).failed(2, &["--participant"]);
    payouts().run(["grant", "--data", &data, "--tenant", "contoso", "--participant", "*"]).failed(2, &["means all"]);
}

#[test]
fn ids_that_the_ledger_does_not_know_are_pointed_out() {
    let folder = Folder::with_sample(1000);
    let data = folder.at("data");
    let ran = payouts()
        .run(["grant", "--data", &data, "--tenant", "t", "--participant", "999999999", "--program", "No Such Program"])
        .good();
    assert!(ran.stderr.contains("no rows of participant '999999999'"), "{}", ran.stderr);
    assert!(ran.stderr.contains("no rows of program 'No Such Program'"), "{}", ran.stderr);
}

#[test]
fn a_list_is_applied_as_a_whole_or_not_at_all() {
    let folder = Folder::new();
    let data = folder.at("data");
    payouts().run(["grant", "--data", &data, "--tenant", "old", "--all-participants"]).good();
    let file = folder.write("grants.csv", &format!("{HEADER}new,*,42,*,viewer,\n"));
    let dry = payouts().run(["grants", "--data", &data, "apply", &file, "--dry-run"]).good();
    assert_eq!(dry.stdout, "-,old,*,*,*,viewer,\n+,new,*,42,*,viewer,\n");
    assert!(list(&data).contains("old"));
    let done = payouts().run(["grants", "apply", &file, "--data", &data]).good();
    assert_eq!(done.stdout, dry.stdout);
    assert!(done.stderr.contains("1 added, 1 removed, 0 kept"), "{}", done.stderr);
    assert_eq!(list(&data), format!("{HEADER}new,*,42,*,viewer,\n"));

    let before = list(&data);
    for (text, said) in [
        (format!("{HEADER}x,*,*,*,viewer,\nx,*,*,*,boss,\n"), "line 3: role 'boss'"),
        (format!("{HEADER}x,,*,*,viewer,\n"), "line 2: principal is empty"),
        (format!("{HEADER}x,*,*\n"), "line 2 has 3 values"),
        (format!("{HEADER}x,a\u{1b}[31mnn,*,*,viewer,\n"), "line 2: principal: it has control characters"),
        (format!("{HEADER}x,*,*,\"CSP\nDirect\",viewer,\n"), "line 2: program: it has control characters"),
        ("tenant,participant\n".to_owned(), "lacks the column 'principal'"),
    ] {
        let bad = folder.write("bad.csv", &text);
        payouts().run(["grants", "--data", &data, "apply", &bad]).failed(2, &[said, "nothing was changed"]);
    }
    assert_eq!(list(&data), before);
}

#[test]
fn what_is_revoked_is_what_the_selectors_say() {
    let folder = Folder::new();
    let data = folder.at("data");
    let file = folder.write(
        "grants.csv",
        &format!("{HEADER}a,*,1,*,viewer,\na,ann,1,P,viewer,\na,ann,2,P,admin,\na,bob,*,*,viewer,\nb,*,1,*,viewer,\n"),
    );
    payouts().run(["grants", "--data", &data, "apply", &file]).good();
    let revoke = |args: &[&str]| payouts().run([&["revoke", "--data", &data], args].concat());
    revoke(&[]).failed(2, &["--tenant"]);
    revoke(&["--tenant", "a"]).failed(2, &["--participant"]);
    revoke(&["--tenant", "a", "--participant", "77"]).failed(1, &["no grant fits", "payouts grants"]);
    let gone = revoke(&["--tenant", "a", "--participant", "01"]).good();
    assert_eq!(gone.stdout, "a,*,1,*,viewer,\na,ann,1,P,viewer,\n");
    assert!(gone.stderr.contains("still be seen"), "{}", gone.stderr);
    assert_eq!(
        revoke(&["--tenant", "a", "--principal", "ann", "--all", "--role", "admin"]).good().stdout,
        "a,ann,2,P,admin,\n"
    );
    assert_eq!(revoke(&["--all"]).good().stdout, "a,bob,*,*,viewer,\nb,*,1,*,viewer,\n");
    assert_eq!(list(&data), HEADER);
}
