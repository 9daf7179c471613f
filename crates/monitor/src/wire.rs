//! Messages as JSON.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use stdx::UnixMicros;

use crate::alert::{AlertKey, Severity};
use crate::message::{EpisodeId, Event, Message, MessageId};

/// What a webhook is sent. Fields may be added; none changes its meaning.
#[derive(Debug, Serialize)]
struct Body<'a> {
    id: MessageId,
    episode: EpisodeId,
    event: Event,
    severity: Severity,
    key: &'a AlertKey,
    summary: &'a str,
    details: serde_json::Map<String, Value>,
    since: String,
    at: String,
    count: u64,
    lasted_ms: Option<u64>,
    dropped: u64,
}

/// The body for a webhook; `dropped` messages before this one did not arrive.
pub(crate) fn webhook(message: &Message, dropped: u64) -> Vec<u8> {
    let alert = &message.alert;
    let details = alert.details().iter().map(|(name, value)| (name.clone(), json!(value)));
    bytes(&Body {
        id: message.id,
        episode: message.episode,
        event: message.event,
        severity: alert.severity(),
        key: alert.key(),
        summary: alert.summary(),
        details: details.collect(),
        since: instant(message.since),
        at: instant(message.at),
        count: message.count,
        lasted_ms: message
            .lasted
            .map(|lasted| u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX)),
        dropped,
    })
}

/// The body for a webhook of Slack's form: a text for notifications, and the
/// same with its details as blocks.
pub(crate) fn slack(message: &Message, dropped: u64) -> Vec<u8> {
    let alert = &message.alert;
    let head = match message.event {
        Event::Raised => alert.severity().to_string(),
        Event::Worsened => format!("{} (worse than before)", alert.severity()),
        Event::Repeated => format!("{} (still)", alert.severity()),
        Event::Resolved => "RESOLVED".to_owned(),
    };
    let (key, summary) = (escaped(alert.key().as_str()), escaped(alert.summary()));
    let mut context = vec![format!("since {}", instant(message.since))];
    if let Some(lasted) = message.lasted {
        context.push(format!("lasted {}", duration(lasted.as_secs())));
    }
    if message.count > 1 {
        context.push(format!("raised {} times", message.count));
    }
    if dropped > 0 {
        context.push(format!("{dropped} messages before this one were dropped; the log has them"));
    }
    let mut blocks = vec![section(&format!("*{head}* `{key}`\n{summary}"))];
    if message.event != Event::Resolved && !alert.details().is_empty() {
        let details: Vec<String> = alert
            .details()
            .iter()
            .map(|(name, value)| format!("{}: {}", escaped(name), escaped(value)))
            .collect();
        blocks.push(section(&details.join("\n")));
    }
    let context = json!({ "type": "mrkdwn", "text": context.join(" · ") });
    blocks.push(json!({ "type": "context", "elements": [context] }));
    bytes(&json!({ "text": format!("{head} {key}: {summary}"), "blocks": blocks }))
}

/// Slack refuses a longer section.
const SECTION_CHARS_MAX: usize = 3_000;

fn section(text: &str) -> Value {
    let cut = if text.chars().count() > SECTION_CHARS_MAX {
        text.chars().take(SECTION_CHARS_MAX - 1).chain(['…']).collect()
    } else {
        text.to_owned()
    };
    json!({ "type": "section", "text": { "type": "mrkdwn", "text": cut } })
}

/// The three characters that mean something in Slack's texts.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// RFC 3339, in UTC, with milliseconds.
fn instant(at: UnixMicros) -> String {
    let at = Timestamp::from_microsecond(at.0).unwrap_or_default();
    format!("{at:.3}")
}

/// `2 h 3 min`, the two greatest units.
pub(crate) fn duration(secs: u64) -> String {
    match secs {
        0..60 => format!("{secs} s"),
        60..3_600 => format!("{} min {} s", secs / 60, secs % 60),
        3_600..86_400 => format!("{} h {} min", secs / 3_600, secs / 60 % 60),
        _ => format!("{} d {} h", secs / 86_400, secs / 3_600 % 24),
    }
}

fn bytes(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("texts and numbers are JSON")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use expect_test::{Expect, expect};

    use super::*;
    use crate::alert::Alert;

    fn message(event: Event) -> Message {
        let alert = Alert::new(Severity::Warning, AlertKey::new("master/b"), "master b is <away>")
            .detail("state", "DOWN")
            .detail("reason", "a & b");
        Message {
            id: "0190163d-8694-739b-aea5-966c26f8ad91".parse().unwrap(),
            episode: "0190163d-8694-739b-aea5-966c26f8ad90".parse().unwrap(),
            event,
            alert,
            since: UnixMicros::from_millis(1_772_355_600_123),
            at: UnixMicros::from_millis(1_772_355_630_123),
            count: 3,
            lasted: (event == Event::Resolved).then_some(Duration::from_millis(90_500)),
        }
    }

    fn check(body: &[u8], expected: &Expect) {
        let body: Value = serde_json::from_slice(body).unwrap();
        expected.assert_eq(&serde_json::to_string_pretty(&body).unwrap());
    }

    #[test]
    fn a_webhook_gets_everything() {
        check(
            &webhook(&message(Event::Raised), 2),
            &expect![[r#"
                {
                  "at": "2026-03-01T09:00:30.123Z",
                  "count": 3,
                  "details": {
                    "reason": "a & b",
                    "state": "DOWN"
                  },
                  "dropped": 2,
                  "episode": "0190163d-8694-739b-aea5-966c26f8ad90",
                  "event": "raised",
                  "id": "0190163d-8694-739b-aea5-966c26f8ad91",
                  "key": "master/b",
                  "lasted_ms": null,
                  "severity": "WARNING",
                  "since": "2026-03-01T09:00:00.123Z",
                  "summary": "master b is <away>"
                }"#]],
        );
        let resolved: Value =
            serde_json::from_slice(&webhook(&message(Event::Resolved), 0)).unwrap();
        assert_eq!(
            (&resolved["event"], &resolved["lasted_ms"]),
            (&json!("resolved"), &json!(90_500))
        );
    }

    #[test]
    fn slack_gets_a_text_and_a_few_blocks() {
        check(
            &slack(&message(Event::Worsened), 2),
            &expect![[r#"
            {
              "blocks": [
                {
                  "text": {
                    "text": "*WARNING (worse than before)* `master/b`\nmaster b is &lt;away&gt;",
                    "type": "mrkdwn"
                  },
                  "type": "section"
                },
                {
                  "text": {
                    "text": "state: DOWN\nreason: a &amp; b",
                    "type": "mrkdwn"
                  },
                  "type": "section"
                },
                {
                  "elements": [
                    {
                      "text": "since 2026-03-01T09:00:00.123Z · raised 3 times · 2 messages before this one were dropped; the log has them",
                      "type": "mrkdwn"
                    }
                  ],
                  "type": "context"
                }
              ],
              "text": "WARNING (worse than before) master/b: master b is &lt;away&gt;"
            }"#]],
        );
        check(
            &slack(&message(Event::Resolved), 0),
            &expect![[r#"
            {
              "blocks": [
                {
                  "text": {
                    "text": "*RESOLVED* `master/b`\nmaster b is &lt;away&gt;",
                    "type": "mrkdwn"
                  },
                  "type": "section"
                },
                {
                  "elements": [
                    {
                      "text": "since 2026-03-01T09:00:00.123Z · lasted 1 min 30 s · raised 3 times",
                      "type": "mrkdwn"
                    }
                  ],
                  "type": "context"
                }
              ],
              "text": "RESOLVED master/b: master b is &lt;away&gt;"
            }"#]],
        );
    }

    #[test]
    fn the_longest_alert_is_short_enough_for_slack() {
        let long = "<".repeat(1_000);
        let mut alert = Alert::new(Severity::Critical, AlertKey::new(&long), &long);
        for at in 0..Alert::DETAILS_MAX {
            alert = alert.detail(&at.to_string(), &long);
        }
        let body = slack(&Message { alert, ..message(Event::Raised) }, 0);
        let body: Value = serde_json::from_slice(&body).unwrap();
        for block in body["blocks"].as_array().unwrap() {
            let text = block["text"]["text"].as_str().unwrap_or_default();
            assert!(text.chars().count() <= SECTION_CHARS_MAX);
        }
    }

    #[test]
    fn durations_have_two_units() {
        let shown = [59, 61, 7_380, 90_000].map(duration);
        assert_eq!(shown, ["59 s", "1 min 1 s", "2 h 3 min", "1 d 1 h"]);
    }
}
