//! Scripted captures with hops.
