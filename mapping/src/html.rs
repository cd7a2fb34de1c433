//! HTML of descriptions: whether text is HTML, and what it says as plain text.

/// Elements that vendors' editors produce in descriptions.
const ELEMENTS: [&str; 30] = [
    "a",
    "b",
    "blockquote",
    "body",
    "br",
    "code",
    "div",
    "em",
    "font",
    "h1",
    "h2",
    "h3",
    "h4",
    "hr",
    "html",
    "i",
    "img",
    "li",
    "ol",
    "p",
    "pre",
    "span",
    "strong",
    "style",
    "table",
    "td",
    "th",
    "tr",
    "u",
    "ul",
];

/// Elements after which a new line begins.
const BLOCKS: [&str; 13] = [
    "blockquote",
    "br",
    "div",
    "h1",
    "h2",
    "h3",
    "h4",
    "hr",
    "li",
    "p",
    "pre",
    "table",
    "tr",
];

/// A tag at the start of `text`: its name in lower case, whether it closes, and its length. Looks no further than the
/// next angle bracket, so that reading a text stays linear.
fn tag(text: &str) -> Option<(String, bool, usize)> {
    let inner = text.strip_prefix('<')?;
    let end = inner
        .find(['<', '>'])
        .filter(|end| inner.as_bytes().get(*end) == Some(&b'>'))?;
    let body = inner[..end].trim_start_matches('/');
    let closing = inner.starts_with('/');
    let length = body.bytes().take_while(u8::is_ascii_alphanumeric).count();
    let (name, rest) = body.split_at(length);
    let name = name.to_ascii_lowercase();
    let clean = rest.is_empty() || rest.starts_with([' ', '/', '\n', '\t']);
    (clean && ELEMENTS.contains(&name.as_str())).then_some((name, closing, end + 2))
}

/// Whether the text holds a tag.
#[must_use]
pub(crate) fn has_tags(text: &str) -> bool {
    text.match_indices('<').any(|(at, _)| tag(&text[at..]).is_some())
}

/// The text of a piece of HTML.
#[must_use]
pub(crate) fn strip(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = rest.find(['<', '&']) {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some((name, closing, length)) = tag(rest) {
            let breaks = name == "br" || name == "hr" || closing;
            if breaks && BLOCKS.contains(&name.as_str()) {
                text.push('\n');
            }
            rest = &rest[length..];
        } else if let Some((c, length)) = entity(rest) {
            text.push(c);
            rest = &rest[length..];
        } else {
            text.push_str(&rest[..1]);
            rest = &rest[1..];
        }
    }
    text.push_str(rest);
    text.trim().to_owned()
}

/// A character reference at the start of `text`, and its length.
fn entity(text: &str) -> Option<(char, usize)> {
    let inner = text.strip_prefix('&')?;
    let window = inner.char_indices().take(10);
    let end = window
        .take_while(|(_, c)| c.is_ascii_alphanumeric() || matches!(c, '#' | ';'))
        .find(|(_, c)| *c == ';')?
        .0;
    let name = &inner[..end];
    let c = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => '\u{a0}',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code).filter(|c| !c.is_control() || *c == '\n')?
        }
    };
    Some((c, end + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_tags_make_text_html() {
        assert!(has_tags("see <b>this</b>"));
        assert!(has_tags("a<br/>b"));
        assert!(has_tags("<a href=\"https://example.org\">x</a>"));
        for text in ["a < b > c", "<ada@example.org>", "x <-> y", "1 <2", "<b", "<brx>"] {
            assert!(!has_tags(text), "{text}");
        }
    }

    #[test]
    fn html_says_its_text() {
        assert_eq!(
            strip("<p>Agenda &amp; notes:</p><ul><li>one</li><li>two &#x41;</li></ul>a&b <x@y>"),
            "Agenda & notes:\none\ntwo A\na&b <x@y>"
        );
    }
}
