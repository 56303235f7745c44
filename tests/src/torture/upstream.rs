//! The way to the upstream fails.

use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::ground::Ground;
use crate::gateway::Site;
use crate::mosquitto::Mosquitto;

pub(super) async fn killed(times: u32) -> anyhow::Result<Value> {
    let mut ground = Ground::new("").await?;
    let gateway = ground.start()?;
    let load = ground.load(&gateway);
    for _ in 0..times {
        ground.acknowledged(40).await?;
        ground.broker.kill()?;
        // Devices go on while it is away.
        ground.acknowledged(40).await?;
        ground.broker.restart()?;
    }
    load.end().await?;
    ground.delivered().await?;
    drop(gateway);
    let mut row = ground.reckon().await?;
    row["upstream_kills"] = times.into();
    Ok(row)
}

pub(super) async fn half_open() -> anyhow::Result<Value> {
    let broker = Mosquitto::start_impatient()?;
    let way = Way::open(broker.port).await?;
    let mut ground = Ground::behind(broker, way.port, Site::new("")?, "").await?;
    let gateway = ground.start()?;
    let load = ground.load(&gateway);
    ground.acknowledged(40).await?;
    way.fall_silent();
    ground.acknowledged(40).await?;
    load.end().await?;
    let begun = Instant::now();
    ground.delivered().await?;
    let noticed = begun.elapsed();
    drop(gateway);
    let mut row = ground.reckon().await?;
    row["half_open_noticed_ms"] = u64::try_from(noticed.as_millis())?.into();
    Ok(row)
}

/// A TCP proxy whose connections can fall silent without an end.
struct Way {
    port: u16,
    silent: Arc<AtomicBool>,
}

impl Way {
    async fn open(to: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let silent: Arc<AtomicBool> = Arc::default();
        let this = Self { port, silent: silent.clone() };
        tokio::spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                let Ok(to) = TcpStream::connect(("127.0.0.1", to)).await else { continue };
                // A connection that comes later is well.
                let is_first = !silent.load(SeqCst);
                let (from, to) = (from.into_split(), to.into_split());
                for (read, write) in [(from.0, to.1), (to.0, from.1)] {
                    tokio::spawn(carry(read, write, is_first.then(|| silent.clone())));
                }
            }
        });
        Ok(this)
    }

    fn fall_silent(&self) {
        self.silent.store(true, SeqCst);
    }
}

async fn carry(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    silent: Option<Arc<AtomicBool>>,
) {
    let mut bytes = vec![0; 16 << 10];
    loop {
        let count = from.read(&mut bytes).await.unwrap_or(0);
        if silent.as_ref().is_some_and(|silent| silent.load(SeqCst)) {
            // It swallows what comes, and lets neither end know that the other is gone.
            let _ = tokio::time::timeout(Duration::from_secs(300), async {
                while matches!(from.read(&mut bytes).await, Ok(1..)) {}
                std::future::pending::<()>().await;
            })
            .await;
            return;
        }
        if count == 0 || to.write_all(bytes.get(..count).unwrap_or_default()).await.is_err() {
            return;
        }
    }
}
