//! What lies in a folder of blobs, seen from outside: nothing is made, changed or locked, so that it
//! can be looked at beside the service that works with it.

use std::path::{Path, PathBuf};

use super::{PARTIAL, blob_folder, entries, parse_file_name};
use crate::{BlobName, Error};

/// What is there. Files may come and go meanwhile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Sealed blobs and where they lie.
    pub files: Vec<(BlobName, PathBuf)>,
    /// Files that are being written, or whose writer died, with the blob that they were to become.
    pub partial: Vec<(PathBuf, Option<BlobName>)>,
    /// What is none of ours.
    pub strange: Vec<PathBuf>,
}

/// Looks at the folder `root`; empty if it is not there. Blocks.
pub fn survey(root: &Path) -> Result<Survey, Error> {
    let mut found = Survey::default();
    if !root.exists() {
        return Ok(found);
    }
    for folder in entries(root)? {
        if folder.file_name().is_some_and(|name| name == PARTIAL) {
            for path in entries(&folder)? {
                let text = path.file_name().and_then(|n| n.to_str());
                // The blob's own name, and something random behind it.
                let name = text.and_then(|t| t.rsplit_once('.')).and_then(|(name, _)| parse_file_name(name));
                found.partial.push((path, name));
            }
            continue;
        }
        let Some(prefix) = blob_folder(&folder) else {
            found.strange.push(folder);
            continue;
        };
        for path in entries(&folder)? {
            let text = path.file_name().and_then(|n| n.to_str());
            match text.filter(|t| t.starts_with(&prefix)).and_then(parse_file_name) {
                Some(name) => found.files.push((name, path)),
                None => found.strange.push(path),
            }
        }
    }
    found.files.sort();
    found.partial.sort();
    found.strange.sort();
    Ok(found)
}
