//! What a plugin may do in a store, and what one needs: the same shape, so that the difference between them is what is
//! missing. This is the one place that decides whether a plugin may work in a store.

use std::fmt;

use serde::Serialize;

use crate::store::Pattern;

/// What a plugin may do in a store, or what it needs to. Nothing unless said.
///
/// Displayed, it is the inside of a TOML table: `read = ["v1.Chat*"], commit = ["v1.Answer"], kv = true`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Grants {
    /// The event names that it is handed.
    pub read: Vec<Pattern>,
    /// The event names that it commits.
    pub commit: Vec<Pattern>,
    /// Whether it has a kv.
    pub kv: bool,
    /// Whether it has tasks of its own: those of its description, and those that it schedules.
    pub schedule: bool,
}

/// Patterns that a text names one by one; whoever asks for more has to look at the plugin itself.
const PATTERNS_TOLD_MAX: usize = 8;

impl Grants {
    /// What of `needs` is not granted: nothing if the plugin may work.
    pub fn missing(&self, needs: &Self) -> Self {
        Self {
            read: uncovered(&self.read, &needs.read),
            commit: uncovered(&self.commit, &needs.commit),
            kv: needs.kv && !self.kv,
            schedule: needs.schedule && !self.schedule,
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.read.is_empty() && self.commit.is_empty() && !self.kv && !self.schedule
    }

    /// In words, behind "needs": `to read "v1.Chat*", to commit "v1.Answer" and kv`.
    pub fn in_words(&self) -> String {
        let mut words = Vec::new();
        for (verb, patterns) in [("to read", &self.read), ("to commit", &self.commit)] {
            if !patterns.is_empty() {
                words.push(format!("{verb} {}", quoted(patterns)));
            }
        }
        if self.kv {
            words.push("kv".to_owned());
        }
        if self.schedule {
            words.push("schedule".to_owned());
        }
        match words.pop() {
            None => "nothing".to_owned(),
            Some(last) if words.is_empty() => last,
            Some(last) => format!("{} and {last}", words.join(", ")),
        }
    }
}

impl fmt::Display for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut entries = Vec::new();
        for (key, patterns) in [("read", &self.read), ("commit", &self.commit)] {
            if !patterns.is_empty() {
                let all: Vec<String> = patterns.iter().map(quote).collect();
                entries.push(format!("{key} = [{}]", all.join(", ")));
            }
        }
        if self.kv {
            entries.push("kv = true".to_owned());
        }
        if self.schedule {
            entries.push("schedule = true".to_owned());
        }
        f.write_str(&entries.join(", "))
    }
}

/// The patterns of `needed` that none of `granted` covers.
fn uncovered(granted: &[Pattern], needed: &[Pattern]) -> Vec<Pattern> {
    let missing = needed
        .iter()
        .filter(|need| !granted.iter().any(|grant| grant.covers(need)));
    missing.cloned().collect()
}

fn quoted(patterns: &[Pattern]) -> String {
    let told: Vec<String> = patterns.iter().take(PATTERNS_TOLD_MAX).map(quote).collect();
    match patterns.len().saturating_sub(PATTERNS_TOLD_MAX) {
        0 => told.join(", "),
        more => format!("{} and {more} more names", told.join(", ")),
    }
}

/// As a text of TOML. A pattern has no control characters, so that two characters are all there is to escape.
fn quote(pattern: &Pattern) -> String {
    let text = pattern.to_string();
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(texts: &[&str]) -> Vec<Pattern> {
        let pattern = |text: &&str| text.parse().expect("a pattern");
        texts.iter().map(pattern).collect()
    }

    fn grants(read: &[&str], commit: &[&str], kv: bool) -> Grants {
        Grants {
            read: patterns(read),
            commit: patterns(commit),
            kv,
            schedule: false,
        }
    }

    #[test]
    fn nothing_is_granted_unless_said() {
        let needs = grants(&["v1.Said"], &["v1.Answer"], true);
        assert_eq!(Grants::default().missing(&needs), needs);
        assert!(Grants::default().missing(&Grants::default()).is_empty());
    }

    #[test]
    fn what_is_missing_is_what_no_grant_covers_as_a_whole() {
        let granted = grants(&["v1.Chat*"], &["v1.A", "v1.B*"], false);
        let needs = grants(&["v1.ChatSaid", "v1.*"], &["v1.A*", "v1.B"], true);
        assert_eq!(granted.missing(&needs), grants(&["v1.*"], &["v1.A*"], true));
        let wide = grants(&["*"], &["*"], true);
        assert!(wide.missing(&needs).is_empty());
        // Reading is not committing.
        let other = grants(&[], &["*"], true);
        assert_eq!(other.missing(&needs).read, needs.read);
    }

    #[test]
    fn grants_are_told_in_words_and_as_toml() {
        let all = grants(&["v1.Said", "v2.*"], &["v1.\"odd\\"], true);
        assert_eq!(
            all.in_words(),
            "to read \"v1.Said\", \"v2.*\", to commit \"v1.\\\"odd\\\\\" and kv"
        );
        assert_eq!(
            all.to_string(),
            "read = [\"v1.Said\", \"v2.*\"], commit = [\"v1.\\\"odd\\\\\"], kv = true"
        );
        assert_eq!(grants(&[], &["a"], false).in_words(), "to commit \"a\"");
        let kv = grants(&[], &[], true);
        assert_eq!(
            (kv.in_words().as_str(), &*kv.to_string()),
            ("kv", "kv = true")
        );
    }

    #[test]
    fn many_names_are_counted_in_words() {
        let names: Vec<String> = (0..20).map(|number| format!("n{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let words = grants(&names, &[], false).in_words();
        assert!(words.ends_with("\"n7\" and 12 more names"), "{words}");
    }
}
