//! AV_PAIR (MS-NLMP section 2.2.2.1): the names, flags, clock and bindings that both sides tell each other.

use super::super::bytes::{available, hex, slice, u16_le, u32_le, u64_le};
use super::super::fault::Faults;
use super::super::{Key, fingerprint};
use super::text;
use crate::model::FileTime;
use crate::model::auth::TargetInfo;

/// Single_Host_Data (MS-NLMP section 2.2.2.2): Size, Z4, CustomData, then MachineID.
const SINGLE_HOST: usize = 48;
const MACHINE_ID: usize = 16;

/// Length of MsvAvChannelBindings, an MD5.
const CHANNEL_BINDINGS: usize = 16;

/// AvIds above 10 that are listed; past that they are only counted in a fault.
const OTHERS_LIMIT: usize = 256;

/// Reads a sequence of AV pairs, which begins at offset `base` of the token, under the field path `path`.
pub(super) fn decode(bytes: &[u8], base: usize, path: &str, key: &Key, faults: &mut Faults) -> TargetInfo {
    let mut info = TargetInfo::default();
    let mut at = 0_usize;
    loop {
        let (Some(id), Some(length)) = (u16_le(bytes, at), u16_le(bytes, at.saturating_add(2)).map(usize::from)) else {
            faults.add(
                base.saturating_add(at),
                format!("{path}.av_id"),
                "a pair, or MsvAvEOL at the end",
                format!("{} bytes", bytes.len().saturating_sub(at)),
            );
            return info;
        };
        let value_at = at.saturating_add(4);
        let value = available(bytes, value_at, length);
        let mut pair = Pair { value, at: base.saturating_add(value_at), path, key, faults: &mut *faults };
        if value.len() < length {
            pair.fault("av_len", format!("{length} bytes"), format!("{}", value.len()));
        }
        if id == 0 {
            if length != 0 {
                pair.fault("av_eol", "no value", format!("{length} bytes"));
            }
            return info;
        }
        pair.read(id, length, &mut info);
        if value.len() < length {
            return info;
        }
        at = value_at.saturating_add(length);
    }
}

/// One pair that is being read.
struct Pair<'a, 'f> {
    value: &'a [u8],
    at: usize,
    path: &'a str,
    key: &'a Key,
    faults: &'f mut Faults,
}

impl<'a> Pair<'a, '_> {
    fn read(&mut self, id: u16, length: usize, info: &mut TargetInfo) {
        match id {
            1 => self.name("nb_computer_name", &mut info.nb_computer_name),
            2 => self.name("nb_domain_name", &mut info.nb_domain_name),
            3 => self.name("dns_computer_name", &mut info.dns_computer_name),
            4 => self.name("dns_domain_name", &mut info.dns_domain_name),
            5 => self.name("dns_tree_name", &mut info.dns_tree_name),
            6 => {
                let value = self.exact("av_flags", 4).and_then(|v| u32_le(v, 0));
                self.set("av_flags", &mut info.av_flags, value);
            }
            7 => {
                let value = self.exact("timestamp", 8).and_then(|v| u64_le(v, 0));
                self.set("timestamp", &mut info.timestamp, value.map(FileTime));
            }
            8 => {
                let machine = self
                    .exact("machine", SINGLE_HOST)
                    .and_then(|v| slice(v, MACHINE_ID, 32))
                    .map(|id| fingerprint::of(fingerprint::Kind::Machine, id, self.key));
                self.set("machine", &mut info.machine, machine);
            }
            9 => self.name("target_name", &mut info.target_name),
            10 => {
                let value = self.exact("channel_binding", CHANNEL_BINDINGS).map(hex);
                self.set("channel_binding", &mut info.channel_binding, value);
            }
            _ if info.others.len() < OTHERS_LIMIT => info.others.push((id, length)),
            _ => self.fault("av_id", format!("at most {OTHERS_LIMIT} unknown pairs"), format!("one more, {id}")),
        }
    }

    fn name(&mut self, field: &str, slot: &mut Option<String>) {
        let text = text::plain_utf16(self.value).unwrap_or_else(|| {
            let path = format!("{}.{field}", self.path);
            text::utf16(self.value, self.at, &path, self.faults)
        });
        self.set(field, slot, Some(text));
    }

    /// The value, when it has the length that it must have.
    fn exact(&mut self, field: &str, length: usize) -> Option<&'a [u8]> {
        if self.value.len() == length {
            return Some(self.value);
        }
        self.fault(field, format!("{length} bytes"), format!("{}", self.value.len()));
        None
    }

    /// The first of several wins, as with Windows' own lookup; the others are faults.
    fn set<T>(&mut self, field: &str, slot: &mut Option<T>, value: Option<T>) {
        if slot.is_some() {
            self.fault(field, "one", "one more");
        } else {
            *slot = value;
        }
    }

    fn fault(&mut self, field: &str, expected: impl Into<String>, got: impl Into<String>) {
        self.faults.add(self.at, format!("{}.{field}", self.path), expected, got);
    }
}
