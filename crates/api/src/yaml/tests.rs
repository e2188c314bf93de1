//! Both ways of reading give the same trees.

use super::{Chunk, block, expand, full, parse, split};

fn plain(text: &str) -> Chunk<'_> {
    Chunk { text, line: 1 }
}

#[track_caller]
fn check_same(text: &str) -> bool {
    let Some(short) = block::parse(&plain(text)) else { return false };
    let (mut long, error) = full::parse(&plain(text));
    assert!(error.is_none(), "{text}\n{error:?}");
    assert_eq!(long.len(), 1, "{text}");
    let long = expand::expand(long.remove(0)).unwrap();
    assert_eq!(render(&short), render(&long), "{text}");
    true
}

fn render(tree: &super::Tree<'_>) -> Vec<String> {
    let show = |node: &super::Node<'_>| match &node.content {
        super::Content::Plain(text) if super::is_null(text) => format!("{} null", node.end),
        content => format!("{} {content:?}", node.end),
    };
    tree.nodes.iter().map(show).collect()
}

#[test]
fn block_style_is_read_the_short_way() {
    for text in [
        "a: 1\nb:\n  c: x # comment\n  d: 'it''s'\n",
        "a:\n- 1\n- b: 2\n  c: 3\n-\n  d: 4\n- - x\n  - y\ne: \"q\"\n",
        "a: |\n  one\n   two\n\n  three\nb: |-\n  x\n\nc: |+\n  y\n\n",
        "hosts: [\"*\", a.b, 'c']\nempty: {}\nnone: []\nnull_value:\n",
        "a: {b: c, 'd': [e, {f: \"g\"}], h.i/j: {}} # k\nl:\n- {m: n:1, o: a://b.c:80/d}\n- [{p: q,}]\n",
        "# c\n\na: http://x:80/y#z\n\n# d\nb: -1\n",
    ] {
        assert!(check_same(text), "{text}");
    }
}

#[test]
fn aliases_and_merge_keys_are_expanded() {
    let text = "base: &b\n  x: 1\n  y: 2\nuse:\n  <<: *b\n  y: 3\nlist: [*b]\n";
    let (trees, error) = parse(&plain(text));
    assert!(error.is_none(), "{error:?}");
    let tree = &trees[0];
    let used = tree.get(0, "use").unwrap();
    assert_eq!(tree.scalar(tree.get(used, "x").unwrap()), Some("1"));
    assert_eq!(tree.scalar(tree.get(used, "y").unwrap()), Some("3"));
    assert_eq!(tree.entries(used).count(), 2);
}

#[test]
fn growth_by_aliases_is_bounded() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let before = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{before}]\n"));
    }
    let (_, error) = parse(&plain(&text));
    assert!(error.unwrap().message.contains("too large"));
}

#[test]
fn depth_is_bounded() {
    for text in ["[".repeat(100_000), "- ".repeat(100_000), "{a: ".repeat(50_000)] {
        assert!(parse(&plain(&text)).1.is_some());
    }
}

#[test]
fn documents_are_split_at_markers_only() {
    let chunks = split(b"a: 1\n---\nb: |\n  ---\n--- # x\nc: 3\n---\n");
    let lines: Vec<u32> = chunks.iter().map(|chunk| chunk.as_ref().unwrap().line).collect();
    assert_eq!(lines, [1, 2, 5]);
    assert!(split(b"a: 1\n---\nb: \xFF\n")[1].is_err());
}

proptest::proptest! {
    #[test]
    fn the_short_way_agrees_with_the_long_way(
        text in "(( {0,4})(- |-|a: |b:|c:|'d': )?(- )?(x|1|~|\"q\"|'r'|\\[\\]|\\{\\}|\\[a, 'b'\\]|\\||\\|-|x: y|#|x #|x y)?\n){0,9}"
    ) {
        check_same(&text);
    }

    #[test]
    fn the_short_way_agrees_with_the_long_way_within_braces_and_brackets(
        text in "((- |a: |b:\n  )(\\{|\\[)(x|y: |z: 1|\"q\"|'r': |\\{|\\}|\\[|\\]|, |,|:|-|/a.b| #){0,6}(\\}|\\]){1,2}\n){1,3}"
    ) {
        check_same(&text);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, text in "[-a: \n#&*!|>'\"%@`{}\\[\\],?<]{0,60}") {
        for input in [bytes.as_slice(), text.as_bytes()] {
            for chunk in split(input).into_iter().flatten() {
                parse(&chunk);
            }
        }
    }
}
