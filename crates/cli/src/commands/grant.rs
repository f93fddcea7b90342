//! `payouts grant`: who may see whom.

use clap::{ArgGroup, Args as ClapArgs, ValueEnum};
use payouts_engine::{Engine, Plan};
use payouts_filter::{Context as FilterContext, Filter};
use payouts_model::report::FieldRole;
use payouts_model::{
    Catalog, Grant, Packaging, Pair, ParticipantId, PrincipalId, ReportName, Role, Scope, TenantId, TextFormat,
    Timestamp,
};
use payouts_service::Config;
use payouts_store::Store as _;

use crate::console;
use crate::data::{self, DataArgs};
use crate::failure::{Context, Failure};

const EXAMPLES: &str = "\
Examples
  payouts grant --data ./data --tenant contoso --all-participants
  payouts grant --data ./data --tenant contoso --principal ann --participant 1000042 1000043
  payouts grant --data ./data --tenant contoso --participant 7 --program 'CSP Direct Bill Partner'
  payouts grant --data ./data --tenant contoso --all-participants --role admin --until 2027-06-30

At work at once, also while the service runs. Without --principal every user and application of the
tenant has it. The tenant and the principal are what their tokens say; somebody without a grant gets
403, and the answer names both.";

/// How many ids are looked up in the ledger; more would take long and tell no more.
const LOOKED_UP_MAX: usize = 50;

/// Let a tenant, or one user or application of it, see participants
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES, group = ArgGroup::new("participants").required(true))]
pub struct Args {
    #[command(flatten)]
    data: DataArgs,
    /// The tenant
    #[arg(long, value_name = "ID", value_parser = data::id)]
    tenant: String,
    /// One user or application of it [default: all of them]
    #[arg(long, value_name = "ID", value_parser = data::id)]
    principal: Option<String>,
    /// The participants, by id; leading zeros do not matter
    #[arg(long, value_name = "ID", num_args = 1.., value_parser = data::id, group = "participants")]
    participant: Vec<String>,
    /// All participants, also future ones
    #[arg(long, group = "participants")]
    all_participants: bool,
    /// Programs by their exact name [default: all, also future ones]
    #[arg(long, value_name = "NAME", num_args = 1.., value_parser = data::id)]
    program: Vec<String>,
    /// An admin also sees the state of the tenant's exports and cancels them
    #[arg(long, value_enum, default_value_t = RoleArg::Viewer)]
    role: RoleArg,
    /// When it ends [default: when it is revoked]
    #[arg(long, value_name = "INSTANT", value_parser = data::instant)]
    until: Option<Timestamp>,
}

/// A role on the command line. No documentation on the values: clap would print a list of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RoleArg {
    Viewer,
    Admin,
}

impl From<RoleArg> for Role {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Viewer => Self::Viewer,
            RoleArg::Admin => Self::Admin,
        }
    }
}

/// Records the grants; warns about what the ledger does not know.
pub fn run(args: Args) -> Result<(), Failure> {
    let config = args.data.config()?;
    let grants = args.grants();
    if args.until.is_some_and(|until| until <= data::now()) {
        eprintln!("warning: --until is in the past, so this grant is without effect");
    }
    data::runtime()?.block_on(async {
        let store = data::store(&config.data_dir).await?;
        let changed = store.grant(&grants, &data::by()).await.context("nothing was granted")?;
        let who = args.principal.as_ref().map_or_else(|| "everybody".to_owned(), |p| format!("'{p}'"));
        eprintln!(
            "{who} in tenant '{}': {} granted, {changed} new or changed",
            args.tenant,
            console::count(grants.len() as u64, "pair", "pairs")
        );
        for warning in unknown(&config, &args).await {
            eprintln!("warning: {warning}");
        }
        Ok(())
    })
}

impl Args {
    fn grants(&self) -> Vec<Grant> {
        let participants: Vec<Option<ParticipantId>> = match self.participant.as_slice() {
            [] => vec![None],
            ids => ids.iter().map(|id| Some(ParticipantId::new(id))).collect(),
        };
        let programs: Vec<Option<String>> = match self.program.as_slice() {
            [] => vec![None],
            names => names.iter().cloned().map(Some).collect(),
        };
        let pairs = participants.iter().flat_map(|participant| {
            programs.iter().map(|program| Pair { participant: participant.clone(), program: program.clone() })
        });
        pairs
            .map(|pair| Grant {
                tenant: TenantId::new(&*self.tenant),
                principal: self.principal.as_deref().map(PrincipalId::new),
                pair,
                role: self.role.into(),
                until: self.until,
            })
            .collect()
    }
}

/// What the ledger has no rows of. Only a help: a ledger that is missing or cannot be read is no
/// reason to refuse a grant.
async fn unknown(config: &Config, args: &Args) -> Vec<String> {
    let (Ok(catalog), Ok(ledger)) = (config.catalog(), config.ledger()) else { return Vec::new() };
    let engine = Engine::new(config.engine);
    let mut snapshots = Vec::new();
    for report in ReportName::ALL {
        if let Ok(snapshot) = ledger.snapshot(report, None).await {
            snapshots.push(snapshot);
        }
    }
    if snapshots.is_empty() {
        return vec![format!(
            "there is no ledger in {} yet, so it is not known whether these ids exist",
            config.data_dir.display()
        )];
    }
    let participants = args.participant.iter().map(|p| (FieldRole::Participant, "participant", p));
    let programs = args.program.iter().map(|p| (FieldRole::Program, "program", p));
    let mut warnings = Vec::new();
    for (role, what, value) in participants.chain(programs).take(LOOKED_UP_MAX) {
        let mut rows = Some(0);
        for snapshot in &snapshots {
            let found = match plan(&catalog, snapshot, role, value) {
                Some(plan) => engine.count(&plan).await.ok(),
                None => None,
            };
            rows = rows.zip(found).map(|(a, b)| a + b);
        }
        if rows == Some(0) {
            warnings.push(format!("the ledger has no rows of {what} '{value}' yet; the grant waits for them"));
        }
    }
    warnings
}

fn plan(
    catalog: &Catalog,
    snapshot: &std::sync::Arc<payouts_ledger::Snapshot>,
    role: FieldRole,
    value: &str,
) -> Option<Plan> {
    let report = catalog.report(snapshot.report.name);
    let index = report.role(role);
    let text = format!("{} eq '{}'", report.fields[index].name, value.replace('\'', "''"));
    let aliases = std::collections::HashMap::new();
    let context = FilterContext { report, time_zone: chrono_tz::UTC, now: data::now(), program_aliases: &aliases };
    let filter = Filter::parse(&text, &context).ok()??;
    Some(Plan {
        snapshot: snapshot.clone(),
        predicate: Some(filter.predicate),
        scope: Scope::everything(),
        columns: vec![index],
        text: TextFormat::Csv,
        packaging: Packaging::Plain,
    })
}
