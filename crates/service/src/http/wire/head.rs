//! Rewrites the heads of HTTP/1 requests in a stream of bytes; pure, and linear in their number.
//!
//! It follows the framing only as far as to find the next head: `Content-Length` or chunks. What
//! it does not understand for certain (both framings, HTTP/2) passes untouched from there to the
//! end of the connection, and the HTTP library judges it. A head that the library would refuse
//! without a word is replaced by one that it takes, with the mark 400, and what follows it is
//! dropped.

use std::io;
use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method, Uri};

use super::Names;

/// The longest request line, its escapes included: a filter of 64 KiB with every byte escaped.
pub const LINE_BYTES_MAX: usize = 208 * 1024;

/// The most headers of a request; the library takes 100, ours among them.
pub const HEADERS_MAX: usize = 90;

/// Beyond this many bytes of headers nobody answers any more: the connection is closed.
const HEADERS_GIVEN_UP_BYTES: usize = 4 * 1024 * 1024;

/// A target up to this length goes to the library as it is.
const TARGET_BYTES_MAX: usize = 60_000;

/// The longest line of a chunk's size or trailer that is followed.
const CHUNK_LINE_BYTES_MAX: usize = 8 * 1024;

/// Where in the stream it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    RequestLine,
    Headers,
    Body(u64),
    ChunkSize,
    ChunkData(u64),
    Trailers,
    /// Dropped to the end, behind a head that was refused.
    Dropped,
    /// Untouched to the end.
    Raw,
}

/// What the headers so far say.
#[derive(Clone, Copy, Debug, Default)]
struct Head {
    bytes: usize,
    count: usize,
    refusal: Option<u16>,
    length: Option<u64>,
    chunked: bool,
    unclear: bool,
    /// HTTP/1.0 knows no chunks.
    old: bool,
}

/// Rewrites heads.
#[derive(Debug)]
pub struct Rewriter {
    names: Arc<Names>,
    header_bytes_max: usize,
    state: State,
    head: Head,
    line: Vec<u8>,
    overlong: bool,
}

impl Rewriter {
    /// At the start of a connection.
    pub fn new(names: Arc<Names>, header_bytes_max: usize) -> Self {
        let (state, head) = (State::RequestLine, Head::default());
        Self { names, header_bytes_max, state, head, line: Vec::new(), overlong: false }
    }

    /// Takes bytes of the client and appends what the library shall read.
    pub fn push(&mut self, mut input: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        while !input.is_empty() {
            input = match self.state {
                State::Raw => {
                    out.extend_from_slice(input);
                    &[]
                }
                State::Dropped => &[],
                State::Body(left) => self.pass(input, left, State::Body, State::RequestLine, out),
                State::ChunkData(left) => self.pass(input, left, State::ChunkData, State::ChunkSize, out),
                _ => self.take_line(input, out)?,
            };
        }
        Ok(())
    }

    /// Whether a head has begun and is not whole.
    pub fn in_head(&self) -> bool {
        self.state == State::Headers || (self.state == State::RequestLine && !self.line.is_empty())
    }

    /// The head takes too long: what came of it is marked 408, and what follows it is dropped.
    pub fn give_up(&mut self, out: &mut Vec<u8>) {
        if self.state == State::RequestLine {
            write_line(out, b"GET", b"/", b"HTTP/1.1");
        }
        self.line.clear();
        self.overlong = false;
        self.head = Head { refusal: Some(408), ..Head::default() };
        self.head_done(out);
    }

    /// The client ended: whatever is left is not ours to judge.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.line);
    }

    fn pass<'a>(
        &mut self,
        input: &'a [u8],
        left: u64,
        still: fn(u64) -> State,
        then: State,
        out: &mut Vec<u8>,
    ) -> &'a [u8] {
        let n = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
        out.extend_from_slice(&input[..n]);
        let left = left - n as u64;
        self.state = if left == 0 { then } else { still(left) };
        &input[n..]
    }

    fn take_line<'a>(&mut self, input: &'a [u8], out: &mut Vec<u8>) -> io::Result<&'a [u8]> {
        let end = input.iter().position(|b| *b == b'\n');
        let (piece, rest) = input.split_at(end.map_or(input.len(), |at| at + 1));
        let line_bytes_max = match self.state {
            State::RequestLine => LINE_BYTES_MAX,
            State::Headers => self.header_bytes_max,
            _ => CHUNK_LINE_BYTES_MAX,
        };
        if self.state == State::Headers {
            self.head.bytes += piece.len();
            if self.head.bytes > HEADERS_GIVEN_UP_BYTES {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "headers without end"));
            }
        }
        let room = line_bytes_max.saturating_sub(self.line.len());
        self.overlong |= piece.len() > room;
        self.line.extend_from_slice(&piece[..piece.len().min(room)]);
        if end.is_some() {
            let line = std::mem::take(&mut self.line);
            let overlong = std::mem::take(&mut self.overlong);
            self.line_done(line, overlong, out);
        }
        Ok(rest)
    }

    fn line_done(&mut self, line: Vec<u8>, overlong: bool, out: &mut Vec<u8>) {
        match self.state {
            State::RequestLine => self.request_line(&line, overlong, out),
            State::Headers => self.header_line(&line, overlong, out),
            State::ChunkSize => {
                out.extend_from_slice(&line);
                self.state = chunk_state(&line, overlong);
            }
            _ => {
                out.extend_from_slice(&line);
                self.state = match (overlong, trimmed(&line).is_empty()) {
                    (true, _) => State::Raw,
                    (_, true) => State::RequestLine,
                    _ => State::Trailers,
                };
            }
        }
    }

    fn request_line(&mut self, line: &[u8], overlong: bool, out: &mut Vec<u8>) {
        let text = trimmed(line);
        if text.is_empty() {
            // Blank lines between requests.
            out.extend_from_slice(line);
            return;
        }
        if text == HTTP_2 {
            return self.raw(line, out);
        }
        let first = text.iter().position(|b| *b == b' ');
        let last = text.iter().rposition(|b| *b == b' ');
        let (Some(first), Some(last)) = (first, last) else { return self.refuse(out) };
        let (method, version) = (&text[..first], &text[last + 1..]);
        if method == b"CONNECT" {
            return self.raw(line, out);
        }
        let whole = first < last && matches!(version, b"HTTP/1.1" | b"HTTP/1.0");
        if Method::from_bytes(method).is_err() || !(whole || overlong) {
            return self.refuse(out);
        }
        self.head = Head { old: version == b"HTTP/1.0", ..Head::default() };
        self.state = State::Headers;
        if overlong {
            self.head.refusal = Some(414);
            let path = text[first + 1..].split(|b| *b == b'?').next().unwrap_or(b"/");
            let target = escaped(&path[..path.len().min(1024)]);
            return self.line(out, method, &target, b"HTTP/1.1");
        }
        let target = text[first + 1..last].trim_ascii();
        if target.len() <= TARGET_BYTES_MAX && target.iter().all(|b| stands(*b)) {
            return self.line(out, method, target, version);
        }
        let at = target.iter().position(|b| *b == b'?').unwrap_or(target.len());
        let (path, query) = (escaped(&target[..at]), escaped(target.get(at + 1..).unwrap_or_default()));
        if path.len() + query.len() > LINE_BYTES_MAX || path.len() > TARGET_BYTES_MAX {
            self.head.refusal = Some(414);
            return self.line(out, method, &path[..path.len().min(1024)], version);
        }
        if path.len() + query.len() < TARGET_BYTES_MAX {
            let target = if at < target.len() { [&path[..], b"?", &query].concat() } else { path };
            return self.line(out, method, &target, version);
        }
        self.line(out, method, &path, version);
        write_header(out, self.names.query.as_str().as_bytes(), &query);
    }

    fn header_line(&mut self, line: &[u8], overlong: bool, out: &mut Vec<u8>) {
        let text = trimmed(line);
        if text.is_empty() {
            return self.head_done(out);
        }
        self.head.count += 1;
        let colon = text.iter().position(|b| *b == b':').unwrap_or(text.len());
        let (name, value) = (&text[..colon], text.get(colon + 1..).map(<[u8]>::trim_ascii));
        let readable =
            HeaderName::from_bytes(name).is_ok() && value.is_some_and(|v| HeaderValue::from_bytes(v).is_ok());
        if !overlong && !readable {
            self.head.refusal.get_or_insert(400);
        }
        self.framing(name, value.unwrap_or_default());
        if overlong || self.head.bytes > self.header_bytes_max || self.head.count > HEADERS_MAX {
            self.head.refusal.get_or_insert(431);
        } else if self.head.refusal != Some(400) {
            out.extend_from_slice(line);
        }
    }

    /// What a header says about where the body ends.
    fn framing(&mut self, name: &[u8], value: &[u8]) {
        if name.eq_ignore_ascii_case(b"content-length") {
            let digits = value.iter().all(u8::is_ascii_digit);
            let length = std::str::from_utf8(value).ok().filter(|_| digits).and_then(|v| v.parse::<u64>().ok());
            if length.is_none() || self.head.length.is_some_and(|other| Some(other) != length) {
                self.head.refusal.get_or_insert(400);
            }
            self.head.length = length;
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            let last = value.rsplit(|b| *b == b',').next().unwrap_or_default().trim_ascii();
            if self.head.old || !last.eq_ignore_ascii_case(b"chunked") {
                self.head.refusal.get_or_insert(400);
            }
            self.head.unclear |= last.len() != value.len() || self.head.chunked;
            self.head.chunked = true;
        }
    }

    fn head_done(&mut self, out: &mut Vec<u8>) {
        if let Some(refusal) = self.head.refusal {
            write_header(out, self.names.refusal.as_str().as_bytes(), refusal.to_string().as_bytes());
            // The client's own wish may be among what was dropped, and a client that sends such
            // heads had better begin anew.
            write_header(out, b"connection", b"close");
        }
        out.extend_from_slice(b"\r\n");
        if matches!(self.head.refusal, Some(400 | 408)) {
            self.state = State::Dropped;
            return;
        }
        let Head { length, chunked, unclear, .. } = self.head;
        self.state = match (unclear || (chunked && length.is_some()), chunked, length.unwrap_or(0)) {
            (true, ..) => State::Raw,
            (_, true, _) => State::ChunkSize,
            (_, _, 0) => State::RequestLine,
            (_, _, length) => State::Body(length),
        };
    }

    /// Writes a request line, or one that is refused if the library would not read its target.
    fn line(&mut self, out: &mut Vec<u8>, method: &[u8], target: &[u8], version: &[u8]) {
        let readable = Uri::try_from(target).is_ok();
        if !readable {
            self.head.refusal.get_or_insert(400);
        }
        write_line(out, method, if readable { target } else { b"/" }, version);
    }

    /// What came is no request line: in its place, a whole head that is refused.
    fn refuse(&mut self, out: &mut Vec<u8>) {
        write_line(out, b"GET", b"/", b"HTTP/1.1");
        self.head = Head { refusal: Some(400), ..Head::default() };
        self.head_done(out);
    }

    fn raw(&mut self, line: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(line);
        self.state = State::Raw;
    }
}

/// The line that a client of HTTP/2 begins with.
const HTTP_2: &[u8] = b"PRI * HTTP/2.0";

/// What follows the line of a chunk's size. The line end after a chunk's data counts to the data.
fn chunk_state(line: &[u8], overlong: bool) -> State {
    let text = trimmed(line).split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    let size = std::str::from_utf8(text).ok().and_then(|t| u64::from_str_radix(t, 16).ok());
    match size {
        Some(0) if !overlong => State::Trailers,
        Some(size) if !overlong && size < u64::MAX - 2 => State::ChunkData(size + 2),
        _ => State::Raw,
    }
}

fn trimmed(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Whether a byte may stand in a URL as it is. `#` may not: the library would cut the text off.
fn stands(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\"#<>\\^`{|}".contains(&byte)
}

fn escaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for &byte in text {
        if stands(byte) {
            out.push(byte);
        } else {
            let digit = |n: u8| b"0123456789ABCDEF"[usize::from(n)];
            out.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    out
}

fn write_line(out: &mut Vec<u8>, method: &[u8], target: &[u8], version: &[u8]) {
    for part in [method, b" ", target, b" ", version, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

fn write_header(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    for part in [name, b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Arc<Names> {
        Arc::new(Names::draw())
    }

    /// The rewritten text, which must not depend on how the bytes were cut.
    fn rewritten(input: &[u8]) -> (String, Arc<Names>) {
        let names = names();
        let cut = |sizes: usize| {
            let mut rewriter = Rewriter::new(names.clone(), 1000);
            let mut out = Vec::new();
            for piece in input.chunks(sizes) {
                rewriter.push(piece, &mut out).unwrap();
            }
            rewriter.finish(&mut out);
            String::from_utf8(out).unwrap()
        };
        let whole = cut(input.len());
        for sizes in [1, 7, 4096] {
            assert!(cut(sizes) == whole, "cut into {sizes}");
        }
        (whole, names)
    }

    #[test]
    fn plain_requests_pass_as_they_are() {
        for text in [
            "GET /v1.0/payouts/payments?$filter=a+eq+'b' HTTP/1.1\r\nHost: x\r\n\r\n",
            "POST /a HTTP/1.1\r\nContent-Length: 25\r\n\r\nGET /a b HTTP/1.1\r\nX: y\r\n\r\nGET /c HTTP/1.0\r\n\r\n",
            "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nGET /\r\n0\r\nT: a b\r\n\r\nGET /c HTTP/1.1\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nGET /a b HTTP/1.1\r\n\r\n",
            "GET /cut",
        ] {
            assert_eq!(rewritten(text.as_bytes()).0, text);
        }
    }

    #[test]
    fn blanks_and_quotes_become_escapes() {
        let line = "GET /p?$filter=programName eq \"CSP\" and a=’b’ or c='#' HTTP/1.1\r\n\r\nGET /x y HTTP/1.1\r\n\r\n";
        assert_eq!(
            rewritten(line.as_bytes()).0,
            "GET /p?$filter=programName%20eq%20%22CSP%22%20and%20a=%E2%80%99b%E2%80%99%20or%20c='%23' HTTP/1.1\r\n\r\n\
             GET /x%20y HTTP/1.1\r\n\r\n"
        );
    }

    #[test]
    fn a_long_query_is_carried_in_a_header() {
        let query = format!("$filter={}", "%27".repeat(60_000));
        let (out, names) = rewritten(format!("POST /p?{query} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
        assert_eq!(out, format!("POST /p HTTP/1.1\r\n{}: {query}\r\nHost: x\r\n\r\n", names.query));
    }

    #[test]
    fn heads_beyond_the_limits_are_cut_down_and_marked() {
        let (out, names) = rewritten(
            format!("GET /p?{} HTTP/1.1\r\nHost: x\r\n\r\nGET /q HTTP/1.1\r\n\r\n", "a".repeat(300_000)).as_bytes(),
        );
        assert_eq!(
            out,
            format!(
                "GET /p HTTP/1.1\r\nHost: x\r\n{}: 414\r\nconnection: close\r\n\r\nGET /q HTTP/1.1\r\n\r\n",
                names.refusal
            )
        );
        let (out, names) =
            rewritten(format!("GET /p HTTP/1.1\r\nA: b\r\nB: {}\r\nC: d\r\n\r\n", "b".repeat(2000)).as_bytes());
        assert_eq!(out, format!("GET /p HTTP/1.1\r\nA: b\r\n{}: 431\r\nconnection: close\r\n\r\n", names.refusal));
        let many: String = (0..91).map(|n| format!("A{n}: b\r\n")).collect();
        let (out, names) = rewritten(format!("GET /p HTTP/1.1\r\n{many}\r\n").as_bytes());
        assert!(out.ends_with(&format!("A89: b\r\n{}: 431\r\nconnection: close\r\n\r\n", names.refusal)), "{out}");
    }

    #[test]
    fn what_is_unclear_passes_untouched() {
        for framing in ["Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: gzip, chunked\r\n"] {
            let text = format!("POST /p HTTP/1.1\r\n{framing}\r\nGET /a b HTTP/1.1\r\n\r\n");
            assert_eq!(rewritten(text.as_bytes()).0, text);
        }
    }

    #[test]
    fn what_the_library_would_refuse_is_marked() {
        for line in [
            "\u{16}\u{3}\u{1} nonsense",
            "\0\u{1}garbage",
            "GET /",
            "GET / HTTP/1.2",
            "GET / HTTP/2.0",
            "G(T / HTTP/1.1",
        ] {
            let (out, names) = rewritten(format!("{line}\r\nHost: x\r\n\r\nGET /a HTTP/1.1\r\n\r\n").as_bytes());
            assert_eq!(
                out,
                format!("GET / HTTP/1.1\r\n{}: 400\r\nconnection: close\r\n\r\n", names.refusal),
                "{line:?}"
            );
        }
        for (head, kept) in [
            ("POST /a HTTP/1.1\r\nA: b\r\nContent-Length: abc", "POST /a HTTP/1.1\r\nA: b\r\n"),
            ("POST /a HTTP/1.1\r\nContent-Length: +1", "POST /a HTTP/1.1\r\n"),
            ("POST /a HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2", "POST /a HTTP/1.1\r\nContent-Length: 1\r\n"),
            ("POST /a HTTP/1.1\r\nTransfer-Encoding: gzip", "POST /a HTTP/1.1\r\n"),
            ("POST /a HTTP/1.0\r\nTransfer-Encoding: chunked", "POST /a HTTP/1.0\r\n"),
            ("GET /a HTTP/1.1\r\nno colon", "GET /a HTTP/1.1\r\n"),
            ("GET /a HTTP/1.1\r\nA: b\r\n folded", "GET /a HTTP/1.1\r\nA: b\r\n"),
            ("GET /a HTTP/1.1\r\nA : b\r\nB: c", "GET /a HTTP/1.1\r\n"),
            ("GET /a HTTP/1.1\r\nA: b\0", "GET /a HTTP/1.1\r\n"),
            ("GET http:// HTTP/1.1", "GET / HTTP/1.1\r\n"),
        ] {
            let (out, names) = rewritten(format!("{head}\r\n\r\nx").as_bytes());
            assert_eq!(out, format!("{kept}{}: 400\r\nconnection: close\r\n\r\n", names.refusal), "{head:?}");
        }
    }

    #[test]
    fn headers_without_end_close_the_connection() {
        let mut rewriter = Rewriter::new(names(), 1000);
        rewriter.push(b"GET / HTTP/1.1\r\n", &mut Vec::new()).unwrap();
        let ended = (0..100).any(|_| rewriter.push(&vec![b'a'; 65_536], &mut Vec::new()).is_err());
        assert!(ended);
    }
}
