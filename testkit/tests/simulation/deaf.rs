//! A planted fault: connectors that say a delete is done and do not do it.

use std::sync::Arc;

use async_trait::async_trait;
use connector_sdk::{
    Action, Actions, Applied, Auth, Capability, Connector, ConnectorInfo, Context, Error, Pull, Push,
    RemoteCollection, Webhooks, Write,
};
use model::{Content, Kind};
use testkit::simulation::fault::Plant;
use testkit::simulation::store_port::Backing;

/// Plants it at every provider.
pub(crate) struct Deaf;

impl Plant for Deaf {
    fn backing(&self, honest: Backing) -> Backing {
        honest
    }

    fn connector(&self, honest: Arc<dyn Connector>) -> Arc<dyn Connector> {
        Arc::new(DeafConnector(honest))
    }
}

struct DeafConnector(Arc<dyn Connector>);

impl Connector for DeafConnector {
    fn info(&self) -> &ConnectorInfo {
        self.0.info()
    }

    fn capability(&self, kind: Kind) -> Capability {
        self.0.capability(kind)
    }

    fn auth(&self) -> &dyn Auth {
        self.0.auth()
    }

    fn pull(&self) -> Option<&dyn Pull> {
        self.0.pull()
    }

    fn push(&self) -> Option<&dyn Push> {
        Some(self)
    }

    fn webhooks(&self) -> Option<&dyn Webhooks> {
        self.0.webhooks()
    }

    fn actions(&self) -> Option<&dyn Actions> {
        self.0.actions()
    }

    fn project(&self, collection: &RemoteCollection, content: &Content) -> Content {
        self.0.project(collection, content)
    }
}

#[async_trait]
impl Push for DeafConnector {
    async fn apply(
        &self,
        ctx: &Context,
        collection: &RemoteCollection,
        writes: &[Write],
    ) -> Vec<Result<Applied, Error>> {
        let honest = self.0.push().expect("a provider that can be written");
        let mut answers = Vec::new();
        for write in writes {
            answers.push(match &write.action {
                Action::Delete { .. } => Ok(Applied::Gone),
                Action::Create { .. } | Action::Update { .. } => {
                    let mut answer = honest.apply(ctx, collection, std::slice::from_ref(write)).await;
                    answer.pop().expect("an answer to each write")
                }
            });
        }
        answers
    }

    async fn probe(
        &self,
        ctx: &Context,
        collection: &RemoteCollection,
        write: &Write,
    ) -> Result<Option<Applied>, Error> {
        let honest = self.0.push().expect("a provider that can be written");
        honest.probe(ctx, collection, write).await
    }
}
