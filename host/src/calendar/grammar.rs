//! What may stand in the fields of a cron pattern. Narrower than croner, which also reads a `#` behind a range, a `+` that
//! changes what two days mean, and names in fields where they mean nothing.

use super::cron::CronError;

/// One field.
struct Field {
    name: &'static str,
    allowed: &'static str,
    min: u8,
    max: u8,
    /// What its values are called, the one of `min` first.
    names: &'static [&'static str],
    days: Days,
}

/// What a field may say beside numbers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Days {
    No,
    /// `L`, `LW`, `15W`.
    OfMonth,
    /// `MON#2`, `FRIL`.
    OfWeek,
}

const FIELDS: [Field; 6] = [
    Field {
        name: "second",
        allowed: "0 to 59, `*`, a range `0-29`, a step `*/10` or a list `0,30`",
        min: 0,
        max: 59,
        names: &[],
        days: Days::No,
    },
    Field {
        name: "minute",
        allowed: "0 to 59, `*`, a range `0-29`, a step `*/10` or a list `0,30`",
        min: 0,
        max: 59,
        names: &[],
        days: Days::No,
    },
    Field {
        name: "hour",
        allowed: "0 to 23, `*`, a range `9-17`, a step `*/6` or a list `9,21`",
        min: 0,
        max: 23,
        names: &[],
        days: Days::No,
    },
    Field {
        name: "day of month",
        allowed: "1 to 31, `*`, a range `1-15`, a step `*/2`, a list `1,15`, `L` (the last day), `LW` (the last weekday) or `15W` (the weekday nearest to the 15th)",
        min: 1,
        max: 31,
        names: &[],
        days: Days::OfMonth,
    },
    Field {
        name: "month",
        allowed: "1 to 12 or JAN to DEC, `*`, a range `JUN-AUG`, a step `*/3` or a list `1,7`",
        min: 1,
        max: 12,
        names: &[
            "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
        ],
        days: Days::No,
    },
    Field {
        name: "day of week",
        allowed: "0 to 7 (0 and 7 are Sunday) or SUN to SAT, `*`, a range `MON-FRI`, a list `MON,THU`, `MON#2` (the second Monday of the month) or `FRIL` (its last Friday)",
        min: 0,
        max: 7,
        names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
        days: Days::OfWeek,
    },
];

/// Checks five or six fields, each by itself.
pub(super) fn check(fields: &[&str]) -> Result<(), CronError> {
    let known = &FIELDS[FIELDS.len().saturating_sub(fields.len())..];
    for (field, text) in known.iter().zip(fields) {
        field.check(text)?;
    }
    Ok(())
}

impl Field {
    fn check(&self, text: &str) -> Result<(), CronError> {
        if text == "*" || (text == "?" && self.days != Days::No) {
            return Ok(());
        }
        let text = text.to_ascii_uppercase();
        let items: Vec<&str> = text.split(',').collect();
        for item in &items {
            self.check_item(item)
                .map_err(|hint| self.refuse(item, hint))?;
        }
        // croner would forget the `L`.
        if items.contains(&"L") && items.contains(&"LW") {
            return Err(self.refuse(&text, Some("write two tasks for `L` and `LW`".to_owned())));
        }
        Ok(())
    }

    /// One element of the list. The error is what to write instead, if that is clear.
    fn check_item(&self, item: &str) -> Result<(), Option<String>> {
        if let Some((range, step)) = item.split_once('/') {
            return self.check_step(range, step);
        }
        if let Some((first, last)) = item.split_once('-') {
            return self.check_range(first, last);
        }
        let plain = match self.days {
            Days::No => item,
            Days::OfMonth => match item.strip_suffix('W') {
                Some("L") => return Ok(()),
                Some(day) => day,
                None if item == "L" => return Ok(()),
                None => item,
            },
            Days::OfWeek => match (item.split_once('#'), item.strip_suffix('L')) {
                (Some((day, "1" | "2" | "3" | "4" | "5")), _) => day,
                (Some(_), _) => return Err(Some("a month has its 1st to 5th of a day".to_owned())),
                (None, Some("")) => return Err(Some("write `SATL` or `6L`".to_owned())),
                (None, Some(day)) => day,
                (None, None) => item,
            },
        };
        self.value(plain).map(drop).ok_or(None)
    }

    fn check_step(&self, range: &str, step: &str) -> Result<(), Option<String>> {
        number(step).filter(|step| *step > 0).ok_or(None)?;
        if range == "*" {
            return Ok(());
        }
        if let Some((first, last)) = range.split_once('-') {
            return self.check_range(first, last);
        }
        // croner takes a step behind a plain number for an error, others for a range.
        let start = self.value(range).ok_or(None)?;
        Err(Some(format!("write `{start}-{}/{step}`", self.max)))
    }

    fn check_range(&self, first: &str, last: &str) -> Result<(), Option<String>> {
        let start = self.value(first).ok_or(None)?;
        let end = match last {
            // As the end of a range Sunday is the seventh day.
            "SUN" if self.days == Days::OfWeek => 7,
            last => self.value(last).ok_or(None)?,
        };
        if start > end {
            let (max, min) = (self.max, self.min);
            return Err(Some(format!(
                "a range cannot go backwards, write `{start}-{max},{min}-{end}`"
            )));
        }
        Ok(())
    }

    /// A number or a name of this field.
    fn value(&self, text: &str) -> Option<u8> {
        let named = self.names.iter().position(|name| *name == text);
        let value = match named {
            Some(place) => self.min.checked_add(u8::try_from(place).ok()?)?,
            None => number(text)?,
        };
        (self.min..=self.max).contains(&value).then_some(value)
    }

    fn refuse(&self, found: &str, hint: Option<String>) -> CronError {
        CronError::Field {
            field: self.name,
            found: found.escape_debug().to_string(),
            allowed: self.allowed,
            hint: hint.map_or_else(String::new, |hint| format!(": {hint}")),
        }
    }
}

/// One or two digits, without a sign.
fn number(text: &str) -> Option<u8> {
    let digits = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}
