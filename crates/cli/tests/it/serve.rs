//! `serve`: what it refuses to start with, and how it starts and stops.

use payouts_testkit::{TestServer, client};

use crate::{Folder, payouts};

#[test]
fn it_refuses_to_start_without_anybody_to_issue_tokens() {
    let folder = Folder::new();
    payouts().run(["serve", "--data", &folder.at("data")]).failed(2, &["[[issuers]]", "--dev"]);
}

#[test]
fn the_development_issuer_stays_on_loopback() {
    let folder = Folder::new();
    payouts()
        .run(["serve", "--data", &folder.at("data"), "--dev", "--listen", "0.0.0.0:0"])
        .failed(2, &["loopback", "127.0.0.1:0"]);
}

#[test]
fn insecure_listening_takes_sample_data_only() {
    let folder = Folder::with_sample(500);
    let data = folder.at("data");
    let server = TestServer::start_with(
        &payouts(),
        &["serve", "--data", &data, "--dev-insecure-listen", "127.0.0.1:0", "--admin-listen", "none"],
    );
    assert!(server.log().contains("WARNING  anybody who reaches 127.0.0.1:"), "{}", server.log());
    drop(server);

    let csv = folder.write(
        "own.csv",
        "participantID,participantIDType,participantName,programName,earned,earnedUSD,withheldTax,salesTax,serviceFeeTax,totalPayment,\
         currencyCode,paymentMethod,paymentID,paymentStatus,paymentStatusDescription,paymentDate\r\n\
         42,MPN,Fabrikam,CSP Direct Bill Partner,10.00,10.00,0,0,0,10.00,USD,Wire,1,SENT,,2026-06-30\r\n",
    );
    payouts().run(["import", "payments", &csv, "--data", &data, "--order-type", "REBATE"]).good();
    payouts()
        .run(["serve", "--data", &data, "--dev-insecure-listen", "127.0.0.1:0", "--admin-listen", "none"])
        .failed(1, &["sample"]);
}

#[test]
fn a_taken_port_and_a_taken_directory_are_named() {
    let folder = Folder::new();
    let data = folder.at("data");
    let server = TestServer::start(&payouts(), &folder.path().join("data"));
    let address = server.url.trim_start_matches("http://");
    payouts()
        .run(["serve", "--dev", "--data", &folder.at("other"), "--listen", address, "--admin-listen", "none"])
        .failed(2, &["cannot listen on", "--listen"]);
    payouts()
        .run(["serve", "--dev", "--data", &data, "--listen", "127.0.0.1:0", "--admin-listen", "none"])
        .failed(1, &["another payouts service is running", "--data"]);
}

#[cfg(unix)]
#[tokio::test]
async fn a_signal_ends_it_in_order() {
    let folder = Folder::new();
    let server = TestServer::start(&payouts(), &folder.path().join("data"));
    let ready = client().get(format!("{}/readyz", server.url)).send().await.unwrap();
    assert_eq!(ready.status(), 200);
    assert_eq!(server.terminate(), 0);
}
