//! What operators ask the system account.

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::wait::until;

impl Cluster {
    /// What broker `asked` says relies on `server`.
    pub async fn safez(&self, asked: usize, server: &str) -> Result<Value, String> {
        let filter = json!({"server_name": format!("n{asked}"), "exact_match": true});
        let idz = self.system_request(asked, "$SYS.REQ.SERVER.PING.IDZ", filter);
        let id = idz.await?["id"].as_str().unwrap_or_default().to_owned();
        let subject = format!("$SYS.REQ.SERVER.{id}.SAFEZ");
        let answer = self.system_request(asked, &subject, json!({"server": server}));
        Ok(answer.await?["data"].clone())
    }

    /// Waits until broker `asked` says all this of a server.
    pub async fn says(&self, asked: usize, server: &str, expected: &[(&str, Value)]) {
        let what = format!("n{asked} says {expected:?} of {server}");
        until(&what, async || {
            let page = self.safez(asked, server).await?;
            let is_so = expected.iter().all(|(key, value)| page[key] == *value);
            if is_so { Ok(()) } else { Err(page.to_string()) }
        })
        .await;
    }

    /// Makes a request of the system account; the error that the answer carries is one.
    pub async fn system_request(
        &self,
        asked: usize,
        subject: &str,
        body: Value,
    ) -> Result<Value, String> {
        let client = self.broker(asked).system_client().await;
        let answer = client.request(subject.to_owned(), body.to_string().into());
        let answer = answer.await.map_err(|error| error.to_string())?;
        let answer: Value =
            serde_json::from_slice(&answer.payload).map_err(|error| error.to_string())?;
        match answer.get("error") {
            Some(error) => Err(error.to_string()),
            None => Ok(answer),
        }
    }
}
