//! Credentials at rest: sealed, bound to their row and their key, nowhere in plain.

#![allow(clippy::unwrap_used, reason = "what a test cannot unwrap fails the test")]

mod place;

use std::os::unix::fs::PermissionsExt;

use connector_sdk::Credentials;
use model::{ConnectionId, OrganizationId};
use place::Place;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};
use store::{KeyError, MasterKey, OpenError, OpenMode, SqliteStore, StoreError};
use sync::state::{Connection, Origin};
use testkit::store_suite::world;

const SECRET: &str = "correct-horse-battery-staple";
const SECOND_SECRET: &str = "tr0ub4dor-and-three";

fn credentials(password: &str) -> Credentials {
    let json = json!({"username": "ada@example.org", "password": password});
    Credentials::from_json(json.as_object().unwrap()).unwrap()
}

async fn with_connection(store: &SqliteStore, password: &str) -> Connection {
    let organization = OrganizationId::new(1, 1);
    let connection = world::connection(&organization);
    store
        .insert_connection(&connection, &credentials(password), &Origin::Hub)
        .await
        .unwrap();
    connection
}

/// Changes the file as someone who got hold of it would.
async fn meddle(place: &Place, sql: &str) {
    let mut conn = SqliteConnection::connect(&place.url()).await.unwrap();
    let done = sqlx::query(AssertSqlSafe(sql.to_owned()))
        .execute(&mut conn)
        .await
        .unwrap();
    assert!(done.rows_affected() > 0, "{sql}");
    conn.close().await.unwrap();
}

async fn password(store: &SqliteStore, connection: &ConnectionId) -> Result<Option<String>, StoreError> {
    let credentials = store.credentials(&OrganizationId::new(1, 1), connection).await?;
    Ok(credentials.and_then(|credentials| credentials.get("password").map(str::to_owned)))
}

#[tokio::test]
async fn credentials_come_back_and_are_replaced() {
    let place = Place::new();
    let store = place.open().await;
    let connection = with_connection(&store, SECRET).await;
    assert_eq!(
        password(&store, &connection.id).await.unwrap().as_deref(),
        Some(SECRET)
    );
    let organization = &connection.organization;
    assert!(
        store
            .replace_credentials(organization, &connection.id, &credentials(SECOND_SECRET))
            .await
            .unwrap()
    );
    assert_eq!(
        password(&store, &connection.id).await.unwrap().as_deref(),
        Some(SECOND_SECRET)
    );
    let nobody = ConnectionId::new(9, 9);
    assert!(
        !store
            .replace_credentials(organization, &nobody, &credentials("x"))
            .await
            .unwrap()
    );
    let stranger = OrganizationId::new(2, 2);
    assert!(
        store
            .credentials(&stranger, &connection.id)
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        !store
            .replace_credentials(&stranger, &connection.id, &credentials("x"))
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn no_secret_stands_in_any_file_in_plain() {
    let place = Place::new();
    let store = place.open().await;
    let connection = with_connection(&store, SECRET).await;
    let key = store::ApiKey {
        id: model::ApiKeyId::new(1, 1),
        organization: connection.organization.clone(),
        name: "laptop".to_owned(),
        prefix: "ck_1".to_owned(),
        permissions: Vec::new(),
        created_at: 0,
        last_used_at: None,
        revoked_at: None,
    };
    let organization = store::Organization {
        id: connection.organization,
        name: "Acme".to_owned(),
        created_at: 0,
    };
    store.create_organization(&organization).await.unwrap();
    store
        .create_api_key(&key, "ck_1-the-whole-secret-of-the-key")
        .await
        .unwrap();
    let open = files(&place);
    store.close().await;
    for (name, bytes) in open.into_iter().chain(files(&place)) {
        for secret in [SECRET, "ada@example.org", "the-whole-secret-of-the-key"] {
            let found = bytes
                .windows(secret.len())
                .any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} stands in {name}");
        }
    }
    assert!(!format!("{:?} {:?}", store, place.key()).contains(SECRET));
}

fn files(place: &Place) -> Vec<(String, Vec<u8>)> {
    let folder = place.path();
    let found: Vec<_> = std::fs::read_dir(folder.parent().unwrap())
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            (path.display().to_string(), std::fs::read(&path).unwrap())
        })
        .collect();
    assert!(
        found
            .iter()
            .any(|(name, bytes)| name.ends_with("concord.db") && !bytes.is_empty())
    );
    found
}

#[tokio::test]
async fn a_sealed_value_that_is_moved_to_another_row_is_refused() {
    let place = Place::new();
    let store = place.open().await;
    let rich = with_connection(&store, SECRET).await;
    let poor = with_connection(&store, SECOND_SECRET).await;
    meddle(
        &place,
        &format!(
            "UPDATE credentials SET (nonce, sealed) =
                (SELECT nonce, sealed FROM credentials WHERE connection_id = '{}')
             WHERE connection_id = '{}'",
            rich.id, poor.id
        ),
    )
    .await;
    let error = password(&store, &poor.id).await.unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::Corrupt {
                what: "credentials",
                ..
            }
        ),
        "{error}"
    );
    assert!(!error.to_string().contains(SECRET));
    assert_eq!(password(&store, &rich.id).await.unwrap().as_deref(), Some(SECRET));
}

#[tokio::test]
async fn a_sealed_value_that_was_tampered_with_is_refused() {
    let place = Place::new();
    let store = place.open().await;
    let connection = with_connection(&store, SECRET).await;
    for sql in [
        "UPDATE credentials SET sealed = zeroblob(length(sealed))",
        "UPDATE credentials SET nonce = zeroblob(12)",
        "UPDATE credentials SET nonce = x'00'",
        "UPDATE credentials SET sealed = x''",
        "UPDATE credentials SET key_id = '0000000000000000'",
    ] {
        meddle(&place, sql).await;
        let error = password(&store, &connection.id).await.unwrap_err();
        assert!(
            matches!(
                error,
                StoreError::Corrupt {
                    what: "credentials",
                    ..
                }
            ),
            "{sql}: {error}"
        );
    }
}

#[tokio::test]
async fn another_master_key_is_refused_by_name_and_changes_nothing() {
    let place = Place::new();
    let store = place.open().await;
    let connection = with_connection(&store, SECRET).await;
    store.close().await;
    let other = MasterKey::from_text(&"ab".repeat(32)).unwrap();
    let error = place.try_open(other.clone(), OpenMode::Serve).await.unwrap_err();
    let OpenError::WrongKey { expected, given } = &error else {
        panic!("{error}")
    };
    assert_eq!(
        (expected.as_str(), given.as_str()),
        (place.key().id(), other.id())
    );
    let store = place.open().await;
    assert_eq!(
        password(&store, &connection.id).await.unwrap().as_deref(),
        Some(SECRET)
    );
}

#[tokio::test]
async fn a_key_file_is_made_once_for_its_owner_only_and_refused_when_others_can_read_it() {
    let place = Place::new();
    let path = place.path().with_file_name("concord.key");
    let key = place.key();
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(place.key().id(), key.id());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(
        MasterKey::load_or_create(&path),
        Err(KeyError::Permissions(_))
    ));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&path, "not a key").unwrap();
    assert!(matches!(MasterKey::load_or_create(&path), Err(KeyError::Text)));
    drop(place.open_with_key(key).await);
    assert_eq!(
        std::fs::metadata(place.path()).unwrap().permissions().mode() & 0o777,
        0o600
    );
}
