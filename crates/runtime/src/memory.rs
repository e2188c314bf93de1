//! How much memory the process has, how much it uses, and whether that is too much.
//!
//! - The limit is that of the innermost cgroup that has one, else the machine's.
//! - What is not told (another system than Linux) is `None`, and nothing follows from it.

use std::{fs, path::Path, time::Duration};

use tokio_util::sync::CancellationToken;

const LOOK: Duration = Duration::from_secs(1);
/// Shares of the limit, in per cent: where memory becomes short and where it is enough again,
/// apart from each other so that one stream does not change it back and forth.
const SHORT: u64 = 85;
const ENOUGH: u64 = 80;
const CRITICAL: u64 = 95;

/// How short memory is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    #[default]
    None,
    /// Nothing should be begun that takes memory.
    Short,
    /// Something should be let go.
    Critical,
}

impl Pressure {
    /// What follows from `used` of `limit` bytes.
    pub fn next(self, used: u64, limit: u64) -> Self {
        let percent = used.saturating_mul(100) / limit.max(1);
        match percent {
            CRITICAL.. => Self::Critical,
            SHORT.. => Self::Short,
            ENOUGH.. if self > Self::None => Self::Short,
            _ => Self::None,
        }
    }
}

/// Resident memory of this process, in bytes.
pub fn resident_bytes() -> Option<u64> {
    kib("/proc/self/status", "VmRSS:")
}

/// Bytes that this process may take.
pub fn memory_limit() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    cgroup_limit(&groups, Path::new("/sys/fs/cgroup")).or_else(|| kib("/proc/meminfo", "MemTotal:"))
}

/// Tells how short memory is, each second, until `shutdown`.
pub async fn watch_memory(limit: u64, mut tell: impl FnMut(Pressure), shutdown: CancellationToken) {
    let mut pressure = Pressure::None;
    while shutdown.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some() {
        let Some(used) = resident_bytes() else { return };
        let before = pressure;
        pressure = pressure.next(used, limit);
        if pressure > Pressure::None && before == Pressure::None {
            tracing::warn!(used, limit, "Memory is short: new streams are refused");
        }
        if pressure == Pressure::None && before > Pressure::None {
            tracing::info!(used, limit, "There is enough memory again");
        }
        tell(pressure);
    }
}

/// `groups` is the text of `/proc/self/cgroup`. Outer groups limit too, and the smallest counts.
fn cgroup_limit(groups: &str, root: &Path) -> Option<u64> {
    let own = |line: &str| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let path = path.trim_start_matches('/').to_owned();
        match controllers {
            "" => Some((root.join(path), "memory.max")),
            "memory" => Some((root.join("memory").join(path), "memory.limit_in_bytes")),
            _ => None,
        }
    };
    let limits = groups.lines().filter_map(own).flat_map(|(folder, file)| {
        let folders: Vec<_> = folder.ancestors().map(Path::to_owned).collect();
        let inside = folders.into_iter().take_while(|it| it.starts_with(root));
        inside.filter_map(move |it| fs::read_to_string(it.join(file)).ok()?.trim().parse().ok())
    });
    // The first version writes "no limit" as a number that no machine has.
    limits.filter(|limit: &u64| *limit < 1 << 60).min()
}

/// A line of a file of `/proc` that counts in KiB.
fn kib(file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let number: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(number * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_short_until_there_is_clearly_more() {
        let mut pressure = Pressure::None;
        let seen = [50, 84, 85, 81, 96, 94, 80, 79, 81].map(|used| {
            pressure = pressure.next(used, 100);
            pressure
        });
        use Pressure::{Critical, None, Short};
        assert_eq!(seen, [None, None, Short, Short, Critical, Short, Short, None, None]);
    }

    #[test]
    fn the_smallest_limit_of_the_groups_around_counts() {
        let root = tempfile::tempdir().unwrap();
        let pod = root.path().join("kubepods/pod");
        fs::create_dir_all(pod.join("own")).unwrap();
        fs::write(pod.join("own/memory.max"), "max\n").unwrap();
        fs::write(pod.join("memory.max"), "1000\n").unwrap();
        fs::write(root.path().join("kubepods/memory.max"), "5000\n").unwrap();
        let limit = cgroup_limit("0::/kubepods/pod/own\n", root.path());
        assert_eq!(limit, Some(1000));
        assert_eq!(cgroup_limit("0::/elsewhere\n", root.path()), None);
        let first = root.path().join("memory/docker");
        fs::create_dir_all(&first).unwrap();
        fs::write(first.join("memory.limit_in_bytes"), "7000\n").unwrap();
        let never = root.path().join("memory/memory.limit_in_bytes");
        fs::write(never, "9223372036854771712\n").unwrap();
        let groups = "4:memory:/docker\n2:cpu:/docker\n";
        assert_eq!(cgroup_limit(groups, root.path()), Some(7000));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_uses_less_than_it_may() {
        let (used, limit) = (resident_bytes().unwrap(), memory_limit().unwrap());
        assert!(used > 1 << 20 && used < limit, "{used} of {limit}");
    }
}
