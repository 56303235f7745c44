//! Who may come in, and by what proof.

use std::collections::HashMap;
use std::sync::Arc;

use ninewatch_core::site::Registry;

use super::packets::Connect;
use crate::registry_file;

/// By what a device proved to be itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Proof {
    /// The secret with this hash.
    Secret(Arc<str>),
    /// A TLS client certificate in its name.
    Certificate,
}

/// The devices of the registry, ready to be looked up: id and hash of the secret.
#[derive(Debug, Default)]
pub(super) struct Devices(HashMap<Arc<str>, Arc<str>>);

impl Devices {
    pub(super) fn of(registry: &Registry) -> Self {
        let entry = |device: &ninewatch_core::site::Device| (device.id.as_str().into(), device.secret.as_str().into());
        Self(registry.devices.iter().map(entry).collect())
    }

    /// Who this is: by one of the names in its certificate, else by user name and password.
    pub(super) fn identify(&self, connect: &Connect, certified: &[String]) -> Option<(Arc<str>, Proof)> {
        let user_name = connect.user_name.as_deref();
        let by_certificate = certified
            .iter()
            .filter(|name| user_name.is_none_or(|user_name| user_name == name.as_str()))
            .find_map(|name| self.0.get_key_value(name.as_str()));
        if let Some((id, _)) = by_certificate {
            return Some((id.clone(), Proof::Certificate));
        }
        let (id, stored) = self.0.get_key_value(user_name?)?;
        registry_file::verify(stored, connect.password.as_deref()?).then(|| (id.clone(), Proof::Secret(stored.clone())))
    }

    /// Whether a device that came in by `proof` is still let in.
    pub(super) fn still_admit(&self, id: &str, proof: &Proof) -> bool {
        self.0.get(id).is_some_and(|stored| match proof {
            Proof::Secret(hash) => hash == stored,
            Proof::Certificate => true,
        })
    }
}
