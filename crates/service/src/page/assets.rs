//! Style and script of the page, inside the binary. Each is served under a name that holds a digest
//! of its content, so that browsers may keep it for good and never mix versions.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use sha2::{Digest, Sha256};

use crate::http::{Error, extract};

const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

struct Asset {
    /// The name in templates.
    name: &'static str,
    /// The name in URLs.
    served_as: String,
    content_type: &'static str,
    bytes: &'static [u8],
}

static ASSETS: LazyLock<[Asset; 4]> = LazyLock::new(|| {
    [
        asset_of("page.css", CSS, include_bytes!("../../assets/page.css")),
        asset_of("form.css", CSS, include_bytes!("../../assets/form.css")),
        asset_of("page.js", SCRIPT, include_bytes!("../../assets/page.js")),
        asset_of("form.js", SCRIPT, include_bytes!("../../assets/form.js")),
    ]
});

fn asset_of(name: &'static str, content_type: &'static str, bytes: &'static [u8]) -> Asset {
    let digest: String = Sha256::digest(bytes).iter().take(8).map(|b| format!("{b:02x}")).collect();
    let (stem, ending) = name.split_once('.').expect("an asset's name has an ending");
    Asset { name, served_as: format!("{stem}.{digest}.{ending}"), content_type, bytes }
}

/// The path of an asset, below the prefix of `public_url`.
pub fn path(name: &str) -> String {
    let asset = ASSETS.iter().find(|a| a.name == name).expect("templates name assets that there are");
    format!("/assets/{}", asset.served_as)
}

/// `GET /assets/{name}`. Public: there is nothing of anybody in it.
pub async fn asset(name: Result<Path<String>, PathRejection>) -> Result<Response, Error> {
    let name = name.map(|Path(name)| name).unwrap_or_default();
    let found = ASSETS.iter().find(|a| a.served_as == name).ok_or_else(extract::path_not_found)?;
    let mut response = found.bytes.into_response();
    let own = response.headers_mut();
    own.insert(header::CONTENT_TYPE, HeaderValue::from_static(found.content_type));
    own.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_names_with_the_right_digest_are_served() {
        let served = path("page.css").rsplit('/').next().unwrap().to_owned();
        assert!(served.starts_with("page.") && served.ends_with(".css") && served.len() > "page.css".len() + 8);
        let answer = asset(Ok(Path(served))).await.unwrap();
        assert_eq!(answer.headers()[header::CONTENT_TYPE], CSS);
        assert!(answer.headers()[header::CACHE_CONTROL].to_str().unwrap().contains("immutable"));
        for wrong in ["page.css", "page.0000000000000000.css", "../page.css", ""] {
            assert!(asset(Ok(Path(wrong.to_owned()))).await.is_err(), "{wrong}");
        }
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere() {
        for asset in ASSETS.iter() {
            let text = std::str::from_utf8(asset.bytes).unwrap();
            for sign in ["http://", "https://", "@import", "eval(", "//cdn"] {
                // The namespace of SVG is a name, not an address that is loaded.
                let text = text.replace("http://www.w3.org/2000/svg", "");
                assert!(!text.contains(sign), "{}: {sign}", asset.name);
            }
        }
    }
}
