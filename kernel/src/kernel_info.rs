//! What the kernel says of itself, and what stands in the header of all that it says.

use chrono::SubsecRound;
use jupyter_protocol::{
    CodeMirrorMode, HelpLink, JupyterMessage, JupyterMessageContent, KernelInfoReply, LanguageInfo,
    ReplyStatus,
};

/// The version of the messaging protocol, in the kernelspec and in the reply.
pub const PROTOCOL_VERSION: &str = "5.5";

/// A message from this kernel, in the version of the protocol that it speaks.
pub fn message(
    content: impl Into<JupyterMessageContent>,
    parent: Option<&JupyterMessage>,
) -> JupyterMessage {
    let mut message = JupyterMessage::new(content, parent);
    PROTOCOL_VERSION.clone_into(&mut message.header.version);
    "kernel".clone_into(&mut message.header.username);
    // Clients read no more digits than that.
    message.header.date = message.header.date.trunc_subsecs(6);
    message
}

/// Answers a kernel_info_request.
pub fn reply() -> KernelInfoReply {
    let link = |text: &str, url: &str| HelpLink {
        text: text.to_owned(),
        url: url.to_owned(),
    };
    KernelInfoReply {
        status: ReplyStatus::Ok,
        protocol_version: PROTOCOL_VERSION.to_owned(),
        implementation: "morceaux".to_owned(),
        implementation_version: env!("CARGO_PKG_VERSION").to_owned(),
        language_info: LanguageInfo {
            name: "rust".to_owned(),
            version: env!("RUST_VERSION").to_owned(),
            mimetype: Some("text/rust".to_owned()),
            file_extension: Some(".rs".to_owned()),
            pygments_lexer: Some("rust".to_owned()),
            codemirror_mode: Some(CodeMirrorMode::Simple("rust".to_owned())),
            nbconvert_exporter: Some("script".to_owned()),
        },
        banner: format!(
            "morceaux {}: Rust {} cells that await, on one tokio runtime",
            env!("CARGO_PKG_VERSION"),
            env!("RUST_VERSION")
        ),
        help_links: vec![
            link("Rust", "https://doc.rust-lang.org"),
            link("tokio", "https://tokio.rs/tokio/tutorial"),
            link("evcxr", "https://github.com/evcxr/evcxr"),
        ],
        debugger: false,
        error: None,
    }
}
