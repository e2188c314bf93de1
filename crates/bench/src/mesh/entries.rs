//! A mesh of virtual machines: ServiceEntries that select WorkloadEntries by their labels.
//!
//! Few large files, as an export of a registry would be; the WorkloadEntry that changes has a file
//! of its own.

use std::{
    fmt::Write,
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use anyhow::Result;

use super::{MARKS, marked};

#[derive(Clone, Copy, Debug)]
pub(crate) struct EntriesMesh {
    pub(crate) services: usize,
    pub(crate) workloads: usize,
    pub(crate) namespaces: usize,
}

impl EntriesMesh {
    /// Writes all files into a new folder below `parent`.
    pub(crate) fn write(&self, parent: &Path) -> Result<PathBuf> {
        let folder = parent.join("config");
        fs::create_dir(&folder)?;
        let mut services = String::new();
        for service in 0..self.services {
            let namespace = service % self.namespaces;
            // A `String` takes everything.
            let _ = write!(
                services,
                "---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: svc-{service}, namespace: ns-{namespace}}}
spec:
  hosts: [svc-{service}.ns-{namespace}.example]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{{number: 8080, protocol: HTTP, name: http}}]
  workloadSelector: {{labels: {{app: svc-{service}}}}}
"
            );
        }
        fs::write(folder.join("service-entries.yaml"), services)?;
        let mut workloads = String::new();
        for workload in 1..self.workloads {
            let [_, a, b, c] = u32::try_from(workload)?.to_be_bytes();
            workloads.push_str(&self.workload(workload, Ipv4Addr::new(10, a + 20, b, c)));
        }
        fs::write(folder.join("workload-entries.yaml"), workloads)?;
        fs::write(folder.join("changing.yaml"), self.workload(0, Ipv4Addr::new(10, 20, 0, 0)))?;
        Ok(folder)
    }

    fn workload(&self, workload: usize, address: Ipv4Addr) -> String {
        let service = workload % self.services;
        let namespace = service % self.namespaces;
        format!(
            "---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: vm-{workload}, namespace: ns-{namespace}}}
spec:
  address: {address}
  labels: {{app: svc-{service}, version: v1}}
  serviceAccount: svc-{service}
"
        )
    }

    /// Moves one workload; the returned step puts the file in place.
    pub(crate) fn stage_change(
        &self,
        folder: &Path,
        round: u32,
    ) -> Result<impl FnOnce() -> Result<()> + use<>> {
        let staged = folder.with_file_name("changing.yaml");
        fs::write(&staged, self.workload(0, marked(round % MARKS)))?;
        let target = folder.join("changing.yaml");
        Ok(move || Ok(fs::rename(staged, target)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_select_workloads_of_their_namespace() {
        let parent = tempfile::tempdir().unwrap();
        let mesh = EntriesMesh { services: 3, workloads: 7, namespaces: 2 };
        let folder = mesh.write(parent.path()).unwrap();
        let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
        assert_eq!(text("service-entries.yaml").matches("kind: ServiceEntry").count(), 3);
        let workloads = text("workload-entries.yaml");
        assert_eq!(workloads.matches("kind: WorkloadEntry").count(), 6);
        assert!(workloads.contains("{name: vm-4, namespace: ns-1}"), "it is of service 1");
        mesh.stage_change(&folder, 3).unwrap()().unwrap();
        assert!(text("changing.yaml").contains("address: 172.16.0.3"));
    }
}
