//! Prints how long reading takes: `cargo run --release -p api --example parse_speed [FILE...]`.
//! Without files it reads 100,000 WorkloadEntries that it makes itself.

use std::{fmt::Write, time::Instant};

fn main() -> std::io::Result<()> {
    let files: Vec<String> = std::env::args().skip(1).collect();
    let mut texts = Vec::new();
    for file in &files {
        texts.push(std::fs::read(file)?);
    }
    if texts.is_empty() {
        texts.push(workload_entries(100_000).into_bytes());
    }
    let bytes: usize = texts.iter().map(Vec::len).sum();
    let start = Instant::now();
    let (mut objects, mut findings) = (0, 0);
    for text in &texts {
        let (read, diagnostics) = api::parse_documents("speed.yaml", text);
        objects += read.len();
        findings += diagnostics.len();
    }
    println!("{objects} objects, {findings} findings, {bytes} bytes: {:?}", start.elapsed());
    Ok(())
}

fn workload_entries(count: usize) -> String {
    let mut text = String::new();
    for index in 0..count {
        let (high, middle, low) = (index >> 16, (index >> 8) & 255, index & 255);
        let _ = write!(
            text,
            "apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata:\n  \
             name: we-{index}\n  namespace: ns-{}\n  labels:\n    app: app-{}\n    \
             version: v1\nspec:\n  address: 10.{high}.{middle}.{low}\n  labels:\n    \
             app: app-{}\n  locality: r1/z{}\n---\n",
            index % 100,
            index % 1000,
            index % 1000,
            index % 3
        );
    }
    text
}
