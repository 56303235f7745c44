//! Whether the disk has room, and takes writes.

use rustix::fs::{StatVfs, StatVfsMountFlags, statvfs};
use std::fmt::Write as _;
use std::path::PathBuf;

use ninewatch_core::ailment::Ailment;
use ninewatch_core::alert::Text;

use super::Part;
use crate::metrics::header;

/// The disk that the data folder is on.
#[derive(Debug)]
pub(crate) struct DiskHealth {
    data_dir: PathBuf,
}

/// Nearly full is less than one part in this free, or less than the most that is asked for on a large disk.
const FREE_PART: u64 = 20;
const FREE_ENOUGH: u64 = 1 << 30;

impl DiskHealth {
    pub(crate) fn new(data_dir: PathBuf) -> Self {
        Self { data_dir }
    }
}

fn bytes(stat: &StatVfs) -> [u64; 2] {
    [stat.f_bavail.saturating_mul(stat.f_frsize), stat.f_blocks.saturating_mul(stat.f_frsize)]
}

fn judge([free, size]: [u64; 2], flags: StatVfsMountFlags) -> Option<(Ailment, Text)> {
    if flags.contains(StatVfsMountFlags::RDONLY) {
        let text = Text { zh: "磁盘为只读".into(), en: "the disk is read-only".into() };
        return Some((Ailment::DiskFailed, text));
    }
    let enough = (size / FREE_PART).min(FREE_ENOUGH);
    if free >= enough {
        return None;
    }
    // The limit, not what is free: that changes with each reading.
    let mib = enough >> 20;
    let text = Text { zh: format!("磁盘剩余空间不足 {mib} MiB"), en: format!("less than {mib} MiB are free") };
    Some((Ailment::DiskFilling, text))
}

impl Part for DiskHealth {
    fn name(&self) -> String {
        "disk".into()
    }

    fn ails(&self) -> Vec<(Ailment, Text)> {
        match statvfs(&self.data_dir) {
            Ok(stat) => judge(bytes(&stat), stat.f_flag).into_iter().collect(),
            Err(error) => {
                let dir = self.data_dir.display();
                let text =
                    Text { zh: format!("{dir} 无法访问：{error}"), en: format!("{dir} cannot be seen: {error}") };
                vec![(Ailment::DiskFailed, text)]
            }
        }
    }

    fn metrics(&self, out: &mut String) {
        let Ok(stat) = statvfs(&self.data_dir) else { return };
        let [free, size] = bytes(&stat);
        for (name, help, value) in [
            ("ninewatch_disk_free_bytes", "Room left on the disk of the data folder.", free),
            ("ninewatch_disk_bytes", "Size of that disk.", size),
        ] {
            header(out, name, "gauge", help);
            let _ = writeln!(out, "{name} {value}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_nearly_full_by_its_size_and_a_large_one_by_a_gibibyte() {
        let [mib, gib] = [1_u64 << 20, 1 << 30];
        let says = |space| judge(space, StatVfsMountFlags::empty()).map(|(ailment, _)| ailment);
        assert_eq!(says([51 * mib, 1000 * mib]), None);
        assert_eq!(says([49 * mib, 1000 * mib]), Some(Ailment::DiskFilling));
        assert_eq!(says([gib, 500 * gib]), None);
        assert_eq!(says([gib - 1, 500 * gib]), Some(Ailment::DiskFilling));
        let read_only = judge([gib, gib], StatVfsMountFlags::RDONLY).unwrap();
        assert_eq!((read_only.0, read_only.1.en.as_str()), (Ailment::DiskFailed, "the disk is read-only"));
    }

    #[test]
    fn a_folder_that_is_gone_is_told() {
        let ails = DiskHealth::new("/nowhere/ninewatch".into()).ails();
        assert!(ails[0].0 == Ailment::DiskFailed && ails[0].1.en.contains("/nowhere/ninewatch"), "{ails:?}");
    }
}
