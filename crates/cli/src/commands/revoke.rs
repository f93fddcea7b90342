//! `payouts revoke`: selectors pick grants, and those go.

use clap::{ArgGroup, Args as ClapArgs};
use payouts_model::{Grant, ParticipantId, Role};
use payouts_store::Store as _;

use crate::commands::grant::RoleArg;
use crate::console;
use crate::data::{self, DataArgs};
use crate::failure::{Context, Failure};

const EXAMPLES: &str = "\
Examples
  payouts revoke --data ./data --tenant contoso --participant 1000042
  payouts revoke --data ./data --tenant contoso --principal ann --all
  payouts revoke --data ./data --all

A selector that is left out fits every grant: the first example takes participant 1000042 away from
all of contoso, from every user and in every program. What was taken away is printed as CSV.";

/// Take grants away
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES, group = ArgGroup::new("which").required(true))]
pub struct Args {
    #[command(flatten)]
    data: DataArgs,
    /// Grants of this tenant
    #[arg(long, value_name = "ID", required_unless_present = "all")]
    tenant: Option<String>,
    /// Grants of this user or application
    #[arg(long, value_name = "ID", requires = "tenant")]
    principal: Option<String>,
    /// Grants of these participants
    #[arg(long, value_name = "ID", num_args = 1.., group = "which")]
    participant: Vec<String>,
    /// Grants that were given with --all-participants
    #[arg(long, group = "which")]
    all_participants: bool,
    /// Every grant that the other selectors leave
    #[arg(long, group = "which")]
    all: bool,
    /// Grants of these programs
    #[arg(long, value_name = "NAME", num_args = 1..)]
    program: Vec<String>,
    /// Grants of this role
    #[arg(long, value_enum)]
    role: Option<RoleArg>,
}

impl Args {
    fn selects(&self, grant: &Grant) -> bool {
        let Grant { tenant, principal, pair, role, until: _ } = grant;
        let ids: Vec<ParticipantId> = self.participant.iter().map(|p| ParticipantId::new(p)).collect();
        self.tenant.as_deref().is_none_or(|t| t == tenant.as_str())
            && self.principal.as_deref().is_none_or(|p| principal.as_ref().is_some_and(|of| of.as_str() == p))
            && (!self.all_participants || pair.participant.is_none())
            && (ids.is_empty() || pair.participant.as_ref().is_some_and(|p| ids.contains(p)))
            && (self.program.is_empty() || pair.program.as_ref().is_some_and(|p| self.program.contains(p)))
            && self.role.is_none_or(|r| Role::from(r) == *role)
    }

    /// Grants of all participants through which the named ones can still be seen.
    fn still_seen_through(&self, grant: &Grant) -> bool {
        !self.participant.is_empty()
            && grant.pair.participant.is_none()
            && self.tenant.as_deref() == Some(grant.tenant.as_str())
    }
}

/// Picks, removes and prints what went.
pub fn run(args: Args) -> Result<(), Failure> {
    let data_dir = args.data.config()?.data_dir;
    data::runtime()?.block_on(async {
        let store = data::store(&data_dir).await?;
        let grants = store.grants().await.context("cannot read the grants")?;
        let chosen: Vec<Grant> = grants.iter().filter(|g| args.selects(g)).cloned().collect();
        if chosen.is_empty() && !args.all {
            return Err(Failure::new("no grant fits these selectors, nothing was revoked")
                .try_this(format!("`payouts grants --data {}` lists the grants there are", data_dir.display())));
        }
        let removed = store.revoke(&chosen, &data::by()).await.context("nothing was revoked")?;
        console::print(&data::grants_csv(&chosen)?)?;
        eprintln!("{} revoked", console::count(removed, "grant", "grants"));
        if grants.iter().any(|g| args.still_seen_through(g)) {
            eprintln!("note: the tenant also has a grant of all participants, through which they can still be seen");
        }
        Ok(())
    })
}
