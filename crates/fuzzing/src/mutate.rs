//! Changes bytes as a fuzzer does: a little here, a piece of something else there.

/// Makes variations of seeds, always the same ones.
#[derive(Clone, Debug)]
pub struct Mutator {
    state: u64,
    words: Vec<Vec<u8>>,
}

impl Mutator {
    /// `words` are pieces that mean something to what reads the bytes.
    pub fn new(seed: u64, words: &[&str]) -> Self {
        let words = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        Self { state: seed | 1, words }
    }

    /// The next number of a xorshift generator.
    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    /// A number below `bound`, which is not 0.
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 11).unwrap_or_default() % bound
    }

    /// A variation of `seed`; pieces of `other` may get into it.
    pub fn mutate(&mut self, seed: &[u8], other: &[u8]) -> Vec<u8> {
        let mut data = seed.to_vec();
        for _ in 0..=self.below(4) {
            self.change(&mut data, other);
        }
        data
    }

    fn change(&mut self, data: &mut Vec<u8>, other: &[u8]) {
        let at = self.below(data.len() + 1);
        let end = (at + self.below(40) + 1).min(data.len());
        match self.below(8) {
            0 => {
                data.drain(at.min(end)..end);
            }
            1 if at < data.len() => data[at] = self.next().to_le_bytes()[0],
            2 if at < data.len() => data[at] ^= 1 << self.below(8),
            3 => data.truncate(at),
            4 => {
                let copy = data[at.min(end)..end].to_vec();
                let target = self.below(data.len() + 1);
                data.splice(target..target, copy);
            }
            5 if !other.is_empty() => {
                let from = self.below(other.len());
                let to = (from + self.below(400) + 1).min(other.len());
                data.splice(at..at, other[from..to].iter().copied());
            }
            _ if self.words.is_empty() => data.insert(at, self.next().to_le_bytes()[0]),
            _ => {
                let index = self.below(self.words.len());
                let word = self.words[index].clone();
                data.splice(at..end.max(at), word);
            }
        }
    }
}
