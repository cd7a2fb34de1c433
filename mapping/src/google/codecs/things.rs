//! Description, colour, source, attachments and conference of an event.

use model::canonical;
use model::event::{Attachment, Conferencing, Description};
use serde_json::{Value, json};

use crate::engine::{Problem, typed};
use crate::google::tree::{Json, text};
use crate::html;

/// "Description of the event. Can contain HTML."
pub(in crate::google) fn description(json: &Json, path: &str) -> Result<Option<Value>, Problem> {
    let Some(said) = text(json.at(path))? else {
        return Ok(None);
    };
    Ok(canonical::to_value(if html::has_tags(said) {
        Description {
            text: html::strip(said),
            html: Some(said.to_owned()),
        }
    } else {
        Description {
            text: said.to_owned(),
            html: None,
        }
    }))
}

pub(in crate::google) fn set_description(
    json: &mut Json,
    path: &str,
    value: Option<&Value>,
) -> Result<(), Problem> {
    let new: Option<Description> = value.map(typed).transpose()?;
    json.set(path, new.map(|new| new.html.unwrap_or(new.text).into()));
    Ok(())
}

type Palette = [(&'static str, &'static str)];

pub(in crate::google) fn color(json: &Json, path: &str, palette: &Palette) -> Result<Option<Value>, Problem> {
    let id = text(json.at(path))?;
    Ok(palette
        .iter()
        .find(|(known, _)| Some(*known) == id)
        .map(|(_, color)| Value::from(*color)))
}

/// Only colours of the palette can be set. Another one leaves the event's colour as it is.
pub(in crate::google) fn set_color(
    json: &mut Json,
    path: &str,
    palette: &Palette,
    value: Option<&Value>,
) -> Result<(), Problem> {
    let Some(value) = value else {
        json.set(path, None);
        return Ok(());
    };
    let color: String = typed(value)?;
    if let Some((id, _)) = palette
        .iter()
        .find(|(_, known)| known.eq_ignore_ascii_case(&color))
    {
        json.set(path, Some((*id).into()));
    }
    Ok(())
}

/// "URL of the source pointing to a resource. The URL scheme must be HTTP or HTTPS." Others cannot be said.
pub(in crate::google) fn set_source(json: &mut Json, url: Option<&str>) {
    let Some(url) = url.filter(|url| url.starts_with("https://") || url.starts_with("http://")) else {
        json.set("source", None);
        return;
    };
    json.set("source/url", Some(url.into()));
}

fn attachment(element: &Value) -> Option<Attachment> {
    let said = |name: &str| element.get(name).and_then(Value::as_str).map(str::to_owned);
    Some(Attachment {
        uri: said("fileUrl")?,
        name: said("title"),
        media_type: said("mimeType"),
    })
}

pub(in crate::google) fn attachments(json: &Json, path: &str) -> Result<Option<Value>, Problem> {
    Ok(canonical::to_value(
        json.array(path)?
            .iter()
            .filter_map(attachment)
            .collect::<Vec<_>>(),
    ))
}

pub(in crate::google) fn set_attachments(
    json: &mut Json,
    path: &str,
    value: Option<&Value>,
) -> Result<(), Problem> {
    let mut wanted: Vec<Attachment> = value.map(typed).transpose()?.unwrap_or_default();
    let mut elements = Vec::new();
    for element in json.array(path)? {
        let Some(known) = attachment(element) else {
            elements.push(element.clone());
            continue;
        };
        if let Some(at) = wanted.iter().position(|attachment| attachment.uri == known.uri) {
            elements.push(said(element.clone(), &wanted.remove(at)));
        }
    }
    elements.extend(wanted.iter().map(|new| said(json!({"fileUrl": new.uri}), new)));
    json.set(path, (!elements.is_empty()).then_some(Value::Array(elements)));
    Ok(())
}

fn said(mut element: Value, wanted: &Attachment) -> Value {
    if let Value::Object(members) = &mut element {
        for (name, value) in [("title", &wanted.name), ("mimeType", &wanted.media_type)] {
            match value {
                Some(value) => drop(members.insert(name.to_owned(), value.as_str().into())),
                None => drop(members.remove(name)),
            }
        }
    }
    element
}

/// The video address of the conference, or the older `hangoutLink`.
pub(in crate::google) fn conferencing(json: &Json) -> Result<Option<Value>, Problem> {
    let points = json.array("conferenceData/entryPoints")?;
    let is = |point: &Value, kind: &str| point.get("entryPointType").and_then(Value::as_str) == Some(kind);
    let video = points
        .iter()
        .find(|point| is(point, "video"))
        .or_else(|| points.iter().find(|point| is(point, "more")));
    let uri = match video.and_then(|point| point.get("uri")) {
        Some(uri) => text(Some(uri))?,
        None => text(json.at("hangoutLink"))?,
    };
    let label = text(json.at("conferenceData/conferenceSolution/name"))?;
    Ok(uri.and_then(|uri| {
        canonical::to_value(Conferencing {
            uri: uri.to_owned(),
            label: label.map(str::to_owned),
        })
    }))
}
