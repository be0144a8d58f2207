//! One configuration: defaults, a TOML file, `DMARCFLOW_*` variables, flags, in rising order.
//!
//! Every setting is a row of [`settings::SETTINGS`], which is where its name, type, default and
//! documentation stand, and where the reference in `pipeline/CONFIGURATION.md` is printed from.

pub mod reference;
mod secret;
pub mod settings;
mod value;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use settings::{SETTINGS, Setting};
pub use value::Value;

/// What is wrong with the configuration, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the configuration {path}: {error}")]
    Read { path: PathBuf, error: std::io::Error },
    #[error("the configuration {path} is not TOML: {error}")]
    Toml { path: PathBuf, error: String },
    #[error("unknown setting `{key}` in {place}{}", suggestion.as_ref().map(|s| format!("; did you mean `{s}`?")).unwrap_or_default())]
    Unknown { key: String, place: Place, suggestion: Option<String> },
    #[error("setting `{key}` in {place}: {problem}; {remedy}")]
    Invalid { key: &'static str, place: Place, problem: String, remedy: String },
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Default,
    File(PathBuf),
    Variable(String),
    Flag(&'static str),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("the defaults"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => write!(f, "the variable {name}"),
            Self::Flag(flag) => write!(f, "the flag {flag}"),
        }
    }
}

/// The configuration: a value for each setting, and where it comes from.
#[derive(Debug, Clone)]
pub struct Config {
    values: BTreeMap<&'static str, (Value, Place)>,
}

impl Config {
    /// The configuration of a file, the variables and some flags.
    pub fn load(
        file: Option<&Path>,
        variables: impl IntoIterator<Item = (String, String)>,
        flags: impl IntoIterator<Item = (&'static str, &'static str, String)>,
    ) -> Result<Self, ConfigError> {
        let mut config = Self::defaults()?;
        if let Some(path) = file {
            config.read_file(path)?;
        }
        for (name, text) in variables {
            let Some(key) = name.strip_prefix("DMARCFLOW_") else { continue };
            if NOT_SETTINGS.contains(&key) {
                continue;
            }
            let key = key.to_lowercase().replace("__", ".");
            config.set_text(&key, &text, Place::Variable(name))?;
        }
        for (key, flag, text) in flags {
            config.set_text(key, &text, Place::Flag(flag))?;
        }
        Ok(config)
    }

    fn defaults() -> Result<Self, ConfigError> {
        let mut config = Self { values: BTreeMap::new() };
        for setting in SETTINGS {
            config.set_text(setting.key, setting.default, Place::Default)?;
        }
        Ok(config)
    }

    fn read_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Read { path: path.to_owned(), error })?;
        let table: toml::Table = text.parse().map_err(|e: toml::de::Error| ConfigError::Toml {
            path: path.to_owned(),
            error: e.to_string(),
        })?;
        self.read_table("", &table, path)
    }

    fn read_table(&mut self, prefix: &str, table: &toml::Table, path: &Path) -> Result<(), ConfigError> {
        for (name, value) in table {
            let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            let place = Place::File(path.to_owned());
            match value {
                toml::Value::Table(inner) if !settings::is_map(&key) => self.read_table(&key, inner, path)?,
                toml::Value::Table(inner) => {
                    for (name, value) in inner {
                        self.add_entry(&key, name, &value::plain(value), place.clone())?;
                    }
                }
                toml::Value::Array(items) => {
                    let items: Vec<String> = items.iter().map(value::plain).collect();
                    self.set(&key, |s| s.kind.of_list(items), place)?;
                }
                other => self.set_text(&key, &value::plain(other), place)?,
            }
        }
        Ok(())
    }

    fn set_text(&mut self, key: &str, text: &str, place: Place) -> Result<(), ConfigError> {
        if let Some((map, name)) = settings::entry_of(key) {
            return self.add_entry(map, name, text, place);
        }
        self.set(key, |s| s.kind.of_text(text), place)
    }

    fn set(
        &mut self,
        key: &str,
        value: impl FnOnce(&Setting) -> Result<Value, String>,
        place: Place,
    ) -> Result<(), ConfigError> {
        let setting = find(key, &place)?;
        let value = value(setting).map_err(|problem| ConfigError::Invalid {
            key: setting.key,
            place: place.clone(),
            problem,
            remedy: format!("give {}", setting.kind.describe()),
        })?;
        self.values.insert(setting.key, (value, place));
        Ok(())
    }

    fn add_entry(&mut self, map: &str, name: &str, text: &str, place: Place) -> Result<(), ConfigError> {
        let setting = find(map, &place)?;
        let (value, from) =
            self.values.entry(setting.key).or_insert_with(|| (Value::Map(BTreeMap::new()), Place::Default));
        if let Value::Map(entries) = value {
            entries.insert(name.to_owned(), text.to_owned());
        }
        *from = place;
        Ok(())
    }

    /// Every setting with its value and where it comes from, in the order of the reference.
    pub fn effective(&self) -> impl Iterator<Item = (&'static Setting, &Value, &Place)> {
        SETTINGS.iter().filter_map(|s| self.values.get(s.key).map(|(value, place)| (s, value, place)))
    }

    fn get(&self, key: &'static str) -> &Value {
        debug_assert!(self.values.contains_key(key), "no setting {key}");
        self.values.get(key).map_or(&Value::None, |(value, _)| value)
    }

    /// A setting that is text, or empty.
    pub fn text(&self, key: &'static str) -> &str {
        if let Value::Text(text) = self.get(key) { text } else { "" }
    }

    /// A setting that is a path, if it is given.
    pub fn path(&self, key: &'static str) -> Option<PathBuf> {
        let text = self.text(key);
        (!text.is_empty()).then(|| PathBuf::from(text))
    }

    /// A setting that is a number or a size in bytes.
    pub fn number(&self, key: &'static str) -> Option<u64> {
        if let Value::Number(n) = self.get(key) { Some(*n) } else { None }
    }

    /// A setting that is a number which always has a value.
    pub fn required(&self, key: &'static str) -> u64 {
        self.number(key).unwrap_or_default()
    }

    /// A setting that is a time span, if it is given.
    pub fn duration(&self, key: &'static str) -> Option<Duration> {
        if let Value::Duration(d) = self.get(key) { Some(*d) } else { None }
    }

    /// A setting that is yes or no.
    pub fn flag(&self, key: &'static str) -> bool {
        matches!(self.get(key), Value::Flag(true))
    }

    /// A setting that is a list of text.
    pub fn list(&self, key: &'static str) -> &[String] {
        if let Value::List(items) = self.get(key) { items } else { &[] }
    }

    /// A setting that is a table of text; what an entry refers to stands in its place.
    pub fn map(&self, key: &'static str) -> Result<BTreeMap<String, String>, ConfigError> {
        let Some((Value::Map(entries), place)) = self.values.get(key) else { return Ok(BTreeMap::new()) };
        let told = entries.iter().map(|(name, value)| match secret::told(value) {
            Ok(value) => Ok((name.clone(), value)),
            Err(problem) => {
                let remedy = "correct it, or give the value itself".to_owned();
                Err(ConfigError::Invalid {
                    key,
                    place: place.clone(),
                    problem: format!("`{name}`: {problem}"),
                    remedy,
                })
            }
        });
        told.collect()
    }
}

/// Variables of that prefix which are no settings: `CONFIG` names the file, the others serve tests.
const NOT_SETTINGS: &[&str] =
    &["CONFIG", "CRASH_AT", "PYTHON", "LOG_FORMAT", "KAFKA_LIBS", "S3_SERVER", "LONG"];

fn find(key: &str, place: &Place) -> Result<&'static Setting, ConfigError> {
    SETTINGS.iter().find(|s| s.key == key).ok_or_else(|| ConfigError::Unknown {
        key: key.to_owned(),
        place: place.clone(),
        suggestion: settings::nearest(key),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(toml: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("dmarcflow.toml");
        std::fs::write(&file, toml).unwrap();
        let variables = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        Config::load(Some(&file), variables, [])
    }

    #[test]
    fn flags_win_over_variables_over_the_file_over_defaults() {
        let config =
            load("partitions = 2\n[lake]\ncommit_after = '3s'", &[("DMARCFLOW_LAKE__COMMIT_AFTER", "7s")]);
        let config = config.unwrap();
        assert_eq!(config.required("partitions"), 2);
        assert_eq!(config.duration("lake.commit_after"), Some(Duration::from_secs(7)));
        let flags = [("partitions", "--partitions", "9".to_owned())];
        assert_eq!(Config::load(None, [], flags).unwrap().required("partitions"), 9);
    }

    #[test]
    fn an_unknown_key_is_an_error_with_a_suggestion() {
        let error = load("[lake]\ncomit_after = '3s'", &[]).unwrap_err().to_string();
        assert!(error.contains("unknown setting `lake.comit_after`"), "{error}");
        assert!(error.contains("did you mean `lake.commit_after`?"), "{error}");
    }

    #[test]
    fn a_value_of_the_wrong_kind_says_what_to_give() {
        let error = load("partitions = 'many'", &[]).unwrap_err().to_string();
        assert!(error.contains("setting `partitions`") && error.contains("give a whole number"), "{error}");
        let error = load("", &[("DMARCFLOW_LAKE__COMMIT_AFTER", "soon")]).unwrap_err().to_string();
        assert!(error.contains("DMARCFLOW_LAKE__COMMIT_AFTER") && error.contains("such as `5s`"), "{error}");
    }

    #[test]
    fn options_of_the_store_are_a_table_of_their_own() {
        let config = load("[lake.storage]\naws_region = 'eu-west-1'", &[]).unwrap();
        assert_eq!(config.map("lake.storage").unwrap()["aws_region"], "eu-west-1");
    }

    #[test]
    fn entries_of_tables_come_from_variables_and_may_stand_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("password");
        std::fs::write(&file, "hunter2\n").unwrap();
        let config = load(
            "[kafka.properties]\n'sasl.username' = 'flow'",
            &[("DMARCFLOW_KAFKA__PROPERTIES__SASL__PASSWORD", &format!("file:{}", file.display()))],
        )
        .unwrap();
        let properties = config.map("kafka.properties").unwrap();
        assert_eq!(
            (properties["sasl.username"].as_str(), properties["sasl.password"].as_str()),
            ("flow", "hunter2")
        );
        let shown: Vec<_> = config.effective().map(|(_, value, _)| value.to_string()).collect();
        assert!(shown.iter().all(|s| !s.contains("hunter2") && !s.contains("password:")), "{shown:?}");
        let missing = load("[kafka.properties]\n'sasl.password' = 'file:/no/such'", &[]).unwrap();
        let error = missing.map("kafka.properties").unwrap_err().to_string();
        assert!(error.contains("sasl.password") && error.contains("/no/such"), "{error}");
    }

    #[test]
    fn one_of_several_values_is_asked_for_by_name() {
        let error = load("log = 'rabbit'", &[]).unwrap_err().to_string();
        assert!(error.contains("give `embedded` or `kafka`"), "{error}");
    }
}
