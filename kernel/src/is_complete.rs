//! Whether a cell can be run as it is, or its author is not done yet. Pure.

use jupyter_protocol::IsCompleteReply;
use ra_ap_rustc_lexer::{FrontmatterAllowed, LiteralKind, TokenKind, tokenize};

use crate::cell_source;

/// Answers an is_complete_request.
pub fn is_complete(code: &str) -> IsCompleteReply {
    let code = &code[cell_source::start_of_code(code)..];
    match open_brackets(code) {
        Brackets::Open => IsCompleteReply::incomplete("    ".to_owned()),
        Brackets::Wrong => IsCompleteReply::invalid(),
        Brackets::Closed => match cell_source::parse(code) {
            Ok(_) => IsCompleteReply::complete(),
            Err(error) if error.to_string().starts_with("unexpected end of input") => {
                IsCompleteReply::incomplete(String::new())
            }
            Err(_) => IsCompleteReply::invalid(),
        },
    }
}

enum Brackets {
    Closed,
    /// A bracket, a string or a comment is not closed.
    Open,
    /// A bracket is closed that was not open.
    Wrong,
}

fn open_brackets(code: &str) -> Brackets {
    let mut open = Vec::new();
    for token in tokenize(code, FrontmatterAllowed::No) {
        match token.kind {
            TokenKind::OpenParen => open.push(TokenKind::CloseParen),
            TokenKind::OpenBrace => open.push(TokenKind::CloseBrace),
            TokenKind::OpenBracket => open.push(TokenKind::CloseBracket),
            TokenKind::CloseParen | TokenKind::CloseBrace | TokenKind::CloseBracket
                if open.pop() != Some(token.kind) =>
            {
                return Brackets::Wrong;
            }
            TokenKind::BlockComment {
                terminated: false, ..
            } => return Brackets::Open,
            TokenKind::Literal { kind, .. } if !is_terminated(kind) => return Brackets::Open,
            _ => {}
        }
    }
    if open.is_empty() {
        Brackets::Closed
    } else {
        Brackets::Open
    }
}

fn is_terminated(kind: LiteralKind) -> bool {
    match kind {
        LiteralKind::Str { terminated }
        | LiteralKind::ByteStr { terminated }
        | LiteralKind::CStr { terminated } => terminated,
        LiteralKind::RawStr { n_hashes }
        | LiteralKind::RawByteStr { n_hashes }
        | LiteralKind::RawCStr { n_hashes } => n_hashes.is_some(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use jupyter_protocol::IsCompleteReplyStatus as Status;

    use super::*;

    #[test]
    fn a_cell_is_complete_when_it_can_be_run() {
        for (code, status) in [
            ("", Status::Complete),
            ("1 + 1", Status::Complete),
            (":dep tokio-stream", Status::Complete),
            ("let x = f().await;", Status::Complete),
            ("fn f() {", Status::Incomplete),
            ("println!(\"a", Status::Incomplete),
            ("let x = r#\"a", Status::Incomplete),
            ("/* a", Status::Incomplete),
            ("let x =", Status::Incomplete),
            ("#[derive(Debug)]", Status::Incomplete),
            ("fn f() }", Status::Invalid),
            ("let let", Status::Invalid),
            ("(]", Status::Invalid),
        ] {
            assert_eq!(is_complete(code).status, status, "{code}");
        }
    }
}
