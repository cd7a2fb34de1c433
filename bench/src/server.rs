//! The private Radicale that everybody is measured on, and the edits of other clients.

use anyhow::{Context, Result, ensure};
use testkit::corpus::{self, Resource};
use testkit::harness::{Credentials, Radicale};
use url::Url;

const SEED: u64 = 20_260_101;
const COLLECTION: &str = "bench";

/// A Radicale with one calendar, and what is in it.
pub(crate) struct Server {
    radicale: Radicale,
    events: Vec<Resource>,
    next_new: usize,
    edits: usize,
}

impl Server {
    pub(crate) async fn start(count: usize) -> Result<Self> {
        let radicale = Radicale::start().await?;
        let events = corpus::small_events(count, SEED);
        let files = events.iter().map(|event| (&event.name, &event.ics));
        radicale.load_collection(&radicale.credentials.user, COLLECTION, files)?;
        Ok(Self {
            radicale,
            events,
            next_new: count,
            edits: 0,
        })
    }

    /// The version of Radicale.
    pub(crate) async fn version(&self) -> Result<String> {
        self.radicale.version().await
    }

    pub(crate) fn base_url(&self) -> &Url {
        self.radicale.base_url()
    }

    pub(crate) fn collection_url(&self) -> Result<Url> {
        self.radicale
            .collection_url(&self.radicale.credentials.user, COLLECTION)
    }

    pub(crate) fn collection(&self) -> &'static str {
        COLLECTION
    }

    pub(crate) fn credentials(&self) -> &Credentials {
        &self.radicale.credentials
    }

    /// How many events there are now.
    pub(crate) fn count(&self) -> usize {
        self.events.len()
    }

    /// A text that the last edited event must hold by now, to tell that a client has seen the edits.
    pub(crate) fn mark_of_the_last_edit(&self) -> Option<String> {
        (self.edits > 0).then(|| mark(self.edits))
    }

    /// `count` edits by another client: a tenth each of new and deleted events, the rest new titles.
    pub(crate) async fn change(&mut self, count: usize) -> Result<()> {
        let some = count / 10;
        for _ in 0..some {
            let gone = self.events.remove(self.events.len() / 2);
            self.radicale
                .delete(&self.radicale.credentials.user, COLLECTION, &gone.name)
                .await?;
        }
        let fresh = corpus::small_events(self.next_new + some, SEED).split_off(self.next_new);
        self.next_new += some;
        let mut files: Vec<Resource> = fresh.clone();
        let stride = self.events.len() / (count - 2 * some);
        self.edits += 1;
        for event in self.events.iter_mut().step_by(stride).take(count - 2 * some) {
            event.ics = with_title(&event.ics, &mark(self.edits))?;
            files.push(event.clone());
        }
        ensure!(
            files.len() + some == count,
            "{} changes in place of {count}",
            files.len() + some
        );
        self.events.extend(fresh);
        let files = files.iter().map(|event| (&event.name, &event.ics));
        self.radicale
            .load_collection(&self.radicale.credentials.user, COLLECTION, files)?;
        Ok(())
    }
}

/// The event with another title. Ours has one line each, folded or not (RFC 5545 section 3.1).
fn with_title(ics: &str, title: &str) -> Result<String> {
    let (before, rest) = ics
        .split_once("\r\nSUMMARY")
        .context("an event without a title")?;
    let after = rest
        .match_indices("\r\n")
        .map(|(at, _)| &rest[at..])
        .find(|after| !after.starts_with("\r\n ") && !after.starts_with("\r\n\t"))
        .context("a title that never ends")?;
    Ok(format!("{before}\r\nSUMMARY:{title}{after}"))
}

fn mark(edits: usize) -> String {
    format!("edit number {edits} by another client")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_replaces_the_title_with_its_folded_lines_and_nothing_else() {
        let ics = "UID:1\r\nSUMMARY;LANGUAGE=de:Lang\r\n er Titel\r\n\tund mehr\r\nDTSTART:1\r\n";
        assert_eq!(
            with_title(ics, "new").unwrap(),
            "UID:1\r\nSUMMARY:new\r\nDTSTART:1\r\n"
        );
        assert!(with_title("UID:1\r\n", "new").is_err());
    }
}
