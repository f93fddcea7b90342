//! `payouts token`: a token of the development issuer, signed with the data directory's key.

use clap::Args as ClapArgs;
use payouts_model::{PrincipalId, TenantId};
use payouts_service::auth::dev::{PRINCIPAL, TokenRequest};

use crate::console;
use crate::data::{self, DataArgs};
use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples
  payouts token --data ./data --tenant contoso
  TOKEN=$(payouts token --data ./data --tenant contoso --principal ann --minutes 480)
  curl -H \"Authorization: Bearer $TOKEN\" http://127.0.0.1:8080/v1.0/payouts/payments

Only a service that runs over the same data directory with --dev accepts it. The running service
gives the same tokens: POST /contoso/oauth2/v2.0/token with grant_type=client_credentials.";

/// Print a token of the development issuer
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    data: DataArgs,
    /// The tenant that it speaks for
    #[arg(long, value_name = "ID", value_parser = data::id)]
    tenant: String,
    /// The user or application
    #[arg(long, value_name = "ID", value_parser = data::id, default_value = PRINCIPAL)]
    principal: String,
    /// How long it is good for
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(i64).range(1..=525_600))]
    minutes: i64,
}

/// Signs and prints.
pub fn run(args: Args) -> Result<(), Failure> {
    let config = args.data.config()?;
    if !config.database_path().exists() && !config.data_dir.join("ledger").exists() {
        eprintln!(
            "warning: {0} has neither a ledger nor grants yet; only a service over this directory accepts this token",
            config.data_dir.display()
        );
    }
    let issuer = payouts_service::auth::dev_issuer(&config.keys_dir())?;
    let request = TokenRequest {
        lifetime_seconds: args.minutes * 60,
        ..TokenRequest::new(TenantId::new(args.tenant), PrincipalId::new(args.principal), data::now())
    };
    console::print(&format!("{}\n", issuer.sign(&request)?))
}
