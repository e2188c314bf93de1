//! A process is killed while it writes, again and again: what it said was written is there, and
//! no batch is there by half.
//!
//! Started with a folder, this program is the one that is killed.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use storage::{Batch, Embedded, Storage};

const TABLE: &str = "counts";
/// Keys of one batch; all have the number of the batch as their value.
const KEYS: u8 = 50;
const ROUNDS: u64 = 12;

fn main() {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (Some("--write-in"), Some(folder)) => write_for_ever(Path::new(&folder)),
        _ => kill_again_and_again(),
    }
}

fn open(folder: &Path) -> Embedded {
    let opened = Embedded::open(folder).expect("the folder can be used");
    assert_eq!(opened.set_aside, None, "a kill must not break the file");
    opened.storage
}

fn write_for_ever(folder: &Path) {
    let storage = open(folder);
    let mut out = std::io::stdout();
    for number in last(&storage) + 1.. {
        let mut batch = Batch::default();
        for key in 0..KEYS {
            // Values of other lengths each time move pages about.
            let mut value = u64::to_be_bytes(number).to_vec();
            value.resize(8 + (number as usize * 37 + key as usize * 101) % 900, key);
            batch.put(TABLE, vec![key], value);
        }
        storage.write(&batch).expect("it can be written");
        writeln!(out, "{number}").and_then(|()| out.flush()).expect("somebody reads");
    }
}

/// The number of the last batch, which all keys must have.
fn last(storage: &Embedded) -> u64 {
    let entries = storage.scan(TABLE, vec![0]..vec![u8::MAX], usize::MAX).expect("it can be read");
    let numbers = entries.iter().map(|(_, value)| {
        u64::from_be_bytes(value[..8].try_into().expect("a value begins with its number"))
    });
    let numbers: Vec<u64> = numbers.collect();
    let Some(first) = numbers.first() else { return 0 };
    assert_eq!(numbers.len(), usize::from(KEYS));
    assert!(numbers.iter().all(|number| number == first), "half a batch: {numbers:?}");
    *first
}

fn kill_again_and_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut written = 0;
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .arg("--write-in")
            .arg(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let out = child.stdout.take().expect("its output is read");
        let mut lines = BufReader::new(out).lines();
        // After some batches, and then at any moment of the next.
        for _ in 0..3 + round % 3 {
            let line = lines.next().expect("it writes").expect("its output is text");
            written = line.parse().expect("it says a number");
        }
        std::thread::sleep(Duration::from_micros(round * 431 % 5_000));
        child.kill().expect("it is killed");
        child.wait().expect("it ends");
        for line in lines.map_while(Result::ok) {
            written = line.parse().unwrap_or(written);
        }
        let found = last(&open(folder.path()));
        assert!(found >= written, "batch {written} was written, and {found} is the last");
    }
    println!("killed {ROUNDS} times; the last batch was {written}");
}
