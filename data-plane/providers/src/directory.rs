//! `DirectoryConfigProvider`: the files of a folder, as Kubernetes mounts secrets.

use crate::allowed::AllowedPaths;
use crate::{ConfigProvider, Look, Whose, blocking};
use async_trait::async_trait;
use dray_connect::{ConfigMap, Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

pub(crate) struct Directory(AllowedPaths);

impl Directory {
    pub(crate) fn read(prefix: &str, params: &ConfigMap) -> Result<Box<dyn ConfigProvider>> {
        Ok(Box::new(Self(AllowedPaths::read(prefix, params)?)))
    }
}

#[async_trait]
impl ConfigProvider for Directory {
    fn check(&self, whose: Whose, path: &str, _: &BTreeSet<&str>) -> Result<()> {
        self.0.check(whose, path)
    }

    async fn get(&self, path: &str, keys: &BTreeSet<&str>, _: Look) -> Result<BTreeMap<String, String>> {
        let folder = path.to_owned();
        let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        blocking(move || read(&folder, &keys)).await
    }
}

fn read(path: &str, keys: &[String]) -> Result<BTreeMap<String, String>> {
    let folder = Path::new(path);
    if !folder.is_dir() {
        return Err(Error::config(format!("Could not list directory {path}: there is none")));
    }
    let mut values = BTreeMap::new();
    for key in keys {
        // A key is the name of a file in it, never a way out of it.
        let name = Path::new(key).file_name().filter(|name| name.to_str() == Some(key));
        let Some(file) = name.map(|name| folder.join(name)).filter(|file| file.is_file()) else {
            continue;
        };
        let error = |why: &dyn std::fmt::Display| {
            Error::config(format!(
                "Could not read file {} for property {key}: {why}",
                file.display()
            ))
        };
        let bytes = std::fs::read(&file).map_err(|why| error(&why))?;
        let value = String::from_utf8(bytes).map_err(|why| error(&why))?;
        values.insert(key.clone(), value);
    }
    Ok(values)
}
