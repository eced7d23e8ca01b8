//! Where in a packet capture something is.

/// One packet of a capture file, by the number that Wireshark shows (`frame.number`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Frame {
    /// Which of the files that were read together, from 0.
    pub file: u16,
    /// The packet's number in it, from 1; packets that authtap makes nothing of count too.
    pub number: u64,
}

/// The interface's name in the packet captures that authtap writes itself. They are without secrets, so nothing can be
/// concluded from their tokens, and `report` passes over their packets.
pub const OWN_INTERFACE: &str = "authtap-redacted";
