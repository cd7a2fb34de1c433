//! Paging and sync tokens, for lists of events and of calendars alike.
//! <https://developers.google.com/workspace/calendar/api/guides/sync>
//!
//! The first page of a list fixes which items the list has and the revision that its sync token stands for; what
//! changes while a client pages shows up in the next incremental list. The nextSyncToken is on the last page only.

use std::collections::VecDeque;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::errors::ApiError;
use super::params::Params;
use super::state::World;

/// How many lists are kept for clients that are still paging.
const OPEN_LISTS: usize = 1000;

struct OpenList {
    token: String,
    scope: String,
    rest: Vec<String>,
    sync_revision: Option<u64>,
}

/// The lists that clients are paging through.
#[derive(Default)]
pub(crate) struct Listings(VecDeque<OpenList>);

impl Listings {
    fn resume(&self, token: &str, scope: &str) -> Option<(Vec<String>, Option<u64>)> {
        let list = self
            .0
            .iter()
            .find(|list| list.token == token && list.scope == scope)?;
        Some((list.rest.clone(), list.sync_revision))
    }

    fn keep(&mut self, list: OpenList) {
        if self.0.len() >= OPEN_LISTS {
            self.0.pop_front();
        }
        self.0.push_back(list);
    }
}

/// A page of ids, and how the client goes on.
pub(crate) struct Page {
    pub ids: Vec<String>,
    pub next_page_token: Option<String>,
    pub sync_revision: Option<u64>,
}

/// Cuts the next page. `fresh` computes the whole list for the first one.
pub(crate) fn page(
    world: &mut World,
    scope: &str,
    params: &Params,
    sizes: (usize, usize),
    fresh: impl FnOnce(&World) -> Result<(Vec<String>, Option<u64>), ApiError>,
) -> Result<Page, ApiError> {
    let asked = params.positive("maxResults")?.unwrap_or(sizes.0).min(sizes.1);
    let size = world.page_size_cap.map_or(asked, |cap| asked.min(cap)).max(1);
    let scope = format!("{scope}?{}", params.without_paging());
    let (mut ids, sync_revision) = match params.get("pageToken") {
        Some(token) => world
            .listings
            .resume(token, &scope)
            .ok_or_else(|| ApiError::invalid_parameter("pageToken", "Invalid page token value."))?,
        None => fresh(world)?,
    };
    if ids.len() <= size {
        return Ok(Page {
            ids,
            next_page_token: None,
            sync_revision,
        });
    }
    let rest = ids.split_off(size);
    let token = world.mint("page");
    world.listings.keep(OpenList {
        token: token.clone(),
        scope,
        rest,
        sync_revision,
    });
    Ok(Page {
        ids,
        next_page_token: Some(token),
        sync_revision: None,
    })
}

/// Makes an opaque sync token. `scope` is a calendar or an account's calendar list.
pub(crate) fn sync_token(world: &World, scope: &str, epoch: u64, revision: u64) -> String {
    URL_SAFE_NO_PAD.encode(json!([scope, epoch, revision, world.now().as_millisecond()]).to_string())
}

/// The revision a sync token stands for; 400 when it is none of this list's, 410 when it has expired.
pub(crate) fn read_sync_token(world: &World, token: &str, scope: &str, epoch: u64) -> Result<u64, ApiError> {
    let invalid = || ApiError::invalid_parameter("syncToken", "Invalid sync token value.");
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| invalid())?;
    let (of, token_epoch, revision, issued): (String, u64, u64, i64) =
        serde_json::from_slice(&bytes).map_err(|_| invalid())?;
    if of != scope {
        return Err(invalid());
    }
    let age = world.now().as_millisecond().saturating_sub(issued);
    let too_old = world
        .sync_token_lifetime
        .is_some_and(|lifetime| i128::from(age) > lifetime.as_millis());
    if token_epoch != epoch || too_old || revision > world.revision() {
        return Err(ApiError::full_sync_required());
    }
    Ok(revision)
}

/// Puts the token for going on into an answer: next page, or next sync, never both.
pub(crate) fn finish(answer: &mut Map<String, Value>, world: &World, scope: &str, epoch: u64, page: Page) {
    if let Some(token) = page.next_page_token {
        answer.insert("nextPageToken".to_owned(), json!(token));
    } else if let Some(revision) = page.sync_revision {
        answer.insert(
            "nextSyncToken".to_owned(),
            json!(sync_token(world, scope, epoch, revision)),
        );
    }
}
