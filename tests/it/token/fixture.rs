//! Reads `tests/data/tokens`.

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use authtap::model::auth::AuthField;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{as_challenge, as_credentials};

pub(super) struct Fixture {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
    scheme: String,
    challenge: bool,
    pub(super) peer: Value,
}

impl Fixture {
    pub(super) fn decode(&self, bytes: &[u8]) -> AuthField {
        if self.challenge { as_challenge(&self.scheme, bytes) } else { as_credentials(&self.scheme, bytes) }
    }
}

pub(super) fn fixtures() -> &'static [Fixture] {
    static ALL: LazyLock<Vec<Fixture>> = LazyLock::new(read_fixtures);
    &ALL
}

fn read_fixtures() -> Vec<Fixture> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/tokens");
    let mut list: Vec<Fixture> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "b64"))
        .map(|path| {
            let record: Value = serde_json::from_slice(&fs::read(path.with_extension("json")).unwrap()).unwrap();
            Fixture {
                name: path.file_stem().unwrap().to_string_lossy().into_owned(),
                bytes: STANDARD.decode(fs::read_to_string(&path).unwrap().trim()).unwrap(),
                scheme: record["scheme"].as_str().unwrap().to_owned(),
                challenge: record["direction"] == "challenge",
                peer: record["pyspnego"].clone(),
            }
        })
        .collect();
    list.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(list.len() >= 20, "fixtures are missing: {}", list.len());
    list
}
