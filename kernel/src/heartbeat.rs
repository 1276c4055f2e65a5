//! The heartbeat channel: everything comes back as it was sent.
//!
//! A ROUTER, not the REP that clients expect on the other end of their REQ: a REP answers one peer
//! after the other, and one that goes away, or says something else, leaves it waiting.

use jupyter_protocol::ConnectionInfo;
use zeromq::{RouterSocket, Socket, SocketRecv, SocketSend, ZmqError, ZmqResult};

/// Binds the channel and starts to serve it.
///
/// # Errors
/// Where the socket cannot be bound.
pub async fn start(connection: &ConnectionInfo) -> ZmqResult<()> {
    let mut socket = RouterSocket::new();
    socket.bind(&connection.hb_url()).await?;
    tokio::spawn(async move {
        loop {
            let sent = match socket.recv().await {
                Ok(beat) => socket.send(beat).await,
                Err(ZmqError::NoMessage) => return,
                Err(error) => Err(error),
            };
            if let Err(error) = sent {
                tracing::debug!("no heartbeat: {error}");
            }
        }
    });
    Ok(())
}
