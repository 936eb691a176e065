//! Prometheus' text format, version 0.0.4, as far as it is needed here.

use std::fmt::Display;

/// A text in the making.
#[derive(Default)]
pub(super) struct Exposition(String);

impl Exposition {
    /// Begins a metric. `kind` is `counter`, `gauge` or `histogram`.
    pub(super) fn begin(&mut self, name: &str, kind: &str, help: &str) {
        self.0
            .push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// One value of the metric that was begun.
    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> = labels
            .iter()
            .map(|(label, text)| format!("{label}=\"{}\"", escape(text)))
            .collect();
        let line = match labels.is_empty() {
            true => format!("{name} {value}\n"),
            false => format!("{name}{{{}}} {value}\n", labels.join(",")),
        };
        self.0.push_str(&line);
    }

    /// The whole text.
    pub(super) fn finish(self) -> String {
        self.0
    }
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_cannot_break_out_of_its_quotes() {
        let mut text = Exposition::default();
        text.begin("a_total", "counter", "Things.");
        text.sample("a_total", &[("x", "q\"\\\n"), ("y", "")], 3);
        text.sample("a_total", &[], 0.5);
        assert_eq!(
            text.finish(),
            "# HELP a_total Things.\n# TYPE a_total counter\na_total{x=\"q\\\"\\\\\\n\",y=\"\"} 3\na_total 0.5\n"
        );
    }
}
