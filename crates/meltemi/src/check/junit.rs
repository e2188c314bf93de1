//! Findings → a JUnit report: one test case for each finding, so that CI shows each by itself.

use model::Severity;
use quick_xml::{
    Writer,
    events::{BytesText, Event},
};

use super::Finding;

pub(super) fn render(findings: &[Finding]) -> anyhow::Result<String> {
    let failures = findings.iter().filter(|it| it.severity == Severity::Error).count().to_string();
    // A report without a case reads as "nothing ran".
    let tests = findings.len().max(1).to_string();
    let counts = [("tests", tests.as_str()), ("failures", failures.as_str())];
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    writer.create_element("testsuites").with_attributes(counts).write_inner_content(|suites| {
        let suite = suites.create_element("testsuite").with_attribute(("name", "meltemi check"));
        suite.with_attributes(counts).write_inner_content(|cases| {
            if findings.is_empty() {
                let case = cases.create_element("testcase").with_attribute(("name", "check"));
                case.with_attribute(("classname", "meltemi")).write_empty()?;
            }
            findings.iter().try_for_each(|finding| write_case(finding, cases))
        })?;
        Ok(())
    })?;
    Ok(String::from_utf8(writer.into_inner())?)
}

fn write_case(finding: &Finding, cases: &mut Writer<Vec<u8>>) -> std::io::Result<()> {
    let name = format!("{} {} {}", finding.code, finding.object, finding.field);
    let place = finding.place();
    let case = cases
        .create_element("testcase")
        .with_attribute(("name", name.trim_end()))
        .with_attribute(("classname", place.as_str()));
    let text = format!("{place}: {}\n{}", finding.message, finding.hint);
    case.write_inner_content(|case| match finding.severity {
        Severity::Error => {
            case.create_element("failure")
                .with_attribute(("message", finding.message.as_str()))
                .with_attribute(("type", finding.code))
                .write_text_content(BytesText::new(text.trim_end()))?;
            Ok(())
        }
        Severity::Warning | Severity::Info => {
            case.write_event(Event::Start(quick_xml::events::BytesStart::new("system-out")))?;
            case.write_event(Event::Text(BytesText::new(text.trim_end())))?;
            case.write_event(Event::End(quick_xml::events::BytesEnd::new("system-out")))
        }
    })?;
    Ok(())
}
