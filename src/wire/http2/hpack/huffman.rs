//! The Huffman code of RFC 7541 Appendix B.
//!
//! It is a canonical code: the codes of one length are consecutive numbers, and each length goes on where the shorter
//! one ended. So how many codes each length has, and their symbols in that order, are the whole table.

/// Codes of 1 bit, 2 bits, and so on to 30.
const CODES: [u16; 30] =
    [0, 0, 0, 0, 10, 26, 32, 6, 0, 5, 3, 2, 6, 2, 3, 0, 0, 0, 3, 8, 13, 26, 29, 12, 4, 15, 19, 29, 0, 4];

/// Symbols in the order of their codes. The last code, of 30 ones, is EOS and no symbol.
const SYMBOLS: [u8; 256] = [
    48, 49, 50, 97, 99, 101, 105, 111, 115, 116, 32, 37, 45, 46, 47, 51, 52, 53, 54, 55, 56, 57, 61, 65, 95, 98, 100,
    102, 103, 104, 108, 109, 110, 112, 114, 117, 58, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81,
    82, 83, 84, 85, 86, 87, 89, 106, 107, 113, 118, 119, 120, 121, 122, 38, 42, 44, 59, 88, 90, 33, 34, 40, 41, 63, 39,
    43, 124, 35, 62, 0, 36, 64, 91, 93, 126, 94, 125, 60, 96, 123, 92, 195, 208, 128, 130, 131, 162, 184, 194, 224,
    226, 153, 161, 167, 172, 176, 177, 179, 209, 216, 217, 227, 229, 230, 129, 132, 133, 134, 136, 146, 154, 156, 160,
    163, 164, 169, 170, 173, 178, 181, 185, 186, 187, 189, 190, 196, 198, 228, 232, 233, 1, 135, 137, 138, 139, 140,
    141, 143, 147, 149, 150, 151, 152, 155, 157, 158, 165, 166, 168, 174, 175, 180, 182, 183, 188, 191, 197, 231, 239,
    9, 142, 144, 145, 148, 159, 171, 206, 215, 225, 236, 237, 199, 207, 234, 235, 192, 193, 200, 201, 202, 205, 210,
    213, 218, 219, 238, 240, 242, 243, 255, 203, 204, 211, 212, 214, 221, 222, 223, 241, 244, 245, 246, 247, 248, 250,
    251, 252, 253, 254, 2, 3, 4, 5, 6, 7, 8, 11, 12, 14, 15, 16, 17, 18, 19, 20, 21, 23, 24, 25, 26, 27, 28, 29, 30,
    31, 127, 220, 249, 10, 13, 22,
];

/// Decodes `coded` behind what `to` holds.
pub(super) fn decode(coded: &[u8], to: &mut Vec<u8>) -> Result<(), &'static str> {
    let mut walk = Walk::default();
    for byte in coded {
        for shift in (0..8).rev() {
            if let Some(symbol) = walk.bit(byte.wrapping_shr(shift) & 1)? {
                to.push(symbol);
            }
        }
    }
    // RFC 7541 section 5.2: what is left is the beginning of EOS, and less than a byte of it.
    if walk.length > 7 || walk.code != 1_u32.wrapping_shl(walk.length).wrapping_sub(1) {
        return Err("expected a Huffman code padded by fewer than 8 ones, got another end");
    }
    Ok(())
}

/// A code in the making.
#[derive(Default)]
struct Walk {
    code: u32,
    length: u32,
    /// The first code of this length, and where its symbol is.
    first: u32,
    index: u32,
}

impl Walk {
    /// One bit more; the symbol that it completes.
    fn bit(&mut self, bit: u8) -> Result<Option<u8>, &'static str> {
        const EOS: &str = "expected a Huffman code of a symbol, got EOS";
        self.code = self.code.wrapping_shl(1) | u32::from(bit);
        self.first = self.first.wrapping_shl(1);
        let codes = usize::try_from(self.length).ok().and_then(|length| CODES.get(length)).ok_or(EOS)?;
        let codes = u32::from(*codes);
        self.length = self.length.saturating_add(1);
        let within = self.code.wrapping_sub(self.first);
        if within < codes {
            let at = usize::try_from(self.index.saturating_add(within)).ok();
            let symbol = at.and_then(|at| SYMBOLS.get(at)).ok_or(EOS)?;
            *self = Self::default();
            return Ok(Some(*symbol));
        }
        self.first = self.first.wrapping_add(codes);
        self.index = self.index.saturating_add(codes);
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(coded: &[u8]) -> Result<String, &'static str> {
        let mut to = Vec::new();
        decode(coded, &mut to).map(|()| String::from_utf8(to).unwrap())
    }

    /// A wrong row would make each head that holds its symbol another one.
    #[test]
    fn the_examples_of_the_specification() {
        for (coded, text) in [
            (&[0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff][..], "www.example.com"),
            (&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf], "no-cache"),
            (&[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xb8, 0xe8, 0xb4, 0xbf], "custom-value"),
            (
                &[0x9d, 0x29, 0xad, 0x17, 0x18, 0x63, 0xc7, 0x8f, 0x0b, 0x97, 0xc8, 0xe9, 0xae, 0x82, 0xae, 0x43, 0xd3],
                "https://www.example.com",
            ),
            (&[], ""),
        ] {
            assert_eq!(decoded(coded).as_deref(), Ok(text));
        }
    }

    /// Every symbol has its code, and no other has it.
    #[test]
    fn the_table_is_complete() {
        let mut seen = [false; 256];
        for symbol in SYMBOLS {
            assert!(!std::mem::replace(&mut seen[usize::from(symbol)], true), "{symbol}");
        }
        // Kraft's sum of a complete code is 1; EOS is the one code more.
        let sum: u64 = CODES.iter().zip(1..).map(|(codes, length)| u64::from(*codes) << (30 - length)).sum();
        assert_eq!(sum, 1 << 30);
        assert_eq!(CODES.iter().map(|c| usize::from(*c)).sum::<usize>(), SYMBOLS.len() + 1);
    }

    /// Padding with zeros, a whole byte of padding, and EOS are errors of the encoder (RFC 7541 section 5.2).
    #[test]
    fn wrong_ends_are_told() {
        for coded in [&[0x00_u8, 0x00][..], &[0xff], &[0x1f, 0xff], &[0xff, 0xff, 0xff, 0xff]] {
            assert!(decoded(coded).is_err(), "{coded:x?}");
        }
    }
}
