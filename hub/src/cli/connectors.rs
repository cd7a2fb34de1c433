//! `concord connectors`: the providers as a table.

use connector_sdk::{Capability, Notifies};

use super::terminal::Terminal;
use crate::registry;

pub(super) fn show(terminal: &mut Terminal) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for connector in registry::connectors() {
        let info = connector.info();
        for kind in info.kinds {
            let capability = connector.capability(*kind);
            rows.push(vec![
                info.id.to_owned(),
                info.name.to_owned(),
                kind.name().to_owned(),
                acts(&capability),
                if capability.incremental {
                    "changes only"
                } else {
                    "by comparing"
                }
                .to_owned(),
                match capability.notifies {
                    Notifies::Never => "never",
                    Notifies::Suppressible => "told not to",
                    Notifies::Existing => "after approval",
                    Notifies::Always => "always, after approval",
                }
                .to_owned(),
                info.default_base_url.unwrap_or("you name it").to_owned(),
            ]);
        }
    }
    let heads = [
        "PROVIDER",
        "NAME",
        "KIND",
        "CAN",
        "READS",
        "MAILS PEOPLE",
        "ADDRESS",
    ];
    terminal.table(&heads, &rows)?;
    Ok(())
}

fn acts(capability: &Capability) -> String {
    let acts = [
        (capability.read, "read"),
        (capability.create, "create"),
        (capability.update, "change"),
        (capability.delete, "delete"),
    ];
    let able: Vec<&str> = acts
        .iter()
        .filter(|(able, _)| *able)
        .map(|(_, act)| *act)
        .collect();
    able.join(", ")
}
