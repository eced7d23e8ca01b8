//! Exchanges become handshakes, and handshakes are linked across connections.
