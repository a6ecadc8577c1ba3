//! The `process_*` metrics, read from `/proc` when scraped; where there is no `/proc` they are left out.
//!
//! Easy to get wrong: the process's name in `stat` may itself hold spaces and brackets.

use std::fs;
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;

use super::family::{self, signed};

/// Linux reports CPU time to user space in units of 1/100 s on every platform that Rust's std supports there.
const TICK: Duration = Duration::from_millis(10);

pub(super) fn families(started: u64) -> Vec<MetricFamily> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // One of them is the directory we are reading.
    let open = fs::read_dir("/proc/self/fd").ok().map(|entries| (entries.count() as u64).saturating_sub(1));
    let mut families = Vec::new();
    for (name, value) in [
        ("process_resident_memory_bytes", kilobytes(&status, "VmRSS:")),
        ("process_virtual_memory_bytes", kilobytes(&status, "VmSize:")),
        ("process_threads", field(&status, "Threads:")),
        ("process_open_fds", open),
        ("process_max_fds", field(&limits, "Max open files")),
        ("process_start_time_seconds", Some(started)),
    ] {
        if let Some(value) = value {
            let gauge = family::gauges(name);
            gauge.with_label_values::<&str>(&[]).set(signed(value));
            families.extend(gauge.collect());
        }
    }
    if let Some(spent) = cpu(&stat) {
        let counter = family::float_counters("process_cpu_seconds_total");
        counter.with_label_values::<&str>(&[]).inc_by(spent.as_secs_f64());
        families.extend(counter.collect());
    }
    families
}

/// The first number after `name` at the start of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

fn kilobytes(status: &str, name: &str) -> Option<u64> {
    field(status, name).map(|value| value.saturating_mul(1_024))
}

/// `utime` and `stime`, the 14th and 15th field. The second, the name, may itself hold spaces and brackets.
fn cpu(stat: &str) -> Option<Duration> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(TICK.saturating_mul(user).saturating_add(TICK.saturating_mul(system)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_a_name_with_brackets() {
        let stat = "7 (a) b) c) S 1 7 7 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 3 0 100 1000 10";
        assert_eq!(cpu(stat), Some(Duration::from_secs(2)));
    }

    #[test]
    fn fields_are_read_from_the_kernels_own_tables() {
        assert_eq!(kilobytes("Name:\tx\nVmRSS:\t    2048 kB\n", "VmRSS:"), Some(2_097_152));
        assert_eq!(
            field("Max open files            1024                 4096                 files", "Max open files"),
            Some(1_024)
        );
        assert_eq!(field("Max open files            unlimited", "Max open files"), None);
    }
}
