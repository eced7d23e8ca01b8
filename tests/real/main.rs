//! Tests against real servers and clients, installed by `make test`.
