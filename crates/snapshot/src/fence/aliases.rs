//! Other names of hosts, by patterns.

use model::Hostname;
use regex::Regex;

/// Rules that give hosts further names.
#[derive(Clone, Debug, Default)]
pub struct DomainAliases(Vec<DomainAlias>);

/// One rule.
#[derive(Clone, Debug)]
pub struct DomainAlias {
    pattern: Regex,
    templates: Vec<String>,
}

impl DomainAlias {
    /// Reads a pattern (RE2's syntax) and what a match stands for: `$1` and `$name` are its groups.
    pub fn parse(pattern: &str, templates: &[String]) -> Result<Self, String> {
        if templates.is_empty() {
            return Err("it has no templates".to_owned());
        }
        let pattern = Regex::new(pattern).map_err(|error| {
            let text = error.to_string();
            text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
        })?;
        Ok(Self { pattern, templates: templates.to_vec() })
    }
}

impl FromIterator<DomainAlias> for DomainAliases {
    fn from_iter<I: IntoIterator<Item = DomainAlias>>(rules: I) -> Self {
        Self(rules.into_iter().collect())
    }
}

impl DomainAliases {
    /// The further names of a host: of each rule whose pattern is found in it exactly once.
    pub fn of(&self, host: &Hostname) -> Vec<Hostname> {
        let mut names = Vec::new();
        for DomainAlias { pattern, templates } in &self.0 {
            let mut found = pattern.captures_iter(host.as_str());
            let (Some(groups), None) = (found.next(), found.next()) else { continue };
            for template in templates {
                let mut name = String::new();
                groups.expand(template, &mut name);
                if !name.is_empty() && name != host.as_str() {
                    names.push(Hostname::new(&name));
                }
            }
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::{DomainAlias, DomainAliases};

    fn aliases(pattern: &str, templates: &[&str], host: &str) -> Vec<String> {
        let templates: Vec<String> = templates.iter().map(|it| (*it).to_owned()).collect();
        let rules = DomainAliases::from_iter(DomainAlias::parse(pattern, &templates));
        rules.of(&host.into()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn groups_are_put_into_the_templates() {
        let pattern = r"(?P<service>[^\.]+)\.(?P<namespace>[^\.]+)\.svc\.cluster\.local$";
        let templates = ["$namespace.$service.service.example", "${service}-$2.example"];
        assert_eq!(
            aliases(pattern, &templates, "cart.shop.svc.cluster.local"),
            ["shop.cart.service.example", "cart-shop.example"]
        );
        assert!(aliases(pattern, &templates, "www.example.com").is_empty());
    }

    #[test]
    fn a_pattern_that_is_found_twice_says_nothing() {
        assert!(aliases("a", &["b"], "a.a.shop").is_empty());
        assert_eq!(aliases("a", &["b"], "a.shop"), ["b"]);
    }

    #[test]
    fn what_is_wrong_with_a_rule_is_said() {
        let one = ["b".to_owned()];
        let bad = [("((", &one[..]), ("a", &[])];
        let said = bad.map(|(pattern, templates)| {
            DomainAlias::parse(pattern, templates).err().unwrap_or_default()
        });
        assert_eq!(said, ["unclosed group", "it has no templates"]);
    }
}
