//! Commands over a data directory: what they do, and what they say when they cannot.

use crate::{Folder, payouts};

#[test]
fn a_data_directory_must_be_named() {
    payouts().run(["token", "--tenant", "contoso"]).failed(2, &["--data <DIR>"]);
    payouts().run(["grants"]).failed(2, &["--data DIR"]);
}

#[test]
fn a_sample_is_made_once_and_never_over_other_data() {
    let folder = Folder::new();
    let data = folder.at("data");
    let first = payouts().run(["sample", "--data", &data, "--rows", "1000"]).good();
    assert_eq!(first.stdout, "", "data goes to stdout, and there is none");
    assert!(first.stderr.contains("1,000 payments and 100 earnings up to 2026-06-30"), "{}", first.stderr);
    payouts().run(["sample", "--data", &data, "--rows", "1000"]).good();
    payouts().run(["sample", "--data", &data, "--rows", "2000"]).failed(1, &["no sample was made", "--data"]);
}

#[test]
fn an_import_that_cannot_be_read_changes_nothing_and_says_why() {
    let folder = Folder::new();
    let data = folder.at("data");
    let missing = folder.at("nothing.csv");
    payouts()
        .run(["import", "payments", &missing, "--data", &data])
        .failed(2, &["nothing was imported", "nothing.csv"]);
    let empty = folder.write("empty.csv", "a,b\r\n");
    payouts()
        .run(["import", "payments", &empty, "--data", &data, "--order-type", "foo"])
        .failed(2, &["--order-type foo", "REBATE"]);
    let odd = folder.write("odd.csv", "a,b\r\n1,2\r\n");
    payouts().run(["import", "payments", &odd, "--data", &data]).failed(1, &["nothing was imported", "odd.csv"]);
    payouts()
        .run(["import", "payments", &odd, "--data", &data, "--status-time", "yesterday"])
        .failed(2, &["--status-time", "2027-01-31"]);
}

#[test]
fn a_missing_choice_names_every_way() {
    let folder = Folder::new();
    let data = folder.at("data");
    let (participant, all) = ("--participant <ID>...", "--all-participants");
    payouts().run(["grant", "--data", &data, "--tenant", "t"]).failed(2, &[participant, all]);
    payouts().run(["revoke", "--data", &data, "--tenant", "t"]).failed(2, &[participant, all, "--all"]);
    payouts()
        .run(["grant", "--data", &data, "--tenant", "t", all, "--participant", "1"])
        .failed(2, &["cannot be used"]);
    payouts().run(["sample", "--data", &data, "--until", "0001-01-01"]).failed(2, &["--until", "1900"]);
}

#[test]
fn a_token_for_a_directory_without_data_comes_with_a_warning() {
    let folder = Folder::new();
    let data = folder.at("typo");
    let token = payouts().run(["token", "--data", &data, "--tenant", "t"]).good();
    assert!(token.stderr.contains("neither a ledger nor grants"), "{}", token.stderr);
    payouts().run(["grant", "--data", &data, "--tenant", "t", "--all-participants"]).good();
    let token = payouts().run(["token", "--data", &data, "--tenant", "t"]).good();
    assert_eq!(token.stderr, "");
}

#[test]
fn a_broken_configuration_names_line_and_key() {
    let folder = Folder::new();
    let config = folder.write("payouts.toml", "workers = 2\nretention_days = 3\n");
    payouts()
        .run(["serve", "--config", &config])
        .failed(2, &["payouts.toml", "line 2", "retention_days", "Did you mean 'retention'?"]);
    payouts().run(["serve", "--config", &folder.at("none.toml")]).failed(2, &["none.toml", "No such file"]);
}
