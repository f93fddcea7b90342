//! A manifest as it is kept: JSON text compressed by Zstandard (RFC 8878). That of ten million
//! payments lists tens of thousands of sums; compressed, it takes a fifteenth of its twelve
//! megabytes in memory, in the database and in its log.

use std::io::{self, Write};
use std::sync::Arc;

/// The fastest that is worth the name.
const LEVEL: i32 = 1;

/// What is handed over to the encoder at a time: a formatter writes a few bytes a call.
const PART_BYTES: usize = 64 << 10;

/// What a manifest is written into.
pub type Parts = io::BufWriter<zstd::stream::write::Encoder<'static, Vec<u8>>>;

/// See the module.
#[derive(Clone, PartialEq, Eq)]
pub struct ManifestText(Arc<[u8]>);

impl ManifestText {
    /// What `write` writes, without ever holding it as it is. It writes into a buffer: a few bytes
    /// at a time are cheap.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn written(write: impl FnOnce(&mut Parts) -> io::Result<()>) -> io::Result<Self> {
        let encoder = zstd::stream::write::Encoder::new(Vec::new(), LEVEL)?;
        let mut parts = Parts::with_capacity(PART_BYTES, encoder);
        write(&mut parts)?;
        let encoder = parts.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(Self(encoder.finish()?.into()))
    }

    /// As it is kept.
    pub(crate) fn packed(&self) -> &[u8] {
        &self.0
    }

    /// The text of what was kept.
    pub(crate) fn unpacked(packed: &[u8]) -> io::Result<String> {
        let text = zstd::stream::decode_all(packed)?;
        String::from_utf8(text).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
    }
}

impl From<&str> for ManifestText {
    fn from(text: &str) -> Self {
        Self::written(|w| w.write_all(text.as_bytes())).expect("writing into memory cannot fail")
    }
}

impl std::fmt::Debug for ManifestText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ManifestText({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_small_and_comes_back() {
        let text: String = (0..20_000).map(|i| format!("{{\"sum\": \"{i}.25\"}},\n")).collect();
        let kept = ManifestText::from(text.as_str());
        assert!(kept.packed().len() * 4 < text.len(), "{} bytes of {}", kept.packed().len(), text.len());
        assert_eq!(ManifestText::unpacked(kept.packed()).unwrap(), text);
        assert_eq!(ManifestText::unpacked(ManifestText::from("").packed()).unwrap(), "");
    }

    #[test]
    fn what_is_broken_is_an_error_and_not_a_text() {
        let kept = ManifestText::from("{\"rowCount\":3}");
        let cut = &kept.packed()[..kept.packed().len() - 3];
        ManifestText::unpacked(cut).unwrap_err();
        ManifestText::unpacked(b"{\"rowCount\":3}").unwrap_err();
    }

    #[test]
    fn an_error_of_the_writer_comes_out() {
        let broken = ManifestText::written(|_| Err(io::Error::other("no")));
        assert_eq!(broken.unwrap_err().to_string(), "no");
    }
}
