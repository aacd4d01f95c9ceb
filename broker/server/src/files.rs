//! The pid file and the ports file, for scripts and test harnesses.

use std::path::PathBuf;

use anyhow::Context;
use parking_lot::Mutex;
use serde_json::json;
use settings::Options;

/// Where this server can be reached, as the ports file tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ports {
    pub host: String,
    pub clients: u16,
    pub cluster: Option<u16>,
    /// The URL for WebSocket clients.
    pub websocket: Option<String>,
    pub monitoring: Option<u16>,
}

impl Ports {
    fn json(&self) -> String {
        let url = |scheme: &str, port: u16| format!("{scheme}://{}:{port}", self.host);
        let all = |scheme: &str, port: Option<u16>| -> Vec<String> {
            port.map(|port| url(scheme, port)).into_iter().collect()
        };
        json!({
            "nats": [url("nats", self.clients)],
            "monitoring": all("http", self.monitoring),
            "websocket": self.websocket.iter().collect::<Vec<_>>(),
            "cluster": all("nats", self.cluster),
        })
        .to_string()
    }
}

/// The files this process has written. Both are removed when it ends.
pub struct Files {
    ports: Ports,
    written: Mutex<Written>,
}

#[derive(Default, PartialEq)]
struct Written {
    pid_file: Option<PathBuf>,
    ports_file: Option<PathBuf>,
}

impl Written {
    fn wanted(options: &Options) -> Self {
        let ports_file = options.ports_file_dir.as_ref().map(|dir| {
            let program = std::env::current_exe().ok();
            let name = program.as_ref().and_then(|path| path.file_name());
            let name = name.and_then(|name| name.to_str()).unwrap_or("nats-server");
            dir.join(format!("{name}_{}.ports", std::process::id()))
        });
        Written {
            pid_file: options.pid_file.clone(),
            ports_file,
        }
    }
}

impl Files {
    pub fn new(ports: Ports) -> Self {
        Files {
            ports,
            written: Mutex::default(),
        }
    }

    /// Writes the files that the options name, and removes those they do not name any more.
    pub fn write(&self, options: &Options) -> anyhow::Result<()> {
        let wanted = Written::wanted(options);
        if let Some(file) = &wanted.pid_file {
            std::fs::write(file, std::process::id().to_string())
                .with_context(|| format!("pid file {}", file.display()))?;
        }
        if let Some(file) = &wanted.ports_file {
            std::fs::write(file, self.ports.json())
                .with_context(|| format!("ports file {}", file.display()))?;
        }
        let before = std::mem::replace(&mut *self.written.lock(), wanted);
        let now = self.written.lock();
        remove(
            before
                .pid_file
                .filter(|file| now.pid_file.as_ref() != Some(file)),
        );
        remove(
            before
                .ports_file
                .filter(|file| now.ports_file.as_ref() != Some(file)),
        );
        Ok(())
    }

    pub fn remove(&self) {
        let written = std::mem::take(&mut *self.written.lock());
        remove(written.pid_file);
        remove(written.ports_file);
    }
}

fn remove(file: Option<PathBuf>) {
    if let Some(file) = file {
        // It may be gone already, which is what is wanted.
        std::fs::remove_file(file).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_follow_the_options_and_go_at_the_end() {
        let dir = std::env::temp_dir().join(format!("weir-files-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let files = Files::new(Ports {
            host: "127.0.0.1".into(),
            clients: 4222,
            cluster: None,
            websocket: None,
            monitoring: Some(8222),
        });
        let mut options = Options {
            pid_file: Some(dir.join("one.pid")),
            ports_file_dir: Some(dir.clone()),
            ..Options::default()
        };
        files.write(&options).unwrap();
        let pid = std::fs::read_to_string(dir.join("one.pid")).unwrap();
        assert_eq!(pid, std::process::id().to_string());
        let ports_file = files.written.lock().ports_file.clone().unwrap();
        let ports = std::fs::read_to_string(&ports_file).unwrap();
        let wanted = r#"{"cluster":[],"monitoring":["http://127.0.0.1:8222"],"nats":["nats://127.0.0.1:4222"],"websocket":[]}"#;
        assert_eq!(ports, wanted);

        options.pid_file = Some(dir.join("two.pid"));
        options.ports_file_dir = None;
        files.write(&options).unwrap();
        assert!(!dir.join("one.pid").exists() && !ports_file.exists());
        assert!(dir.join("two.pid").exists());

        options.pid_file = Some(dir.join("nowhere/three.pid"));
        assert!(files.write(&options).is_err());
        assert!(dir.join("two.pid").exists(), "a failure changes nothing");

        files.remove();
        assert!(!dir.join("two.pid").exists());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
