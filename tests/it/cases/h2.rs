//! Scripted HTTP/2: frames of a message, without compression of its fields.

/// What a client sends first: the preface, and SETTINGS.
pub(crate) fn client_begins() -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &*server_begins()].concat()
}

/// What a server sends first.
pub(crate) fn server_begins() -> Vec<u8> {
    frame(4, 0, 0, &[])
}

/// `GET /app`, a status or `reset CODE`, then fields, and a body.
pub(crate) fn message(stream: u32, from_client: bool, lines: &[String], body: &[u8]) -> Vec<u8> {
    let (first, fields) = lines.split_first().expect("a first line");
    if let Some(code) = first.strip_prefix("reset ") {
        let code: u32 = code.parse().unwrap_or_else(|_| panic!("no error code: {code}"));
        return frame(3, 0, stream, &code.to_be_bytes());
    }
    let mut block = Vec::new();
    if from_client {
        let (method, path) = first.split_once(' ').unwrap_or_else(|| panic!("no request: {first}"));
        for (name, value) in [(":method", method), (":scheme", "https"), (":path", path)] {
            field(&mut block, name, value);
        }
    } else {
        field(&mut block, ":status", first);
    }
    for line in fields {
        let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no field: {line}"));
        let name = if name.eq_ignore_ascii_case("host") { ":authority".to_owned() } else { name.to_lowercase() };
        field(&mut block, &name, value.trim());
    }
    let mut out = frame(1, if body.is_empty() { 5 } else { 4 }, stream, &block);
    if !body.is_empty() {
        out.extend(frame(0, 1, stream, body));
    }
    out
}

/// A literal that is never indexed (RFC 7541 section 6.2.3).
fn field(block: &mut Vec<u8>, name: &str, value: &str) {
    block.push(0x10);
    for text in [name, value] {
        let mut length = text.len();
        if length < 127 {
            block.push(u8::try_from(length).expect("below 127"));
        } else {
            block.push(127);
            length -= 127;
            while length >= 128 {
                block.push(u8::try_from(length % 128 + 128).expect("a byte"));
                length /= 128;
            }
            block.push(u8::try_from(length).expect("below 128"));
        }
        block.extend_from_slice(text.as_bytes());
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}
