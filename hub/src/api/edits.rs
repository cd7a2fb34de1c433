//! Refused edits in the API's words: which code, which field.

use model::FieldError;
use sync::EditError;

use super::error::{ApiError, Code};

impl From<EditError> for ApiError {
    fn from(error: EditError) -> Self {
        match error {
            EditError::NotFound(what) => Self::not_found(what),
            EditError::Merged(into) => Self::merged("record", &into),
            EditError::Field(field) => refused_field(&field),
            EditError::VersionMismatch { current, ref fields } => {
                let details = serde_json::json!({ "current_version": current, "fields": fields });
                let message = if fields.is_empty() {
                    format!("the record is now at version {current}; read it again and decide anew")
                } else {
                    error.to_string()
                };
                Self::new(Code::VersionMismatch, message).with_details(details)
            }
            EditError::ReadOnly(_) => Self::new(Code::ReadOnly, error.to_string()),
            EditError::Invalid(message) => Self::new(Code::Conflict, message),
            EditError::Store(error) => error.into(),
        }
    }
}

/// What the schema knows decides first. Of values the model says what is wrong in words, serde's among them; their
/// beginnings are stable and tell the cases apart.
fn refused_field(error: &FieldError) -> ApiError {
    let problem = error.problem.as_str();
    let named = problem.split('`').nth(1).unwrap_or_default();
    let inner = |name: &str| format!("{}.{name}", error.field);
    let (code, path) = if problem.starts_with("there is no such field") {
        (Code::UnknownField, error.field.clone())
    } else if problem.ends_with("and cannot be written") {
        (Code::ReadOnly, error.field.clone())
    } else if problem.ends_with("needs a start") {
        (Code::MissingField, error.field.clone())
    } else if problem.starts_with("invalid type") {
        (Code::WrongType, error.field.clone())
    } else if problem.starts_with("unknown field") {
        (Code::UnknownField, inner(named))
    } else if problem.starts_with("missing field") {
        (Code::MissingField, inner(named))
    } else {
        (Code::InvalidField, error.field.clone())
    };
    ApiError::new(code, format!("`{path}`: {problem}")).with_details(serde_json::json!({ "path": path }))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn refusal(field: &str, value: Value) -> (Code, Value) {
        let fields = [(field.to_owned(), value)].into();
        let error = model::Kind::Event.schema().canonical(fields).unwrap_err();
        let error = ApiError::from(EditError::Field(error));
        (error.code, error.details.unwrap()["path"].clone())
    }

    #[test]
    fn each_way_to_write_a_field_wrongly_has_its_code_and_names_the_field() {
        for (field, value, code, path) in [
            ("titel", json!("x"), Code::UnknownField, "titel"),
            ("busy", json!("yes"), Code::WrongType, "busy"),
            ("title", json!(7), Code::WrongType, "title"),
            ("status", json!("maybe"), Code::InvalidField, "status"),
            (
                "start",
                json!({"kind": "zoned", "zone": "UTC"}),
                Code::MissingField,
                "start.wall",
            ),
            (
                "start",
                json!({"kind": "zoned", "wall": "2026-01-05T09:00:00", "zone": "Mars/Olympus"}),
                Code::InvalidField,
                "start",
            ),
            (
                "reminders",
                json!({"items": [], "x": 1}),
                Code::UnknownField,
                "reminders.x",
            ),
        ] {
            assert_eq!(refusal(field, value), (code, json!(path)), "{field}");
        }
    }

    #[test]
    fn a_stale_edit_says_which_fields_clash_and_what_the_version_is() {
        let error = ApiError::from(EditError::VersionMismatch {
            current: 4,
            fields: vec!["title".to_owned()],
        });
        assert_eq!(error.code, Code::VersionMismatch);
        assert_eq!(
            error.details,
            Some(json!({"current_version": 4, "fields": ["title"]}))
        );
    }
}
