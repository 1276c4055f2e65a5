//! Receiving from a socket on which anybody may send anything.

use jupyter_protocol::{Header, JupyterMessage, JupyterMessageContent, UnknownMessage};
use jupyter_zmq_client::{Connection, RawMessage, RuntimeError};
use serde_json::{Value, json};
use zeromq::{SocketRecv, ZmqError};

/// A message that is signed and has a header.
#[derive(Debug)]
pub enum Received {
    /// It holds what its type promises.
    Whole(JupyterMessage),
    /// It does not.
    Damaged {
        /// The message, with an unknown content.
        message: JupyterMessage,
        /// What is wrong with the content.
        why: String,
    },
}

/// The next message; none when the socket is closed. What is not signed, or has no header, is logged and
/// dropped: it cannot be known who sent it, or what for.
pub async fn next<S: SocketRecv>(connection: &mut Connection<S>) -> Option<Received> {
    loop {
        let read = match connection.socket.recv().await {
            Ok(frames) => RawMessage::from_multipart(frames, &connection.mac).and_then(take),
            Err(ZmqError::NoMessage) => return None,
            Err(error) => Err(error.into()),
        };
        match read {
            Ok(received) => return Some(received),
            Err(error) => tracing::warn!("a message was dropped: {error}"),
        }
    }
}

fn take(raw: RawMessage) -> Result<Received, RuntimeError> {
    let part = |index: usize| raw.jparts.get(index).map_or(&b""[..], |part| part);
    let header: Header = serde_json::from_slice(part(0))?;
    let msg_type = header.msg_type.clone();
    let content = serde_json::from_slice(part(3)).and_then(|content| {
        let content = with_defaults(&msg_type, content);
        JupyterMessageContent::from_type_and_content(&msg_type, content)
    });
    let message = |content| JupyterMessage {
        zmq_identities: raw.zmq_identities.clone(),
        header: header.clone(),
        // An empty one stands for none.
        parent_header: serde_json::from_slice(part(1)).ok(),
        metadata: serde_json::from_slice(part(2)).unwrap_or_else(|_| json!({})),
        content,
        buffers: raw.jparts.get(4..).unwrap_or_default().to_vec(),
        channel: None,
    };
    Ok(match content {
        Ok(content) => Received::Whole(message(content)),
        Err(error) => Received::Damaged {
            message: message(JupyterMessageContent::UnknownMessage(UnknownMessage {
                msg_type,
                content: Value::Null,
            })),
            why: error.to_string(),
        },
    })
}

/// The content with what a client may leave out, as ipykernel has it.
fn with_defaults(msg_type: &str, content: Value) -> Value {
    let defaults = match msg_type {
        "execute_request" => {
            json!({"silent": false, "store_history": true, "user_expressions": {}})
        }
        "shutdown_request" => json!({"restart": false}),
        "inspect_request" => json!({"detail_level": 0}),
        _ => return content,
    };
    match (defaults, content) {
        (Value::Object(mut all), Value::Object(given)) => {
            all.extend(given);
            Value::Object(all)
        }
        (_, content) => content,
    }
}
