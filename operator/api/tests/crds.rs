//! The definitions in `crds/` are those of the types. `UPDATE_CRDS=1` writes them again.

use std::fs;
use std::path::PathBuf;

use api::crds;

#[test]
fn files_are_what_the_types_say() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../crds");
    for definition in crds::definitions() {
        let generated = crds::to_yaml(&definition).expect("a definition is plain data");
        let path = folder.join(crds::file_name(&definition));
        if std::env::var_os("UPDATE_CRDS").is_some() {
            fs::write(&path, &generated).expect("the folder is writable");
        }
        let written = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            written == generated,
            "{} is not what the types say; run UPDATE_CRDS=1 cargo test -p api --test crds",
            path.display()
        );
    }
}
