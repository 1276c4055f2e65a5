//! Receiving from a socket on which anybody may send anything.

use jupyter_protocol::JupyterMessage;
use jupyter_zmq_client::{Connection, RuntimeError};
use zeromq::{SocketRecv, ZmqError};

/// The next message that is signed and well formed; none when the socket is closed. What is not
/// is logged and dropped: it cannot be known who sent it, or what for.
pub async fn next<S: SocketRecv>(connection: &mut Connection<S>) -> Option<JupyterMessage> {
    loop {
        match connection.read().await {
            Ok(message) => return Some(message),
            Err(RuntimeError::ZmqError(ZmqError::NoMessage)) => return None,
            Err(error) => tracing::warn!("a message was dropped: {error}"),
        }
    }
}
