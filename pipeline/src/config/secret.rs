//! Values that stand elsewhere: `file:PATH` in a file, `env:NAME` in a variable, so that a secret is in no
//! configuration that people copy around.

/// The value itself.
pub(super) fn told(value: &str) -> Result<String, String> {
    if let Some(path) = value.strip_prefix("file:") {
        let text = std::fs::read_to_string(path).map_err(|e| format!("cannot read {path}: {e}"))?;
        return Ok(text.trim_end_matches(['\r', '\n']).to_owned());
    }
    match value.strip_prefix("env:") {
        Some(name) => std::env::var(name).map_err(|_| format!("there is no variable {name}")),
        None => Ok(value.to_owned()),
    }
}
