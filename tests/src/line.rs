//! A serial line between the gateway and its nodes that tests hold: it can be damaged and cut.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Between the gateway and whatever is at `to`: damages frames, and can be cut.
pub struct HeldLine {
    /// Where the gateway finds it.
    pub address: SocketAddr,
    damage: Arc<AtomicU32>,
    damaged: Arc<AtomicU64>,
    cut: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

impl HeldLine {
    /// A line to `to` that leaves everything as it is.
    ///
    /// # Errors
    /// Where there is no free port.
    pub async fn new(to: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (damage, damaged) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU64::new(0)));
        let (cut, is_cut) = watch::channel(false);
        let serving = tokio::spawn(serve(listener, to, is_cut, (damage.clone(), damaged.clone())));
        Ok(Self { address, damage, damaged, cut, serving })
    }

    /// Damages so many frames of a hundred, in both directions, from now on.
    pub fn damage(&self, percent: u32) {
        self.damage.store(percent, Ordering::Relaxed);
    }

    /// How many frames were damaged.
    pub fn damaged(&self) -> u64 {
        self.damaged.load(Ordering::Relaxed)
    }

    /// Cuts it, or mends it.
    pub fn cut(&self, cut: bool) {
        self.cut.send_replace(cut);
    }
}

impl Drop for HeldLine {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

type Damage = (Arc<AtomicU32>, Arc<AtomicU64>);

async fn serve(listener: TcpListener, to: SocketAddr, mut is_cut: watch::Receiver<bool>, damage: Damage) {
    while let Ok((mut gateway, _)) = listener.accept().await {
        // As a serial port: it stays open, whoever is at the other end.
        let still_there = async {
            loop {
                tokio::select! {
                    is_there = pass_over(&mut gateway) => if !is_there { return },
                    nodes = reach(to) => {
                        let (from_gateway, to_gateway) = gateway.split();
                        let (from_nodes, to_nodes) = nodes.into_split();
                        tokio::select! {
                            () = carry(from_gateway, to_nodes, &damage) => return,
                            () = carry(from_nodes, to_gateway, &damage) => {}
                        }
                    }
                }
            }
        };
        if *is_cut.borrow_and_update() {
            continue;
        }
        tokio::select! {
            () = still_there => {}
            _ = is_cut.wait_for(|cut| *cut) => {}
        }
    }
}

/// How often nodes without power are looked for.
const REACH_AGAIN: Duration = Duration::from_millis(10);

/// Connects to the nodes, as soon as there are any.
async fn reach(to: SocketAddr) -> TcpStream {
    loop {
        if let Ok(nodes) = TcpStream::connect(to).await {
            return nodes;
        }
        tokio::time::sleep(REACH_AGAIN).await;
    }
}

/// Takes what the gateway says to nobody; gives whether it is still there.
async fn pass_over(gateway: &mut TcpStream) -> bool {
    matches!(gateway.read(&mut [0; 1024]).await, Ok(1..))
}

/// Carries bytes; turns a bit in some of the frames.
async fn carry(mut from: impl AsyncReadExt + Unpin, mut to: impl AsyncWriteExt + Unpin, (damage, damaged): &Damage) {
    let mut bytes = [0; 1024];
    // One that is not itself by chance: a run that fails can be looked at again.
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let mut is_spoilt = false;
    loop {
        let Ok(count @ 1..) = from.read(&mut bytes).await else { return };
        for byte in &mut bytes[..count] {
            if *byte == 0 {
                is_spoilt = chance.next(100) < u64::from(damage.load(Ordering::Relaxed));
            } else if std::mem::take(&mut is_spoilt) {
                *byte ^= 1 << chance.next(8);
                damaged.fetch_add(1, Ordering::Relaxed);
            }
        }
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

/// xorshift64*.
struct Chance(u64);

impl Chance {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % below
    }
}
