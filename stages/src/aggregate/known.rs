//! The reports that were seen: which are new, which are copies, which contradict one another.
//!
//! State, by partition of `reports.enriched`:
//!
//! | key | value |
//! |---|---|
//! | `i` + identity (16) | day last seen (i32 BE), then an entry for each content: content (16), copies (u32 BE), instance (16), date (i32 BE) |
//! | `d` + day (i32 BE, sign flipped) + identity (16) | empty: the identity may be forgotten after that day and the horizon |
//! | `h` | the last day that was forgotten (i32 BE) |
//!
//! An *instance* is where a copy stood: partition and offset in `reports.raw` and ordinal of the report
//! there. The slices of a report are of one instance, so that later slices share the first one's fate.

use crate::{Fault, State};

/// Where a copy of a report stood in `reports.raw`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instance {
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) part: i32,
}

impl Instance {
    fn bytes(self) -> [u8; 16] {
        let mut out = [0; 16];
        out[..4].copy_from_slice(&self.partition.to_be_bytes());
        out[4..12].copy_from_slice(&self.offset.to_be_bytes());
        out[12..].copy_from_slice(&self.part.to_be_bytes());
        out
    }
}

/// A copy of a report, as far as telling it apart goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sighting {
    pub(super) identity: [u8; 16],
    pub(super) content: [u8; 16],
    pub(super) instance: Instance,
    /// Ordinal of the slice; only the first one counts as a sighting.
    pub(super) slice: i32,
    /// UTC day of the report's begin: where its row is.
    pub(super) date: i32,
    /// UTC day on which it was received.
    pub(super) received: i32,
}

/// What a sighting is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// The first copy: its rows count.
    New,
    /// The first copy of a report whose identity other reports have: its rows count, and all of them are marked.
    Conflict { with: Vec<Known> },
    /// Another copy: nothing of it counts but the copy.
    Duplicate { of: Known, conflict: bool },
    /// A later slice of the first copy: its rows count.
    Continued,
    /// A later slice of another copy: nothing of it counts.
    Passed,
}

/// A report that is known: its content, and how many copies came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) content: [u8; 16],
    pub(super) copies: u32,
    instance: [u8; 16],
    pub(super) date: i32,
}

impl Known {
    /// What a first sighting is known as.
    pub(super) fn first(s: &Sighting) -> Self {
        Self { content: s.content, copies: 1, instance: s.instance.bytes(), date: s.date }
    }
}

const ENTRY: usize = 16 + 4 + 16 + 4;

/// Records a sighting in the state and says what it is.
pub(super) fn sight(s: &Sighting, state: &mut dyn State) -> Result<Fate, Fault> {
    let key = identity_key(&s.identity);
    let (seen, mut known) = match state.get(&key)? {
        Some(bytes) => read(&bytes)?,
        None => (i32::MIN, Vec::new()),
    };
    let instance = s.instance.bytes();
    let at = known.iter().position(|k| k.content == s.content);
    if s.slice > 0 {
        let ours = at.is_some_and(|i| known[i].instance == instance);
        return Ok(if ours { Fate::Continued } else { Fate::Passed });
    }
    let fate = match at {
        Some(i) => {
            known[i].copies = known[i].copies.saturating_add(1);
            Fate::Duplicate { of: known[i], conflict: known.len() > 1 }
        }
        None => {
            let with = known.clone();
            known.push(Known::first(s));
            if with.is_empty() { Fate::New } else { Fate::Conflict { with } }
        }
    };
    let day = seen.max(s.received);
    if day != seen {
        state.put(day_key(day, &s.identity), Some(Vec::new()));
    }
    state.put(key, Some(write(day, &known)));
    Ok(fate)
}

/// Forgets what was last seen more than `horizon` days before `today`, `limit` identities at most.
pub(super) fn forget(today: i32, horizon: i32, limit: usize, state: &mut dyn State) -> Result<(), Fault> {
    let until = today.saturating_sub(horizon);
    let done = state.get(b"h")?.and_then(|b| b.try_into().ok()).map_or(i32::MIN, i32::from_be_bytes);
    if until <= done {
        return Ok(());
    }
    let keys = state.scan(b"d", limit)?;
    let complete = keys.len() < limit;
    for key in keys {
        let (Some(day), Some(identity)) = (day_in(&key), key.get(5..21)) else { continue };
        if day >= until {
            state.put(b"h".to_vec(), Some(until.to_be_bytes().to_vec()));
            return Ok(());
        }
        let of = identity_key(identity);
        if let Some(bytes) = state.get(&of)?
            && read(&bytes)?.0 <= day
        {
            state.put(of, None);
        }
        state.put(key, None);
    }
    if complete {
        state.put(b"h".to_vec(), Some(until.to_be_bytes().to_vec()));
    }
    Ok(())
}

fn identity_key(identity: &[u8]) -> Vec<u8> {
    [b"i", identity].concat()
}

fn day_key(day: i32, identity: &[u8]) -> Vec<u8> {
    // The flipped sign makes days before 1970 sort before those after it.
    [b"d".as_slice(), &(day ^ i32::MIN).to_be_bytes(), identity].concat()
}

fn day_in(key: &[u8]) -> Option<i32> {
    let bytes: [u8; 4] = key.get(1..5)?.try_into().ok()?;
    Some(i32::from_be_bytes(bytes) ^ i32::MIN)
}

fn write(day: i32, known: &[Known]) -> Vec<u8> {
    let mut out = Vec::with_capacity(4 + known.len() * ENTRY);
    out.extend(day.to_be_bytes());
    for k in known {
        out.extend(k.content);
        out.extend(k.copies.to_be_bytes());
        out.extend(k.instance);
        out.extend(k.date.to_be_bytes());
    }
    out
}

fn read(bytes: &[u8]) -> Result<(i32, Vec<Known>), Fault> {
    let broken = || Fault::Poison {
        reason: "state-corrupt",
        detail: format!("an entry of the deduplication state has {} bytes", bytes.len()),
    };
    let (day, entries) = bytes.split_first_chunk::<4>().ok_or_else(broken)?;
    let entries = entries.chunks(ENTRY).map(|e| {
        Some(Known {
            content: e.get(..16)?.try_into().ok()?,
            copies: u32::from_be_bytes(e.get(16..20)?.try_into().ok()?),
            instance: e.get(20..36)?.try_into().ok()?,
            date: i32::from_be_bytes(e.get(36..40)?.try_into().ok()?),
        })
    });
    Ok((i32::from_be_bytes(*day), entries.collect::<Option<_>>().ok_or_else(broken)?))
}
