//! What `--help` teaches, kept as it is until somebody means to change it.

use crate::payouts;

/// The help text at a fixed width, without trailing blanks.
fn help(args: &[&str]) -> String {
    let mut command = payouts().command(args);
    command.env("COLUMNS", "100");
    let ran = payouts_testkit::process::ran(&mut command).good();
    ran.stdout.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_command_explains_itself() {
    insta::assert_snapshot!("payouts", help(&["--help"]));
    for command in [
        "demo", "serve", "sample", "import", "ledger", "doctor", "hold", "sweep", "grant", "grants", "revoke", "keys",
        "audit", "token", "export", "verify",
    ] {
        let text = help(&[command, "--help"]);
        assert!(text.contains("Examples\n  "), "{command} shows no examples: {text}");
        insta::assert_snapshot!(command, text);
    }
    insta::assert_snapshot!("audit-verify", help(&["audit", "verify", "--help"]));
    insta::assert_snapshot!("audit-export", help(&["audit", "export", "--help"]));
    insta::assert_snapshot!("grants-apply", help(&["grants", "apply", "--help"]));
    for action in ["history", "restore", "optimise", "vacuum"] {
        insta::assert_snapshot!(format!("ledger-{action}"), help(&["ledger", action, "--help"]));
    }
    insta::assert_snapshot!("keys-rotate", help(&["keys", "rotate", "--help"]));
}

#[test]
fn a_misspelt_command_names_the_right_one() {
    payouts().run(["exprot"]).failed(2, &["export"]);
    payouts().run(["export", "payment"]).failed(2, &["expected payments or transactionhistory"]);
    payouts().run::<_, &str>([]).failed(2, &["Usage: payouts"]);
}
