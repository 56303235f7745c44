//! Where a line's bytes go: a serial port of the gateway, or a serial device server in the network.

use anyhow::Context;
use serial2_tokio::SerialPort;
use serial2_tokio::rs4xx::Rs485Config;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::config::LineConfig;

/// Bytes both ways.
pub(super) trait Port: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Port for T {}

/// To connect to a device server.
const CONNECT: Duration = Duration::from_secs(5);

/// Opens the line.
///
/// # Errors
/// Where it cannot be opened, in words for who wired it.
pub(super) async fn open(config: &LineConfig) -> anyhow::Result<Box<dyn Port>> {
    if let Some(path) = &config.serial {
        let port = SerialPort::open(path, config.baud).with_context(|| {
            format!(
                "{} cannot be opened; is the adapter plugged in, and may the gateway's user use it?",
                path.display()
            )
        })?;
        if config.rs485 {
            let mend = "its driver does not switch the direction; use an adapter that does it, and remove `rs485`";
            port.set_rs4xx_mode(Rs485Config::new()).with_context(|| format!("{}: {mend}", path.display()))?;
        }
        // What lies there from before is of nobody's question.
        port.discard_buffers().with_context(|| format!("{} does not answer", path.display()))?;
        return Ok(Box::new(port));
    }
    let address = config.tcp.as_deref().context("the line leads nowhere")?;
    let connecting = tokio::time::timeout(CONNECT, TcpStream::connect(address)).await;
    let stream = connecting
        .context("no answer")
        .and_then(|connected| Ok(connected?))
        .with_context(|| format!("{address} cannot be reached"))?;
    stream.set_nodelay(true)?;
    Ok(Box::new(stream))
}
