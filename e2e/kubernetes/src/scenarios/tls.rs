//! Encrypted connections, with certificates that come late, end soon and are renewed.

use std::collections::BTreeMap;
use std::net::IpAddr;

use anyhow::{Context as _, ensure};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use serde_json::json;
use time::{Duration, OffsetDateTime};

use super::Outcome;
use crate::objects::{ACCOUNT, CLUSTER, LATER, Objects, SOON, USER, wait};
use crate::programs::kubectl;
use crate::prometheus::{Prometheus, Target};
use crate::publishing;
use crate::world::{World, identities, is_ready};

const NAMESPACE: &str = "secure";
const CLUSTER_NAME: &str = "safe";
const CERTIFICATES: &str = "certificates";
const RULES: &str = "charts/weir/files/alerts.yaml";

pub async fn renewed(world: &mut World) -> anyhow::Result<Outcome> {
    let manifest = world.path("e2e/kubernetes/manifests/secure.yaml");
    kubectl(&["apply", "-f", &manifest]).await?;
    let clusters = Objects::new(&world.client, CLUSTER, NAMESPACE);
    let advice = clusters.wait(SOON, CLUSTER_NAME, "misses its Secret", |cluster| {
        let conditions = cluster["status"]["conditions"].as_array();
        let missing = conditions
            .into_iter()
            .flatten()
            .find(|condition| condition["reason"] == "SecretNotFound");
        let missing = missing.with_context(|| cluster["status"].to_string())?;
        Ok(missing["message"].as_str().unwrap_or_default().to_owned())
    });
    let advice = advice.await;

    let authority = Authority::new()?;
    hold(world, &authority, authority.certificate(None, 5)?).await?;
    clusters.ready(LATER, CLUSTER_NAME).await;
    let objects = |kind| Objects::new(&world.client, kind, NAMESPACE);
    objects(ACCOUNT).ready(SOON, "vault").await;
    objects(USER).ready(SOON, "keeper").await;
    let brokers = world.brokers_of(NAMESPACE, CLUSTER_NAME).await?;
    let targets: Option<Vec<_>> = brokers
        .iter()
        .map(|pod| Target::new(pod, "monitor"))
        .collect();
    let rules = std::fs::read_to_string(world.path(RULES))?;
    let targets = targets.context("a pod has no address")?;
    let prometheus = Prometheus::start(&rules, &targets).await?;
    prometheus.fires("WeirCertificateExpiry", SOON).await;
    // Clients of the tests have no DNS of the cluster, and the certificate only has names.
    let connect =
        async || publishing::connect(&world.client, NAMESPACE, CLUSTER_NAME, "keeper").await;
    ensure!(
        connect().await.is_err(),
        "a certificate of other names was accepted"
    );

    let address = publishing::address(&world.client, NAMESPACE, CLUSTER_NAME).await?;
    hold(
        world,
        &authority,
        authority.certificate(Some(address), 365)?,
    )
    .await?;
    let client = wait(SOON, "brokers show the new certificate", connect).await;
    client.flush().await?;
    prometheus.rests("WeirCertificateExpiry", SOON).await;
    clusters.ready(SOON, CLUSTER_NAME).await;
    let after = world.brokers_of(NAMESPACE, CLUSTER_NAME).await?;
    ensure!(
        identities(&after) == identities(&brokers),
        "a renewed certificate is reason to restart brokers"
    );
    drop(client);

    let unusable = Entries::from([(
        "tls.key",
        authority.certificate(None, 365)?["tls.key"].clone(),
    )]);
    let refusal = refused(world, &authority, &clusters, unusable).await?;
    let pods: Api<Pod> = Api::namespaced(world.client.clone(), NAMESPACE);
    let restarted = after.first().context("there are no brokers")?.name_any();
    pods.delete(&restarted, &DeleteParams::default()).await?;
    let came_back = async || {
        let brokers = world.brokers_of(NAMESPACE, CLUSTER_NAME).await?;
        ensure!(identities(&brokers) != identities(&after), "not yet");
        ensure!(brokers.iter().all(is_ready), "not ready");
        Ok(())
    };
    wait(
        SOON,
        "a broker restarts with the certificate it had",
        came_back,
    )
    .await;
    hold(
        world,
        &authority,
        authority.certificate(Some(address), 365)?,
    )
    .await?;
    clusters.ready(SOON, CLUSTER_NAME).await;

    for (kind, name) in [
        (USER, "keeper"),
        (ACCOUNT, "vault"),
        (CLUSTER, CLUSTER_NAME),
    ] {
        objects(kind).delete(name).await?;
        objects(kind).gone(name).await;
    }
    kubectl(&["delete", "namespace", NAMESPACE]).await?;
    Ok(Outcome::Passed(format!(
        "without its Secret a Cluster says: {advice}; with it {} brokers encrypt clients and routes; a certificate about to end \
         fires its alert; the renewed one is shown without a restart; of one that does not fit it says: {refusal}; a broker \
         restarted meanwhile showed the one before",
        brokers.len()
    )))
}

/// Puts something into the Secret that brokers could not use, and waits until the Cluster says so.
async fn refused(
    world: &World,
    authority: &Authority,
    clusters: &Objects,
    unusable: Entries,
) -> anyhow::Result<String> {
    let mut entries = authority.certificate(None, 365)?;
    entries.extend(unusable);
    hold(world, authority, entries).await?;
    let refusal = clusters.wait(SOON, CLUSTER_NAME, "refuses a certificate", |cluster| {
        let conditions = cluster["status"]["conditions"].as_array();
        let mut conditions = conditions.into_iter().flatten();
        let refusal = conditions.find(|condition| {
            condition["type"] == "Stalled" && condition["reason"] == "CertificateUnusable"
        });
        let refusal = refusal.with_context(|| cluster["status"].to_string())?;
        Ok(refusal["message"].as_str().unwrap_or_default().to_owned())
    });
    Ok(refusal.await)
}

/// Who signs.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    text: String,
}

/// What a Secret of certificates has.
type Entries = BTreeMap<&'static str, String>;

impl Authority {
    fn new() -> anyhow::Result<Authority> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let text = params.self_signed(&key)?.pem();
        Ok(Authority {
            issuer: Issuer::new(params, key),
            text,
        })
    }

    /// For servers that are reached by their names, and by an address if one is given. For routes
    /// it is a client's too.
    fn certificate(&self, address: Option<IpAddr>, days: i64) -> anyhow::Result<Entries> {
        let mut names = vec![
            format!("{CLUSTER_NAME}.{NAMESPACE}.svc"),
            format!("*.{CLUSTER_NAME}-servers.{NAMESPACE}.svc"),
        ];
        names.extend(address.map(|address| address.to_string()));
        let mut params = CertificateParams::new(names)?;
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.not_after = OffsetDateTime::now_utc() + Duration::days(days);
        let key = KeyPair::generate()?;
        let signed = params.signed_by(&key, &self.issuer)?;
        Ok(BTreeMap::from([
            ("tls.crt", signed.pem()),
            ("tls.key", key.serialize_pem()),
        ]))
    }
}

/// Puts certificates into the Secret.
async fn hold(world: &World, authority: &Authority, entries: Entries) -> anyhow::Result<()> {
    let authority = ("ca.crt", authority.text.clone());
    let data: BTreeMap<_, _> = entries
        .into_iter()
        .chain([authority])
        .map(|(key, text)| (key, ByteString(text.into_bytes())))
        .collect();
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": CERTIFICATES},
        "data": data,
    });
    let secrets: Api<Secret> = Api::namespaced(world.client.clone(), NAMESPACE);
    let params = PatchParams::apply("kubernetes-e2e").force();
    secrets
        .patch(CERTIFICATES, &params, &Patch::Apply(&secret))
        .await?;
    Ok(())
}
