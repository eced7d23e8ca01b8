//! Where in a packet capture something is.

/// One packet of a capture file, by the number that Wireshark shows (`frame.number`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Frame {
    /// Which of the files that were read together, from 0.
    pub file: u16,
    /// The packet's number in it, from 1; packets that authtap makes nothing of count too.
    pub number: u64,
}
