//! Listening on a broker for messages to learn from.
//!
//! As one more subscriber, with a session of its own that ends with it, at QoS 0: nothing is
//! acknowledged, and the gateway's own session does not notice.

use anyhow::{Context, anyhow, bail};
use indicatif::{ProgressBar, ProgressStyle};
use rumqttc::{AsyncClient, Event, Packet, Publish, QoS, SubscribeFilter, SubscribeReasonCode};
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};

use super::capture::Captured;
use crate::clock::Clock;
use crate::config::MqttServer;
use crate::lang::Lang;
use crate::mqtt_client::{Access, CONNECT_TIMEOUT, network_options};

/// As large as the broker door takes.
const LARGEST_PACKET: usize = 16 << 20;

/// When it has heard enough: whichever comes first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Enough {
    pub(super) messages: usize,
    pub(super) after: Duration,
}

/// Listens on a broker. Ctrl-C ends it early, with what came until then.
///
/// # Errors
/// Where the broker cannot be reached, does not let us in, or lets us read nothing.
pub(super) async fn listen(
    server: &MqttServer,
    filters: &[String],
    enough: Enough,
    lang: Lang,
) -> anyhow::Result<Vec<Captured>> {
    for filter in filters {
        if filter.starts_with("$share/") {
            bail!("`{filter}` would take messages away from others; give the filter without `$share/…/`");
        }
        if !rumqttc::valid_filter(filter) {
            bail!("`{filter}` is no topic filter; `#` stands last, `+` alone in its level");
        }
    }
    let bar = progress(enough, lang);
    let heard = session(server, filters, enough, &bar).await;
    bar.finish_and_clear();
    heard.with_context(|| server.url.clone())
}

async fn session(
    server: &MqttServer,
    filters: &[String],
    enough: Enough,
    bar: &ProgressBar,
) -> anyhow::Result<Vec<Captured>> {
    let mut options = Access::read(server)?.v4(&client_id()?);
    options.set_clean_session(true).set_max_packet_size(LARGEST_PACKET, LARGEST_PACKET);
    let (client, mut events) = AsyncClient::new(options, 4);
    events.set_network_options(network_options());
    let mut heard = Vec::new();
    // Connecting does not count as listening.
    let mut connected = false;
    let mut end = Instant::now() + 2 * CONNECT_TIMEOUT;
    while heard.len() < enough.messages {
        let event = tokio::select! {
            () = sleep_until(end) => break,
            _ = tokio::signal::ctrl_c() => break,
            event = events.poll() => event?,
        };
        match event {
            Event::Incoming(Packet::ConnAck(_)) => {
                connected = true;
                end = Instant::now() + enough.after;
                let filters = filters.iter().map(|filter| SubscribeFilter::new(filter.clone(), QoS::AtMostOnce));
                client.try_subscribe_many(filters)?;
            }
            Event::Incoming(Packet::SubAck(ack)) => {
                let refused = filters.iter().zip(&ack.return_codes);
                if let Some((filter, _)) = refused.into_iter().find(|(_, code)| **code == SubscribeReasonCode::Failure)
                {
                    bail!("the broker does not let us read {filter}; its access list has to allow this user");
                }
            }
            Event::Incoming(Packet::Publish(publish)) => {
                bar.set_message(publish.topic.clone());
                bar.inc(1);
                heard.push(captured(publish));
            }
            _ => {}
        }
    }
    if !connected {
        bail!("the broker does not answer");
    }
    // Say goodbye where that is possible; the broker forgets us either way.
    if client.try_disconnect().is_ok() {
        let _ = timeout(Duration::from_secs(1), async { while events.poll().await.is_ok() {} }).await;
    }
    Ok(heard)
}

fn captured(publish: Publish) -> Captured {
    // What the broker had retained was published at a time that nobody knows.
    let arrival_ms = (!publish.retain).then(|| Clock::System.now_ms());
    Captured { topic: publish.topic, payload: publish.payload.into(), arrival_ms }
}

/// One of its own: a broker ends the session of whoever had the same.
fn client_id() -> anyhow::Result<String> {
    let chance = getrandom::u32().map_err(|error| anyhow!("no random number: {error}"))?;
    Ok(format!("ninewatch-learn-{:08x}", chance))
}

fn progress(enough: Enough, lang: Lang) -> ProgressBar {
    let bar = ProgressBar::new(u64::try_from(enough.messages).unwrap_or(u64::MAX));
    let style = ProgressStyle::with_template("  {bar:30.cyan/blue} {pos}/{len}  {elapsed}  {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message(lang.pick("等待设备上报……（Ctrl-C 提前结束）", "waiting for devices … (Ctrl-C ends it early)"));
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;
    use ninewatch_tests::mosquitto::{self, Mosquitto};
    use ninewatch_tests::skipped_without;

    fn server(port: u16) -> MqttServer {
        MqttServer {
            name: "hall".into(),
            url: format!("mqtt://127.0.0.1:{port}"),
            username: None,
            password_file: None,
            ca: None,
            cert: None,
            key: None,
            subscribe: Vec::new(),
        }
    }

    fn few(after_ms: u64) -> Enough {
        Enough { messages: 2, after: Duration::from_millis(after_ms) }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn it_hears_what_is_retained_and_what_comes_and_ends_by_itself() {
        if skipped_without("mosquitto", mosquitto::find().is_some()) {
            return;
        }
        let broker = Mosquitto::start_in_memory().unwrap();
        let server = server(broker.port);
        let options = rumqttc::MqttOptions::new("device", "127.0.0.1", broker.port);
        let (device, mut events) = AsyncClient::new(options, 8);
        device.publish("acme/a", QoS::AtLeastOnce, true, "kept").await.unwrap();
        while !matches!(events.poll().await.unwrap(), Event::Incoming(Packet::PubAck(_))) {}
        let driver = tokio::spawn(async move { while events.poll().await.is_ok() {} });
        // Until somebody listens nothing comes of it, so it goes on.
        let talk = tokio::spawn(async move {
            while device.publish("acme/b", QoS::AtLeastOnce, false, "now").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let filters = ["acme/#".to_owned()];
        let mut heard = listen(&server, &filters, few(60_000), Lang::En).await.unwrap();
        heard.sort_by(|a, b| a.topic.cmp(&b.topic));
        let shown: Vec<_> =
            heard.iter().map(|one| (one.topic.as_str(), one.payload.as_slice(), one.arrival_ms.is_some())).collect();
        assert_eq!(shown, [("acme/a", b"kept".as_slice(), false), ("acme/b", b"now", true)]);
        talk.abort();
        let none = listen(&server, &["nobody/#".to_owned()], few(50), Lang::En).await.unwrap();
        assert_eq!(none, []);
        driver.abort();
    }

    #[tokio::test]
    async fn it_takes_nothing_away_from_others_and_says_where_nobody_answers() {
        let nowhere = server(ninewatch_tests::free_port().unwrap());
        let told = |filter: &str| {
            let (nowhere, filters) = (&nowhere, [filter.to_owned()]);
            async move { format!("{:#}", listen(nowhere, &filters, few(50), Lang::En).await.unwrap_err()) }
        };
        assert!(told("$share/gateway/acme/#").await.contains("would take messages away from others"));
        assert!(told("acme/#/x").await.contains("is no topic filter"));
        assert!(told("acme/#").await.contains("Connection refused"));
    }
}
