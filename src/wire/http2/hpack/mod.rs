//! Header compression, the decoder's half (RFC 7541).
//!
//! Written here, since no maintained crate decodes passively: each bound and each error is ours to choose. What the
//! decoder holds is bounded by [`MOST_TABLE`], and what a block can become by the one who takes its fields.

mod huffman;
mod table;

use table::Table;

/// The dynamic table's size before anybody says another (RFC 9113 section 6.5.2).
const FIRST_TABLE: usize = 4_096;
/// Largest dynamic table followed; browsers announce 64 KiB.
const MOST_TABLE: usize = 64 * 1024;

/// Decodes the header blocks of one direction, in order.
pub(super) struct Decoder {
    table: Table,
    /// The dynamic table's size, as the encoder chose it.
    most: usize,
    /// The largest that the receiver ever allowed.
    allowed: usize,
}

/// Spare memory for one field.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) name: Vec<u8>,
    pub(super) value: Vec<u8>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { table: Table::default(), most: FIRST_TABLE, allowed: FIRST_TABLE }
    }
}

impl Decoder {
    /// Memory that its table takes, about, in bytes.
    pub(super) const fn footprint(&self) -> usize {
        self.table.size()
    }

    /// The receiver announced `SETTINGS_HEADER_TABLE_SIZE`. The encoder says itself when it follows; a size that was
    /// allowed once may still be on its way.
    pub(super) fn allow(&mut self, size: u32) {
        self.allowed = self.allowed.max(usize::try_from(size).unwrap_or(usize::MAX));
    }

    /// Hands each field of a block to `take`; stops where that, or the coding, is wrong.
    pub(super) fn decode(
        &mut self,
        block: &[u8],
        scratch: &mut Scratch,
        mut take: impl FnMut(&[u8], &[u8]) -> Result<(), &'static str>,
    ) -> Result<(), &'static str> {
        let mut rest = block;
        let mut begun = false;
        while let Some(first) = rest.first().copied() {
            if first & 0x80 != 0 {
                let index = integer(&mut rest, 7)?;
                let (name, value) = self.table.get(index).ok_or(NO_ENTRY)?;
                take(name, value)?;
            } else if first & 0xe0 == 0x20 {
                self.resize(integer(&mut rest, 5)?, begun)?;
                continue;
            } else {
                let kept = first & 0x40 != 0;
                let index = integer(&mut rest, if kept { 6 } else { 4 })?;
                scratch.name.clear();
                scratch.value.clear();
                if index == 0 {
                    string(&mut rest, &mut scratch.name)?;
                } else {
                    scratch.name.extend_from_slice(self.table.get(index).ok_or(NO_ENTRY)?.0);
                }
                string(&mut rest, &mut scratch.value)?;
                take(&scratch.name, &scratch.value)?;
                if kept {
                    self.table.insert(&scratch.name, &scratch.value, self.most);
                }
            }
            begun = true;
        }
        Ok(())
    }

    /// The encoder chose another size (RFC 7541 section 6.3), before the block's first field.
    fn resize(&mut self, size: usize, begun: bool) -> Result<(), &'static str> {
        if begun {
            return Err("expected a size of the dynamic table before the first field, got one behind it");
        }
        if size > self.allowed {
            return Err("expected a dynamic table no larger than its receiver allows, got a larger one");
        }
        if size > MOST_TABLE {
            return Err("expected a dynamic table of at most 64 KiB, got a larger one");
        }
        self.most = size;
        self.table.shrink(size);
        Ok(())
    }
}

const NO_ENTRY: &str = "expected the index of a field that is known, got another one";

/// An integer behind a prefix of `bits` bits (RFC 7541 section 5.1).
fn integer(rest: &mut &[u8], bits: u32) -> Result<usize, &'static str> {
    const CUT: &str = "expected a whole integer, got the block's end";
    const LARGE: &str = "expected an integer below 2^28, got a larger one";
    let (first, mut after) = rest.split_first().ok_or(CUT)?;
    let full = 1_usize.wrapping_shl(bits).wrapping_sub(1);
    let mut value = usize::from(*first) & full;
    if value == full {
        let mut shift = 0_u32;
        loop {
            let (byte, tail) = after.split_first().ok_or(CUT)?;
            after = tail;
            if shift > 21 {
                return Err(LARGE);
            }
            value = value.saturating_add(usize::from(byte & 0x7f).wrapping_shl(shift));
            shift = shift.saturating_add(7);
            if byte & 0x80 == 0 {
                break;
            }
        }
    }
    *rest = after;
    Ok(value)
}

/// A string (RFC 7541 section 5.2), behind what `to` holds.
fn string(rest: &mut &[u8], to: &mut Vec<u8>) -> Result<(), &'static str> {
    const CUT: &str = "expected a whole string, got the block's end";
    let coded = rest.first().ok_or(CUT)? & 0x80 != 0;
    let length = integer(rest, 7)?;
    let (bytes, after) = rest.split_at_checked(length).ok_or(CUT)?;
    *rest = after;
    if coded {
        return huffman::decode(bytes, to);
    }
    to.extend_from_slice(bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn fields(decoder: &mut Decoder, block: &[u8]) -> Result<String, &'static str> {
        let mut out = String::new();
        decoder.decode(block, &mut Scratch::default(), |name, value| {
            writeln!(out, "{}: {}", name.escape_ascii(), value.escape_ascii()).map_err(|_| "no room")
        })?;
        Ok(out)
    }

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()).collect()
    }

    /// RFC 7541 appendix C.4: three requests of one connection, Huffman coded, each on the table of those before.
    #[test]
    fn the_requests_of_the_specification() {
        let mut decoder = Decoder::default();
        let common = ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com\n";
        let first = fields(&mut decoder, &bytes("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff"));
        assert_eq!(first.as_deref(), Ok(common));
        let second = fields(&mut decoder, &bytes("8286 84be 5886 a8eb 1064 9cbf"));
        assert_eq!(second.unwrap(), format!("{common}cache-control: no-cache\n"));
        let third = fields(&mut decoder, &bytes("8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf"));
        let want =
            ":method: GET\n:scheme: https\n:path: /index.html\n:authority: www.example.com\ncustom-key: custom-value\n";
        assert_eq!(third.as_deref(), Ok(want));
        assert_eq!(decoder.table.size(), 164);
    }

    /// RFC 7541 appendix C.5: responses with a table of 256 bytes, where entries fall out. A decoder that keeps one too
    /// many would read the wrong field from then on.
    #[test]
    fn the_responses_of_the_specification() {
        let mut decoder = Decoder::default();
        fields(&mut decoder, &bytes("3fe101")).unwrap();
        let first = fields(
            &mut decoder,
            &bytes(
                "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 \
                 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            ),
        );
        assert!(
            first.unwrap().starts_with(":status: 302\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:21 GMT\n")
        );
        assert_eq!(decoder.table.size(), 222);
        let second = fields(&mut decoder, &bytes("4803 3330 37c1 c0bf"));
        assert!(second.unwrap().starts_with(":status: 307\ncache-control: private\n"));
        assert_eq!(decoder.table.size(), 222);
    }

    /// What no encoder may send ends the watching, and never the traffic.
    #[test]
    fn hostile_blocks_are_told() {
        for (block, why) in [
            (&[0x80][..], "index"),
            (&[0xbe], "index"),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff], "integer"),
            (&[0xff], "integer"),
            (&[0x3f, 0xe2, 0x1f], "allows"),
            (&[0x82, 0x20], "before the first"),
            (&[0x40, 0x7f], "integer"),
            (&[0x40, 0x05, b'a'], "string"),
            (&[0x40], "string"),
            (&[0x40, 0x81, 0x00, 0x00], "Huffman"),
        ] {
            let told = fields(&mut Decoder::default(), block).unwrap_err();
            assert!(told.contains(why), "{block:x?}: {told}");
        }
        let mut decoder = Decoder::default();
        decoder.allow(u32::MAX);
        assert!(fields(&mut decoder, &[0x3f, 0xe2, 0xff, 0x03]).unwrap_err().contains("64 KiB"));
    }

    /// A peer that fills the table must not fill the memory.
    #[test]
    fn the_table_is_bounded() {
        let mut decoder = Decoder::default();
        let mut block = vec![0x40, 1, b'a', 0x7f, 0x81, 0x02];
        block.extend_from_slice(&[b'v'; 384]);
        for _ in 0..1_000 {
            fields(&mut decoder, &block).unwrap();
        }
        assert!(decoder.table.size() <= FIRST_TABLE);
    }
}
