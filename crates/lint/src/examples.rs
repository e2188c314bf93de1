//! An example for a code: the mistake, and how it is repaired.
//!
//! The examples are the cases of this crate's tests, made in the mesh of `testdata/shop.yaml`.

/// A mistake and its repair, as files have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Example {
    /// What was done, without a full stop.
    pub mistake: &'static str,
    pub wrong: &'static str,
    pub repaired: &'static str,
}

macro_rules! files {
    ($($code:literal)+) => {
        /// The files by code.
        const FILES: &[(&str, &str)] = &[
            $(($code, include_str!(concat!("../testdata/mistakes/", $code, ".yaml")))),+
        ];
    };
}

files! {
    "MEL0003"
    "MEL0112"
    "MEL0120"
    "MEL0121"
    "MEL0122"
    "MEL0123"
    "MEL0129"
    "MEL0154"
    "MEL0155"
    "MEL0163"
    "MEL0174"
    "MEL0182"
    "MEL0200"
    "MEL0212"
    "MEL0402"
    "MEL0403"
    "MEL0404"
    "MEL0405"
    "MEL0406"
    "MEL0407"
    "MEL0408"
    "MEL0410"
    "MEL0411"
    "MEL0412"
    "MEL0413"
    "MEL0414"
    "MEL0415"
    "MEL0416"
    "MEL0417"
    "MEL0418"
    "MEL0419"
    "MEL0420"
    "MEL0421"
    "MEL0422"
    "MEL0423"
    "MEL0424"
    "MEL0425"
    "MEL0426"
    "MEL0427"
    "MEL0428"
    "MEL0429"
    "MEL0430"
    "MEL0431"
    "MEL0432"
    "MEL0433"
    "MEL0434"
    "MEL0435"
    "MEL0436"
    "MEL0437"
    "MEL0438"
    "MEL0439"
    "MEL0440"
    "MEL0441"
    "MEL0442"
    "MEL0443"
    "MEL0444"
    "MEL0445"
    "MEL0446"
    "MEL0447"
    "MEL0448"
    "MEL0449"
    "MEL0450"
    "MEL0451"
    "MEL0452"
    "MEL0453"
    "MEL0454"
    "MEL0455"
    "MEL0456"
    "MEL0457"
    "MEL0458"
    "MEL0460"
    "MEL0461"
    "MEL0462"
    "MEL0463"
    "MEL0464"
}

/// The codes that have an example, in order.
pub fn codes() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(code, _)| *code)
}

/// The example of a code.
pub fn find(code: &str) -> Option<Example> {
    let (_, text) = FILES.iter().find(|(known, _)| *known == code)?;
    let (wrong, repaired) = text.split_once("# repaired\n")?;
    let (first, mut wrong) = wrong.split_once('\n')?;
    while let Some(rest) = wrong.strip_prefix("# expected") {
        wrong = rest.split_once('\n')?.1;
    }
    Some(Example { mistake: first.strip_prefix("# mistake: ")?, wrong, repaired })
}
