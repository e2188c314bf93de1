//! Whether a text is an expression that Envoy would take.
//!
//! Envoy refuses a listener whose log has an expression that it cannot read, and with it all that
//! the listener serves. This reads the grammar of CEL, and knows the names of its functions; types
//! are not checked, since Envoy finds those only when it evaluates.

/// Deeper expressions are refused here, as they are by Envoy (32 levels of parentheses).
const MAX_DEPTH: u32 = 32;
/// Without those that go through a list, which Envoy turns off.
const FUNCTIONS: &[&str] = &[
    "bool",
    "bytes",
    "contains",
    "double",
    "duration",
    "dyn",
    "endsWith",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getFullYear",
    "getHours",
    "getMilliseconds",
    "getMinutes",
    "getMonth",
    "getSeconds",
    "has",
    "int",
    "matches",
    "size",
    "startsWith",
    "string",
    "timestamp",
    "type",
    "uint",
];

/// The words say what is wrong.
pub(super) fn check_expression(text: &str) -> Result<(), String> {
    let mut parser = Parser { rest: text, depth: 0 };
    parser.ternary()?;
    parser.space();
    match parser.rest.chars().next() {
        None => Ok(()),
        Some(_) => Err(format!("`{}` is not expected in the expression", shown(parser.rest))),
    }
}

fn shown(text: &str) -> &str {
    let end = text.char_indices().nth(12).map_or(text.len(), |(at, _)| at);
    &text[..end]
}

struct Parser<'a> {
    rest: &'a str,
    depth: u32,
}

impl<'a> Parser<'a> {
    fn space(&mut self) {
        loop {
            self.rest = self.rest.trim_start();
            match self.rest.strip_prefix("//") {
                Some(comment) => self.rest = comment.split_once('\n').map_or("", |it| it.1),
                None => return,
            }
        }
    }

    fn eat(&mut self, token: &str) -> bool {
        self.space();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        match self.eat(token) {
            true => Ok(()),
            false if self.rest.is_empty() => Err(format!("`{token}` is missing at the end")),
            false => Err(format!("`{token}` is expected in place of `{}`", shown(self.rest))),
        }
    }

    fn ternary(&mut self) -> Result<(), String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("the expression is nested too deeply".to_owned());
        }
        self.binary(0)?;
        if self.eat("?") {
            self.binary(0)?;
            self.expect(":")?;
            self.ternary()?;
        }
        self.depth -= 1;
        Ok(())
    }

    fn binary(&mut self, level: usize) -> Result<(), String> {
        const LEVELS: [&[&str]; 5] =
            [&["||"], &["&&"], &["<=", ">=", "==", "!=", "<", ">"], &["+", "-"], &["*", "/", "%"]];
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        self.binary(level + 1)?;
        loop {
            let is_relation = level == 2;
            let found = operators.iter().any(|it| self.eat(it)) || is_relation && self.eat_in();
            if !found {
                return Ok(());
            }
            self.binary(level + 1)?;
        }
    }

    fn eat_in(&mut self) -> bool {
        self.space();
        let Some(rest) = self.rest.strip_prefix("in") else { return false };
        let ends = !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        if ends {
            self.rest = rest;
        }
        ends
    }

    fn unary(&mut self) -> Result<(), String> {
        while self.eat("!") || self.eat("-") {}
        self.primary()?;
        loop {
            if self.eat(".") {
                let name = self.name().ok_or("a name is missing after `.`")?;
                if self.eat("(") {
                    check_function(name)?;
                    self.list(")")?;
                }
            } else if self.eat("[") {
                self.ternary()?;
                self.expect("]")?;
            } else {
                return Ok(());
            }
        }
    }

    fn primary(&mut self) -> Result<(), String> {
        self.space();
        if self.eat("(") {
            self.ternary()?;
            return self.expect(")");
        }
        if self.eat("[") {
            return self.list("]");
        }
        if self.eat("{") {
            return self.map();
        }
        if self.string()? || self.number()? {
            return Ok(());
        }
        self.eat(".");
        match self.name() {
            Some("in") | None => match self.rest {
                "" => Err("the expression ends too early".to_owned()),
                rest => Err(format!("`{}` is not expected in the expression", shown(rest))),
            },
            Some(name) if self.eat("(") => {
                check_function(name)?;
                self.list(")")
            }
            Some(_) => Ok(()),
        }
    }

    fn list(&mut self, end: &str) -> Result<(), String> {
        while !self.eat(end) {
            self.ternary()?;
            if !self.eat(",") {
                return self.expect(end);
            }
        }
        Ok(())
    }

    fn map(&mut self) -> Result<(), String> {
        while !self.eat("}") {
            self.ternary()?;
            self.expect(":")?;
            self.ternary()?;
            if !self.eat(",") {
                return self.expect("}");
            }
        }
        Ok(())
    }

    fn name(&mut self) -> Option<&'a str> {
        self.space();
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let length = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(length);
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        self.rest = rest;
        Some(name)
    }

    /// A text or bytes, raw or not, in one or three quotes of either kind.
    fn string(&mut self) -> Result<bool, String> {
        let prefixes = self.rest.find(|c: char| !"rRbB".contains(c)).unwrap_or(0);
        let (prefix, quoted) = self.rest.split_at(prefixes);
        let is_raw = prefix.contains(['r', 'R']);
        let Some(quote) =
            ["\"\"\"", "'''", "\"", "'"].into_iter().find(|it| quoted.starts_with(it))
        else {
            return Ok(false);
        };
        if prefix.len() > 2 {
            return Ok(false);
        }
        let inner = &quoted[quote.len()..];
        let mut escaped = false;
        for (at, c) in inner.char_indices() {
            if !escaped && inner[at..].starts_with(quote) {
                self.rest = &inner[at + quote.len()..];
                return Ok(true);
            }
            if c == '\n' && quote.len() == 1 {
                break;
            }
            if escaped && !"abfnrtvxXuU0123\\?\"'`".contains(c) {
                return Err(format!("`\\{c}` is no escape"));
            }
            escaped = !escaped && c == '\\' && !is_raw;
        }
        Err("a text has no end".to_owned())
    }

    fn number(&mut self) -> Result<bool, String> {
        if !self.rest.starts_with(|c: char| c.is_ascii_digit()) {
            return Ok(false);
        }
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '.';
        let mut length = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        // The sign of an exponent.
        if self.rest[..length].ends_with(['e', 'E']) && self.rest[length..].starts_with(['+', '-'])
        {
            let digits = &self.rest[length + 1..];
            length += 1 + digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        }
        let (number, rest) = self.rest.split_at(length);
        let whole = number.strip_suffix(['u', 'U']).unwrap_or(number);
        let hex = whole.strip_prefix("0x").or_else(|| whole.strip_prefix("0X"));
        let is_number = match hex {
            Some(digits) => u64::from_str_radix(digits, 16).is_ok(),
            None if whole.len() < number.len() => whole.parse::<u64>().is_ok(),
            None if whole.bytes().all(|it| it.is_ascii_digit()) => whole.parse::<i64>().is_ok(),
            None => whole.parse::<f64>().is_ok(),
        };
        if !is_number {
            return Err(format!("`{number}` is no number"));
        }
        self.rest = rest;
        Ok(true)
    }
}

fn check_function(name: &str) -> Result<(), String> {
    match FUNCTIONS.contains(&name) {
        true => Ok(()),
        false => Err(format!("there is no function `{name}`")),
    }
}
