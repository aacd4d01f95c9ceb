//! Brings running servers to their configuration, without a restart where that is possible. Pure.
//!
//! A pod's files follow the Secret when the kubelet looks at the pod next; an annotation makes it look
//! at once. Then the server is asked to reload, until it shows the new configuration's hash. If it says
//! that it can not, or time runs out, only a restart helps.

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::fleet::{ConfigState, PodState, Server};

/// How long files and reload may take. Kubelets look at their pods every minute or two by themselves.
const DEADLINE: SignedDuration = SignedDuration::from_secs(180);

/// What one server needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sync {
    Nothing,
    /// Have its files updated.
    UpdateFiles,
    /// Ask the server with this id to read them.
    Reload {
        id: String,
    },
    Restart,
}

pub fn sync(server: &Server, now: Timestamp) -> Sync {
    if !matches!(server.pod, PodState::Starting | PodState::Ready) {
        return Sync::Nothing;
    }
    match (&server.config, &server.id) {
        (ConfigState::Stale { asked: None }, _) => Sync::UpdateFiles,
        (ConfigState::Stale { asked: Some(since) }, _) if now.duration_since(*since) > DEADLINE => {
            Sync::Restart
        }
        (ConfigState::Refused, _) => Sync::Restart,
        (ConfigState::Stale { asked: Some(_) }, Some(id)) => Sync::Reload { id: id.clone() },
        _ => Sync::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(config: ConfigState) -> Server {
        Server {
            pod: PodState::Ready,
            id: Some("N1".into()),
            config,
            ..Server::default()
        }
    }

    #[test]
    fn files_come_first_then_the_server_is_asked_and_at_last_restarted() {
        let now = Timestamp::from_second(1000).expect("a time");
        let stale = |asked| server(ConfigState::Stale { asked });
        assert_eq!(sync(&server(ConfigState::Current), now), Sync::Nothing);
        assert_eq!(sync(&server(ConfigState::Unknown), now), Sync::Nothing);
        assert_eq!(sync(&stale(None), now), Sync::UpdateFiles);
        let recently = stale(Some(now - SignedDuration::from_secs(60)));
        assert_eq!(sync(&recently, now), Sync::Reload { id: "N1".into() });
        let long_ago = stale(Some(now - SignedDuration::from_secs(181)));
        assert_eq!(sync(&long_ago, now), Sync::Restart);
        assert_eq!(sync(&server(ConfigState::Refused), now), Sync::Restart);
        let stopping = Server {
            pod: PodState::Stopping,
            ..stale(None)
        };
        assert_eq!(sync(&stopping, now), Sync::Nothing);
    }
}
