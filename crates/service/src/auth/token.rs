//! What a token must be: the algorithms, the key, the claims.
//!
//! Times are checked against the injected clock, so the library's own checks of claims are off.

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use payouts_model::{PrincipalId, TenantId, Timestamp};
use serde_json::{Map, Value};

use super::{Caller, Identity};
use crate::config::{IssuerConfig, PermissionRule, TenantRule};

/// How far clocks may disagree.
pub(super) const SKEW_SECONDS: i64 = 60;

/// Asymmetric, and none that is broken. Never `none`, never a shared secret.
const ALGORITHMS: [Algorithm; 6] =
    [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::ES256, Algorithm::ES384];

/// What the header may say a token is (RFC 8725, 3.11): nothing, any JWT, an access token. Never one
/// that was made to prove something else, such as a logout.
const TYPES: [&str; 3] = ["jwt", "at+jwt", "application/at+jwt"];

/// The longest tenant or principal that is taken.
const ID_CHARS_MAX: usize = 256;

pub(super) type Claims = Map<String, Value>;

/// A published key: what it is for, and the key itself.
#[derive(Clone, Debug)]
pub(super) struct Key {
    /// The algorithm that the key's own description fixes, if it does.
    pub algorithm: Option<Algorithm>,
    /// Whose tokens it signs, where the key set says so (Microsoft Entra: one set for many issuers).
    pub issuer: Option<String>,
    pub key: DecodingKey,
}

/// Why a token does not let its bearer in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is not valid here; why is for the log alone.
    Invalid(&'static str),
    /// It is valid, and lacks the scopes and roles that the issuer's rules ask for.
    Permission,
}

impl From<&'static str> for Refusal {
    fn from(reason: &'static str) -> Self {
        Self::Invalid(reason)
    }
}

/// A token as it came: only good for finding out who should have signed it.
pub(super) struct Unverified {
    algorithm: Algorithm,
    kid: String,
    claims: Claims,
}

impl Unverified {
    pub(super) fn read(token: &str) -> Result<Self, &'static str> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| "unreadable header")?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err("algorithm");
        }
        if header.crit.is_some() {
            return Err("critical header");
        }
        if header.typ.as_ref().is_some_and(|typ| !TYPES.iter().any(|t| typ.eq_ignore_ascii_case(t))) {
            return Err("a token of another type");
        }
        let kid = header.kid.ok_or("no kid")?;
        let claims = jsonwebtoken::dangerous::insecure_decode_claims(token).map_err(|_| "unreadable claims")?;
        Ok(Self { algorithm: header.alg, kid, claims })
    }

    pub(super) fn kid(&self) -> &str {
        &self.kid
    }

    pub(super) fn issuer(&self) -> Option<&str> {
        text(&self.claims, "iss")
    }

    /// Whether it says that `issuer` (where `{tid}` stands for the tid claim) made it.
    pub(super) fn is_from(&self, issuer: &str) -> bool {
        issuer_fits(&self.claims, issuer)
    }

    /// The claims, if `key` signed them.
    pub(super) fn verify(&self, token: &str, key: &Key) -> Result<Claims, &'static str> {
        if key.algorithm.is_some_and(|a| a != self.algorithm) || key.key.family() != self.algorithm.family() {
            return Err("the key is for another algorithm");
        }
        if key.issuer.as_ref().is_some_and(|issuer| !issuer_fits(&self.claims, &issuer.replace("{tenantid}", "{tid}")))
        {
            return Err("the key is another issuer's");
        }
        let mut validation = Validation::new(self.algorithm);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        let data = jsonwebtoken::decode::<Claims>(token, &key.key, &validation).map_err(|_| "signature")?;
        Ok(data.claims)
    }
}

fn text<'a>(claims: &'a Claims, name: &str) -> Option<&'a str> {
    claims.get(name)?.as_str()
}

fn issuer_fits(claims: &Claims, issuer: &str) -> bool {
    let Some(said) = text(claims, "iss") else { return false };
    if !issuer.contains("{tid}") {
        return said == issuer;
    }
    text(claims, "tid").is_some_and(|tid| {
        let plain = !tid.is_empty() && tid.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        plain && said == issuer.replace("{tid}", tid)
    })
}

/// A time claim: seconds, whole or not.
fn seconds(claims: &Claims, name: &str) -> Result<Option<i64>, &'static str> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let whole = value.as_i64().or_else(|| value.as_f64().map(|s| s as i64));
            whole.map(Some).ok_or("a time that is no number")
        }
    }
}

/// Checks `exp` (required), `nbf` and `iat`; answers the end.
pub(super) fn check_times(claims: &Claims, now: Timestamp) -> Result<Timestamp, &'static str> {
    let now_seconds = now.0.div_euclid(1_000_000);
    let expires = seconds(claims, "exp")?.ok_or("no exp")?;
    if expires.saturating_add(SKEW_SECONDS) <= now_seconds {
        return Err("expired");
    }
    for (name, reason) in [("nbf", "not yet valid"), ("iat", "made in the future")] {
        if seconds(claims, name)?.is_some_and(|at| at.saturating_sub(SKEW_SECONDS) > now_seconds) {
            return Err(reason);
        }
    }
    Ok(Timestamp(expires.saturating_mul(1_000_000)))
}

fn id(text: String) -> Result<String, &'static str> {
    let good = !text.is_empty() && text.chars().count() <= ID_CHARS_MAX && !text.chars().any(char::is_control);
    if good { Ok(text) } else { Err("an id that is empty, too long or has control characters") }
}

fn audience_fits(claims: &Claims, audiences: &[String]) -> bool {
    let wanted = |v: &Value| v.as_str().is_some_and(|a| audiences.iter().any(|w| w == a));
    match claims.get("aud") {
        Some(Value::Array(all)) => all.iter().any(wanted),
        Some(one) => wanted(one),
        None => false,
    }
}

/// The words of a claim: a list of texts, or one text with blanks between them.
fn words<'a>(claims: &'a Claims, name: &str) -> Vec<&'a str> {
    match claims.get(name) {
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(text)) => text.split(' ').collect(),
        _ => Vec::new(),
    }
}

fn any_of(wanted: &[String], found: &[&str]) -> bool {
    wanted.iter().any(|w| found.contains(&w.as_str()))
}

/// Whether the caller is an admin by its token; refused if it may do nothing here.
fn admin(claims: &Claims, rule: &PermissionRule) -> Result<bool, Refusal> {
    let (scopes, roles) = (words(claims, &rule.scopes_claim), words(claims, &rule.roles_claim));
    let asked = !rule.required_scopes.is_empty() || !rule.required_roles.is_empty();
    if asked && !any_of(&rule.required_scopes, &scopes) && !any_of(&rule.required_roles, &roles) {
        return Err(Refusal::Permission);
    }
    Ok(any_of(&rule.admin_roles, &roles))
}

/// Checks verified claims against an issuer's rules: who it is, and until when.
pub(super) fn check(claims: &Claims, rules: &IssuerConfig, now: Timestamp) -> Result<(Identity, Timestamp), Refusal> {
    if !issuer_fits(claims, &rules.issuer) {
        return Err(Refusal::Invalid("issuer"));
    }
    if !rules.allowed_tids.is_empty() {
        let tid = text(claims, "tid").unwrap_or_default();
        if !rules.allowed_tids.iter().any(|allowed| allowed.eq_ignore_ascii_case(tid)) {
            return Err(Refusal::Invalid("a tid that is not allowed"));
        }
    }
    if !audience_fits(claims, &rules.audiences) {
        return Err(Refusal::Invalid("audience"));
    }
    let expires_at = check_times(claims, now)?;
    let tenant = match &rules.tenant {
        TenantRule::Fixed(tenant) => tenant.clone(),
        TenantRule::Claim { claim, prefix } => {
            let said = text(claims, claim).filter(|t| !t.is_empty()).ok_or("no tenant claim")?;
            format!("{prefix}{said}")
        }
    };
    let principal = rules.principal_claims.iter().find_map(|c| text(claims, c)).ok_or("no principal claim")?;
    let caller = Caller { tenant: TenantId::new(id(tenant)?), principal: PrincipalId::new(id(principal.into())?) };
    Ok((Identity { admin: admin(claims, &rules.permissions)?, caller }, expires_at))
}

/// Checks an ID token's claims: made for this client, for this sign-in; answers its end. Whose token it
/// is, and who the user is, is checked elsewhere.
pub(super) fn check_id(
    claims: &Claims,
    client_id: &str,
    nonce: &str,
    now: Timestamp,
) -> Result<Timestamp, &'static str> {
    if !audience_fits(claims, &[client_id.to_owned()]) {
        return Err("an ID token for another client");
    }
    let several = matches!(claims.get("aud"), Some(Value::Array(all)) if all.len() > 1);
    let azp = text(claims, "azp");
    if azp.is_some_and(|azp| azp != client_id) || (several && azp.is_none()) {
        return Err("an ID token that another client was given");
    }
    if text(claims, "nonce") != Some(nonce) {
        return Err("an ID token of another sign-in");
    }
    check_times(claims, now)
}

/// Who a token of the development issuer speaks for. Its audience is whatever the client asked
/// for: that key signs for this one service only.
pub(super) fn check_dev(claims: &Claims, now: Timestamp) -> Result<(Identity, Timestamp), &'static str> {
    let expires_at = check_times(claims, now)?;
    let tenant = text(claims, "tid").ok_or("no tenant claim")?;
    let principal = text(claims, "oid").ok_or("no principal claim")?;
    let caller =
        Caller { tenant: TenantId::new(id(tenant.into())?), principal: PrincipalId::new(id(principal.into())?) };
    Ok((Identity { caller, admin: false }, expires_at))
}
