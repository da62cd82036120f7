//! The committed messages are what the generator makes of the schemas.

#[path = "../src/bin/generate/body.rs"]
mod body;
#[path = "../src/bin/generate/module.rs"]
mod module;
#[path = "../src/bin/generate/schema.rs"]
mod schema;
#[path = "../src/bin/generate/types.rs"]
mod types;
#[path = "../src/bin/generate/view.rs"]
mod view;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[test]
fn the_committed_messages_are_generated_from_the_schemas() {
    let net = Path::new(env!("CARGO_MANIFEST_DIR"));
    let messages = net.join("src/wire/messages");
    let generated = module::generate(&net.join("schema")).unwrap();
    for file in &generated {
        let committed = fs::read_to_string(messages.join(&file.name)).unwrap_or_default();
        assert!(committed == file.text, "{} is stale: cargo run -p net --bin generate", file.name);
    }
    let names: BTreeSet<_> = generated.iter().map(|file| file.name.clone().into()).collect();
    let found: BTreeSet<_> =
        fs::read_dir(messages).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(found, names);
}

fn refused(schema: &str) -> usize {
    schema::parse("x", schema).expect_err("makes no sense").line
}

#[test]
fn a_schema_that_makes_no_sense_is_refused_at_its_line() {
    let head = "api 0 X\nversions 0..1\nflexible 1\n";
    assert_eq!(refused(&format!("{head}request\n    a int32\n")), 0);
    assert_eq!(refused(&format!("{head}request\n    a int33\n")), 5);
    assert_eq!(refused(&format!("{head}request\n    a int32 sometimes\n")), 5);
    assert_eq!(refused(&format!("{head}request\n    a Thing\n")), 5);
    assert_eq!(refused(&format!("{head}request\n    a int32\n        b int32\n")), 5);
    assert_eq!(refused(&format!("{head}request\n        a int32\n")), 5);
    assert_eq!(refused(&format!("{head}request\n    a S\n        b int8\n    c S\n        d int8\n")), 7);
    assert_eq!(refused("apis 0 X\n"), 1);
}
