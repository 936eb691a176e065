//! What figment lays over each other: the table of one file or the value of one variable, told apart by its source.

use std::mem;
use std::path::Path;

use figment::util::nest;
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider, Source};

/// What one source says.
pub(super) struct Layer {
    source: Source,
    table: Dict,
}

impl Layer {
    /// The main file without its stores.
    pub(super) fn main(file: &str, mut table: Dict) -> Self {
        if let Some(Value::Dict(_, defaults)) = table.get_mut("defaults") {
            enclose_whole(defaults);
        }
        enclose(&mut table, &["server", "trusted_proxies"]);
        let source = Path::new(file).into();
        Self { source, table }
    }

    /// What a file says about one store.
    pub(super) fn store(file: &str, mut table: Dict) -> Self {
        enclose_whole(&mut table);
        let source = Path::new(file).into();
        Self { source, table }
    }

    /// The value of a variable, which stands for the key at `path`.
    pub(super) fn variable(name: &str, path: &[&str], value: Value) -> Self {
        let nested = nest(&path.join("."), value).into_dict();
        Self {
            source: name.into(),
            table: nested.expect("a path has steps"),
        }
    }

    /// Lays this over what is there.
    pub(super) fn over(self, layers: &mut Figment) {
        *layers = mem::take(layers).merge(self);
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::default().source(self.source.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.table.clone()))
    }
}

/// A value that replaces another as a whole: figment mixes tables with each other, but not lists.
pub(super) fn enclosed(value: Value) -> Value {
    Value::from(vec![value])
}

/// The whole of `layers`.
pub(super) fn table(layers: &Figment) -> Dict {
    let table = layers.find_value("").ok().and_then(Value::into_dict);
    table.expect("no layer fails, and each is a table")
}

fn enclose_whole(store: &mut Dict) {
    const WHOLE: [&[&str]; 4] = [
        &["payload"],
        &["plugins"],
        &["access", "tokens"],
        &["access", "origins"],
    ];
    WHOLE.iter().for_each(|path| enclose(store, path));
}

/// Encloses the value at `path`, if there is one.
fn enclose(table: &mut Dict, path: &[&str]) {
    match path {
        [] => {}
        [name] => {
            if let Some(value) = table.remove(*name) {
                table.insert((*name).to_owned(), enclosed(value));
            }
        }
        [name, rest @ ..] => {
            if let Some(Value::Dict(_, inner)) = table.get_mut(*name) {
                enclose(inner, rest);
            }
        }
    }
}
