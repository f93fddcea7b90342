//! The `[[issuers]]` tables: what each may say, and that no two of them can speak for one tenant.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::super::{Error, IdentityToken, IssuerConfig, PageConfig, PermissionRule, TenantRule};
use super::http_url;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IssuerTable {
    issuer: String,
    audiences: Vec<String>,
    discovery_url: Option<String>,
    #[serde(default)]
    aliases: Vec<AliasTable>,
    tenant: Option<String>,
    tenant_claim: Option<String>,
    tenant_prefix: Option<String>,
    #[serde(default)]
    allowed_tids: Vec<String>,
    principal_claims: Option<Vec<String>>,
    scopes_claim: Option<String>,
    roles_claim: Option<String>,
    #[serde(default)]
    required_scopes: Vec<String>,
    #[serde(default)]
    required_roles: Vec<String>,
    #[serde(default)]
    admin_roles: Vec<String>,
    page: Option<PageTable>,
}

/// The export page as a client of the issuer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PageTable {
    client_id: String,
    client_secret_file: Option<PathBuf>,
    scopes: Option<Vec<String>>,
    resource: Option<String>,
    identity: Option<IdentityToken>,
    label: Option<String>,
}

/// Another name that the same authority issues tokens under.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AliasTable {
    issuer: String,
    discovery_url: Option<String>,
}

/// Every name of every issuer. Names without `{tid}` come first, so that a token is held to the
/// closest rules that there are for it.
pub(super) fn issuers(tables: Vec<IssuerTable>, base: &Path) -> Result<Vec<IssuerConfig>, Error> {
    let several = tables.len() > 1;
    let mut found: Vec<IssuerConfig> = Vec::with_capacity(tables.len());
    for table in tables {
        let names = issuer(table, base)?;
        let first = names[0].clone();
        if several && matches!(&first.tenant, TenantRule::Claim { prefix, .. } if prefix.is_empty()) {
            return Err(Error::Conflict(format!(
                "configuration: there are several issuers, and {} could name any tenant, also those of the others: \
                 give each issuer `tenant` (one tenant for all its callers) or `tenant_prefix`",
                first.issuer
            )));
        }
        if let Some(other) = found.iter().find(|o| overlap(&o.tenant, &first.tenant)) {
            return Err(Error::Conflict(format!(
                "configuration: issuers {} and {} could name the same tenant: their `tenant` and `tenant_prefix` must not begin alike \
                 (one authority under two names is one table with `aliases`)",
                other.issuer, first.issuer
            )));
        }
        for name in names {
            if found.iter().any(|o| o.issuer == name.issuer) {
                return Err(Error::Conflict(format!(
                    "configuration: issuer {} is there twice: give one table all its audiences",
                    name.issuer
                )));
            }
            found.push(name);
        }
    }
    found.sort_by_key(|issuer| issuer.issuer.contains("{tid}"));
    Ok(found)
}

/// Whether two rules can lead to one tenant.
fn overlap(a: &TenantRule, b: &TenantRule) -> bool {
    match (a, b) {
        (TenantRule::Fixed(a), TenantRule::Fixed(b)) => a == b,
        (TenantRule::Fixed(fixed), TenantRule::Claim { prefix, .. })
        | (TenantRule::Claim { prefix, .. }, TenantRule::Fixed(fixed)) => fixed.starts_with(prefix.as_str()),
        (TenantRule::Claim { prefix: a, .. }, TenantRule::Claim { prefix: b, .. }) => {
            a.starts_with(b.as_str()) || b.starts_with(a.as_str())
        }
    }
}

/// The issuer under each of its names; at least one.
fn issuer(table: IssuerTable, base: &Path) -> Result<Vec<IssuerConfig>, Error> {
    let key = |name: &str| format!("issuers.{name}");
    if table.audiences.is_empty() || table.audiences.iter().any(String::is_empty) {
        return Err(Error::Value {
            key: key("audiences"),
            value: format!("{:?}", table.audiences),
            reason: format!(
                "without an audience a token that {} made for another application would be accepted here",
                table.issuer
            ),
        });
    }
    for (name, list) in [
        ("allowed_tids", &table.allowed_tids),
        ("required_scopes", &table.required_scopes),
        ("required_roles", &table.required_roles),
        ("admin_roles", &table.admin_roles),
    ] {
        if list.iter().any(|item| item.is_empty() || item.contains(char::is_whitespace)) {
            let reason = "each is one word, as it stands in the token; leave the key out to ask for none".into();
            return Err(Error::Value { key: key(name), value: format!("{list:?}"), reason });
        }
    }
    let tenant = tenant_rule(&table)?;
    let principal_claims =
        table.principal_claims.unwrap_or_else(|| ["oid", "appid", "azp", "sub"].map(String::from).into());
    if principal_claims.is_empty() {
        return Err(Error::Value {
            key: key("principal_claims"),
            value: "[]".into(),
            reason: "name at least one claim, such as \"sub\"".into(),
        });
    }
    let permissions = PermissionRule {
        scopes_claim: table.scopes_claim.unwrap_or_else(|| "scp".into()),
        roles_claim: table.roles_claim.unwrap_or_else(|| "roles".into()),
        required_scopes: table.required_scopes,
        required_roles: table.required_roles,
        admin_roles: table.admin_roles,
    };
    let mut page = table.page.map(|page| client(page, base)).transpose()?;
    let own = AliasTable { issuer: table.issuer, discovery_url: table.discovery_url };
    let names = std::iter::once(own).chain(table.aliases).map(|name| {
        Ok(IssuerConfig {
            discovery_url: discovery_url(&name)?,
            issuer: name.issuer,
            audiences: table.audiences.clone(),
            tenant: tenant.clone(),
            allowed_tids: table.allowed_tids.clone(),
            principal_claims: principal_claims.clone(),
            permissions: permissions.clone(),
            // People sign in under the first name.
            page: page.take(),
        })
    });
    names.collect()
}

/// The export page as a client; the secret's file is relative to `base`.
fn client(table: PageTable, base: &Path) -> Result<PageConfig, Error> {
    let PageTable { client_id, client_secret_file, scopes, resource, identity, label } = table;
    let scopes = scopes.unwrap_or_else(|| vec!["openid".into()]);
    if !scopes.iter().any(|scope| scope == "openid") {
        let reason = "must have \"openid\": without it the issuer gives no ID token".into();
        return Err(Error::Value { key: "issuers.page.scopes".into(), value: format!("{scopes:?}"), reason });
    }
    if client_id.trim().is_empty() {
        let reason = "the id that the issuer gave this service as an application".into();
        return Err(Error::Value { key: "issuers.page.client_id".into(), value: "\"\"".into(), reason });
    }
    Ok(PageConfig {
        client_id,
        client_secret_file: client_secret_file.map(|path| base.join(path)),
        scopes,
        resource,
        identity: identity.unwrap_or(IdentityToken::AccessToken),
        label: label.unwrap_or_else(|| "Sign in".into()),
    })
}

/// Where the keys of an issuer's name are announced.
fn discovery_url(name: &AliasTable) -> Result<String, Error> {
    http_url("issuers.issuer", &name.issuer.replace("{tid}", "tid"))?;
    match &name.discovery_url {
        Some(text) => Ok(http_url("issuers.discovery_url", text)?.to_string()),
        None if name.issuer.contains("{tid}") => Err(Error::Conflict(format!(
            "configuration: issuer {} needs discovery_url, since {{tid}} is known only from a token",
            name.issuer
        ))),
        None => Ok(format!("{}/.well-known/openid-configuration", name.issuer.trim_end_matches('/'))),
    }
}

fn tenant_rule(table: &IssuerTable) -> Result<TenantRule, Error> {
    match (&table.tenant, &table.tenant_claim, &table.tenant_prefix) {
        (Some(tenant), None, None) if !tenant.is_empty() => Ok(TenantRule::Fixed(tenant.clone())),
        (None, claim, prefix) => Ok(TenantRule::Claim {
            claim: claim.clone().unwrap_or_else(|| "tid".into()),
            prefix: prefix.clone().unwrap_or_default(),
        }),
        (Some(_), _, _) => Err(Error::Conflict(format!(
            "configuration: issuer {}: `tenant` gives all callers one tenant; it must not be empty and goes without `tenant_claim` and `tenant_prefix`",
            table.issuer
        ))),
    }
}
