//! Writes `net/src/wire/messages` from `net/schema`: `cargo run -p net --bin generate`.

mod body;
mod module;
mod schema;
mod types;
mod view;

use std::path::Path;
use std::{fs, io};

fn main() -> io::Result<()> {
    let net = Path::new(env!("CARGO_MANIFEST_DIR"));
    let messages = net.join("src/wire/messages");
    for file in module::generate(&net.join("schema"))? {
        fs::write(messages.join(file.name), file.text)?;
    }
    Ok(())
}
