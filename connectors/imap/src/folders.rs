//! An account's folders, with what it uses them for (RFC 6154).

use connector_sdk::{Access, Context, Error, ErrorKind, RemoteCollection, RemoteId};
use model::Kind;
use model::folder::{Folder, FolderRole};

use crate::session::Session;
use crate::wire::connection::Command;
use crate::wire::reply::{Listed, Reply};
use crate::wire::text::folder_from_wire;

/// Most folders that one account may list.
const MAX_FOLDERS: usize = 10_000;

/// All folders that hold messages.
pub(crate) async fn collections(ctx: &Context) -> Result<Vec<RemoteCollection>, Error> {
    let mut session = Session::open(ctx, "discover").await?;
    let listed = list(&mut session).await?;
    session.close().await;
    Ok(listed.iter().filter_map(collection).collect())
}

async fn list(session: &mut Session<'_>) -> Result<Vec<Listed>, Error> {
    let all = Command::new("LIST \"\" \"*\"");
    let all = if session.can("SPECIAL-USE") && session.can("LIST-EXTENDED") {
        all.word("RETURN (SPECIAL-USE)")
    } else {
        all
    };
    let mut listed = Vec::new();
    let mut unreadable = false;
    session
        .run(all, ErrorKind::Unexpected, |reply| match reply {
            Reply::Folder(folder) if listed.len() <= MAX_FOLDERS => listed.push(folder),
            Reply::Unreadable => unreadable = true,
            _ => {}
        })
        .await?;
    if listed.len() > MAX_FOLDERS {
        let message = format!("the account has more than {MAX_FOLDERS} folders; none of them is synced");
        return Err(session.error(ErrorKind::Unexpected, message));
    }
    if unreadable {
        // A folder that is missing from the list would be taken for one that is gone.
        let message = "the server's list of folders cannot be read as a whole; what is known of it stays";
        return Err(session.error(ErrorKind::Unexpected, message));
    }
    Ok(listed)
}

fn collection(listed: &Listed) -> Option<RemoteCollection> {
    let says = |word: &str| listed.attributes.iter().any(|attribute| attribute == word);
    if says("noselect") || says("nonexistent") {
        return None;
    }
    let name = folder_from_wire(&listed.name);
    let parts: Vec<&str> = match listed.delimiter.as_deref() {
        Some(delimiter) if !delimiter.is_empty() => name.split(delimiter).collect(),
        Some(_) | None => vec![name.as_str()],
    };
    let title = parts
        .last()
        .filter(|last| !last.is_empty())
        .unwrap_or(&name.as_str())
        .to_string();
    let fields = Folder {
        name: Some(title.clone()),
        path: Some(parts.join("/")),
        role: role(listed),
        read_only: None,
    };
    Some(RemoteCollection {
        id: RemoteId(listed.name.clone()),
        kind: Kind::Message,
        name: if title.is_empty() {
            listed.name.clone()
        } else {
            title
        },
        access: Access::ReadWrite,
        fields: fields.into_fields(),
    })
}

fn role(listed: &Listed) -> Option<FolderRole> {
    if listed.name.eq_ignore_ascii_case("inbox") {
        return Some(FolderRole::Inbox);
    }
    listed.attributes.iter().find_map(|attribute| {
        Some(match attribute.as_str() {
            "all" => FolderRole::All,
            "archive" => FolderRole::Archive,
            "drafts" => FolderRole::Drafts,
            "flagged" => FolderRole::Flagged,
            "junk" => FolderRole::Junk,
            "sent" => FolderRole::Sent,
            "trash" => FolderRole::Trash,
            _ => return None,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(name: &str, attributes: &[&str]) -> Option<RemoteCollection> {
        collection(&Listed {
            name: name.to_owned(),
            delimiter: Some(".".to_owned()),
            attributes: attributes.iter().map(|word| (*word).to_owned()).collect(),
        })
    }

    #[test]
    fn a_folder_is_named_by_its_last_part_and_keeps_its_path() {
        let folder = listed("Work.Entw&APw-rfe", &["drafts"]).unwrap();
        assert_eq!(folder.id.0, "Work.Entw&APw-rfe");
        assert_eq!(folder.name, "Entwürfe");
        assert_eq!(folder.fields["path"], "Work/Entwürfe");
        assert_eq!(folder.fields["role"], "drafts");
        assert_eq!(listed("inbox", &[]).unwrap().fields["role"], "inbox");
        assert!(listed("Work", &["noselect"]).is_none());
        assert_eq!(listed("Work.", &[]).unwrap().name, "Work.");
    }
}
