//! `[[line]]` in `site.toml`: the serial lines that nodes hang on.

use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;

use ninewatch_core::site::is_id;
use ninewatch_core::time::Span;
use ninewatch_wire::frame::MAX_ON_LINE;

/// A line with nodes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LineConfig {
    /// Unique; `nodes.toml`, messages and metrics call it so.
    pub(crate) name: String,
    /// A serial port of the gateway.
    pub(crate) serial: Option<PathBuf>,
    /// Bits a second.
    #[serde(default = "usual_baud")]
    pub(crate) baud: u32,
    /// Whether the kernel switches the transceiver (RTS), where the adapter does not do it by itself.
    #[serde(default)]
    pub(crate) rs485: bool,
    /// A serial device server, which the gateway connects to: `host:port`.
    pub(crate) tcp: Option<String>,
    /// How often each node is asked.
    #[serde(default = "ten_times_a_second")]
    poll_every: Span,
    /// How long a node that is asked may take, from the last byte of the question to that of the answer.
    answer_within: Option<Span>,
}

fn usual_baud() -> u32 {
    115_200
}

fn ten_times_a_second() -> Span {
    Span::from_ms(100)
}

/// A node answers within a few ms; a USB adapter hands bytes on up to 16 ms late.
const SERIAL_SLACK: Duration = Duration::from_millis(30);
/// Device servers gather bytes before they send a packet, and there is a network between.
const TCP_SLACK: Duration = Duration::from_millis(200);

impl LineConfig {
    /// What is wrong with it, as (key, problem, mend).
    pub(crate) fn problems(&self) -> Vec<(&'static str, String, &'static str)> {
        let mut problems = Vec::new();
        if !is_id(&self.name) {
            problems.push(("name", format!("`{}` is not a name", self.name), "use 1 to 64 of A-Z a-z 0-9 . _ -"));
        }
        if self.serial.is_some() == self.tcp.is_some() {
            let mend = "give one of `serial = \"/dev/ttyAMA0\"` and `tcp = \"10.0.0.7:4001\"`";
            problems.push(("name", "leads nowhere, or to two places".into(), mend));
        }
        if self.rs485 && self.serial.is_none() {
            problems.push(("rs485", "is for `serial` lines".into(), "remove it: the device server switches by itself"));
        }
        if self
            .tcp
            .as_ref()
            .is_some_and(|tcp| tcp.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_err()))
        {
            problems.push(("tcp", "is not host:port".into(), "write the device server's address as 10.0.0.7:4001"));
        }
        if !(1_200..=4_000_000).contains(&self.baud) {
            problems.push((
                "baud",
                format!("{} cannot be used", self.baud),
                "give 9600 to 1000000; nodes speak 115200",
            ));
        }
        if !(10..=60_000).contains(&self.poll_every.ms()) {
            problems.push(("poll_every", format!("{} cannot be used", self.poll_every), "give 10ms to 1m"));
        }
        if self.answer_within.is_some_and(|within| !(5..=5_000).contains(&within.ms())) {
            problems.push(("answer_within", "cannot be used".into(), "give 5ms to 5s, or leave it out"));
        }
        problems
    }

    /// How often each node is asked.
    pub(super) fn poll_every(&self) -> Duration {
        self.poll_every.duration()
    }

    /// From the moment that a question is handed to the line to that at which its answer is given up.
    pub(super) fn patience(&self) -> Duration {
        let slack = if self.tcp.is_some() { TCP_SLACK } else { SERIAL_SLACK };
        let within = self.answer_within.map_or_else(|| self.longest_frame() + slack, Span::duration);
        self.longest_frame() + within
    }

    /// How long the longest frame takes: ten bits a byte.
    fn longest_frame(&self) -> Duration {
        let bits = 10 * u32::try_from(MAX_ON_LINE).unwrap_or(u32::MAX);
        Duration::from_secs(1) * bits / self.baud.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<&'static str> {
        let line: LineConfig = toml::from_str(text).unwrap();
        line.problems().into_iter().map(|(key, _, _)| key).collect()
    }

    #[test]
    fn a_line_leads_to_one_place_and_says_what_is_wrong() {
        assert_eq!(problems("name = \"east\"\nserial = \"/dev/ttyAMA0\"\nrs485 = true"), [""; 0]);
        assert_eq!(problems("name = \"east\"\ntcp = \"10.0.0.7:4001\""), [""; 0]);
        assert_eq!(problems("name = \"east\""), ["name"]);
        assert_eq!(problems("name = \"the east\"\nserial = \"a\"\ntcp = \"b:1\""), ["name", "name"]);
        assert_eq!(problems("name = \"e\"\ntcp = \"b\"\nrs485 = true\nbaud = 7"), ["rs485", "tcp", "baud"]);
        assert_eq!(
            problems("name = \"e\"\ntcp = \"b:1\"\npoll_every = \"1ms\"\nanswer_within = \"9s\""),
            ["poll_every", "answer_within"]
        );
    }

    #[test]
    fn a_slow_line_is_given_more_time() {
        let line =
            |baud: u32| -> LineConfig { toml::from_str(&format!("name=\"e\"\nserial=\"a\"\nbaud={baud}")).unwrap() };
        let [fast, slow] = [115_200, 9_600].map(|baud| line(baud).patience().as_millis());
        assert!((70..90).contains(&fast), "{fast}");
        assert!((550..600).contains(&slow), "{slow}");
    }
}
