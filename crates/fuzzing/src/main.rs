//! Writes seeds and dictionaries for the fuzz targets: `fuzz-seeds FOLDER`.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use fuzzing::seeds;

fn main() -> Result<()> {
    let folder: PathBuf = env::args_os().nth(1).context("usage: fuzz-seeds FOLDER")?.into();
    let corpus = testkit::corpus::corpus_dir();
    let corpus = corpus.context("no corpus: set MELTEMI_CORPUS to its folder")?;
    let documents = seeds::documents(&corpus)?;
    for target in ["documents", "mesh", "accepted"] {
        write(&folder, target, &documents, seeds::DOCUMENT_WORDS)?;
    }
    write(&folder, "certificates", &seeds::certificates(), &[])?;
    write(&folder, "graphs", &seeds::graphs(), seeds::GRAPH_WORDS)?;
    write(&folder, "tokens", &seeds::tokens(), seeds::TOKEN_WORDS)?;
    write(&folder, "requests", &seeds::requests(), seeds::REQUEST_WORDS)
}

fn write(folder: &Path, target: &str, seeds: &[Vec<u8>], words: &[&str]) -> Result<()> {
    let own = folder.join(target);
    fs::create_dir_all(&own).with_context(|| format!("failed to make {}", own.display()))?;
    for (index, seed) in seeds.iter().enumerate() {
        fs::write(own.join(format!("seed-{index:04}")), seed)?;
    }
    let words: String = words.iter().map(|word| format!("\"{}\"\n", escaped(word))).collect();
    fs::write(folder.join(format!("{target}.dict")), words)?;
    println!("{target}: {} seeds", seeds.len());
    Ok(())
}

/// As libFuzzer's dictionaries have it.
fn escaped(word: &str) -> String {
    let byte = |byte: u8| match byte {
        b'"' | b'\\' => format!("\\{}", char::from(byte)),
        0x20..=0x7e => char::from(byte).to_string(),
        _ => format!("\\x{byte:02x}"),
    };
    word.bytes().map(byte).collect()
}
