//! `FileConfigProvider`: keys of a Java properties file.

use crate::allowed::AllowedPaths;
use crate::{ConfigProvider, Look, Whose, blocking};
use async_trait::async_trait;
use dray_connect::{ConfigMap, Error, Result};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) struct File(AllowedPaths);

impl File {
    pub(crate) fn read(prefix: &str, params: &ConfigMap) -> Result<Box<dyn ConfigProvider>> {
        Ok(Box::new(Self(AllowedPaths::read(prefix, params)?)))
    }
}

#[async_trait]
impl ConfigProvider for File {
    fn check(&self, whose: Whose, path: &str, _: &BTreeSet<&str>) -> Result<()> {
        self.0.check(whose, path)
    }

    async fn get(&self, path: &str, keys: &BTreeSet<&str>, _: Look) -> Result<BTreeMap<String, String>> {
        let file = path.to_owned();
        let mut properties = blocking(move || read(&file)).await?;
        properties.retain(|key, _| keys.contains(key.as_str()));
        Ok(properties)
    }
}

fn read(path: &str) -> Result<BTreeMap<String, String>> {
    let error = |why: String| Error::config(format!("Could not read properties from file {path}: {why}"));
    let bytes = std::fs::read(path).map_err(|why| error(why.to_string()))?;
    dray_process::properties::read(&bytes).map_err(error)
}
