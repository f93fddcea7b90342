-- Manifests are compressed (Zstandard). What older versions wrote stays where it is, as text.
ALTER TABLE exports ADD COLUMN manifest_zstd BLOB;
