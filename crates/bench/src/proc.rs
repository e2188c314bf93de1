//! What `/proc` says of a process and of the machine.

use std::fs;

use anyhow::{Context, Result};

/// `USER_HZ`, the unit of CPU times in `/proc`: 100 on every Linux that we run on.
const TICKS: f64 = 100.0;

/// CPU seconds of a process since its start, all threads, user and system.
pub(crate) fn cpu(process: &str) -> Result<f64> {
    Ok(cpu_times(process)?.0)
}

/// As [`cpu`], and of its children that have ended.
pub(crate) fn cpu_with_children(process: &str) -> Result<f64> {
    let (own, children) = cpu_times(process)?;
    Ok(own + children)
}

fn cpu_times(process: &str) -> Result<(f64, f64)> {
    let path = format!("/proc/{process}/stat");
    parse_cpu(&read(&path)?).with_context(|| format!("{path} has no CPU times"))
}

/// Of the process, and of its children that have ended.
fn parse_cpu(stat: &str) -> Option<(f64, f64)> {
    // The second field is the name, in parentheses, and may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<u32>().ok();
    let seconds = |index: usize| Some(f64::from(ticks(index)? + ticks(index + 1)?) / TICKS);
    Some((seconds(11)?, seconds(13)?))
}

/// Resident memory in kB: now, and the most since the peak was last forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resident {
    pub(crate) now: u64,
    pub(crate) peak: u64,
}

pub(crate) fn resident(process: &str) -> Result<Resident> {
    let path = format!("/proc/{process}/status");
    parse_resident(&read(&path)?).with_context(|| format!("{path} has no VmRSS"))
}

fn parse_resident(status: &str) -> Option<Resident> {
    let value = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Some(Resident { now: value("VmRSS:")?, peak: value("VmHWM:")? })
}

/// Makes the peak begin anew. Where that is not allowed, it is the peak since the start.
pub(crate) fn forget_peak(process: &str) {
    let _ = fs::write(format!("/proc/{process}/clear_refs"), "5");
}

/// Seconds that all CPUs together have been busy, and that were taken from this machine.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct MachineTimes {
    pub(crate) busy: f64,
    pub(crate) stolen: f64,
}

pub(crate) fn machine() -> Result<MachineTimes> {
    parse_machine(&read("/proc/stat")?).context("/proc/stat has no CPU times")
}

fn parse_machine(stat: &str) -> Option<MachineTimes> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Option<Vec<f64>> =
        line.split_whitespace().map(|field| field.parse::<f64>().ok()).collect();
    let ticks = ticks?;
    let &[user, nice, system, _idle, _io_wait, interrupts, soft_interrupts, stolen, ..] =
        &ticks[..]
    else {
        return None;
    };
    let busy = user + nice + system + interrupts + soft_interrupts;
    Some(MachineTimes { busy: busy / TICKS, stolen: stolen / TICKS })
}

/// Runnable tasks over the last minute.
pub(crate) fn load() -> Result<f64> {
    let text = read("/proc/loadavg")?;
    let first = text.split_whitespace().next().and_then(|field| field.parse().ok());
    first.context("/proc/loadavg has no number")
}

/// What the CPU calls itself.
pub(crate) fn cpu_model() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("model name"));
    line.map_or_else(String::new, |line| line.trim_start_matches([':', '\t', ' ']).to_owned())
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("failed to read {path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_any_name() {
        let stat = "42 (a) b) c) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 30 20 20 0 4 0 12345 1 2";
        assert_eq!(parse_cpu(stat), Some((3.0, 0.5)));
        assert_eq!(parse_cpu("42 (a) S 1"), None);
    }

    #[test]
    fn memory_is_read_in_kilobytes() {
        let status = "Name:\tmeltemi\nVmHWM:\t  2048 kB\nVmRSS:\t   1024 kB\n";
        assert_eq!(parse_resident(status), Some(Resident { now: 1_024, peak: 2_048 }));
        assert_eq!(parse_resident("Name:\tkthreadd\n"), None);
    }

    #[test]
    fn the_machine_is_busy_with_all_but_idling() {
        let stat = "cpu  100 10 50 9000 300 5 35 70 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n";
        assert_eq!(parse_machine(stat), Some(MachineTimes { busy: 2.0, stolen: 0.7 }));
        assert_eq!(parse_machine("intr 5\n"), None);
    }

    #[test]
    fn this_process_is_there() {
        assert!(cpu("self").is_ok() && machine().is_ok() && load().is_ok());
        assert!(resident("self").unwrap().peak > 0);
    }
}
