//! The closed list of points, in the order in which a life goes past them.

macro_rules! points {
    ($($(#[$doc:meta])+ $variant:ident = $name:literal,)+) => {
        /// A step at which a fault can be injected.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Point {
            $($(#[$doc])+ $variant,)+
        }

        impl Point {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name that plans and traces use.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

points! {
    /// An acceptance is in its transaction, before the commit.
    ExportAccept = "export.accept",
    /// An acceptance is durable, before anybody is told.
    ExportAccepted = "export.accepted",
    /// A claim is in its transaction, before the commit.
    ExportClaim = "export.claim",
    /// A claim is durable, before anything is made of it.
    ExportClaimed = "export.claimed",
    /// The data version is fixed and the plan has begun to run.
    ExportPlanned = "export.planned",
    /// A chunk is about to be packaged.
    ExportChunk = "export.chunk",
    /// A file is about to be created.
    BlobCreate = "blob.create",
    /// Bytes are about to be written into a file.
    BlobWrite = "blob.write",
    /// All bytes are written, before they are synced.
    BlobSync = "blob.sync",
    /// The bytes are durable, before the file gets its name.
    BlobRename = "blob.rename",
    /// The file has its name, before the name is durable.
    BlobRenamed = "blob.renamed",
    /// A file is sealed, before its row is turned.
    ExportSealed = "export.sealed",
    /// The row is turned to Completed in its transaction, before the commit.
    ExportFlip = "export.flip",
    /// The row says Completed, before anybody is told.
    ExportFlipped = "export.flipped",
    /// The row is deleted in its transaction, before the commit.
    ExportDelete = "export.delete",
    /// The row is gone, before its file is.
    ExportDeleted = "export.deleted",
    /// A file is about to be deleted.
    BlobDelete = "blob.delete",
    /// Files are marked as expired in their transaction, before the commit.
    SweepExpire = "sweep.expire",
    /// The rows of expired files are turned, before the files are deleted.
    SweepExpired = "sweep.expired",
    /// Exports whose retention is over are deleted in their transaction, before the commit.
    SweepPurge = "sweep.purge",
    /// A file that no Export owns is about to be deleted.
    SweepGarbage = "sweep.garbage",
    /// A piece of an import's input is read, before it is parsed.
    ImportRead = "import.read",
    /// Sorted rows are about to become a run, in memory or in the scratch folder.
    ImportRun = "import.run",
    /// A file of the ledger is about to be begun.
    ImportFile = "import.file",
    /// A file of the ledger is complete, before it is synced.
    ImportFileSync = "import.file_sync",
    /// All files of the ledger are durable, before the commit is written.
    ImportCommit = "import.commit",
    /// The commit's text is durable, before it gets its name.
    ImportCommitName = "import.commit_name",
    /// The commit has its name, before the name is durable.
    ImportCommitted = "import.committed",
    /// The import is durable, before anybody is told.
    ImportDone = "import.done",
    /// What the form of the page offers is about to be looked up.
    PageValues = "page.values",
    /// A preview of the page has its place, and is about to be looked at.
    PagePreview = "page.preview",
}
