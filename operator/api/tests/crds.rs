//! The definitions in `crds/` and in the chart are those of the types. `UPDATE_CRDS=1` writes them
//! again.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use api::crds;

const FOLDERS: [&str; 2] = ["crds", "charts/weir/files/crds"];

#[test]
fn files_are_what_the_types_say() {
    for folder in FOLDERS {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("../..")
            .join(folder);
        let mut names = BTreeSet::new();
        for definition in crds::definitions() {
            let generated = crds::to_yaml(&definition).expect("a definition is plain data");
            let name = crds::file_name(&definition);
            let path = folder.join(&name);
            if std::env::var_os("UPDATE_CRDS").is_some() {
                fs::write(&path, &generated).expect("the folder is writable");
            }
            let written = fs::read_to_string(&path).unwrap_or_default();
            assert!(
                written == generated,
                "{} is not what the types say; run UPDATE_CRDS=1 cargo test -p api --test crds",
                path.display()
            );
            names.insert(name);
        }
        let files = fs::read_dir(&folder).expect("the folder is there");
        for file in files {
            let name = file.expect("it can be read").file_name();
            assert!(
                names.contains(name.to_string_lossy().as_ref()),
                "{name:?} in {} defines no kind",
                folder.display()
            );
        }
    }
}
