//! The configuration reference, printed from the settings.

use std::fmt::Write as _;

use super::settings::SETTINGS;

/// The reference as Markdown: what `pipeline/CONFIGURATION.md` holds.
pub fn markdown() -> String {
    let mut out = String::from(
        "# Configuration\n\n\
         Values come from, in rising order: the defaults, a TOML file (`--config FILE` or `DMARCFLOW_CONFIG`), variables\n\
         (`DMARCFLOW_` and the name in upper case, `__` for a dot: `DMARCFLOW_LAKE__URL`), flags (`--data DIR`). An unknown\n\
         name is an error. `dmarcflow check-config` prints every value and where it comes from; `dmarcflow check-config\n\
         --reference` prints this page.\n\n\
         Sizes are written `64 MiB`, time spans `5s`, `15m`, `12h`, `400d`.\n\n\
         | setting | default | meaning |\n|---|---|---|\n",
    );
    for s in SETTINGS {
        let default = if s.default.is_empty() { String::new() } else { format!("`{}`", s.default) };
        // Writing to a String cannot fail.
        let _ = writeln!(out, "| `{}` | {default} | {} |", s.key, s.doc);
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_printed_reference_is_the_one_in_the_repository() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/CONFIGURATION.md");
        let found = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            found == super::markdown(),
            "write it anew: dmarcflow check-config --reference > pipeline/CONFIGURATION.md"
        );
    }
}
