//! As much HTML as error pages need: elements by name, their text, entities. Not a parser: bounded searches.

/// The inside of the first element of a name (ASCII), when its end is there as well.
pub(super) fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    elements(text, name).next()
}

/// The insides of the elements of a name, as far as they are whole. Elements of the same name must not nest.
pub(super) fn elements<'a>(text: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let at = rest.find('<')?;
            rest = rest.get(at.checked_add(1)?..)?;
            let Some(after) = strip_name(rest, name) else { continue };
            if !after.starts_with(|c: char| c == '>' || c.is_ascii_whitespace()) {
                continue;
            }
            let inside = after.get(after.find('>')?.checked_add(1)?..)?;
            let end = end_tag(inside, name)?;
            rest = inside.get(end..)?;
            return inside.get(..end);
        }
    })
}

fn strip_name<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.get(..name.len()).filter(|start| start.eq_ignore_ascii_case(name))?;
    text.get(name.len()..)
}

/// Where `</name` begins.
fn end_tag(text: &str, name: &str) -> Option<usize> {
    text.match_indices("</").map(|(at, _)| at).find(|at| {
        at.checked_add(2).and_then(|from| text.get(from..)).is_some_and(|rest| strip_name(rest, name).is_some())
    })
}

/// Readable text: tags out, entities decoded, white space (also the no-break one) made single and trimmed.
pub(super) fn text(inside: &str) -> String {
    let mut out = String::new();
    let mut rest = inside;
    while let Some(c) = rest.chars().next() {
        let (shown, used) = match c {
            '<' => (Some(' '), rest.find('>').map_or(rest.len(), |end| end.saturating_add(1))),
            '&' => entity(rest).unwrap_or((Some('&'), 1)),
            c => (Some(c), c.len_utf8()),
        };
        if let Some(c) = shown {
            let blank = c.is_whitespace() || c.is_control();
            if !blank {
                out.push(c);
            } else if !out.is_empty() && !out.ends_with(' ') {
                out.push(' ');
            }
        }
        rest = rest.get(used..).unwrap_or_default();
    }
    out.truncate(out.trim_end().len());
    out
}

/// The character of `&name;`, and its length in the text. An unknown one stays as it is written.
fn entity(text: &str) -> Option<(Option<char>, usize)> {
    let end = text.bytes().take(12).position(|b| b == b';')?;
    let name = text.get(1..end)?;
    let c = match name {
        "nbsp" => ' ',
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        "apos" => '\'',
        "raquo" => '»',
        "laquo" => '«',
        "ndash" => '–',
        "mdash" => '—',
        "copy" => '©',
        "auml" => 'ä',
        "ouml" => 'ö',
        "uuml" => 'ü',
        "Auml" => 'Ä',
        "Ouml" => 'Ö',
        "Uuml" => 'Ü',
        "szlig" => 'ß',
        "eacute" => 'é',
        "egrave" => 'è',
        "agrave" => 'à',
        "ccedil" => 'ç',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)?
        }
    };
    Some((Some(c), end.saturating_add(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A value with its padding, or half an entity, would look like another module than it is.
    #[test]
    fn text_is_what_a_reader_sees() {
        assert_eq!(text("&nbsp;&nbsp;\u{a0}IIS&#32;Web <b>Core</b> "), "IIS Web Core");
        assert_eq!(text("EXAMPLE\\alice &amp; co &unknown; &#x41;&lt;"), "EXAMPLE\\alice & co &unknown; A<");
        assert_eq!(text("a & b"), "a & b");
        assert_eq!(text("&"), "&");
        assert_eq!(text("x<br"), "x");
        assert_eq!(text("&#xD800;&#99999999;"), "&#xD800;&#99999999;");
    }

    /// A cell that the copy cut in half is not a value.
    #[test]
    fn only_whole_elements_count() {
        let page = "<TABLE><tr><th>A</th><td class=x>one</td></tr><td>two</TD><tdx>no</tdx><td>thr";
        assert_eq!(elements(page, "td").collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!(element(page, "th"), Some("A"));
        assert_eq!(element("<é", "td"), None);
    }
}
