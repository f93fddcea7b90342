//! Links to files: made at each look at an Export, checked at each download.

use payouts_blob::link::{Link, LinkError, LinkLife};
use payouts_model::{ErrorCode, Status, Timestamp, Viewer};
use payouts_store::Visible;

use super::base_url::BaseUrl;
use super::error::Error;
use super::view::FileLink;
use crate::app::App;

/// A fresh link to the file of an Export, if there is one and the viewer may have it. Its text is
/// the same for half its life, so that an Export that does not change keeps its ETag.
pub fn file_link(app: &App, base: &BaseUrl, viewer: &Viewer, visible: &Visible, now: Timestamp) -> Option<FileLink> {
    let export = &visible.export;
    let file = export.file.as_ref().filter(|_| visible.full && export.status == Status::Completed)?;
    if export.file_expired(now) {
        return None;
    }
    let life = LinkLife::from_seconds(u32::try_from(app.config.link_lifetime_seconds).unwrap_or(u32::MAX));
    let file_ends_at = export.file_expires_at.filter(|_| export.held_at.is_none());
    let expires_at = file_ends_at.map_or(life.expires_at(now), |at| at.min(life.expires_at(now)));
    let link = Link {
        export: export.id,
        fence: file.fence,
        download_name: file.download_name.clone(),
        tenant: viewer.tenant.clone(),
        principal: viewer.principal.clone(),
        expires_at,
    };
    Some(FileLink { url: base.join(&app.links.sign(&link)), expires_at })
}

/// What a link says, if it is genuine and its time is not over.
pub fn verify(app: &App, file: &str, name: &str, raw_query: &str, now: Timestamp) -> Result<Link, Error> {
    app.links.verify(file, name, raw_query, now).map_err(|refusal| match refusal {
        LinkError::Expired { expired_at } => Error::new(
            ErrorCode::LinkExpired,
            format!("The link ended at {expired_at}. GET the export again for a fresh one; the file itself may still be there."),
        ),
        refusal => {
            let reason = refusal.to_string();
            let message = format!("{}. Take blobLocation of the export as it is.", capitalised(&reason));
            Error::new(ErrorCode::LinkInvalid, message)
        }
    })
}

/// The viewer that a link was made for, with the grants in force now.
pub async fn viewer(app: &App, link: &Link, now: Timestamp) -> Result<Viewer, Error> {
    let (role, scope) = app.store.access(&link.tenant, &link.principal, now).await?;
    if scope.is_empty() {
        let message = "Whoever this link was made for may see nothing any more.";
        return Err(Error::new(ErrorCode::LinkInvalid, message));
    }
    Ok(Viewer { tenant: link.tenant.clone(), principal: link.principal.clone(), role, scope })
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
