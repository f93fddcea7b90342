//! The manifest: JSON that lets finance trust the file.
