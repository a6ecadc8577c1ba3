//! A server in a process of its own: started, asked for what it has used, and killed when it is dropped.
//!
//! Easy to get wrong: nobody may leave its stderr unread, or it stands still once the pipe is full.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::Outcome;

/// How long a server may take to say what is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running process.
pub(crate) struct Server {
    child: Child,
    said: Receiver<String>,
}

impl Server {
    pub(crate) fn start(command: &mut Command) -> Outcome<Self> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let lines = BufReader::new(child.stderr.take().ok_or("no stderr")?).lines();
        let (tell, said) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // Read on when nobody wants to know any more.
                let _ = tell.send(line);
            }
        });
        Ok(Self { child, said })
    }

    /// The word after `mark` in the next line that has it.
    pub(crate) fn word_after(&self, mark: &str) -> Outcome<String> {
        let mut heard = Vec::new();
        loop {
            let Ok(line) = self.said.recv_timeout(PATIENCE) else {
                return Err(format!("waited for `{mark}` in vain; the process said: {}", heard.join("\n")).into());
            };
            if let Some((_, rest)) = line.split_once(mark) {
                let word = rest.split(|letter: char| letter.is_whitespace() || letter == '/').next();
                return Ok(word.unwrap_or_default().trim_end_matches(['.', ',']).to_owned());
            }
            heard.push(line);
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended by itself is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Time on a processor, user and kernel, of every thread that is alive. `/proc/PID/stat` counts in steps of 10 ms; this
/// is what the scheduler counts, in nanoseconds.
pub(crate) fn cpu(pid: u32) -> Outcome<Duration> {
    let mut total = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = fs::read_to_string(thread?.path().join("schedstat"))?;
        total += text.split(' ').next().unwrap_or_default().parse::<u64>()?;
    }
    Ok(Duration::from_nanos(total))
}

/// Resident memory, KiB.
pub(crate) fn resident(pid: u32) -> Outcome<u64> {
    status(pid, "VmRSS:")
}

/// The part of it that is the process's own: the rest are pages of its binary and libraries, which processes share and
/// the kernel takes back when it needs them.
pub(crate) fn private(pid: u32) -> Outcome<u64> {
    status(pid, "RssAnon:")
}

fn status(pid: u32, field: &str) -> Outcome<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).ok_or("the process is gone")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// A child of this process that has this word in its command line.
pub(crate) fn child_with(word: &str) -> Outcome<Option<u32>> {
    let own = std::process::id().to_string();
    for entry in fs::read_dir("/proc")? {
        let Ok(pid) = entry?.file_name().to_string_lossy().parse::<u32>() else { continue };
        // Processes end while we look.
        let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else { continue };
        let ours = status.lines().any(|line| line.strip_prefix("PPid:").is_some_and(|parent| parent.trim() == own));
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if ours && words.split(|byte| *byte == 0).any(|one| one == word.as_bytes()) {
            return Ok(Some(pid));
        }
    }
    Ok(None)
}

/// Memory over all mappings, KiB: `Rss:`, `Pss:`.
pub(crate) fn mapped(pid: u32, field: &str) -> Outcome<u64> {
    let sums = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = sums.lines().find_map(|line| line.strip_prefix(field)).ok_or("the process is gone")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
