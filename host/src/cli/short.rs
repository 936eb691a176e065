//! Numbers as people read them in a table: short, and rounded down.

use std::time::Duration;

/// Fuel, about one for each instruction.
pub(super) fn fuel(fuel: u64) -> String {
    short(fuel, 1000, &["", "k", "M", "G", "T", "P", "E"])
}

/// Bytes in binary units.
pub(super) fn bytes(bytes: u64) -> String {
    short(
        bytes,
        1024,
        &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"],
    )
}

/// Up to three digits before the point and one after it, in the largest unit of which there is one at least.
fn short(number: u64, step: u64, units: &[&str]) -> String {
    let (mut worth, mut unit) = (1_u64, 0);
    while unit + 1 < units.len() && number / worth >= step {
        worth *= step;
        unit += 1;
    }
    let unit = units[unit];
    if worth == 1 {
        return format!("{number}{unit}");
    }
    // Rounded down, as everywhere where a limit may be near.
    let tenths = u128::from(number) * 10 / u128::from(worth);
    format!("{}.{}{unit}", tenths / 10, tenths % 10)
}

/// A span of time in its two largest units.
pub(super) fn wall(wall: Duration) -> String {
    let seconds = wall.as_secs();
    match seconds {
        0 => format!("{}ms", wall.as_millis()),
        1..60 => format!("{seconds}.{}s", wall.subsec_millis() / 100),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600.. => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (number, fuel, size) in [
            (0, "0", "0B"),
            (999, "999", "999B"),
            (1_000, "1.0k", "1000B"),
            (1_048_575, "1.0M", "1023.9KiB"),
            (12_345_678_900, "12.3G", "11.4GiB"),
            (u64::MAX, "18.4E", "15.9EiB"),
        ] {
            assert_eq!(super::fuel(number), fuel);
            assert_eq!(bytes(number), size);
        }
        for (millis, text) in [
            (0, "0ms"),
            (999, "999ms"),
            (1_250, "1.2s"),
            (59_999, "59.9s"),
            (61_000, "1m01s"),
            (3_600_000, "1h00m"),
            (90_061_000, "25h01m"),
        ] {
            assert_eq!(wall(Duration::from_millis(millis)), text);
        }
    }
}
