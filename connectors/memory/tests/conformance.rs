//! The reference connector keeps the contract, in both layouts of series and with fewer gifts.

#![expect(clippy::unwrap_used, reason = "a test's helper fails the test")]

use connector_memory::{Fault, MemoryConnector, MemoryProvider, Options, connector, delivery};
use connector_sdk::signature::standard_webhooks::secret;
use connector_sdk::{Connector, Context, Notifies, RemoteId, WebhookProof};
use model::{Content, FieldPath};
use testkit::conformance::{Deliveries, Subject, no_network, run};

const CALENDAR: &str = "work";

struct InMemory {
    provider: MemoryProvider,
    connector: MemoryConnector,
    context: Context,
}

async fn fresh(options: Options) -> anyhow::Result<InMemory> {
    let provider = MemoryProvider::new(Options {
        page_size: 2,
        ..options
    });
    provider.add_collection(CALENDAR, "Work");
    Ok(InMemory {
        connector: connector(provider.clone()),
        provider,
        context: no_network("memory://provider/")?,
    })
}

#[async_trait::async_trait]
impl Subject for InMemory {
    fn connector(&self) -> &dyn Connector {
        &self.connector
    }

    fn context(&self) -> Context {
        let mut context = self.context.clone();
        context.cancel = context.cancel.child_token();
        context
    }

    fn collection(&self) -> RemoteId {
        RemoteId(CALENDAR.to_owned())
    }

    fn absent(&self) -> RemoteId {
        RemoteId("never".to_owned())
    }

    async fn put(&self, content: &Content) -> anyhow::Result<RemoteId> {
        let id = format!("put{}", self.provider.contents(CALENDAR).len());
        self.provider.put(CALENDAR, &id, content.clone());
        Ok(RemoteId(id))
    }

    async fn retitle(&self, id: &RemoteId, title: &str) -> anyhow::Result<()> {
        let there = self.provider.edit(CALENDAR, &id.0, |content| {
            content.set(&FieldPath::master("title"), Some(title.into()));
        });
        anyhow::ensure!(there, "{id} is not there");
        Ok(())
    }

    async fn delete(&self, id: &RemoteId) -> anyhow::Result<()> {
        anyhow::ensure!(self.provider.delete(CALENDAR, &id.0), "{id} is not there");
        Ok(())
    }

    async fn expire_cursors(&self) -> anyhow::Result<()> {
        self.provider.expire_cursors();
        Ok(())
    }

    async fn revoke(&self) -> anyhow::Result<()> {
        self.provider.revoke();
        Ok(())
    }

    async fn lose_next_answer(&self) -> bool {
        self.provider.fail(Fault::lost_answer());
        true
    }

    fn deliveries(&self) -> Option<Deliveries> {
        let account = |name: &str| serde_json::Map::from_iter([("account".to_owned(), name.into())]);
        let signed = self.provider.options().webhook == WebhookProof::Signed;
        Some(Deliveries {
            secret: secret([7; 32]),
            other_secret: secret([8; 32]),
            deliver: if signed {
                |body, number, sent_ms, secret| {
                    delivery::signed(secret, &format!("msg_{number}"), sent_ms, body).unwrap()
                }
            } else {
                |body, _, sent_ms, secret| delivery::with_token(secret.expose(), sent_ms, body)
            },
            body: delivery::body(&[delivery::to_account(delivery::dirty(CALENDAR), "ada")]),
            connections: [account("ada"), account("bob")],
            headers: if signed {
                &["webhook-id", "webhook-timestamp", "webhook-signature"]
            } else {
                &[delivery::TOKEN]
            },
            window_ms: signed.then_some(300_000),
        })
    }

    fn writes(&self) -> usize {
        self.provider.writes()
    }

    fn mails(&self) -> usize {
        self.provider.mails()
    }
}

#[tokio::test]
async fn a_provider_of_whole_series_keeps_the_contract() {
    run(async || fresh(Options::WHOLE).await).await.unwrap();
}

#[tokio::test]
async fn a_provider_of_parts_keeps_the_contract() {
    run(async || fresh(Options::PER_PART).await).await.unwrap();
}

#[tokio::test]
async fn a_provider_of_instances_keeps_the_contract() {
    run(async || fresh(Options::INSTANCES).await).await.unwrap();
}

#[tokio::test]
async fn a_provider_of_sparse_deltas_keeps_the_contract() {
    for options in [Options::WHOLE, Options::PER_PART, Options::INSTANCES] {
        let options = Options {
            sparse_deltas: true,
            ..options
        };
        run(async || fresh(options).await).await.unwrap();
    }
}

#[tokio::test]
async fn a_provider_that_mails_keeps_the_contract() {
    for notifies in [Notifies::Suppressible, Notifies::Existing, Notifies::Always] {
        let options = Options {
            notifies,
            ..Options::WHOLE
        };
        run(async || fresh(options).await).await.unwrap();
    }
}

#[tokio::test]
async fn a_provider_without_versions_or_deltas_keeps_the_contract() {
    for (versions, incremental) in [(false, true), (true, false), (false, false)] {
        let options = Options {
            versions,
            incremental,
            ..Options::WHOLE
        };
        run(async || fresh(options).await).await.unwrap();
    }
}

#[tokio::test]
async fn a_provider_whose_deltas_omit_deletes_keeps_the_contract() {
    let options = Options {
        reports_deletes: false,
        ..Options::PER_PART
    };
    run(async || fresh(options).await).await.unwrap();
}

#[tokio::test]
async fn a_provider_that_does_not_sign_or_does_not_deliver_keeps_the_contract() {
    for webhook in [WebhookProof::SharedSecret, WebhookProof::None] {
        let options = Options {
            webhook,
            ..Options::WHOLE
        };
        run(async || fresh(options).await).await.unwrap();
    }
}
