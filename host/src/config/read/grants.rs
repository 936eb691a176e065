//! The meaning of `plugins.<name>.grants`: what the plugin may do in the store. What is not written is not granted.

use figment::value::Value;

use super::{list, switch, text};
use crate::config::fields::{Context, Fields};
use crate::config::keys::GRANTS;
use crate::config::problem::Wrong;
use crate::store::{Grants, Pattern, PatternError};

/// Patterns in one list; far more than any app has events.
const PATTERNS_MAX: usize = 256;

/// `plugin` is the table `plugins.<name>`.
pub(super) fn grants(plugin: &Fields<'_>, context: &mut Context<'_>) -> Grants {
    let mut grants = Grants::default();
    let Some(fields) = plugin.section("grants", GRANTS, context) else {
        return grants;
    };
    patterns(&fields, &mut grants.read, "read", context);
    patterns(&fields, &mut grants.commit, "commit", context);
    fields.set(&mut grants.kv, "kv", context, switch);
    fields.set(&mut grants.schedule, "schedule", context, switch);
    grants
}

fn patterns(
    fields: &Fields<'_>,
    target: &mut Vec<Pattern>,
    name: &'static str,
    context: &mut Context<'_>,
) {
    let Some(value) = fields.get(name) else {
        return;
    };
    let path = fields.path(name);
    let expected = "a list of event names such as [\"v1.Chat*\"]";
    *target = list(value, &path, expected, context, pattern);
    if target.len() > PATTERNS_MAX {
        let wrong = Wrong::expected(
            format_args!("at most {PATTERNS_MAX} names"),
            format_args!("{} of them", target.len()),
        );
        let hint = "a prefix that ends in `*` stands for many";
        context.report(value, &path, wrong.hint(hint));
    }
}

fn pattern(value: &Value) -> Result<Pattern, Wrong> {
    let text = text(value, "an event name such as \"v1.ChatMessageSent\"")?;
    text.parse()
        .map_err(|error: PatternError| Wrong::new(error.to_string()))
}
