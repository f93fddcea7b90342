//! The one table of error codes: what callers may see, and the HTTP status of each.

use std::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $status:literal,)*) => {
        /// A code of an error body or of a failed Export.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $($(#[$doc])* $name,)* }

        impl ErrorCode {
            /// Every code, in the order they are documented.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
            /// The code as callers see it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }
            /// The HTTP status it is answered with.
            pub fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }
        }
    };
}

codes! {
    /// The filter's text is not in the dialect.
    FilterSyntax = 400,
    /// The filter names a field that the report does not have.
    FilterUnknownField = 400,
    /// The filter compares values that cannot be compared, or a value that the field cannot have.
    FilterType = 400,
    /// OData that a flat row has no use for.
    FilterUnsupported = 400,
    /// The filter crosses a published limit.
    FilterLimit = 400,
    /// A parameter's value is not valid.
    InvalidParameter = 400,
    /// There is no such parameter.
    UnknownParameter = 400,
    /// A parameter that may come once came twice, or two that exclude each other came together.
    DuplicateParameter = 400,
    /// `fileFormat` is none of the list.
    InvalidFileFormat = 400,
    /// `$select` names a column that the report does not have.
    InvalidSelect = 400,
    /// `timeZone` is not an IANA name.
    InvalidTimeZone = 400,
    /// The body is not the JSON that is expected.
    InvalidBody = 400,
    /// A header's value is not valid.
    InvalidHeader = 400,
    /// A path part, such as the request id, is not valid.
    InvalidPath = 400,
    /// `ms-requestid` and `Idempotency-Key` disagree, or the key is not 1 to 128 visible ASCII characters.
    InvalidIdempotencyKey = 400,
    /// The same idempotency key came with another query.
    IdempotencyKeyReused = 400,
    /// No token, or one that is not accepted.
    Unauthenticated = 401,
    /// The token lacks the scopes and roles that the service asks for.
    InsufficientScope = 403,
    /// The caller has no grant at all.
    NoGrants = 403,
    /// The filter names participants, and none of them is granted.
    ParticipantNotGranted = 403,
    /// The Export was made by somebody else, and the caller is no admin.
    NotTheOwner = 403,
    /// The link's signature does not fit, or its viewer may no longer see the Export.
    LinkInvalid = 403,
    /// The link's time is over.
    LinkExpired = 403,
    /// There is no such Export, or the caller may not see it.
    ExportNotFound = 404,
    /// There is no such path.
    PathNotFound = 404,
    /// The version in the path is not served.
    UnsupportedVersion = 404,
    /// The file is gone: deleted, or past its retention.
    FileNotFound = 404,
    /// The path does not take this verb.
    MethodNotAllowed = 405,
    /// None of the accepted media types can be sent.
    NotAcceptable = 406,
    /// The head or the body of the request took longer than the limit.
    RequestTimeout = 408,
    /// The manifest is there once the Export has ended.
    NotReady = 409,
    /// The operator holds the Export: it cannot be deleted until it is released.
    ExportHeld = 409,
    /// The file is not the one that a condition of the request names.
    PreconditionFailed = 412,
    /// The body is larger than the limit.
    BodyTooLarge = 413,
    /// The request line is longer than the limit.
    UriTooLong = 414,
    /// The body's media type is not application/json.
    UnsupportedMediaType = 415,
    /// The range lies outside the file.
    RangeNotSatisfiable = 416,
    /// The Host is not one that this service answers for.
    MisdirectedRequest = 421,
    /// Too many requests, too many queued Exports, or a preview is already running.
    TooManyRequests = 429,
    /// The tenant's files take as much room as they may.
    StorageLimit = 429,
    /// The headers are larger than the limit.
    HeadersTooLarge = 431,
    /// Something broke inside; the caller may retry.
    Internal = 500,
    /// Not now: starting, stopping, or a part is out of reach; the caller may retry.
    Unavailable = 503,
    /// A preview took longer than its limit.
    PreviewTimeout = 503,
    /// The files of the data version that the Export began with are gone. A failed Export's code.
    SnapshotGone = 500,
    /// Ten workers lost this Export. A failed Export's code.
    WorkerLost = 500,
    /// The ledger cannot be read, or holds what the report does not allow. A failed Export's code.
    LedgerUnreadable = 500,
    /// There is no room for the file. A failed Export's code.
    StorageFull = 500,
    /// A fault that may pass did not pass in three attempts. A failed Export's code.
    AttemptsExhausted = 500,
    /// The configuration no longer has what the request names. A failed Export's code.
    RequestObsolete = 500,
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for ErrorCode {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.iter().copied().find(|c| c.as_str() == text).ok_or_else(|| format!("unknown error code '{text}'"))
    }
}

impl serde::Serialize for ErrorCode {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}

impl<'de> serde::Deserialize<'de> for ErrorCode {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        <std::borrow::Cow<'_, str>>::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}
