//! Who used the processor: what tells a server at its limit from one that waits for its disk or its client.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// Ticks a second in `/proc/<pid>/stat`, on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// Where user and system time stand in `/proc/<pid>/stat`, counted after the program's name.
const USER_FIELD: usize = 11;

/// The time that a process (otherwise this one) has spent on the processor so far, in all of its threads.
pub(super) fn processor_time(process: Option<u32>) -> Result<Duration> {
    let process = process.map_or_else(|| "self".to_owned(), |process| process.to_string());
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The program's name is in parentheses, and may hold anything.
    let (_, fields) = stat.rsplit_once(") ").context("no name in stat")?;
    let times = fields.split(' ').skip(USER_FIELD).take(2);
    let mut ticks = 0.0;
    for time in times {
        ticks += time.parse::<f64>()?;
    }
    Ok(Duration::from_secs_f64(ticks / TICKS_PER_SECOND))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_busy_process_uses_the_processor() {
        let before = processor_time(None).unwrap();
        let begin = Instant::now();
        let mut number = 1_u64;
        // Until the clock has ticked for us, however busy the machine is.
        while processor_time(None).unwrap() == before {
            number = std::hint::black_box(number.wrapping_mul(3));
            assert!(begin.elapsed() < crate::wait::PATIENCE, "no tick");
        }
    }
}
