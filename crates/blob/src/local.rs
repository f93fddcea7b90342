//! Blobs as files of a local folder.
