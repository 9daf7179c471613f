//! What the persons were shown as saved, and whether it is there in the end.

use std::collections::{BTreeMap, BTreeSet};

use sync::merge::{REVISIONS, Revision};
use sync::model::{Fields, RecordKey, Value};

use super::schema::{self, FIRST, SCHEMA};
use super::server::Lost;

/// What was saved so far.
#[derive(Debug, Default)]
pub(super) struct Saved {
    /// Each word, and in which record it was written.
    words: BTreeMap<String, RecordKey>,
    /// Words that somebody took away who saw them.
    taken: BTreeSet<String>,
    /// Pages that somebody overwrote who saw them.
    overwritten: BTreeSet<i64>,
    /// How often each record was made, on all devices.
    made: BTreeMap<RecordKey, u64>,
    /// Records that the server has lost changes of, when it was put back. Who saw what is
    /// lost with them, so what was deleted or overwritten may be there again, and words
    /// that two devices bring back may meet.
    put_back: BTreeSet<RecordKey>,
    /// Of any record, perhaps.
    all_put_back: bool,
    /// Records that somebody deleted.
    deleted: BTreeSet<RecordKey>,
    /// The moods that were set in each record.
    moods: BTreeMap<RecordKey, BTreeSet<i64>>,
    /// Records of which somebody discarded something.
    discarded: BTreeSet<RecordKey>,
}

impl Saved {
    /// A person was shown that this is saved: what they saw before, and what they
    /// see now.
    pub(super) fn note(
        &mut self,
        key: &RecordKey,
        before: Option<&Fields>,
        after: Option<&Fields>,
    ) {
        match (before, after) {
            (None, Some(_)) => *self.made.entry(key.clone()).or_default() += 1,
            (Some(_), None) => drop(self.deleted.insert(key.clone())),
            (None, None) | (Some(_), Some(_)) => {}
        }
        let (old, new) = (words(before), words(after));
        self.taken.extend(old.difference(&new).cloned());
        for word in new.difference(&old) {
            self.words.insert(word.clone(), key.clone());
        }
        let set = moods(after).filter(|mood| moods(before).all(|before| before != *mood));
        self.moods.entry(key.clone()).or_default().extend(set);
        if let (Some(old), Some(new)) = (page(before), page(after))
            && old != new
            && new > 0
        {
            self.overwritten.insert(old);
        }
    }

    /// A person edits what was not taken, which is sent once more as one. The server may
    /// have taken it before, and another person have deleted it since.
    pub(super) fn may_be_made_anew(&mut self, key: &RecordKey) {
        *self.made.entry(key.clone()).or_default() += 1;
    }

    /// A person discarded what they saw; what they had overwritten is there again.
    pub(super) fn discarded(
        &mut self,
        key: &RecordKey,
        before: Option<&Fields>,
        after: Option<&Fields>,
    ) {
        if after.is_some() {
            self.deleted.remove(key);
        }
        self.discarded.insert(key.clone());
        self.taken.extend(words(before).difference(&words(after)).cloned());
        if let Some(page) = page(after) {
            self.overwritten.remove(&page);
        }
    }

    /// The server was put back, and has this no more. What is not a revision the devices
    /// have, and bring back.
    pub(super) fn lost(&mut self, lost: Lost) {
        self.put_back.extend(lost.changed.records);
        self.all_put_back |= lost.changed.any;
        let revisions = lost.shown.iter().filter(|(key, _)| *key.table == *REVISIONS.name);
        for revision in revisions.filter_map(|(key, fields)| Revision::of_record(key.id, fields)) {
            self.taken.extend(words(Some(&revision.fields)));
        }
    }

    pub(super) fn was_put_back(&self) -> bool {
        self.all_put_back || !self.put_back.is_empty()
    }

    fn is_put_back(&self, key: &RecordKey) -> bool {
        self.all_put_back || self.put_back.contains(key)
    }

    pub(super) fn check(&self, held: &BTreeMap<RecordKey, Fields>) -> Result<(), String> {
        let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (key, fields) in held {
            if *key.table == *REVISIONS.name {
                let revision = Revision::of_record(key.id, fields)
                    .ok_or_else(|| format!("{key} is no revision: {fields:?}"))?;
                let of = revision.of.to_string();
                found.entry(of).or_default().extend(words(Some(&revision.fields)));
            } else {
                found.entry(key.to_string()).or_default().extend(words(Some(fields)));
            }
            if *key.table != *REVISIONS.name {
                // Who makes it anew may not have seen that it was deleted.
                if !self.is_put_back(key)
                    && self.deleted.contains(key)
                    && self.made.get(key) == Some(&1)
                {
                    return Err(format!("{key} was deleted, and is there"));
                }
                self.check_record(key, fields)?;
            }
        }
        for (word, key) in &self.words {
            let there = found.get(&key.to_string()).is_some_and(|words| words.contains(word));
            if !there && !self.taken.contains(word) {
                return Err(format!("`{word}` was saved in {key}, and is nowhere"));
            }
        }
        Ok(())
    }

    fn check_record(&self, key: &RecordKey, fields: &Fields) -> Result<(), String> {
        let content = fields.get("content").and_then(Value::text).unwrap_or("");
        let put_back = self.is_put_back(key);
        let mut seen = BTreeSet::new();
        for word in content.split_whitespace() {
            if !seen.insert(word) && !put_back {
                return Err(format!("`{word}` is twice in {key}: {content}"));
            }
        }
        let set = self.moods.get(key).filter(|set| !set.is_empty());
        let is_of_one_life = self.made.get(key) == Some(&1) && !self.discarded.contains(key);
        if let Some(set) = set.filter(|_| is_of_one_life && !put_back)
            && !moods(Some(fields)).any(|mood| set.contains(&mood))
        {
            return Err(format!("the moods {set:?} of {key} are lost: {fields:?}"));
        }
        match fields.get("page") {
            Some(Value::Int(page)) if !put_back && self.overwritten.contains(page) => {
                Err(format!("the page {page} of {key} was overwritten, and is there again"))
            }
            _ => Ok(()),
        }
    }
}

fn page(fields: Option<&Fields>) -> Option<i64> {
    match fields.and_then(|fields| fields.get("page")) {
        Some(Value::Int(page)) => Some(*page),
        _ => None,
    }
}

/// Under its name of now, and of before.
fn moods(fields: Option<&Fields>) -> impl Iterator<Item = i64> {
    [SCHEMA, FIRST].into_iter().filter_map(move |schema| match fields?.get(schema::mood(schema)) {
        Some(Value::Int(mood)) => Some(*mood),
        _ => None,
    })
}

fn words(fields: Option<&Fields>) -> BTreeSet<String> {
    let content = fields.and_then(|fields| fields.get("content")).and_then(Value::text);
    content.unwrap_or("").split_whitespace().map(str::to_owned).collect()
}
