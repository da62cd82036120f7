//! As much of HTTP/1.1 as a scrape needs: the head of a request, and the answer to it. Pure. A connection carries one
//! request; a body is not read.

use std::fmt::Write;

/// A head longer than this is no scrape.
pub(super) const HEAD_BYTES_MAX: usize = 8 << 10;
const HEADERS_MAX: usize = 64;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Head {
    /// The end has not come yet.
    Partial,
    Get {
        path: String,
        /// HEAD: the answer is the same, without its body.
        bodiless: bool,
    },
    Refused(Status),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Status {
    Ok,
    BadRequest,
    NotFound,
    MethodNotAllowed,
    HeadTooLarge,
    Unavailable,
}

impl Status {
    fn line(self) -> &'static str {
        match self {
            Self::Ok => "200 OK",
            Self::BadRequest => "400 Bad Request",
            Self::NotFound => "404 Not Found",
            Self::MethodNotAllowed => "405 Method Not Allowed",
            Self::HeadTooLarge => "431 Request Header Fields Too Large",
            Self::Unavailable => "503 Service Unavailable",
        }
    }
}

/// What stands in the bytes that have come so far.
pub(super) fn read(bytes: &[u8]) -> Head {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(httparse::Status::Partial) if bytes.len() < HEAD_BYTES_MAX => Head::Partial,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            Head::Refused(Status::HeadTooLarge)
        }
        Err(_) => Head::Refused(Status::BadRequest),
        Ok(httparse::Status::Complete(_)) => {
            let bodiless = match request.method {
                Some("GET") => false,
                Some("HEAD") => true,
                _ => return Head::Refused(Status::MethodNotAllowed),
            };
            let target = request.path.unwrap_or_default();
            let path = target.split(['?', '#']).next().unwrap_or_default();
            Head::Get { path: path.to_owned(), bodiless }
        }
    }
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: Status,
    pub(super) content_type: &'static str,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn text(status: Status, sentence: &str) -> Self {
        let content_type = "text/plain; charset=utf-8";
        Self { status, content_type, body: format!("{sentence}\n").into_bytes() }
    }

    pub(super) fn into_bytes(self, bodiless: bool) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {}\r\nContent-Type: {}\r\n", self.status.line(), self.content_type);
        let length = self.body.len();
        let written =
            write!(head, "Content-Length: {length}\r\nCache-Control: no-store\r\nConnection: close\r\n");
        written.expect("memory takes all");
        if self.status == Status::MethodNotAllowed {
            head.push_str("Allow: GET, HEAD\r\n");
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        if !bodiless {
            bytes.extend(self.body);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn get(path: &str) -> Head {
        Head::Get { path: path.to_owned(), bodiless: false }
    }

    #[test]
    fn heads_are_read_as_they_are_sent() {
        fn check(text: &str, expected: Head) {
            assert_eq!(read(text.as_bytes()), expected, "{text:?}");
        }
        check("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", get("/metrics"));
        check("GET /metrics?name=x HTTP/1.0\r\n\r\n", get("/metrics"));
        check("HEAD /x HTTP/1.1\r\n\r\n", Head::Get { path: "/x".into(), bodiless: true });
        check("GET /metrics HTTP/1.1\r\nHost: a\r\n", Head::Partial);
        check("", Head::Partial);
        check("POST /metrics HTTP/1.1\r\n\r\n", Head::Refused(Status::MethodNotAllowed));
        check("GET /metrics HTTP/2.0\r\n\r\n", Head::Refused(Status::BadRequest));
        check("\u{0}\u{0}\u{0}\u{12}\u{0}\u{12}", Head::Refused(Status::BadRequest));
        let many = "A: b\r\n".repeat(HEADERS_MAX + 1);
        check(&format!("GET / HTTP/1.1\r\n{many}\r\n"), Head::Refused(Status::HeadTooLarge));
        let long = "x".repeat(HEAD_BYTES_MAX);
        check(&format!("GET /{long}"), Head::Refused(Status::HeadTooLarge));
    }

    #[test]
    fn an_answer_says_how_long_it_is_with_and_without_its_body() {
        let answer = || Answer::text(Status::NotFound, "nothing is here");
        let whole = String::from_utf8(answer().into_bytes(false)).unwrap();
        let (head, body) = whole.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 404 Not Found\r\n"), "{head}");
        assert_eq!(body, "nothing is here\n");
        assert!(head.contains("\r\nContent-Length: 16\r\n"), "{head}");
        assert_eq!(answer().into_bytes(true), format!("{head}\r\n\r\n").into_bytes());
    }

    proptest! {
        /// Foreign bytes are a head or none; a head stays what it is when it arrives in pieces, and nothing waits for
        /// more than there may be.
        #[test]
        fn any_bytes_are_read_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..9000)) {
            let head = read(&bytes);
            prop_assert!(head != Head::Partial || bytes.len() < HEAD_BYTES_MAX);
        }

        #[test]
        fn a_head_in_pieces_is_partial_until_it_is_whole(
            path in "/[a-z0-9/_.~-]{0,40}",
            headers in prop::collection::vec(("[A-Za-z-]{1,20}", "[ -~]{0,60}"), 0..20),
            change in any::<Option<(prop::sample::Index, u8)>>(),
        ) {
            let mut text = format!("GET {path} HTTP/1.1\r\n").into_bytes();
            headers.iter().for_each(|(name, value)| text.extend(format!("{name}: {value}\r\n").bytes()));
            text.extend(b"\r\n");
            if let Some((at, byte)) = change {
                let at = at.index(text.len());
                text[at] = byte;
            } else {
                for end in 0..text.len() {
                    prop_assert_eq!(read(&text[..end]), Head::Partial);
                }
                prop_assert_eq!(read(&text), get(&path));
            }
            // Changed anywhere: whatever it is, the bytes that come first never say more than all of them.
            let mut seen = Head::Partial;
            for end in 0..=text.len() {
                let now = read(&text[..end]);
                prop_assert!(seen == Head::Partial || now == seen, "{:?} then {:?}", seen, now);
                seen = now;
            }
        }
    }
}
