//! The one declaration from which a kind's struct, its schema and its OpenAPI description come.

/// Declares a kind: a struct of optional fields plus `schema()`, `fields()` and `from_fields()`.
///
/// Each row reads `name: Type => merge class, scope [, options]`, options being `group = "..."`,
/// `master_only` (an override cannot have its own) and `read_only` (clients of the API cannot set it).
macro_rules! kind {
    (
        $(#[$doc:meta])* $name:ident, $kind:literal {
            $( $(#[$fdoc:meta])* $field:ident : $ty:ty => $merge:expr, $scope:ident $(, $option:ident $(= $arg:literal)?)* ; )*
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, ::serde::Serialize, ::serde::Deserialize, ::utoipa::ToSchema)]
        #[serde(default)]
        pub struct $name {
            $( $(#[$fdoc])* #[serde(skip_serializing_if = "Option::is_none")] pub $field: Option<$ty>, )*
        }

        static FIELDS: &[$crate::schema::FieldSpec] = &[
            $( {
                #[allow(unused_mut, reason = "only rows with options change it")]
                let mut spec = $crate::schema::FieldSpec {
                    name: stringify!($field),
                    merge: $merge,
                    scope: $crate::schema::Scope::$scope,
                    in_override: true,
                    group: None,
                    writable: true,
                    canonicalise: $crate::canonical::check::<$ty>,
                };
                $( $crate::record::option!(spec, $option $(= $arg)?); )*
                spec
            }, )*
        ];

        static SCHEMA: $crate::schema::Schema = $crate::schema::Schema { kind: $kind, fields: FIELDS };

        /// The fields of this kind.
        #[must_use]
        pub fn schema() -> &'static $crate::schema::Schema {
            &SCHEMA
        }

        impl $name {
            /// The typed view of canonical fields. Fields that are absent or null are `None`.
            ///
            /// # Errors
            /// A field whose value has the wrong shape; canonical fields never do.
            pub fn from_fields(fields: &$crate::content::Fields) -> Result<Self, $crate::schema::FieldError> {
                Ok(Self {
                    $( $field: match fields.get(stringify!($field)) {
                        None | Some(::serde_json::Value::Null) => None,
                        Some(value) => Some(::serde_json::from_value(value.clone()).map_err(|error| {
                            $crate::schema::FieldError {
                                field: stringify!($field).to_owned(),
                                problem: error.to_string(),
                            }
                        })?),
                    }, )*
                })
            }

            /// The engine's view: canonical fields, absent where `None`.
            #[must_use]
            pub fn into_fields(self) -> $crate::content::Fields {
                let mut fields = $crate::content::Fields::new();
                $( if let Some(value) = self.$field.and_then($crate::canonical::to_value) {
                    fields.insert(stringify!($field).to_owned(), value);
                } )*
                fields
            }
        }
    };
}

macro_rules! option {
    ($spec:ident, group = $group:literal) => {
        $spec.group = Some($group);
    };
    ($spec:ident, master_only) => {
        $spec.in_override = false;
    };
    ($spec:ident, read_only) => {
        $spec.writable = false;
    };
}

pub(crate) use {kind, option};
