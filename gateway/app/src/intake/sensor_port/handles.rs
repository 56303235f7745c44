//! File handles: each connection takes one, and the journal must never go without.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// For the journal, the index, the console's connections (512), brokers and upstreams.
const RESERVED: usize = 640;

/// Connections that are let in, and connections that are not yet, as many as there are handles for.
///
/// The system's soft limit is raised as far as this takes and the hard limit lets; where that is not far enough, fewer
/// connections are taken, and the log says how to mend it.
pub(super) fn make_room(connections: usize, arriving: usize) -> (usize, usize) {
    let limit = getrlimit(Resource::Nofile);
    let wanted = (connections + arriving + RESERVED) as u64;
    // None: there is no limit.
    let Some(soft) = limit.current.filter(|soft| *soft < wanted) else { return (connections, arriving) };
    let raised = wanted.min(limit.maximum.unwrap_or(wanted));
    let handles = match setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum: limit.maximum }) {
        Ok(()) => raised,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files cannot be raised");
            soft
        }
    };
    let room = share(usize::try_from(handles).unwrap_or(usize::MAX), connections, arriving);
    if room.0 < connections {
        tracing::warn!(
            "the sensor port takes {} connections, not {connections}: this program may open {handles} files and needs {wanted}; \
             set LimitNOFILE={wanted} in its unit (or `ulimit -n {wanted}`), or `sensor_port.max_connections` lower",
            room.0
        );
    }
    room
}

/// How many of each there can be with so many handles; one at least.
fn share(handles: usize, connections: usize, arriving: usize) -> (usize, usize) {
    let room = handles.saturating_sub(RESERVED);
    if room >= connections + arriving {
        return (connections, arriving);
    }
    let arriving = arriving.min(room / 4).max(1);
    (connections.min(room.saturating_sub(arriving)).max(1), arriving)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_never_take_the_handles_of_the_journal() {
        assert_eq!(share(16_384, 6_000, 1_024), (6_000, 1_024));
        assert_eq!(share(4_096, 6_000, 1_024), (4_096 - 640 - 864, 864));
        assert_eq!(share(100, 6_000, 1_024), (1, 1), "there is no gateway without a door");
        for handles in 700..9_000 {
            let (connections, arriving) = share(handles, 6_000, 1_024);
            assert!(connections + arriving + RESERVED <= handles);
        }
    }
}
