//! Writes the repository's `examples` folder anew: `cargo run -p dmarcflow-demo --example regenerate`.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

fn main() -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let examples = dmarcflow_demo::examples::all();
    // Whatever was there of these folders goes, so that nothing stays of files that are no longer made.
    let folders: BTreeSet<&str> =
        examples.files.iter().filter_map(|(name, _)| name.split('/').next()).collect();
    for old in folders.into_iter().map(|name| folder.join(name)).filter(|old| old.exists()) {
        std::fs::remove_dir_all(old)?;
    }
    for (name, bytes) in &examples.files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(&folder))?;
        std::fs::write(path, bytes)?;
    }
    let bytes: usize = examples.files.iter().map(|(_, bytes)| bytes.len()).sum();
    println!("{} files, {bytes} bytes; what is in them:", examples.files.len());
    println!("{}", examples.truth.to_json());
    Ok(())
}
