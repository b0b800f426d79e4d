//! Networks and volumes, and finding objects of all kinds by their labels.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;

use bollard::models::{
    Ipam, IpamConfig, NetworkConnectRequest, NetworkCreateRequest, VolumeCreateRequest,
};
use bollard::query_parameters as query;

use super::{Engine, EngineError};

/// A network to be made.
#[derive(Debug, Clone)]
pub struct NewNetwork {
    /// Name. The engine does not insist on unique ones; callers must.
    pub name: String,
    /// Subnet in CIDR form.
    pub subnet: String,
    /// Address of the engine's host in it.
    pub gateway: Ipv4Addr,
    /// Whether it has no way out.
    pub internal: bool,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Options of the bridge driver.
    pub options: BTreeMap<String, String>,
}

/// A volume to be made.
#[derive(Debug, Clone, Default)]
pub struct NewVolume {
    /// Name, unique on the engine.
    pub name: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Options of the `local` driver.
    pub options: BTreeMap<String, String>,
}

/// A subnet that a network of the engine uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedSubnet {
    /// The network's name.
    pub network: String,
    /// The subnet in CIDR form.
    pub subnet: String,
    /// The address of the engine's host in it, when it is told.
    pub gateway: Option<Ipv4Addr>,
}

/// Kinds of objects, in the order in which they can be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FoundKind {
    /// A container.
    Container,
    /// A network.
    Network,
    /// A volume.
    Volume,
}

/// An object that was found by its labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it is.
    pub kind: FoundKind,
    /// Id; the name of a volume.
    pub id: String,
    /// Name.
    pub name: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// When it was made, seconds since 1970; absent when the engine does not say.
    pub created: Option<i64>,
    /// State of a container (`running`, `exited`…); empty for others.
    pub state: String,
    /// Status of a container in the engine's words (`Up 3 seconds (healthy)`).
    pub status: String,
    /// Image of a container.
    pub image: String,
}

impl Found {
    /// The value of a label; empty when it has none.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

impl Engine {
    /// Makes a bridge network and gives its id.
    ///
    /// # Errors
    /// 403 when the subnet overlaps with that of another network.
    pub async fn create_network(&self, new: &NewNetwork) -> Result<String, EngineError> {
        let pool = IpamConfig {
            subnet: Some(new.subnet.clone()),
            gateway: Some(new.gateway.to_string()),
            ..IpamConfig::default()
        };
        let request = NetworkCreateRequest {
            name: new.name.clone(),
            driver: Some("bridge".to_owned()),
            internal: Some(new.internal),
            enable_ipv6: Some(false),
            ipam: Some(Ipam {
                config: Some(vec![pool]),
                ..Ipam::default()
            }),
            labels: Some(new.labels.clone().into_iter().collect()),
            options: Some(new.options.clone().into_iter().collect()),
            ..NetworkCreateRequest::default()
        };
        Ok(self.client().create_network(request).await?.id)
    }

    /// Attaches a container to one more network, with endpoint settings as the API has them.
    pub async fn connect_network(
        &self,
        network: &str,
        container: &str,
        endpoint: &serde_json::Value,
    ) -> Result<(), EngineError> {
        let endpoint = serde_json::from_value(endpoint.clone())
            .map_err(|e| EngineError::Garbled(format!("not an endpoint: {e}")))?;
        let request = NetworkConnectRequest {
            container: container.to_owned(),
            endpoint_config: Some(endpoint),
        };
        Ok(self.client().connect_network(network, request).await?)
    }

    /// Removes a network. One that is not there (any more) is no error.
    ///
    /// # Errors
    /// 403 while a container is still attached.
    pub async fn remove_network(&self, id: &str) -> Result<(), EngineError> {
        gone(self.client().remove_network(id).await)
    }

    /// The IPv4 subnets of all networks of the engine.
    pub async fn used_subnets(&self) -> Result<Vec<UsedSubnet>, EngineError> {
        let all = self
            .client()
            .list_networks(None::<query::ListNetworksOptions>)
            .await?;
        Ok(all
            .into_iter()
            .flat_map(|n| {
                let network = n.name.unwrap_or_default();
                let pools = n.ipam.and_then(|i| i.config).unwrap_or_default();
                pools.into_iter().filter_map(move |p| {
                    Some(UsedSubnet {
                        network: network.clone(),
                        subnet: p.subnet?,
                        gateway: p.gateway.and_then(|g| g.parse().ok()),
                    })
                })
            })
            .collect())
    }

    /// Makes a volume and gives its path on the engine's host.
    pub async fn create_volume(&self, new: &NewVolume) -> Result<String, EngineError> {
        let request = VolumeCreateRequest {
            name: Some(new.name.clone()),
            driver: Some("local".to_owned()),
            driver_opts: Some(new.options.clone().into_iter().collect()),
            labels: Some(new.labels.clone().into_iter().collect()),
            ..VolumeCreateRequest::default()
        };
        Ok(self.client().create_volume(request).await?.mountpoint)
    }

    /// Removes a volume. One that is not there (any more) is no error.
    ///
    /// # Errors
    /// 409 while a container uses it.
    pub async fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        let none = None::<query::RemoveVolumeOptions>;
        gone(self.client().remove_volume(name, none).await)
    }

    /// All objects that carry all these labels (`name` or `name=value`), containers first.
    pub async fn find(&self, labels: &[String]) -> Result<Vec<Found>, EngineError> {
        let (mut found, networks, volumes) = tokio::try_join!(
            self.find_containers(labels),
            self.find_networks(labels),
            self.find_volumes(labels)
        )?;
        found.extend(networks);
        found.extend(volumes);
        Ok(found)
    }

    /// All containers, stopped ones too, that carry all these labels.
    pub async fn find_containers(&self, labels: &[String]) -> Result<Vec<Found>, EngineError> {
        self.containers(by_label(labels)).await
    }

    async fn containers(
        &self,
        filters: HashMap<String, Vec<String>>,
    ) -> Result<Vec<Found>, EngineError> {
        let options = query::ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&filters)
            .build();
        let all = self.client().list_containers(Some(options)).await?;
        Ok(all
            .into_iter()
            .map(|c| Found {
                kind: FoundKind::Container,
                id: c.id.unwrap_or_default(),
                name: c
                    .names
                    .and_then(|n| n.into_iter().next())
                    .unwrap_or_default()
                    .trim_start_matches('/')
                    .to_owned(),
                labels: c.labels.unwrap_or_default().into_iter().collect(),
                created: c.created,
                state: c.state.map(|s| s.to_string()).unwrap_or_default(),
                status: c.status.unwrap_or_default(),
                image: c.image.unwrap_or_default(),
            })
            .collect())
    }

    /// All containers, stopped ones too, that mount a volume.
    pub async fn users_of(&self, volume: &str) -> Result<Vec<Found>, EngineError> {
        self.containers(HashMap::from([(
            "volume".to_owned(),
            vec![volume.to_owned()],
        )]))
        .await
    }

    /// Whether there is a volume of this name.
    pub async fn has_volume(&self, name: &str) -> Result<bool, EngineError> {
        let shown = self.client().inspect_volume(name).await;
        match shown.map_err(EngineError::from) {
            Ok(_) => Ok(true),
            Err(e) if e.is_missing() => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// All networks that carry all these labels.
    pub async fn find_networks(&self, labels: &[String]) -> Result<Vec<Found>, EngineError> {
        let options = query::ListNetworksOptionsBuilder::default()
            .filters(&by_label(labels))
            .build();
        let all = self.client().list_networks(Some(options)).await?;
        Ok(all
            .into_iter()
            .map(|n| Found {
                kind: FoundKind::Network,
                id: n.id.unwrap_or_default(),
                name: n.name.unwrap_or_default(),
                labels: n.labels.unwrap_or_default().into_iter().collect(),
                created: n.created.map(|t| t.unix_timestamp()),
                state: String::new(),
                status: String::new(),
                image: String::new(),
            })
            .collect())
    }

    /// All volumes that carry all these labels.
    pub async fn find_volumes(&self, labels: &[String]) -> Result<Vec<Found>, EngineError> {
        let options = query::ListVolumesOptionsBuilder::default()
            .filters(&by_label(labels))
            .build();
        let all = self.client().list_volumes(Some(options)).await?;
        Ok(all
            .volumes
            .unwrap_or_default()
            .into_iter()
            .map(|v| Found {
                kind: FoundKind::Volume,
                id: v.name.clone(),
                name: v.name,
                labels: v.labels.into_iter().collect(),
                created: v.created_at.map(|t| t.unix_timestamp()),
                state: String::new(),
                status: String::new(),
                image: String::new(),
            })
            .collect())
    }

    /// All that the engine shows of an object, as JSON text.
    pub async fn inspect_raw(&self, object: &Found) -> Result<String, EngineError> {
        let text = match object.kind {
            FoundKind::Container => {
                let none = None::<query::InspectContainerOptions>;
                let shown = self.client().inspect_container(&object.id, none).await?;
                serde_json::to_string(&shown)
            }
            FoundKind::Network => {
                let none = None::<query::InspectNetworkOptions>;
                let shown = self.client().inspect_network(&object.id, none).await?;
                serde_json::to_string(&shown)
            }
            FoundKind::Volume => {
                serde_json::to_string(&self.client().inspect_volume(&object.id).await?)
            }
        };
        text.map_err(|e| EngineError::Garbled(e.to_string()))
    }

    /// Removes an object that was found. One that is not there (any more) is no error.
    pub async fn remove(&self, object: &Found) -> Result<(), EngineError> {
        match object.kind {
            FoundKind::Container => self.remove_container(&object.id).await,
            FoundKind::Network => self.remove_network(&object.id).await,
            FoundKind::Volume => self.remove_volume(&object.id).await,
        }
    }
}

fn gone(answer: Result<(), bollard::errors::Error>) -> Result<(), EngineError> {
    match answer.map_err(EngineError::from) {
        Err(e) if e.is_missing() => Ok(()),
        other => other,
    }
}

fn by_label(labels: &[String]) -> HashMap<String, Vec<String>> {
    HashMap::from([("label".to_owned(), labels.to_vec())])
}
