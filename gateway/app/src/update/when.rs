//! When a program may be changed for another.

use ninewatch_core::alert::Text;
use ninewatch_core::hours::Hours;
use ninewatch_core::time::{TimeMs, UtcOffset};

/// How things are at a moment.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Moment {
    pub(super) now: TimeMs,
    pub(super) offset: UtcOffset,
    pub(super) quiet: Hours,
    /// A person does not want to wait for the hour.
    pub(super) now_wanted: bool,
    /// The launcher is there, who would go back.
    pub(super) launched: bool,
    pub(super) clock_trusted: bool,
    /// A critical alert is open that nobody has accepted.
    pub(super) critical_open: bool,
    /// Somebody walks through the devices.
    pub(super) walking: bool,
}

/// What keeps the program from being changed now; `None` where nothing does.
pub(super) fn hindrance(moment: &Moment) -> Option<Text> {
    let said = |zh: &str, en: &str| Some(Text { zh: zh.into(), en: en.into() });
    if !moment.launched {
        return said(
            "网关不是由 ninewatch launch 启动的，出错时无法退回",
            "the gateway was not started by `ninewatch launch`, which would go back",
        );
    }
    if moment.critical_open {
        return said("有紧急预警尚未受理", "a critical alert is open that nobody has accepted");
    }
    if moment.walking {
        return said("逐点测试正在进行", "a walk-test is under way");
    }
    if !moment.clock_trusted {
        return said("系统时间不可信", "the clock is not to be trusted");
    }
    if !moment.now_wanted && !moment.quiet.contains(moment.offset, moment.now) {
        let quiet = moment.quiet;
        return said(&format!("等待安静时段 {quiet}"), &format!("it waits for the quiet hours {quiet}"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_may_skip_the_hour_and_nothing_else() {
        // 03:00 in China.
        let night = 1_795_546_800_000;
        let calm = Moment {
            now: night,
            offset: UtcOffset::CHINA,
            quiet: Hours::between(120, 300),
            now_wanted: false,
            launched: true,
            clock_trusted: true,
            critical_open: false,
            walking: false,
        };
        let by_day = Moment { now: night + 8 * 3_600_000, ..calm };
        assert_eq!(hindrance(&calm), None);
        assert!(hindrance(&by_day).unwrap().en.contains("02:00"));
        assert_eq!(hindrance(&Moment { now_wanted: true, ..by_day }), None);
        for held in [
            Moment { critical_open: true, ..calm },
            Moment { walking: true, ..calm },
            Moment { clock_trusted: false, ..calm },
            Moment { launched: false, ..calm },
        ] {
            assert!(hindrance(&held).is_some());
            assert!(hindrance(&Moment { now_wanted: true, ..held }).is_some());
        }
    }
}
